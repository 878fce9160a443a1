"""The tables of the follower: the cursor, the logs up to it, and the hashes of their blocks.

Every change is one transaction that also moves the cursor, and only from where the writer saw it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from workdeed.chain.bindings.codec import LoggedEvent
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.errors import ChainError, StoreError
from workdeed.chain.leases import Fence
from workdeed.chain.rpc import Head
from workdeed.chain.store import Store
from workdeed.chain.tables import BlockRow, CursorRow, LogRow
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import address_bytes

TOPIC_BYTES: Final = 32
CHUNK: Final = 500
"""Rows that go into the database or come out of it at a time: PostgreSQL would end a transaction
whose process is busy with all of them at once."""


class CursorMovedError(ChainError):
    """Another process moved the cursor meanwhile; nothing was written, poll again."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A block up to which logs are read, or a stored block.

    Attributes:
        number: the block.
        hash: its hash; empty below the start block, where there is nothing to check.
        generation: how many rewinds there have been.

    """

    number: int
    hash: bytes
    generation: int = 0


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as it is stored; `topics` are its 32-byte topics in a row."""

    block: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int
    address: str
    topics: bytes
    data: bytes

    def event(self, suite: Suite, timestamp: int) -> LoggedEvent:
        """Decode it; raises `UnknownEventError` or `CodecError`."""
        starts = range(0, len(self.topics), TOPIC_BYTES)
        topics = [self.topics[at : at + TOPIC_BYTES] for at in starts]
        return LoggedEvent(
            event=suite.decode(self.address, topics, self.data),
            address=self.address,
            block=self.block,
            block_hash=self.block_hash,
            timestamp=timestamp,
            tx_hash=self.tx_hash,
            log_index=self.log_index,
        )


_COLUMNS: Final = tuple(field.name for field in fields(RawLog))


