"""Gathers from the chain what a round rests on; see `round` for what follows from it."""

import asyncio
from collections.abc import Sequence
from typing import Final

from workdeed.chain.books import Books, ReportState
from workdeed.oracle.bases import Bases
from workdeed.oracle.committee import Committee
from workdeed.oracle.errors import DataMissingError
from workdeed.oracle.ledger import ledger_of, service_pairs
from workdeed.oracle.round import RoundFacts, WindowFacts, check_due
from workdeed.oracle.settings import RoundRules
from workdeed.oracle.settlement import Base, windows_asked
from workdeed.oracle.snapshots import ChainView
from workdeed.oracle.strikes import ReportUnits, count_strikes
from workdeed.protocol.limits import MAX_WINDOWS

_CACHED: Final = 2 * MAX_WINDOWS
_CACHED_REPORTS: Final = 4
_AT_ONCE: Final = 16


class FactFinder:
    """Reads facts at the snapshots that all members share.

    Args:
        chain: what is read.
        bases: where the leaves of earlier reports are.
        rules: of the round.

    """

    def __init__(self, chain: ChainView, bases: Bases, rules: RoundRules) -> None:
        self._chain = chain
        self._bases = bases
        self._rules = rules
        self._windows: dict[tuple[int, bytes], WindowFacts] = {}
        self._units_of: dict[bytes, ReportUnits] = {}

    async def window(self, window: int) -> WindowFacts:
        """Return what is to be observed in a window.

        Raises:
            NotYetError: if its start is not settled here yet.
            ChainError: if the chain can't be read.

        """
        start = await self._chain.snapshot(self._chain.windows.start(window))
        key = window, start.block.hash
        if key not in self._windows:
            pairs = service_pairs(start.books, window)
            self._windows[key] = WindowFacts(window, start.block.hash, pairs)
            while len(self._windows) > _CACHED:
                del self._windows[next(iter(self._windows))]
        return self._windows[key]

    def check_due(self, window: int) -> None:
        """Raise `RoundOverError` if no report of `window` would be taken any more."""
        books = self._chain.books
        latest = books.latest_report
        check_due(window, latest.window if latest else 0, books.veto_floor)

    async def round(self, window: int) -> RoundFacts:
        """Return what the round of `window` rests on.

        Raises:
            NotYetError: if the window's end is not settled here yet.
            RoundOverError: if a report covers the window, or a veto used it up.
            DataMissingError: if the leaves that it builds on are not here.
            ChainError: if the chain can't be read.

        """
        end = await self._chain.snapshot(self._chain.windows.end(window))
        self.check_due(window)
        books = self._chain.books
        base = await asyncio.to_thread(self._base, books.latest_report, window)
        asked = await self._several(windows_asked(base, window))
        return RoundFacts(
            window=window,
            committee=Committee.of(books),
            base=base,
            snapshot_hash=end.block.hash,
            ledger=await asyncio.to_thread(ledger_of, end.books),
            windows=tuple(asked),
        )

    async def strikes(self, books: Books, most: int) -> dict[tuple[int, int], int]:
        """Return the strikes of every placed license, by (job, license), counted up to `most`.

        Only reports that these books hold count, and none of a window `MAX_WINDOWS` or more before
        that of the head: members keep the chain in memory for so long at least, however long they
        run. One whose data is not here ends the count: it is fetched sooner or later, and until
        then nobody is blamed.

        Args:
            books: at the block for which strikes are counted.
            most: where counting stops.

        Raises:
            NotYetError, ChainError: if a snapshot can't be read.

        """
        # Placements are signed in the head's window only, so all members take the same one.
        oldest = self._chain.windows.at(self._chain.head.timestamp) - MAX_WINDOWS + 1
        reports: list[ReportUnits] = []
        for report in reversed(tuple(books.reports.values())):
            if report.window < oldest:
                break
            if report.vetoed:
                continue
            units = await self._units(report) if len(reports) <= most else None
            if units is None:
                break
            reports.append(units)
        return count_strikes(books, reports, most=most)

    async def _several(self, windows: Sequence[int]) -> list[WindowFacts]:
        """Return the facts of many windows, some at a time: the first time each takes calls."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def find(window: int) -> WindowFacts:
            async with slots:
                return await self.window(window)

        return list(await asyncio.gather(*map(find, windows)))

    def _base(self, report: ReportState | None, window: int) -> Base:
        base = self._bases.load(report)
        if base is not None:
            return base
        assert report is not None  # noqa: S101 - without a report there is a base
        if window > report.window + self._rules.recovery_windows:
            return self._bases.partial(report)
        raise DataMissingError(
            f"base: the leaves of the report of window {report.window} are not here; ask again"
        )

    async def _units(self, report: ReportState) -> ReportUnits | None:
        known = self._units_of.get(report.data_hash)
        if known is not None:
            return known
        base = self._bases.load(report)
        if base is None:
            return None
        end = await self._chain.snapshot(self._chain.windows.end(report.window))
        claimed = {
            (end.books.escrow, job_id, license_id): item.claimed_units
            for (job_id, license_id), item in end.books.assignments.items()
        }
        units = ReportUnits(report.window, base.leaves, claimed, frozenset(base.open))
        self._units_of[report.data_hash] = units
        while len(self._units_of) > _CACHED_REPORTS:
            del self._units_of[next(iter(self._units_of))]
        return units
