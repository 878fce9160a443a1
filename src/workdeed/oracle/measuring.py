"""Keeps the prober on what the chain says, and turns windows that are over into observations."""

import asyncio
import time
from collections.abc import Callable

from workdeed.chain.books import Books
from workdeed.oracle.committee import Committee
from workdeed.oracle.desk import Desk
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.facts import FactFinder
from workdeed.oracle.prober import Prober
from workdeed.oracle.snapshots import ChainView
from workdeed.oracle.targets import targets_of
from workdeed.protocol.limits import MAX_WINDOWS


class Measuring:
    """The measuring half of an oracle.

    Args:
        chain: the followed chain.
        prober: probes what it is told to.
        facts: reads what serves.
        desk: observes.
        evidence: where the prober keeps answers.
        max_skew: seconds by which this machine's clock and the head may differ, and for which
            nobody may look at the chain.
        wall: Unix seconds of this machine.
        monotonic: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        chain: ChainView,
        prober: Prober,
        facts: FactFinder,
        desk: Desk,
        evidence: EvidenceLog,
        *,
        max_skew: float,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chain = chain
        self._prober = prober
        self._facts = facts
        self._desk = desk
        self._evidence = evidence
        self._max_skew = max_skew
        self._wall = wall
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._watched: tuple[int, Books | None] = (0, None)
        self._observed = 0

    @property
    def watched(self) -> int:
        """The window that is probed, 0 before the first."""
        return self._watched[0]

    @property
    def observed(self) -> int:
        """The last window that was observed."""
        return self._observed

    @property
    def window(self) -> int:
        """The window of the chain's time."""
        return self._chain.windows.at(int(self._chain.now()))

    def start(self, reason: str) -> None:
        """Make the window under way unknown, for this reason: its beginning was not measured."""
        window = self.window
        if window >= 1:
            self._prober.mark_unknown(window, reason)
        self._observed = max(window - 1, 0)
        self._looked_at = self._monotonic()

    def stop(self, reason: str) -> None:
        """Probe nobody until `watch`, and make what was measured last unknown for this reason."""
        for window in {self.watched, self.window}:
            if window >= 1:
                self._prober.mark_unknown(window, reason)
        self._prober.rest()
        self._watched = (0, None)

    async def watch(self) -> None:
        """Tell the prober whom to probe, if that changed.

        Raises:
            NotYetError: if the window's start is not settled here yet.
            ChainError: if the chain can't be read.

        """
        window, books = self.window, self._chain.books
        if window < 1:
            return
        self._check_time(window)
        if self._watched[0] == window and self._watched[1] is books:
            return
        start = await self._chain.snapshot(self._chain.windows.start(window))
        targets = targets_of(start.books, books, window)
        self._prober.watch(window, start.block.hash, targets)
        self._watched = (window, books)

    async def observe_past(self) -> None:
        """Observe each window that is over, so that a restart does not lose what was measured.

        Raises:
            NotYetError, ChainError: as `watch`.
            StoreError: if an observation can't be kept.

        """
        self._observed = max(self._observed, self.window - MAX_WINDOWS)
        while self._chain.head.timestamp >= self._chain.windows.end(self._observed + 1):
            committee = Committee.of(self._chain.books)
            facts = await self._facts.window(self._observed + 1)
            if self._desk.address in committee.members:
                await self._desk.observation(facts, committee.epoch)
            else:
                self._prober.close_window(facts.window, facts.pairs)
                await asyncio.to_thread(self._evidence.close, facts.window)
            self._observed += 1

    def _check_time(self, window: int) -> None:
        """Make unknown what was measured with a clock that is off, or blind to the chain."""
        skew = abs(self._wall() - self._chain.head.timestamp)
        if skew > self._max_skew:
            self._prober.mark_unknown(window, f"clock and chain differ by {skew:.0f} s")
        looked_at, self._looked_at = self._looked_at, self._monotonic()
        gap = self._looked_at - looked_at
        if gap > self._max_skew:
            for one in {self.watched or window, window}:
                self._prober.mark_unknown(one, f"the chain was not read for {gap:.0f} s")
