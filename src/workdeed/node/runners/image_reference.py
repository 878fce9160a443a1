"""Names of images as people write them, and in full as engines and registries know them."""

from dataclasses import dataclass
from typing import Final

HUB: Final = "docker.io"
HUB_SERVER: Final = "registry-1.docker.io"

_DIGEST: Final = "sha256:"
_HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A name, and a tag or the digest that pins it.

    Attributes:
        name: with the registry in front.
        tag: "" where only a digest is given.
        digest: `sha256:...`, "" without one.

    """

    name: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "ImageReference":
        """Return what `text` says; the spec's model has checked its form."""
        rest, _, digest = text.partition("@")
        head, slash, last = rest.rpartition("/")
        last, _, tag = last.partition(":")
        return cls(full_name(head + slash + last), tag or ("" if digest else "latest"), digest)

    @property
    def tagged(self) -> str:
        """The name with the tag."""
        return f"{self.name}:{self.tag}"

    def pinned(self, version: str) -> str:
        """Return the name with the digest whose hex is `version`."""
        return f"{self.name}@{_DIGEST}{version}"

    @property
    def server(self) -> tuple[str, int]:
        """Host and port of the registry."""
        registry = self.name.partition("/")[0]
        host, _, port = registry.partition(":")
        return (HUB_SERVER if host == HUB else host), int(port or _HTTPS)


def full_name(name: str) -> str:
    """Return `name` with the registry that engines put in front of a short one."""
    first, slash, rest = name.partition("/")
    if not slash:
        return f"{HUB}/library/{name}"
    if "." in first or ":" in first or first == "localhost" or first != first.lower():
        if first == "index.docker.io":
            return full_name(rest)
        return f"{HUB}/library/{rest}" if first == HUB and "/" not in rest else name
    return f"{HUB}/{name}"


def hex_of(digest: str) -> str:
    """Return the hex of `sha256:...`."""
    return digest.removeprefix(_DIGEST)
