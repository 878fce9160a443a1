"""Counts what the oracle of this keeper does."""

from collections.abc import Collection, Iterable

from workdeed.keeper.metrics import Metrics
from workdeed.keeper.storage import storage_kind
from workdeed.oracle.meter import Meter, Outcome
from workdeed.oracle.tallies import Verdict, WindowTally


class OracleMeter(Meter):
    """Puts what it is told into metrics.

    Args:
        metrics: the keeper's.

    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._watched: frozenset[int] = frozenset()
        self._silent: set[int] = set()

    def watching(self, licenses: Collection[int]) -> None:
        """Show how many nodes are probed; forget those that are not any more."""
        self._watched = frozenset(licenses)
        self._silent &= self._watched
        self._metrics.probed_nodes.set(len(self._watched))
        self._metrics.silent_nodes.set(len(self._silent))

    def probed(self, license_id: int, seconds: float, *, answered: bool) -> None:
        """Count a probe; time those that were answered, since the others take the time-out."""
        self._metrics.probes.labels(answer="valid" if answered else "none").inc()
        if answered:
            self._metrics.probe_seconds.observe(seconds)
            self._silent.discard(license_id)
        elif license_id in self._watched:
            self._silent.add(license_id)
        self._metrics.silent_nodes.set(len(self._silent))

    def judged(self, verdicts: Iterable[Verdict]) -> None:
        """Count the verdicts."""
        for verdict in verdicts:
            self._metrics.verdicts.labels(verdict=verdict).inc()

    def kept(self) -> None:
        """Count evidence."""
        self._metrics.evidence.inc()

    def closed(self, window: int, tally: WindowTally) -> None:
        """Count the window: unknown as a whole, or measured."""
        outcome = "unknown" if tally.reason else "measured"
        self._metrics.observations.labels(outcome=outcome).inc()
        self._metrics.observed_window.set(window)

    def led(self, outcome: Outcome) -> None:
        """Count a turn."""
        self._metrics.turns.labels(outcome=outcome).inc()

    def signed(self) -> None:
        """Count a signature."""
        self._metrics.reports_signed.inc()

    def refused(self, field: str) -> None:
        """Count a refusal."""
        self._metrics.proposals_refused.labels(field=field).inc()

    def fault(self, error: BaseException) -> None:
        """Count an error if it is one of the database or the disk."""
        kind = storage_kind(error)
        if kind is not None:
            self._metrics.storage_errors.labels(kind=kind).inc()
