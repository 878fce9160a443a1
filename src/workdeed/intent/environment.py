"""What a variable of a service may be: a text, or where the node takes one from."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from workdeed.intent.fields import Argument, Name, Part, ServiceName

# What the agent itself puts into a workload's environment; a spec must not shadow it.
RESERVED_ENV = frozenset({"HOST"})
RESERVED_ENV_PREFIX = "WORKDEED_"

_LICENSE = r"^[1-9][0-9]{0,15}$"
_VALUE = r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"


class FromSecret(Part):
    """The value of a sealed secret, opened on the node alone."""

    secret: Name


class FromNode(Part):
    """A fact about the node: its license's id, its key's address, or where workloads listen."""

    node: Literal["license", "address", "host"]


class FromService(Part):
    """A value that another service of the job hands on.

    Attributes:
        service: the sibling's name, or `main`.
        value: `host` or `port`, where it can be reached; `port.<name>` for a further port; any
            other name stands for the file of that name in the folder that the other service
            finds in `WORKDEED_EXPORTS`. The reader starts once it is there.

    """

    service: ServiceName
    value: Annotated[str, Field(pattern=_VALUE)]


class PerNode(Part):
    """A text for each license, with one for all others."""

    per_node: Annotated[
        dict[Annotated[str, Field(pattern=_LICENSE)], Argument], Field(max_length=1024)
    ]
    default: Argument


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "<text"
    for name in ("secret", "node", "service", "per_node"):
        if name in value if isinstance(value, dict) else hasattr(value, name):
            return f"<{name}"
    return "<?"


EnvValue = Annotated[
    Annotated[Argument, Tag("<text")]
    | Annotated[FromSecret, Tag("<secret")]
    | Annotated[FromNode, Tag("<node")]
    | Annotated[FromService, Tag("<service")]
    | Annotated[PerNode, Tag("<per_node")],
    Discriminator(
        _kind, "no_value", "it is neither a text nor a table with secret, node, service or per_node"
    ),
]
"""A text, or a table that says where it is taken from."""


def reserved(name: str) -> bool:
    """Tell whether the node itself sets the variable `name`."""
    return name in RESERVED_ENV or name.startswith(RESERVED_ENV_PREFIX)
