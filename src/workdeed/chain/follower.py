"""Reads the logs of our contracts into the database, page by page, and undoes what a reorg undid.

A page is taken only if one node, in one request, shows the block at its upper end before and after
the logs, and the cursor's block still in place: an empty answer of a node that lags is an error,
never "no events".
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workdeed.chain.bindings.codec import LoggedEvent
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.logbook import TOPIC_BYTES, Cursor, LogBook, RawLog
from workdeed.chain.rpc import Head, Rpc, RpcError, RpcUnavailable
from workdeed.chain.store import Store
from workdeed.protocol.signing import to_checksum


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

    """

    confirmations: int = 0
    first_page: int = 1_000
    max_page: int = 10_000
    max_logs: int = 5_000
    target_seconds: float = 1.0
    checkpoints: int = 256


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
        rpc: the chain.
        store: the database; it serves one deployment only.
        suite: the contracts.
        chain_id: the chain's id, which the rows are kept under.
        start_block: no log of the contracts is older.
        settings: how logs are read.
        timer: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        rpc: Rpc,
        store: Store,
        suite: Suite,
        *,
        chain_id: int,
        start_block: int,
        settings: FollowerSettings | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._rpc = rpc
        self._suite = suite
        self._book = LogBook(store, suite, chain_id=chain_id, start_block=start_block)
        self._settings = settings or FollowerSettings()
        self._timer = timer
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
            UnknownEventError, CodecError: if a contract logged what this package does not know.
            StoreError: if the database is of another deployment.

        """
        cursor = await self._book.cursor()
        head = await self._rpc.head()
        if not await self._stands(cursor, head):
            return await self._rewind(cursor, head)
        target = head.number - self._settings.confirmations
        page = await self._next_page(cursor, target)
        moved, events = cursor, tuple[LoggedEvent, ...]()
        if page is not None:
            keep_from = page.blocks[-1].number - self._settings.checkpoints
            moved = await self._book.append(cursor, page.blocks, page.logs, keep_from=keep_from)
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
        return not probe.hash or await self._hash_of(probe.number) == probe.hash

    async def _rewind(self, cursor: Cursor, head: Head) -> FollowerUpdate:
        stored = await self._book.stored_blocks(min(cursor.number, head.number))
        low, high = 0, len(stored)  # those before `low` are common, those from `high` on are not
        while low < high:
            middle = (low + high) // 2
            if await self._hash_of(stored[middle].number) == stored[middle].hash:
                low = middle + 1
            else:
                high = middle
        common = stored[low - 1] if low else self._book.base
        moved = await self._book.rewind(cursor, common)
        return FollowerUpdate(
            head=head,
            from_block=moved.number + 1,
            to_block=moved.number,
            events=(),
            rewound_to=moved.number,
            generation=moved.generation,
            caught_up=False,
        )

    async def _hash_of(self, number: int) -> bytes:
        header = await self._rpc.block(number)
        if header is None:
            raise RpcUnavailable(self._rpc.origin, f"it lacks block {number} below its head")
        return header.hash

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
        upper, answer = await self._ask(cursor, last)
        found = {self._parse(item, cursor.number + 1, last) for item in answer}
        logs = sorted(found, key=lambda log: (log.block, log.log_index))
        blocks = await self._blocks_of(logs, upper)
        times = {block.hash: block.timestamp for block in blocks}
        if not all(log.block_hash in times for log in logs):
            raise self._changed()
        events = tuple(log.event(self._suite, times[log.block_hash]) for log in logs)
        return _Page(blocks, logs, events)

    async def _blocks_of(self, logs: Sequence[RawLog], upper: Head) -> list[Head]:
        numbers = sorted({log.block for log in logs} - {upper.number})
        blocks = await self._rpc.blocks(numbers) if numbers else []
        return [*(block for block in blocks if block is not None), upper]

    async def _ask(self, cursor: Cursor, last: int) -> tuple[Head, Sequence[Any]]:
        """Ask for logs between two looks at the upper block, in one request; check the cursor."""
        block = ("eth_getBlockByNumber", [hex(last), False])
        span = {
            "address": self._addresses,
            "fromBlock": hex(cursor.number + 1),
            "toBlock": hex(last),
        }
        calls: list[tuple[str, Sequence[object]]] = [block, ("eth_getLogs", [span]), block]
        if cursor.hash:
            calls.append(("eth_getBlockByNumber", [hex(cursor.number), False]))
        before, logs, *others = await self._rpc.batch(calls)
        upper, *checks = (self._rpc.header(answer) for answer in (before, *others))
        if upper is None or checks[0] is None or upper.number != last:
            raise RpcUnavailable(self._rpc.origin, f"it lags: it does not have block {last} yet")
        expected = [upper.hash, cursor.hash] if cursor.hash else [upper.hash]
        if [check.hash if check else b"" for check in checks] != expected:
            raise self._changed()
        if not isinstance(logs, list):
            raise RpcUnavailable(self._rpc.origin, "it sent malformed logs")
        return upper, logs

    def _parse(self, log: Any, first: int, last: int) -> RawLog:
        """Read a log of the node; raises `RpcUnavailable` if it was not asked for."""
        rpc = self._rpc
        if not isinstance(log, Mapping) or not isinstance(log.get("topics"), list):
            raise RpcUnavailable(rpc.origin, "it sent malformed logs")
        row = RawLog(
            block=rpc.quantity(log.get("blockNumber")),
            block_hash=rpc.data(log.get("blockHash"), 32),
            tx_hash=rpc.data(log.get("transactionHash"), 32),
            log_index=rpc.quantity(log.get("logIndex")),
            address=to_checksum(rpc.data(log.get("address"), 20)),
            topics=b"".join(rpc.data(topic, TOPIC_BYTES) for topic in log["topics"]),
            data=rpc.data(log.get("data")),
        )
        wanted = first <= row.block <= last and row.address in self._addresses
        if log.get("removed") or not wanted:
            raise RpcUnavailable(rpc.origin, "it sent logs that were not asked for")
        return row

    def _changed(self) -> RpcUnavailable:
        return RpcUnavailable(self._rpc.origin, "its chain changed while it was read")
