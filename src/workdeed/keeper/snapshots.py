"""The block at which a placement is chosen, and what is known there.

Every leader of a window should make the same choice, so that a member which signed for one can
sign for the next: the block is the last one before the window, or the last one in it that changed
who may serve whom.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from workdeed.chain.bindings import committee, desk, escrow, licenses, registry
from workdeed.chain.bindings.codec import Event
from workdeed.chain.books import Books
from workdeed.chain.clock import last_block_before
from workdeed.chain.errors import ChainError
from workdeed.chain.history import History
from workdeed.chain.rpc import Head, Rpc
from workdeed.intent import Spec
from workdeed.placement import Profiles
from workdeed.placement import View as PlacementView
from workdeed.protocol.windows import WindowClock

CHANGES: tuple[type[Event], ...] = (
    escrow.JobOpened,
    escrow.Placed,
    desk.JobRevised,
    desk.JobExtended,
    desk.JobScaled,
    desk.JobCancelled,
    desk.ResultAttested,
    licenses.Transfer,
    licenses.NodeLinked,
    licenses.NodeUnlinked,
    licenses.ProfileSet,
    licenses.BondedSet,
    licenses.EligibilitySet,
    registry.StandingSet,
    registry.Attested,
    registry.AttestationRevoked,
    registry.IssuerSet,
    committee.ReportSubmitted,
    committee.ReportVetoed,
)
"""Events after which another license may have to be chosen. A report brings strikes."""

Strikes = Mapping[tuple[int, int], int]
"""By (job, license): reported windows in a row without units."""

StrikeSource = Callable[[Books], Awaitable[Strikes]]
"""Returns the strikes that the reports in some books make."""


class SnapshotError(ChainError):
    """A block cannot serve as snapshot: not read yet, orphaned, or too old."""


@dataclass
class Snapshots:
    """Makes the views that placements are chosen from.

    Attributes:
        rpc: the chain.
        history: returns the events with the books at any block.
        calendar: the windows.
        profiles: the profiles that are held.
        specs: returns the spec of a hash, None if it is not held or nobody could run it.
        strikes: counts strikes.
        k: strikes after which a license is released.

    """

    rpc: Rpc
    history: Callable[[], History]
    calendar: WindowClock
    profiles: Profiles
    specs: Callable[[bytes], Spec | None]
    strikes: StrikeSource
    k: int

    async def current(self, window: int) -> PlacementView:
        """Return the view that a leader of `window` chooses from.

        Raises:
            ChainError: if the chain does not answer.

        """
        return await self._view(await self._block(window), window)

    async def named(self, block_hash: bytes, window: int) -> PlacementView:
        """Return the view at a block that a leader of `window` names.

        Raises:
            SnapshotError: if it is not on this keeper's chain, or older than the window before.
            ChainError: if the chain does not answer.

        """
        block = await self.rpc.block(block_hash)
        history = self.history()
        if block is None or block.number > history.block:
            raise SnapshotError("block_hash: it is not read here yet; ask again")
        standing = await self.rpc.block(block.number)
        if standing is None or standing.hash != block_hash:
            raise SnapshotError("block_hash: the block is not on the chain any more")
        if block.timestamp < self.calendar.start(window) - self.calendar.window:
            raise SnapshotError("block_hash: the block is older than the window before")
        return await self._view(block, window)

    async def _block(self, window: int) -> Head:
        history = self.history()
        tip = await self._head(history.block)
        start = self.calendar.start(window)
        before = await last_block_before(self.rpc, start, first=history.floor + 1, last=tip)
        first = before.number + 1 if before is not None else 0
        changes = [
            logged
            for logged in history.events(first, history.block)
            if isinstance(logged.event, CHANGES)
        ]
        if changes:
            return await self._head(changes[-1].block)
        return before or tip

    async def _head(self, number: int) -> Head:
        head = await self.rpc.block(number)
        if head is None:
            raise SnapshotError(f"block {number}: the RPC lacks it; try again")
        return head

    async def _view(self, block: Head, window: int) -> PlacementView:
        books = self.history().at(block.number)
        return PlacementView(
            books=books,
            block_hash=block.hash,
            timestamp=block.timestamp,
            window=window,
            profiles=self.profiles,
            specs=self.specs,
            strikes=await self.strikes(books),
            k=self.k,
        )
