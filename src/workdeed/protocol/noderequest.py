"""What is asked of a node about one job by those who may: its payer, delegates, oracles."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from workdeed.protocol.fields import Address, Positive, Uint
from workdeed.protocol.limits import KIB
from workdeed.protocol.wire import EnvelopeMessage

REQUEST_SECONDS_VALID: Final = 120
"""How far a request's time may be from the node's clock."""

MAX_ARGUMENT: Final = 32 * KIB

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
