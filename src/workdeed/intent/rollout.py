"""How a new revision replaces the one that serves. Times are milliseconds."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from workdeed.intent.fields import Milliseconds, Part, by


class _Gated(Part):
    """What all policies share.

    Attributes:
        drain_ms: a replica that is to be replaced leaves the list of endpoints and serves on for so
            long, so that callers are gone when it ends.
        deadline_ms: how long a new replica may take from its first start until it is well; after
            that the revision before it comes back.

    """

    drain_ms: Milliseconds = 3_000
    deadline_ms: Annotated[int, Field(ge=1_000, le=86_400_000)] = 600_000


class Recreate(_Gated):
    """All nodes at once: each builds the new revision, ends the old, starts the new."""

    policy: Literal["recreate"] = "recreate"
    drain_ms: Milliseconds = 0


class _Batched(_Gated):
    """What the policies that take some nodes at a time share.

    Attributes:
        max_unavailable: replicas that may be ill or on their way at any time.
        settle_ms: how long a new replica must have been well before the next one follows.

    """

    max_unavailable: Annotated[int, Field(ge=1, le=131_072)] = 1
    settle_ms: Milliseconds = 2_000


class Rolling(_Batched):
    """Some nodes at a time, in the order of their licenses, each batch when the last is well."""

    policy: Literal["rolling"]


class Canary(_Batched):
    """A share of the nodes first; if they stay well for the wait, the rest like `Rolling`.

    Attributes:
        share_bps: of the replicas, rounded up.
        wait_ms: how long these must have been well.

    """

    policy: Literal["canary"]
    share_bps: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    wait_ms: Milliseconds = 60_000


Rollout = Annotated[
    Annotated[Recreate, Tag("<recreate")]
    | Annotated[Rolling, Tag("<rolling")]
    | Annotated[Canary, Tag("<canary")],
    by("policy", "recreate"),
]
