"""The chain as the oracle reads it: its time, its latest books, and the books at a snapshot.

All members must find the same snapshot: the last block with a timestamp before a given time. It is
found as soon as a block at confirmation depth is later than that time, never before, so that a
member whose node lags says "not yet" instead of something else.
"""

from typing import Final, NamedTuple, Protocol

from workdeed.chain.books import Books
from workdeed.chain.clock import ChainClock, last_block_before
from workdeed.chain.mirror import Mirror
from workdeed.chain.rpc import Head, Rpc
from workdeed.oracle.errors import NotYetError
from workdeed.protocol.windows import WindowClock

_CACHED: Final = 512

NO_BLOCK: Final = Head(number=-1, hash=bytes(32), timestamp=0)
"""The snapshot where the chain has no earlier block: windows may begin before a local chain."""


class Snapshot(NamedTuple):
    """A block at confirmation depth, with the books after it."""

    block: Head
    books: Books


class ChainView(Protocol):
    """What the oracle needs of the chain."""

    @property
    def windows(self) -> WindowClock:
        """The calendar."""

    @property
    def head(self) -> Head:
        """The latest block that was seen."""

    @property
    def books(self) -> Books:
        """The latest books, at confirmation depth."""

    def now(self) -> float:
        """Return the chain's time in Unix seconds."""

    async def snapshot(self, before: int) -> Snapshot:
        """Return the last block with a timestamp below `before`.

        Raises:
            NotYetError: if no later block is settled here yet.
            ChainError: if the chain can't be read.

        """


class ChainReader:
    """A `ChainView` over the followed chain.

    Args:
        rpc: the chain.
        mirror: its events, read at confirmation depth.
        clock: its time.
        first_block: no event of the contracts is older.

    """

    def __init__(self, rpc: Rpc, mirror: Mirror, clock: ChainClock, *, first_block: int) -> None:
        self._rpc = rpc
        self._mirror = mirror
        self._clock = clock
        self._first_block = first_block
        self._found: dict[int, Head] = {}
        self._settled: Head | None = None

    @property
    def windows(self) -> WindowClock:
        """The calendar."""
        return self._clock.windows

    @property
    def head(self) -> Head:
        """The latest block that was seen; raises `ClockError` before the first."""
        return self._clock.head

    @property
    def books(self) -> Books:
        """The latest books, at confirmation depth."""
        return self._mirror.books

    def now(self) -> float:
        """Return the chain's time in Unix seconds; raises `ClockError` before the first block."""
        return self._clock.now()

    def rewound(self, block: int) -> None:
        """Forget the snapshots above `block`: to be called after a reorg, before anything else."""
        self._found = {at: head for at, head in self._found.items() if head.number <= block}
        self._settled = None

    async def snapshot(self, before: int) -> Snapshot:
        """Return the last block with a timestamp below `before`, see `ChainView`."""
        block = self._found.get(before)
        if block is None:
            block = await self._find(before)
            self._found[before] = block
            while len(self._found) > _CACHED:
                del self._found[next(iter(self._found))]
        if block.number < self._first_block:
            return Snapshot(block, Books(self._mirror.books.escrow))
        return Snapshot(block, self._mirror.history.at(block.number))

    async def _find(self, before: int) -> Head:
        last = await self._last_settled()
        if last is None or last.timestamp < before:
            raise NotYetError(f"chain: no block of the time {before} or later is settled here yet")
        earlier = (head.number for at, head in self._found.items() if at <= before)
        first = max(0, max(earlier, default=0))
        block = await last_block_before(self._rpc, before, first=first, last=last)
        if block is None:
            return NO_BLOCK
        logged = self._mirror.history.events(block.number, block.number)
        if any(one.block_hash != block.hash for one in logged):
            raise NotYetError("chain: a reorg is under way; ask again soon")
        return block

    async def _last_settled(self) -> Head | None:
        """Return the block up to which the mirror has read."""
        number = self._mirror.history.block
        if self._settled is None or self._settled.number != number:
            self._settled = await self._rpc.block(number) if number >= 0 else None
        return self._settled
