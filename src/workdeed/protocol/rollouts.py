"""What a keeper tells of a job's replicas: where they answer, and how a rollout goes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workdeed.protocol.fields import Positive, Uint
from workdeed.protocol.limits import MAX_ENDPOINT, MAX_REPLICAS, MAX_REPLICAS_BYTES
from workdeed.protocol.messages import Body, Commit, Message, Port, Text

ReplicaState = Literal[
    "unreachable",
    "absent",
    "building",
    "ready",
    "draining",
    "starting",
    "settling",
    "well",
    "ill",
    "failed",
]
"""Where a replica stands on the way to the current revision:

- `unreachable`: its node does not answer, or claims a revision that the chain does not have;
- `absent`: its node does not have the revision yet;
- `building`, `ready`: the one before it serves, if there is one;
- `draining`: the one before it serves its last callers;
- `starting`: the one before it has ended, or there was none;
- `settling`, `well`: it serves, for shorter and for longer than it has to settle;
- `ill`: it has no older revision to go back to, and is not well;
- `failed`: the revision was given up on it, and the one before it comes back.
"""

Phase = Literal[
    "steady",
    "starting",
    "recreating",
    "canary",
    "rolling",
    "settling",
    "reverting",
    "reverted",
]
"""Where a rollout stands: `steady` and `reverted` are its ends."""

Host = Annotated[
    str, Field(strict=True, min_length=1, max_length=MAX_ENDPOINT, pattern=r"^[0-9A-Za-z_.:-]+$")
]
"""An IP address or a name: nothing in it can end the host of an address and begin more."""


class Endpoint(Body):
    """Where a replica that is well answers callers.

    Attributes:
        host, port: of its main service, which is reached without TLS of the node's own.
        revision: which one serves.
        version: git commit or image digest, in hex; empty if the node does not tell.

    """

    license_id: Positive
    host: Host
    port: Port
    revision: Uint
    version: Commit


class EndpointList(Message):
    """The replicas of a job that are well and stay, by license.

    Attributes:
        replicas: how many licenses are placed, those left out included.

    """

    MAX_BYTES: ClassVar[int] = MAX_REPLICAS_BYTES

    schema_: Literal["workdeed/endpoints@1"] = Field(default="workdeed/endpoints@1", alias="schema")
    job_id: Positive
    replicas: Uint
    endpoints: Annotated[tuple[Endpoint, ...], Field(max_length=MAX_REPLICAS)]


class ReplicaProgress(Body):
    """One replica in a rollout.

    Attributes:
        revision: which one serves, None if none does.
        well_ms: for how long that one has been well.
        reason: why it is not further, "" where there is nothing to tell.

    """

    license_id: Positive
    state: ReplicaState
    revision: Uint | None
    well_ms: Uint
    reason: Text


class RolloutProgress(Message):
    """How far the current revision of a job is.

    Attributes:
        revision: the one that stands on chain.
        policy: how it is rolled out; "" while the spec is not here.
        reason: what the rollout waits for, or why it was given up.
        replicas: by license.

    """

    MAX_BYTES: ClassVar[int] = MAX_REPLICAS_BYTES

    schema_: Literal["workdeed/rollout@1"] = Field(default="workdeed/rollout@1", alias="schema")
    job_id: Positive
    revision: Uint
    policy: Literal["", "recreate", "rolling", "canary"]
    phase: Phase
    reason: Text
    replicas: Annotated[tuple[ReplicaProgress, ...], Field(max_length=MAX_REPLICAS)]
