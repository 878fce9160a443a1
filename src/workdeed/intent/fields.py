"""The words that specs are written in: names, arguments, paths, sizes, each bounded once."""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field

TAG_MARK: Final = "<"
"""First character of the tags of unions: they name no field, and errors leave them out."""

# A tag of a node's profile, in any case; a star at its end stands for what follows, a '!' before it
# for its absence.
_TERM = r"!?(?:\*|[A-Za-z0-9][A-Za-z0-9._:/=-]{0,63}\*?)"
_NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class Part(BaseModel):
    """A part of a spec: frozen, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def by(field: str, default: str) -> Discriminator:
    """Return what tells the members of a union apart: their `field`, `default` where it is absent.

    The members carry `Tag`s of that value behind `TAG_MARK`.
    """

    def tag(value: Any) -> str:
        found = value.get(field, default) if isinstance(value, dict) else getattr(value, field, "")
        return f"{TAG_MARK}{found}"

    return Discriminator(tag, f"no_{field}", f"its {field} is none that there is; correct it")


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


def _path_within_service(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("it must be an absolute path")
    _path_inside(path[1:])
    if re.search(r"[:,]", path):
        # Engines take such characters as separators of their own options.
        raise ValueError("it must not hold ':' or ','")
    return path


Name = Annotated[str, Field(pattern=rf"^{_NAME}$")]
ServiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,15}$")]
PluginName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
TagExpression = Annotated[str, Field(pattern=rf"^{_TERM}(?:\|\|{_TERM})*$", max_length=512)]
Tags = Annotated[tuple[TagExpression, ...], Field(max_length=32)]
Argument = Annotated[str, Field(max_length=4096), AfterValidator(_no_nul)]
Argv = Annotated[tuple[Argument, ...], Field(min_length=1, max_length=64)]
Printable = Annotated[str, AfterValidator(_printable)]
PathInside = Annotated[
    str, Field(max_length=256), AfterValidator(_printable), AfterValidator(_path_inside)
]
PathWithin = Annotated[
    str, Field(max_length=256), AfterValidator(_printable), AfterValidator(_path_within_service)
]
PortNumber = Annotated[int, Field(ge=1, le=65_535)]
Milliseconds = Annotated[int, Field(ge=0, le=86_400_000)]