class LogBook:
    """The logs of one deployment.

    Args:
        store: the database; it serves one deployment only.
        suite: the contracts.
        chain_id: the chain's id, which the rows are kept under.
        start_block: no log of the contracts is older.

    """

    def __init__(self, store: Store, suite: Suite, *, chain_id: int, start_block: int) -> None:
        self._store = store
        self._suite = suite
        self._chain_id = chain_id
        self.base = Cursor(number=start_block - 1, hash=b"")
        addresses = sorted(contract.address for contract in suite.followed)
        self._scope = keccak(b"".join(map(address_bytes, addresses)) + b"%d" % start_block)

    async def cursor(self) -> Cursor:
        """Return how far logs are read.

        Raises:
            StoreError: if the database is of another deployment.

        """
        return await self._store.transaction(self._cursor)

    async def stored_blocks(self, last: int) -> list[Cursor]:
        """Return the stored blocks up to `last`, in order."""

        def work(session: Session) -> list[Cursor]:
            query = (
                select(BlockRow.number, BlockRow.hash)
                .where(BlockRow.chain_id == self._chain_id, BlockRow.number <= last)
                .order_by(BlockRow.number)
            )
            return [Cursor(number, found) for number, found in session.execute(query)]

        return await self._store.transaction(work)

    async def append(
        self,
        cursor: Cursor,
        blocks: Sequence[Head],
        logs: Sequence[RawLog],
        *,
        keep_from: int,
        fence: Fence | None = None,
    ) -> Cursor:
        """Store logs and move the cursor to the last of `blocks`.

        Args:
            cursor: where the logs follow on.
            blocks: the blocks that carry them and, last, the one up to which they were read.
            logs: the logs.
            keep_from: below this block, blocks without logs are forgotten.
            fence: what the write has to pass, where a lease says who may.

        Raises:
            CursorMovedError: if the cursor is elsewhere by now; nothing is written.
            LeaseLostError: if another process reads this chain by now; likewise.

        """
        moved = replace(cursor, number=blocks[-1].number, hash=blocks[-1].hash)

        def work(session: Session) -> Cursor:
            self._move(session, cursor, moved, fence)
            self._insert(session, blocks, logs)
            self._forget(session, keep_from)
            return moved

        return await self._store.transaction(work)

    async def rewind(self, cursor: Cursor, common: Cursor, *, fence: Fence | None = None) -> Cursor:
        """Delete what is above `common` and move the cursor back there; raises as `append`."""
        moved = replace(common, generation=cursor.generation + 1)

        def work(session: Session) -> Cursor:
            self._move(session, cursor, moved, fence)
            session.execute(
                delete(LogRow).where(LogRow.chain_id == self._chain_id, LogRow.block > moved.number)
            )
            session.execute(
                delete(BlockRow).where(
                    BlockRow.chain_id == self._chain_id, BlockRow.number > moved.number
                )
            )
            return moved

        return await self._store.transaction(work)

    async def events(
        self, first: int = 0, last: int | None = None
    ) -> tuple[Cursor, tuple[LoggedEvent, ...]]:
        """Return the cursor, and the events of blocks `first`..`last` up to it, in chain order.

        Raises:
            UnknownEventError, CodecError: if a log is not known to this package.

        """

        def work(session: Session) -> tuple[Cursor, tuple[LoggedEvent, ...]]:
            return self._cursor(session), tuple(self._load(session, first, last))

        return await self._store.transaction(work)

    def _cursor(self, session: Session) -> Cursor:
        row = session.get(CursorRow, self._chain_id)
        if row is None:
            return self.base
        if row.scope != self._scope:
            raise StoreError(
                "database: it holds the logs of another deployment; name another file, or delete it"
            )
        return Cursor(number=row.number, hash=row.hash, generation=row.generation)

    def _move(self, session: Session, old: Cursor, new: Cursor, fence: Fence | None) -> None:
        if fence is not None:
            fence(session)
        if self._cursor(session) != old:
            raise CursorMovedError("cursor: another process moved it; poll again")
        row = session.get(CursorRow, self._chain_id)
        if row is None:
            row = CursorRow(chain_id=self._chain_id, scope=self._scope)
            session.add(row)
        row.number, row.hash, row.generation = new.number, new.hash, new.generation

    def _insert(self, session: Session, blocks: Iterable[Head], logs: Sequence[RawLog]) -> None:
        carrying = {log.block for log in logs}
        rows = [
            {
                "chain_id": self._chain_id,
                "number": block.number,
                "hash": block.hash,
                "parent_hash": block.parent_hash,
                "timestamp": block.timestamp,
                "has_logs": block.number in carrying,
            }
            for block in blocks
        ]
        for part in _parts(rows):
            session.execute(insert(BlockRow), part)
        if logs:
            kind = session.get_bind().dialect.name
            into = postgresql.insert(LogRow) if kind == "postgresql" else sqlite.insert(LogRow)
            values = [
                {"chain_id": self._chain_id} | {name: getattr(log, name) for name in _COLUMNS}
                for log in logs
            ]
            for part in _parts(values):
                session.execute(into.on_conflict_do_nothing(), part)

    def _forget(self, session: Session, keep_from: int) -> None:
        session.execute(
            delete(BlockRow).where(
                BlockRow.chain_id == self._chain_id,
                BlockRow.has_logs.is_(False),
                BlockRow.number < keep_from,
            )
        )

    def _load(self, session: Session, first: int, last: int | None) -> Iterable[LoggedEvent]:
        query = (
            select(LogRow, BlockRow.timestamp)
            .join(
                BlockRow,
                (BlockRow.chain_id == LogRow.chain_id) & (BlockRow.number == LogRow.block),
            )
            .where(LogRow.chain_id == self._chain_id, LogRow.block >= first)
            .order_by(LogRow.block, LogRow.log_index)
            .execution_options(yield_per=CHUNK)
        )
        if last is not None:
            query = query.where(LogRow.block <= last)
        for row, timestamp in session.execute(query):
            yield _raw(row).event(self._suite, timestamp)


def _parts(rows: Sequence[dict[str, Any]]) -> Iterable[Sequence[dict[str, Any]]]:
    return (rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK))


def _raw(row: LogRow) -> RawLog:
    return RawLog(**{name: getattr(row, name) for name in _COLUMNS})
