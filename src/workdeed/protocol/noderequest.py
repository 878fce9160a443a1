"""What is asked of a node about one job by those who may: its payer, delegates, oracles."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from workdeed.protocol.fields import Address, Base64, Positive, Uint
from workdeed.protocol.limits import KIB
from workdeed.protocol.messages import Commit, Port, State, Text
from workdeed.protocol.wire import Body, EnvelopeMessage, Message

REQUEST_SECONDS_VALID: Final = 120
"""How far a request's time may be from the node's clock."""

MAX_ARGUMENT: Final = 32 * KIB

MAX_LOG_BYTES: Final = 32 * KIB
"""Output of a service in one answer."""

MAX_CURSOR: Final = 256
"""Characters of a place in a log."""

MAX_PORTS: Final = 17
"""Ports of one service: the main one and further ones."""

Action = Literal[
    "logs",
    "inspect",
    "restart",
    "stop",
    "resume",
    "command",
    "configure",
    "take",
    "abandon",
    "settle",
]

READING: Final[frozenset[Action]] = frozenset({"logs", "inspect"})
"""Actions that change nothing; they may be repeated within their time."""

ROLLOUT: Final[frozenset[Action]] = frozenset({"take", "abandon", "settle"})
"""Actions of a rollout, which members of the committee may ask for as well."""


class NodeRequest(EnvelopeMessage):
    """A request about one job on one node, signed by whoever asks.

    `logs` and `inspect` read. `stop` ends a service until `resume`; `restart` does both. `command`
    and `configure` go to a native plugin. `take` lets a revision replace the one before it,
    `abandon` gives it up and brings that one back, `settle` drops that one for good.

    Attributes:
        revision: which revision is meant.
        service: which of its services; rollouts concern all.
        argument: canonical JSON for `command` and `configure`, the reason for `abandon`, the cursor
            for `logs`, "" for others.
        asked_at: milliseconds since 1970; counts near the node's clock, and for actions that change
            something only once and in ascending order for each account and job.
        account: who asks, and signs.

    """

    MAX_BYTES: ClassVar[int] = 2 * MAX_ARGUMENT

    schema_: Literal["workdeed/node-request@1"] = Field(
        default="workdeed/node-request@1", alias="schema"
    )
    escrow: Address
    job_id: Positive
    license_id: Positive
    revision: Uint
    action: Action
    service: Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9]{0,15}$")] = "main"
    argument: Annotated[str, Field(strict=True, max_length=MAX_ARGUMENT)] = ""
    asked_at: Positive
    account: Address

    @property
    def signer(self) -> str:
        """Who asks."""
        return self.account


class LogReply(Message):
    """A piece of what a service printed.

    Attributes:
        data: both of its streams, mixed; nothing when there is nothing new.
        cursor: the argument of the request that asks for what follows.

    """

    schema_: Literal["workdeed/log-reply@1"] = Field(default="workdeed/log-reply@1", alias="schema")
    data: Annotated[Base64, Field(max_length=MAX_LOG_BYTES)]
    cursor: Annotated[str, Field(strict=True, max_length=MAX_CURSOR)]


class PluginReply(Message):
    """What a plugin answers to `command` or `configure`: JSON of its own making."""

    schema_: Literal["workdeed/plugin-reply@1"] = Field(
        default="workdeed/plugin-reply@1", alias="schema"
    )
    data: Annotated[Base64, Field(max_length=MAX_ARGUMENT)]


class ServicePort(Body):
    """A port of a service, by the name that its spec gives it."""

    name: Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9]{0,15}$")]
    port: Port


class InspectionReply(Message):
    """What a node sees of one service.

    Attributes:
        reason: why it is in `state`, "" if by plan.
        version: git commit or image digest that runs, in hex; empty before it is known.
        cpu_ms: processor time in milliseconds, since its process was started.
        memory_bytes: resident memory.
        disk_bytes: what its own files take.
        processes: how many it has; 0 when it does not run.
        restarts: how often it was started again by itself.

    """

    schema_: Literal["workdeed/inspection-reply@1"] = Field(
        default="workdeed/inspection-reply@1", alias="schema"
    )
    revision: Uint
    service: Text
    state: State
    reason: Text
    version: Commit
    cpu_ms: Uint
    memory_bytes: Uint
    disk_bytes: Uint
    processes: Uint
    restarts: Uint
    ports: Annotated[tuple[ServicePort, ...], Field(max_length=MAX_PORTS)]
