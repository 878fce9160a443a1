"""For how long an older revision counts beside the one that replaces it. Pure."""

import math
from collections.abc import Callable
from typing import Final

from workdeed.intent import Recreate, Rollout, Spec
from workdeed.intent.pacing import longest_ms
from workdeed.oracle.targets import JobTarget

MAX_ROLLOUT_WINDOWS: Final = 64
"""Windows beyond which no rollout is waited for, however slow its policy."""

STALL_WINDOWS: Final = 4
"""Windows that a replica which answers nobody may hold up the others that take turns with it: so
long it takes, with the usual rules, until its strikes are reported and another has its place."""

Patience = Callable[[JobTarget], float]
"""Returns the windows, beyond the grace, that a rollout to the measured revision may take."""


def rollout_windows(rollout: Rollout, replicas: int, window_seconds: int) -> int:
    """Return the windows that a rollout by this policy may take at most, from the first one on.

    It follows from the spec and what the chain says alone, so that all oracles wait equally long.
    """
    windows = math.ceil(longest_ms(rollout, replicas) / (1_000 * window_seconds))
    stalled = 0 if isinstance(rollout, Recreate) else STALL_WINDOWS
    return min(windows + stalled, MAX_ROLLOUT_WINDOWS)


def patience_of(specs: Callable[[bytes], Spec | None], window_seconds: int) -> Patience:
    """Return the patience of an oracle that finds specs by their hash in `specs`.

    Without the spec it has no end: nobody is blamed for a policy that is not known here.
    """

    def patience(job: JobTarget) -> float:
        if not job.rolls:
            return 0
        spec = specs(job.revisions[job.measured])
        if spec is None:
            return math.inf
        return rollout_windows(spec.rollout, job.replicas, window_seconds)

    return patience


def none(_: JobTarget) -> float:
    """Be without patience: every revision is there at once."""
    return 0
