"""Watches for jobs whose secrets are sealed for too few licenses beside those in place.

A job with secrets can only be placed on licenses that they are sealed for. Where the last of these
is gone, a license that fails has no replacement, until the payer seals anew.
"""

import time
from collections.abc import Callable
from typing import Final

from workdeed.chain.bindings.escrow import SERVICE
from workdeed.chain.books import JobState
from workdeed.intent import Spec
from workdeed.keeper.candidates import placement_view
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.view import View
from workdeed.placement import PlacementError, Profiles, obstacle
from workdeed.placement import View as PlacementView

PAUSE: Final = 30.0
"""Seconds between two looks: each goes through all boxes of all specs."""


class SpareWatch:
    """Counts the jobs that are short of spares.

    Args:
        profiles: what nodes offer.
        specs: returns the spec of a hash, None if it is not held.
        least: spares that each job should have.
        once: told of each job that has fewer.
        metrics: shows how many these are.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        profiles: Profiles,
        specs: Callable[[bytes], Spec | None],
        least: int,
        once: OnceLog,
        metrics: Metrics,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profiles = profiles
        self._specs = specs
        self._least = least
        self._once = once
        self._metrics = metrics
        self._now = now
        self._due = now()
        self._short: set[int] = set()

    async def run(self, view: View) -> None:
        """Look at all jobs, once in a while."""
        if self._now() < self._due:
            return
        self._due = self._now() + PAUSE
        judged = placement_view(view, self._profiles, self._specs)
        short = set()
        for job in view.books.jobs.values():
            found = self._spares(judged, job)
            if found is not None and found < self._least:
                short.add(job.job_id)
                self._once.trouble(
                    _name(job.job_id),
                    f"its secrets are sealed for {found} eligible licenses beside those in place, "
                    f"fewer than {self._least}; its payer seals anew by "
                    "`workdeed update` with --secret",
                )
        for job_id in self._short - short:
            self._once.fine(_name(job_id))
        self._short = short
        self._metrics.short_of_spares.set(len(short))

    def _spares(self, view: PlacementView, job: JobState) -> int | None:
        """Return how many licenses could step in, None for a job that needs none."""
        if job.kind != SERVICE or not view.is_placeable(job):
            return None
        spec = self._specs(job.spec_hash)
        if spec is None or spec.secrets is None:
            return None
        free = max(0, job.slots - job.active)
        found = sum(_is_eligible(view, job.job_id, one) for one in spec.secrets.licenses)
        # Whoever takes a free slot is no spare any more.
        return max(0, found - free)


def _is_eligible(view: PlacementView, job_id: int, license_id: int) -> bool:
    try:
        return not obstacle(view, job_id, license_id)
    except PlacementError:
        return False  # sealed for a license that there never was


def _name(job_id: int) -> str:
    return f"spares of job {job_id}"
