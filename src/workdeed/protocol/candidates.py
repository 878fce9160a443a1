"""What a payer asks a keeper for before it seals secrets: the nodes that its job may come to."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from workdeed.protocol.fields import Base64, Positive, Uint
from workdeed.protocol.limits import MAX_DISPATCH_BYTES, MAX_SPEC_BYTES, MAX_STATUS_BYTES
from workdeed.protocol.messages import NodeProfile
from workdeed.protocol.wire import Message

MAX_CANDIDATES: Final = 256
"""Profiles in one answer; as many boxes fit a spec."""


class CandidatesRequest(Message):
    """A question for nodes; unsigned.

    Attributes:
        spec: JSON of the intent, secrets not sealed yet.
        class_id: the price class of the job.
        placed: licenses whose profiles are wanted in any case, those in place on a job.
        count: how many others are wanted.

    """

    MAX_BYTES: ClassVar[int] = MAX_DISPATCH_BYTES

    schema_: Literal["workdeed/candidates-request@1"] = Field(
        default="workdeed/candidates-request@1", alias="schema"
    )
    spec: Annotated[Base64, Field(max_length=MAX_SPEC_BYTES)]
    class_id: Positive
    placed: Annotated[tuple[Positive, ...], Field(max_length=MAX_CANDIDATES)]
    count: Annotated[Uint, Field(le=MAX_CANDIDATES)]


class Candidates(Message):
    """Profiles as their nodes signed them: of those placed, then of others, best first.

    A placed one whose profile is not held is missing. Whoever asks checks each of them against the
    chain.
    """

    MAX_BYTES: ClassVar[int] = MAX_STATUS_BYTES

    schema_: Literal["workdeed/candidates@1"] = Field(
        default="workdeed/candidates@1", alias="schema"
    )
    profiles: Annotated[tuple[NodeProfile, ...], Field(max_length=2 * MAX_CANDIDATES)]
