"""Where a service comes from: a commit, an image, an installed plugin."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from workdeed.intent.fields import Argument, Name, Part, PathInside, PluginName, Printable
from workdeed.protocol.canonical import canonical_bytes

_URL_SCHEMES = ("https", "http", "ssh", "git", "file")
_SCP_ADDRESS = re.compile(r"[A-Za-z0-9_.-]{1,64}@[A-Za-z0-9.-]{1,253}:(?!/?-)[^:]+")
_BRANCH = r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,127}$"
_NO_BRANCH = re.compile(r"\.\.|//|/\.|\.lock(?:/|$)|[./-]$")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = (
    r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?/)?"
    rf"{_COMPONENT}(?:/{_COMPONENT}){{0,15}}"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$"
)

MIN_POLL_MS = 15_000
MAX_CONFIG_BYTES = 64 * 1024


class Credentials(Part):
    """How to log in where the source lies: `username` and the password in the secret `secret`."""

    username: Annotated[Argument, Field(min_length=1)]
    secret: Name


class GitSource(Part):
    """A commit of a git repository, or a branch that is followed.

    Attributes:
        url: https, http, ssh, git or file address, `user@host:path`, or an absolute path. It is
            public, so it must not carry a password.
        commit: the full 40-hex commit: a branch can be moved, a commit cannot. Absent only where a
            branch is followed.
        branch: the branch to follow.
        follow: take every new commit of `branch`, and go back to the last good one where it can't
            be built or is not healthy.
        poll_ms: time between two looks at the branch, at least 15 s.
        path: folder inside the repository that holds the service; the whole tree when absent.
        credentials: for https; ssh uses the node's own identity.

    """

    url: Annotated[Printable, Field(min_length=1, max_length=512)]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    branch: Annotated[str, Field(pattern=_BRANCH)] | None = None
    follow: bool = False
    poll_ms: Annotated[int, Field(ge=MIN_POLL_MS, le=86_400_000)] | None = None
    path: PathInside | None = None
    credentials: Credentials | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        # A leading '-' would be read as an option by git; '::' picks a remote helper such as ext.
        if url.startswith("-") or "::" in url or " " in url:
            raise ValueError("it is no git address; write https://host/path")
        if url.startswith("/") or _SCP_ADDRESS.fullmatch(url):
            return url
        parts = urlsplit(url)
        if parts.scheme not in _URL_SCHEMES or "://" not in url:
            raise ValueError(f"its scheme must be one of {', '.join(_URL_SCHEMES)}")
        if parts.scheme != "file" and (not parts.hostname or parts.hostname.startswith("-")):
            raise ValueError("it names no host; write https://host/path")
        if parts.password is not None:
            raise ValueError("it carries a password, and a spec is public; remove it")
        return url

    @field_validator("branch")
    @classmethod
    def _check_branch(cls, branch: str | None) -> str | None:
        if branch is not None and _NO_BRANCH.search(branch):
            raise ValueError("it is no name that git gives a branch; correct it")
        return branch

    @model_validator(mode="after")
    def _check_commit(self) -> Self:
        if self.follow != (self.branch is not None):
            raise ValueError("branch and follow go together; set both or neither")
        if self.follow == (self.commit is not None):
            raise ValueError("a commit pins it and follow moves it; set one of both")
        if self.poll_ms is not None and not self.follow:
            raise ValueError("poll_ms is for a branch that is followed; remove it")
        if self.credentials is not None and not self.url.startswith(("https://", "http://")):
            raise ValueError("credentials are for https addresses; remove them")
        return self


class ImageSource(Part):
    """An image of a container registry.

    Attributes:
        reference: as engines write it, `host/name:tag` or `host/name@sha256:...`. A tag is
            resolved once for each revision, and the node says the digest in every answer.
        pull: `missing` takes an image that is already there, `always` asks the registry before
            each first start of a revision, `never` takes only what the operator has put there.
        tries: how often a pull is tried, with growing pauses, before a start counts as failed.
        credentials: for the registry.

    """

    reference: Annotated[str, Field(pattern=_IMAGE, max_length=512)]
    pull: Literal["always", "missing", "never"] = "missing"
    tries: Annotated[int, Field(ge=1, le=100)] = 5
    credentials: Credentials | None = None


class PluginSource(Part):
    """A plugin that is installed on the node, with the configuration it is given.

    Attributes:
        name: of the entry point.
        config: what the plugin makes of it is its own; no floats, as in all canonical JSON.

    """

    name: PluginName
    config: Annotated[dict[str, Any], Field(default_factory=dict)]

    @field_validator("config")
    @classmethod
    def _check_config(cls, config: dict[str, Any]) -> dict[str, Any]:
        size = len(canonical_bytes(config))
        if size > MAX_CONFIG_BYTES:
            raise ValueError(f"it has {size} bytes; at most {MAX_CONFIG_BYTES} are taken")
        return config


class Source(Part):
    """Where the service comes from: one member per kind of source.

    A worker built from git may name an image too, in which it is then built and run.
    """

    git: GitSource | None = None
    image: ImageSource | None = None
    plugin: PluginSource | None = None
