"""The deployment intent `workdeed/spec@1`: what a payer wants to run.

Sizes are bounded here once, for payers, oracles and nodes alike. Times are milliseconds, processor
shares thousandths of a core, memory and storage megabytes (10^6 bytes). Money, slots and windows
are not part of the intent: the escrow holds them.
"""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

# What the agent itself puts into a workload's environment; a spec must not shadow it.
RESERVED_ENV = frozenset({"HOST"})
RESERVED_ENV_PREFIX = "WORKDEED_"

# A tag of a node's profile, in any case; a star at its end stands for what follows, a '!' before it
# for its absence.
_TERM = r"!?(?:\*|[A-Za-z0-9][A-Za-z0-9._:/=-]{0,63}\*?)"
_URL_SCHEMES = ("https", "http", "ssh", "git", "file")
_SCP_ADDRESS = re.compile(r"[A-Za-z0-9_.-]{1,64}@[A-Za-z0-9.-]{1,253}:(?!/?-)[^:]+")


def _printable(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("it holds a control character; remove it")
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character; remove it")
    return text


def _path_inside(path: str) -> str:
    parts = path.split("/")
    if path.startswith(("/", "-")) or any(part in ("", ".", "..") for part in parts):
        raise ValueError("it must be a relative path without '.', '..' or empty parts")
    return path


Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
TagExpression = Annotated[str, Field(pattern=rf"^{_TERM}(?:\|\|{_TERM})*$", max_length=512)]
Tags = Annotated[tuple[TagExpression, ...], Field(max_length=32)]
Argument = Annotated[str, Field(max_length=4096), AfterValidator(_no_nul)]
Argv = Annotated[tuple[Argument, ...], Field(min_length=1, max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GitSource(_Part):
    """A commit of a git repository.

    Attributes:
        url: https, http, ssh, git or file address, `user@host:path`, or an absolute path. It is
            public, so it must not carry a password.
        commit: the full 40-hex commit: a branch can be moved, a commit cannot.
        path: folder inside the repository that holds the service; the whole tree when absent.

    """

    url: Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_printable)]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    path: (
        Annotated[
            str, Field(max_length=256), AfterValidator(_printable), AfterValidator(_path_inside)
        ]
        | None
    ) = None

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


class Source(_Part):
    """Where the service comes from: one member per kind of source."""

    git: GitSource | None = None


class Port(_Part):
    """A TCP port that the node allots to the service and tells it by an environment variable."""

    name: Literal["main"] = "main"
    env: EnvName = "PORT"


class HealthCheck(_Part):
    """How the node asks the service whether it is well: GET `path` must answer 200 to 299.

    Attributes:
        path: absolute path with optional query.
        interval_ms: time between two checks.
        timeout_ms: time for one answer.
        start_period_ms: time from the start in which a failing check does not count.

    """

    kind: Literal["http"] = "http"
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=256)] = "/healthz"
    interval_ms: Annotated[int, Field(ge=100, le=300_000)] = 2_000
    timeout_ms: Annotated[int, Field(ge=50, le=60_000)] = 1_000
    start_period_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 10_000


class Rollout(_Part):
    """How a new revision replaces the old one: `recreate` builds it, stops the old, starts it."""

    policy: Literal["recreate"] = "recreate"


class Resources(_Part):
    """What one slot needs; it must fit the job's class.

    Attributes:
        cpu_milli: thousandths of a core.
        memory_mb: MB of memory.
        storage_mb: MB of disk.

    """

    cpu_milli: Annotated[int, Field(ge=1, le=1_024_000)]
    memory_mb: Annotated[int, Field(ge=1, le=16_777_216)]
    storage_mb: Annotated[int, Field(ge=1, le=1_073_741_824)]


class PlacementRules(_Part):
    """Which nodes may serve: they meet every expression of `tags` and none of `exclude`.

    `prefer` ranks the rest: nodes that meet more of its expressions come first. An expression is a
    tag, a beginning of one (`dc:*`), the absence of either (`!ct:fr`), or several of these with
    `||` between them, of which one is enough. Upper and lower case are the same.
    """

    tags: Tags = ()
    exclude: Tags = ()
    prefer: Tags = ()


class Spec(_Part):
    """The whole intent. Its hash over the canonical JSON stands in the escrow for each revision.

    Attributes:
        name: label for people, unique to nobody.
        class_id: price class of the escrow that the resources must fit.
        runner: which runner of the node fetches and starts it, by entry point name.
        source: what the runner fetches.
        build: commands run in order in the fetched tree, each an argument list, no shell.
        run: the command that serves, no shell.
        env: variables for build and run; public, so never secrets.
        port: absent when the service listens on nothing.
        health: absent when a living process is all that is asked; it needs `port`.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Annotated[Literal["workdeed/spec@1"], Field(alias="schema")] = "workdeed/spec@1"
    name: Name
    class_id: Annotated[int, Field(ge=0, lt=2**32)]
    runner: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    source: Source
    build: Annotated[tuple[Argv, ...], Field(max_length=32)] = ()
    run: Argv
    env: Annotated[dict[EnvName, Argument], Field(max_length=128)] = {}
    port: Port | None = None
    health: HealthCheck | None = None
    rollout: Rollout = Rollout()
    resources: Resources
    placement: PlacementRules = PlacementRules()

    @field_validator("env")
    @classmethod
    def _check_env(cls, env: dict[str, str]) -> dict[str, str]:
        for key in env:
            if key in RESERVED_ENV or key.startswith(RESERVED_ENV_PREFIX):
                raise ValueError(f"{key} is set by the node; choose another name")
        return env

    @model_validator(mode="after")
    def _check_port(self) -> Self:
        if self.port is None and self.health is not None:
            raise ValueError("health needs a port; add port or remove health")
        if self.port is not None and self.port.env in self.env:
            raise ValueError(f"env.{self.port.env} is set by the node from port; remove it")
        if self.port is not None and (
            self.port.env in RESERVED_ENV or self.port.env.startswith(RESERVED_ENV_PREFIX)
        ):
            raise ValueError(f"port.env {self.port.env} is set by the node; choose another name")
        return self
