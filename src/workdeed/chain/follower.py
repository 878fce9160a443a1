"""Reads the logs of our contracts into the database, page by page, and undoes what a reorg undid.

What a page is, and when one is believed, is up to the source.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workdeed.chain.bindings.codec import LoggedEvent
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.errors import ChainError
from workdeed.chain.leases import Fence, Lease, LeaseLostError
from workdeed.chain.logbook import Cursor, LogBook, RawLog
from workdeed.chain.rpc import Head, Rpc, RpcError, RpcUnavailable
from workdeed.chain.sources import LogSource, OneRpc
from workdeed.chain.store import Store


class FollowerBehindError(ChainError):
    """Another process reads this chain and is far behind: nothing may rest on what it read yet."""


@dataclass(frozen=True, slots=True)
class FollowerSettings:
    """How logs are read.

    Attributes:
        confirmations: how many blocks below the head reading stops.
        first_page: blocks of the first page.
        max_page: blocks of a page at most.
        max_logs: logs in an answer above which pages shrink.
        target_seconds: the time for an answer below which pages grow, and above twice of which
            they shrink.
        checkpoints: for how many blocks below the cursor hashes of blocks without logs are kept,
            so that a short reorg is undone by a short way.
        max_behind: blocks by which the process that reads may be behind for one that stands by to
            rest on what it reads.

    """

    confirmations: int = 0
    first_page: int = 1_000
    max_page: int = 10_000
    max_logs: int = 5_000
    target_seconds: float = 1.0
    checkpoints: int = 256
    max_behind: int = 100


@dataclass(frozen=True, slots=True)
class FollowerUpdate:
    """What a poll found.

    Attributes:
        head: the latest block of the node, confirmed or not.
        from_block: the first block that was read; above `to_block` if none was.
        to_block: the last block that is read now.
        events: those of the blocks read, in chain order.
        rewound_to: after a reorg the last block that still counts; such a poll reads nothing.
        generation: how many rewinds there have been.
        caught_up: whether there is nothing more to read for now.

    """

    head: Head
    from_block: int
    to_block: int
    events: tuple[LoggedEvent, ...]
    rewound_to: int | None
    generation: int
    caught_up: bool


@dataclass(frozen=True, slots=True)
class _Page:
    """Logs in chain order, and the blocks that carry them; the last block is the upper end."""

    blocks: Sequence[Head]
    logs: Sequence[RawLog]
    events: tuple[LoggedEvent, ...]


class Follower:
    """Follows the contracts of one deployment. One `poll` runs at a time.

    Args:
        source: the chain; an RPC is believed alone.
        store: the database; it serves one deployment only.
        suite: the contracts.
        chain_id: the chain's id, which the rows are kept under.
        start_block: no log of the contracts is older.
        settings: how logs are read.
        timer: seconds of a clock that never goes back.
        lease: the lease on the chain's cursor, where several processes share the database: one of
            them reads the chain, the others read what it stored. Whoever made it enters it.

    """

    def __init__(
        self,
        source: LogSource | Rpc,
        store: Store,
        suite: Suite,
        *,
        chain_id: int,
        start_block: int,
        settings: FollowerSettings | None = None,
        timer: Callable[[], float] = time.perf_counter,
        lease: Lease | None = None,
    ) -> None:
        self._source = source if isinstance(source, LogSource) else OneRpc(source)
        self._suite = suite
        self._book = LogBook(store, suite, chain_id=chain_id, start_block=start_block)
        self._settings = settings or FollowerSettings()
        self._timer = timer
        self._lease = lease
        self._page_size = self._settings.first_page
        self._addresses = [contract.address for contract in suite.followed]

    @property
    def page_size(self) -> int:
        """How many blocks the next page has at most."""
        return self._page_size

    @property
    def book(self) -> LogBook:
        """What is read so far."""
        return self._book

    async def poll(self) -> FollowerUpdate:
        """Read the next page, or undo what a reorg undid.

        Raises:
            RpcUnavailable: if the node lags, contradicts itself or does not answer; poll again.
            RpcError: if it refuses even a page of one block.
            CursorMovedError: if another process was faster; poll again.
            FollowerBehindError: if this process stands by and the one that reads is far behind.
            UnknownEventError, CodecError: if a contract logged what this package does not know.
            StoreError: if the database is of another deployment, or does not answer.

        """
        if self._lease is None:
            return await self._advance(None)
        with contextlib.suppress(LeaseLostError):
            return await self._advance(self._lease.fence())
        return await self._look_on()

    async def _look_on(self) -> FollowerUpdate:
        """Return how far the process that reads the chain has come."""
        cursor = await self._book.cursor()
        head = await self._source.head()
        behind = head.number - self._settings.confirmations - cursor.number
        if behind > self._settings.max_behind:
            raise FollowerBehindError(
                f"follower: the keeper that reads this chain is {behind} blocks behind; wait, or"
                " stop it, and another takes over"
            )
        return FollowerUpdate(
            head=head,
            from_block=cursor.number + 1,
            to_block=cursor.number,
            events=(),
            rewound_to=None,
            generation=cursor.generation,
            caught_up=True,
        )

    async def _advance(self, fence: Fence | None) -> FollowerUpdate:
        cursor = await self._book.cursor()
        head = await self._source.head()
        if not await self._stands(cursor, head):
            return await self._rewind(cursor, head, fence)
        target = head.number - self._settings.confirmations
        page = await self._next_page(cursor, target)
        moved, events = cursor, tuple[LoggedEvent, ...]()
        if page is not None:
            keep_from = page.blocks[-1].number - self._settings.checkpoints
            moved = await self._book.append(
                cursor, page.blocks, page.logs, keep_from=keep_from, fence=fence
            )
            events = page.events
        return FollowerUpdate(
            head=head,
            from_block=cursor.number + 1,
            to_block=moved.number,
            events=events,
            rewound_to=None,
            generation=moved.generation,
            caught_up=moved.number >= target,
        )

    async def _stands(self, cursor: Cursor, head: Head) -> bool:
        """Tell whether the last stored block that the node can have is on its chain."""
        probe = cursor
        if cursor.number > head.number:
            # A node that lags is normal. One whose chain differs where it ends shows a reorg.
            stored = await self._book.stored_blocks(head.number)
            probe = stored[-1] if stored else self._book.base
        return not probe.hash or await self._source.hash_at(probe.number) == probe.hash

    async def _rewind(self, cursor: Cursor, head: Head, fence: Fence | None) -> FollowerUpdate:
        stored = await self._book.stored_blocks(min(cursor.number, head.number))
        low, high = 0, len(stored)  # those before `low` are common, those from `high` on are not
        while low < high:
            middle = (low + high) // 2
            if await self._source.hash_at(stored[middle].number) == stored[middle].hash:
                low = middle + 1
            else:
                high = middle
        common = stored[low - 1] if low else self._book.base
        moved = await self._book.rewind(cursor, common, fence=fence)
        return FollowerUpdate(
            head=head,
            from_block=moved.number + 1,
            to_block=moved.number,
            events=(),
            rewound_to=moved.number,
            generation=moved.generation,
            caught_up=False,
        )

    async def _next_page(self, cursor: Cursor, target: int) -> _Page | None:
        """Read as large a page as the node grants; None if no block is due."""
        while cursor.number < target:
            last = min(cursor.number + self._page_size, target)
            started = self._timer()
            try:
                page = await self._read_page(cursor, last)
            except RpcError:
                if last == cursor.number + 1:
                    raise
                self._page_size = (last - cursor.number) // 2
            except RpcUnavailable:
                self._page_size = max(1, self._page_size // 2)
                raise
            else:
                self._adapt(last - cursor.number, len(page.logs), self._timer() - started)
                return page
        return None

    def _adapt(self, blocks: int, logs: int, seconds: float) -> None:
        settings = self._settings
        if logs > settings.max_logs or seconds > 2 * settings.target_seconds:
            self._page_size = max(1, blocks // 2)
        elif blocks == self._page_size and seconds < settings.target_seconds:
            self._page_size = min(2 * self._page_size, settings.max_page)

    async def _read_page(self, cursor: Cursor, last: int) -> _Page:
        page = await self._source.page(self._addresses, cursor, last)
        times = {block.hash: block.timestamp for block in page.blocks}
        events = tuple(log.event(self._suite, times[log.block_hash]) for log in page.logs)
        return _Page(page.blocks, page.logs, events)
