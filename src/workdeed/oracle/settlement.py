"""Turns figures into the leaves of a report. Pure: what all members must compute alike.

Units are cumulative. A report starts from its base, the leaves of the report before it, and adds
what each pair earned in each window that is settled by now. So it does not matter how windows are
cut into reports: one report for ten windows ends in the leaves that ten reports end in.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from workdeed.oracle.errors import SettlementError
from workdeed.oracle.ledger import JobKey, JobLedger, Ledger
from workdeed.protocol.figures import Pair, settle, units
from workdeed.protocol.limits import MAX_WINDOWS
from workdeed.protocol.merkle import EMPTY_ROOT
from workdeed.protocol.report import Leaf, OpenPair

JOB_LEAF: Final = 0


class PairWindow(NamedTuple):
    """A pair in one window."""

    window: int
    pair: Pair

    @classmethod
    def of(cls, one: OpenPair) -> Self:
        """Return the pair and window that an entry of a header names."""
        return cls(one.window, Pair(one.escrow, one.job_id, one.license_id))

    def as_open(self) -> OpenPair:
        """Return it as an entry of a header."""
        return OpenPair(self.window, *self.pair)


@dataclass(frozen=True, slots=True)
class Base:
    """What a report builds on.

    Attributes:
        window, root: of the latest accepted and not vetoed report; 0 and zero before the first.
        leaves: its leaves, by (escrow, job, license).
        open: the pairs that it left open.
        whole: False where its leaves are lost: `leaves` then are those that were proven, all others
            start from their claimed units, and a header announces that by naming no base.

    """

    window: int = 0
    root: bytes = EMPTY_ROOT
    leaves: Mapping[tuple[str, int, int], int] = field(default_factory=dict)
    open: tuple[OpenPair, ...] = ()
    whole: bool = True

    @property
    def named(self) -> tuple[int, bytes]:
        """What a header names as its base: window and root, or 0 and zero."""
        return (self.window, self.root) if self.whole else (0, EMPTY_ROOT)


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """What was observed in one window.

    Attributes:
        window: the window.
        pairs: all pairs in force, in order.
        rows: the figures of each member that observed, in the order of `pairs`.

    """

    window: int
    pairs: tuple[Pair, ...]
    rows: tuple[tuple[int, ...], ...]

    def of(self, index: int) -> tuple[int, ...]:
        """Return the figures of the pair at `index`."""
        return tuple(row[index] for row in self.rows)


@dataclass(frozen=True, slots=True)
class Settlement:
    """The result.

    Attributes:
        leaves: ascending, job leaves included.
        open: pairs that stay open, ascending.
        figures: what each pair settled on in each window; None where it is open, or timed out.
        earned: the units that were added for each pair, those of 0 left out.

    """

    leaves: tuple[Leaf, ...]
    open: tuple[OpenPair, ...]
    figures: Mapping[PairWindow, int | None]
    earned: Mapping[Pair, int]


def windows_asked(base: Base, window: int) -> tuple[int, ...]:
    """Return the windows that a report settles: each since its base, each with an open pair.

    What is unsettled more than `MAX_WINDOWS` back is not asked for any more, and earns 0.
    """
    oldest = window - MAX_WINDOWS + 1
    since = range(max(base.window + 1, oldest), window + 1)
    still_open = {one.window for one in base.open if one.window >= oldest}
    return tuple(sorted(still_open | set(since)))


def settle_report(
    base: Base,
    observed: Sequence[WindowFigures],
    ledger: Ledger,
    *,
    window: int,
    open_windows: int,
    members: int,
) -> Settlement:
    """Return leaves and open pairs of the report of `window`.

    Args:
        base: the report before it.
        observed: one entry for each of `windows_asked`, be it without a row.
        ledger: the jobs at the snapshot, the last block before the window's end.
        window: the last window that the report covers.
        open_windows: D.
        members: size of the committee.

    Raises:
        SettlementError: if the windows are not those asked for, a row does not fit its pairs, or a
            pair is of no job.

    """
    _check(base, observed, window)
    figures = {key: settle(values, members) for key, values in _to_settle(base, observed)}
    waiting = (
        key.as_open()
        for key, found in figures.items()
        if found is None and window - key.window < open_windows
    )
    still_open = tuple(sorted(waiting, key=lambda one: one.key))
    earned = _earned(figures, ledger)
    leaves = _leaves(base, earned, ledger, window, {(one.escrow, one.job_id) for one in still_open})
    return Settlement(leaves, still_open, figures, earned)


def could_settle(values: Sequence[int], members: int) -> bool:
    """Tell whether these figures of a pair settle it."""
    return settle(values, members) is not None


def _check(base: Base, observed: Sequence[WindowFigures], window: int) -> None:
    if base.window >= window:
        raise SettlementError(f"window: {window} is not later than the base's, {base.window}")
    if tuple(one.window for one in observed) != windows_asked(base, window):
        raise SettlementError("observed: the windows must be those since the base and those open")
    for one in observed:
        if any(len(row) != len(one.pairs) for row in one.rows):
            raise SettlementError(f"observed: a row of window {one.window} does not fit its pairs")


def _to_settle(
    base: Base, observed: Sequence[WindowFigures]
) -> Iterator[tuple[PairWindow, tuple[int, ...]]]:
    """Yield each pair to settle with its figures: all of new windows, the open ones of others."""
    still_open = {PairWindow.of(one) for one in base.open}
    for one in observed:
        for index, pair in enumerate(one.pairs):
            key = PairWindow(one.window, pair)
            if one.window > base.window or key in still_open:
                yield key, one.of(index)


def _earned(figures: Mapping[PairWindow, int | None], ledger: Ledger) -> dict[Pair, int]:
    earned: dict[Pair, int] = {}
    for key, found in figures.items():
        job = ledger.get((key.pair.escrow, key.pair.job_id))
        if job is None or key.pair.license_id not in job.claimed:
            raise SettlementError(f"ledger: it lacks {key.pair}, which serves in {key.window}")
        added = units(found, job.sla_floor_bps) if found is not None else 0
        if added:
            earned[key.pair] = earned.get(key.pair, 0) + added
    return earned


def _leaves(
    base: Base,
    earned: Mapping[Pair, int],
    ledger: Ledger,
    window: int,
    waiting: set[JobKey],
) -> tuple[Leaf, ...]:
    """Return the leaves; `waiting` jobs have an open pair and get no leaf of their own."""
    leaves = list(_foreign(base, ledger))
    for (escrow, job_id), job in ledger.items():
        totals = {
            one: _cumulative(base, earned, Pair(escrow, job_id, one), job) for one in job.claimed
        }
        if job.has_left:
            leaves += (
                Leaf(escrow, job_id, one, total)
                for one, total in totals.items()
                if total > job.claimed[one]
            )
        is_over = 0 < job.end <= window + 1
        total = sum(totals.values())
        if is_over and (escrow, job_id) not in waiting and not job.is_settled_at(total):
            leaves.append(Leaf(escrow, job_id, JOB_LEAF, total))
    return tuple(sorted(leaves, key=lambda leaf: leaf.key))


def _cumulative(base: Base, earned: Mapping[Pair, int], pair: Pair, job: JobLedger) -> int:
    """Return all units of a pair; one without a leaf in the base starts from what it claimed."""
    known = max(base.leaves.get(pair, 0), job.claimed[pair.license_id])
    return known + earned.get(pair, 0)


def _foreign(base: Base, ledger: Ledger) -> Iterable[Leaf]:
    """Return the base's leaves of escrows that this ledger knows nothing of: they stay."""
    escrows = {escrow for escrow, _ in ledger}
    return (
        Leaf(escrow, job_id, license_id, total)
        for (escrow, job_id, license_id), total in base.leaves.items()
        if escrow not in escrows
    )
