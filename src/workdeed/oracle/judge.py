"""Judges what a probe says of a job on a node. Pure: it remembers, but asks nobody."""

from collections.abc import Iterable

from workdeed.oracle.ledger import JobKey
from workdeed.oracle.patience import Patience, none
from workdeed.oracle.tallies import Verdict
from workdeed.oracle.targets import JobTarget
from workdeed.protocol.figures import Pair
from workdeed.protocol.messages import Workload

RUNNING = "running"


class Judge:
    """Applies the rules of probing.

    Service of the revision that is measured counts, and of a newer one. Service of an older one
    counts while the rollout may still be under way, and whenever no license of the job was lately
    seen to run the measured one: then it is the spec that fails, not the node. Where neither runs,
    the first windows of a term or of such a rollout are unknown, later ones are down.

    Args:
        grace_windows: how many windows that are, beyond what a rollout may take.
        patience: how many windows a rollout may take.

    """

    def __init__(self, grace_windows: int, patience: Patience = none) -> None:
        self._grace = grace_windows
        self._patience = patience
        self._came_up: dict[Pair, int] = {}  # the term in which a pair was last seen well
        # When each revision was last seen well on any license, by window; old sights are dropped.
        self._ran: dict[JobKey, dict[int, int]] = {}

    def serving(
        self, window: int, job: JobTarget, workloads: Iterable[Workload]
    ) -> Workload | None:
        """Return the workload by which the node serves the job, by its own account; None if none.

        Whether it really answers is then asked of the workload itself.
        """
        well = [one for one in _known(job, workloads) if one.state == RUNNING and one.healthy]
        best = max(well, key=lambda one: one.revision, default=None)
        if best is None or best.revision >= job.measured:
            return best
        return best if self._rolls_out(window, job) or not self._runs(window, job) else None

    def verdict(
        self,
        window: int,
        job: JobTarget,
        workloads: Iterable[Workload],
        served: Workload | None,
    ) -> Verdict:
        """Return what the probe counts as, and remember it.

        Args:
            window: in which it was sent.
            job: what it asked about.
            workloads: those of the node's valid answer, none without one.
            served: the workload that serves and answered the oracle too.

        """
        if served is not None:
            self._came_up[job.pair] = job.term
            self._saw(window, job, served.revision)
            return "ok"
        is_fresh = window < job.term + self._grace and self._came_up.get(job.pair) != job.term
        return "unknown" if is_fresh or self._spec_fails(window, job, workloads) else "bad"

    def forget(self, kept: Iterable[Pair]) -> None:
        """Drop what is remembered of pairs and jobs other than `kept`."""
        pairs = set(kept)
        jobs = {(one.escrow, one.job_id) for one in pairs}
        self._came_up = {pair: term for pair, term in self._came_up.items() if pair in pairs}
        self._ran = {job: seen for job, seen in self._ran.items() if job in jobs}

    def _saw(self, window: int, job: JobTarget, revision: int) -> None:
        key = job.pair.escrow, job.pair.job_id
        recent = {
            number: last
            for number, last in self._ran.get(key, {}).items()
            if self._is_recent(window, last)
        }
        self._ran[key] = recent | {revision: max(window, recent.get(revision, 0))}

    def _runs(self, window: int, job: JobTarget) -> bool:
        """Tell whether some license was lately seen to run the measured revision or a newer one."""
        seen = self._ran.get((job.pair.escrow, job.pair.job_id), {})
        return any(
            number >= job.measured and self._is_recent(window, last)
            for number, last in seen.items()
        )

    def _is_recent(self, window: int, last: int) -> bool:
        # The window before counts without a grace too, or each would begin as if nobody ran it.
        return last >= window - max(1, self._grace)

    def _rolls_out(self, window: int, job: JobTarget) -> bool:
        """Tell whether the rollout of the measured revision may still be under way."""
        return window < job.since + self._grace + self._patience(job)

    def _spec_fails(self, window: int, job: JobTarget, workloads: Iterable[Workload]) -> bool:
        """Tell whether the node tries the measured revision, and nobody is seen to run it."""
        tries = any(one.revision >= job.measured for one in _known(job, workloads))
        return tries and self._rolls_out(window, job) and not self._runs(window, job)


def _known(job: JobTarget, workloads: Iterable[Workload]) -> list[Workload]:
    """Return the workloads of the job whose spec is the one on chain for their revision."""
    return [
        one
        for one in workloads
        if (one.escrow, one.job_id) == (job.pair.escrow, job.pair.job_id)
        and job.revisions.get(one.revision) == one.spec_hash
    ]
