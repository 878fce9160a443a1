"""The tables of the outbox: effects that shall happen once, and the transactions for them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.orm import Session

from workdeed.chain.bindings.codec import Call
from workdeed.chain.errors import ChainError
from workdeed.chain.fees import Fees
from workdeed.chain.leases import Fence
from workdeed.chain.store import Store
from workdeed.chain.tables import AttemptRow, EffectRow
from workdeed.chain.transactions import Intent

T = TypeVar("T")

MAX_KEY: Final = 255


class EffectError(ChainError):
    """An effect cannot be kept, or there is none under a key."""


class EffectState(StrEnum):
    """How far an effect is."""

    INTENT = "intent"
    """It is stored; nothing is signed."""
    SIGNED = "signed"
    """A transaction is stored; whether a node has it is not known."""
    SENT = "sent"
    """A node took a transaction of it."""
    MINED = "mined"
    """A transaction of it is in a block, whether it succeeded or not."""
    FINAL = "final"
    """It succeeded, as deep as the settings ask."""
    FAILED = "failed"
    """It cannot succeed; the reason says why."""
    SUPERSEDED = "superseded"
    """What it was for had been done by another: a success."""


IN_FLIGHT: Final = (EffectState.SIGNED, EffectState.SENT, EffectState.MINED)
SETTLED: Final = (EffectState.FINAL, EffectState.FAILED, EffectState.SUPERSEDED)


@dataclass(frozen=True)
class Effect:
    """Something that shall happen on chain once.

    Attributes:
        key: names the effect for ever, e.g. "claim:<escrow>:<job>:<license>:<units>".
        call: how it is brought about.
        value: wei to send along.
        transient: reasons of reverts that pass with time; every other one is final.
        is_done: tells whether it has happened on chain, whoever did it.
        renews: whether a success is followed by another once it comes with another call and is not
            done: what one report proves is claimed under the same key as what the next one does.

    """

    key: str
    call: Call[Any]
    value: int = 0
    transient: frozenset[str] = field(default_factory=frozenset)
    is_done: Callable[[], Awaitable[bool]] | None = None
    renews: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """A signed transaction of an effect, with its gas limit and fees.

    Attributes:
        signed_at: the number of the head when it was signed or last sent.
        sent: whether a node took it.

    """

    tx_hash: bytes
    raw: bytes = field(repr=False)
    nonce: int
    gas: int
    fees: Fees
    signed_at: int
    sent: bool = False


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An effect as it stands.

    Attributes:
        intent: what is sent.
        transient: reasons that pass with time.
        nonce: that of its transactions, None without one.
        attempts: its transactions, the latest last.
        mined_block, mined_tx: the hash of the transaction that was mined, and its block.
        reason: why it failed, or what it waits for.
        place: grows in the order in which effects came.

    """

    key: str
    state: EffectState
    intent: Intent
    transient: frozenset[str]
    nonce: int | None
    attempts: tuple[Attempt, ...]
    mined_block: int | None
    mined_tx: bytes | None
    reason: str
    place: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether it has happened."""
        return self.state in (EffectState.FINAL, EffectState.SUPERSEDED)

    @property
    def settled(self) -> bool:
        """Whether nothing more is done for it."""
        return self.succeeded or self.state is EffectState.FAILED

    def brings(self, effect: Effect) -> bool:
        """Tell whether it sends what an effect of its key says by now."""
        call = effect.call
        words = self.intent.to, self.intent.data, self.intent.value
        return words == (call.to, call.data, effect.value)


@dataclass(frozen=True, slots=True)
class OutboxTally:
    """How many effects are not settled, by state, and the key and reason of one that waits."""

    counts: Mapping[EffectState, int]
    waiting: tuple[str, str] | None


class EffectBook:
    """The effects of one sender on one chain.

    Attributes:
        fence: what every write has to pass; None where a file's lock keeps other writers away.

    """

    def __init__(self, store: Store, *, chain_id: int, sender: str) -> None:
        self.fence: Fence | None = None
        self._store = store
        self._chain_id = chain_id
        self._sender = sender

    async def put(self, effect: Effect) -> OutboxEntry:
        """Store an effect, or return the one that its key already names.

        An effect that is not signed, or that failed, takes over a new call: a proof against the
        latest report replaces an older one.

        Raises:
            EffectError: if the key is empty or too long.

        """
        if not 0 < len(effect.key) <= MAX_KEY:
            raise EffectError(f"key: it must have 1 to {MAX_KEY} characters")
        return await self._write(lambda session: self._put(session, effect))

    async def entry(self, key: str) -> OutboxEntry | None:
        """Return the effect that a key names."""

        def work(session: Session) -> OutboxEntry | None:
            row = self._find(session, key)
            return None if row is None else _entry(session, row)

        return await self._store.transaction(work)

    async def in_flight(self) -> tuple[OutboxEntry, ...]:
        """Return the effects with a transaction under way, by nonce."""
        return await self._entries(IN_FLIGHT, EffectRow.nonce)

    async def intents(self) -> tuple[OutboxEntry, ...]:
        """Return the effects that nothing is signed for, in the order in which they came."""
        return await self._entries((EffectState.INTENT,), EffectRow.id)

    async def due(self, limit: int, after: int) -> tuple[OutboxEntry, ...]:
        """Return some of the effects that nothing is signed for: those to try next.

        Half of them were never tried, where there are so many. The others are those that wait and
        came after a place, then the first ones again: each gets its turn, however many there are.
        """

        def work(session: Session) -> tuple[OutboxEntry, ...]:
            query = self._states((EffectState.INTENT,)).limit(limit)
            wait, order = query.where(EffectRow.reason != ""), EffectRow.id
            fresh = list(session.scalars(query.where(EffectRow.reason == "").order_by(order)))
            waiting = [
                *session.scalars(wait.where(EffectRow.id > after).order_by(order)),
                *session.scalars(wait.where(EffectRow.id <= after).order_by(order)),
            ]
            chosen = [
                row for pair in zip_longest(waiting, fresh) for row in pair if row is not None
            ]
            return tuple(_entry(session, row) for row in chosen[:limit])

        return await self._store.transaction(work)

    async def tally(self) -> OutboxTally:
        """Count the effects that are not settled, without reading what they send."""

        def work(session: Session) -> OutboxTally:
            mine = self._states((EffectState.INTENT, *IN_FLIGHT))
            counted = mine.with_only_columns(EffectRow.state, func.count())
            rows = session.execute(counted.group_by(EffectRow.state))
            named = mine.with_only_columns(EffectRow.key, EffectRow.reason)
            is_intent = EffectRow.state == EffectState.INTENT.value
            first = session.execute(
                named.where(EffectRow.reason != "").order_by(is_intent, EffectRow.id).limit(1)
            ).first()
            counts = {EffectState(state): count for state, count in rows}
            return OutboxTally(counts, (first[0], first[1]) if first is not None else None)

        return await self._store.transaction(work)

    async def hold(self, reason: str) -> None:
        """Note what all effects wait for that nothing is signed for."""

        def work(session: Session) -> None:
            session.execute(
                update(EffectRow)
                .where(*self._are((EffectState.INTENT,)), EffectRow.reason != reason)
                .values(reason=reason)
            )

        await self._write(work)

    async def prune(self, before: int) -> None:
        """Delete what settled while the head was below a block, where the chain tells of it."""

        def work(session: Session) -> None:
            old = (*self._are(SETTLED), EffectRow.settled_at < before)
            ids = select(EffectRow.id).where(*old)
            for statement in (
                delete(AttemptRow).where(AttemptRow.effect_id.in_(ids)),
                delete(EffectRow).where(*old),
            ):
                session.execute(statement, execution_options={"synchronize_session": False})

        await self._write(work)

    async def has_mined(self, *, below: int, after: int, until: int) -> bool:
        """Tell whether a transaction with a nonce below one is settled in a block of that span."""

        def work(session: Session) -> bool:
            query = self._states(SETTLED).where(
                EffectRow.nonce < below,
                EffectRow.mined_block > after,
                EffectRow.mined_block <= until,
            )
            return session.scalar(query.limit(1)) is not None

        return await self._store.transaction(work)

    async def last_mined(self) -> OutboxEntry | None:
        """Return the effect with the highest nonce of those that have been seen in a block."""

        def work(session: Session) -> OutboxEntry | None:
            query = self._states((EffectState.MINED, *SETTLED)).where(
                EffectRow.nonce.is_not(None),
                EffectRow.mined_block.is_not(None),
                EffectRow.mined_tx.is_not(None),
            )
            row = session.scalar(query.order_by(EffectRow.nonce.desc()).limit(1))
            return None if row is None else _entry(session, row)

        return await self._store.transaction(work)

    async def update(self, key: str, **values: object) -> OutboxEntry:
        """Change columns of an effect and return it; raises `EffectError` if there is none."""

        def work(session: Session) -> OutboxEntry:
            row = self._row(session, key)
            for name, value in values.items():
                setattr(row, name, value)
            return _entry(session, row)

        return await self._write(work)

    async def add_attempt(self, key: str, attempt: Attempt) -> OutboxEntry:
        """Store a signed transaction, before any node sees it."""

        def work(session: Session) -> OutboxEntry:
            row = self._row(session, key)
            row.state, row.nonce, row.reason = EffectState.SIGNED.value, attempt.nonce, ""
            session.add(_attempt_row(row.id, attempt))
            session.flush()
            return _entry(session, row)

        return await self._write(work)

    async def mark_sent(self, key: str, tx_hash: bytes, head: int) -> OutboxEntry:
        """Note that a node took a transaction while `head` was its latest block."""

        def work(session: Session) -> OutboxEntry:
            row = self._row(session, key)
            row.state, row.reason = EffectState.SENT.value, ""
            row.mined_block = row.mined_tx = None
            session.execute(
                update(AttemptRow)
                .where(AttemptRow.tx_hash == tx_hash)
                .values(sent=True, signed_at=head)
            )
            return _entry(session, row)

        return await self._write(work)

    async def resume(self, key: str) -> OutboxEntry:
        """Follow the transactions of a settled effect again, after a reorg undid them."""
        return await self.update(
            key,
            state=EffectState.SENT.value,
            mined_block=None,
            mined_tx=None,
            reason="",
            settled_at=None,
        )

    async def reopen(self, key: str, reason: str = "", newest: Effect | None = None) -> OutboxEntry:
        """Make an effect an intent again, with its newest call, and forget its transactions."""

        def work(session: Session) -> OutboxEntry:
            row = self._row(session, key)
            _reopen(session, row)
            if newest is not None:
                _describe(row, newest)
            row.reason = reason
            return _entry(session, row)

        return await self._write(work)

    async def confirm(self) -> None:
        """Raise `LeaseLostError` if a write would be refused this moment."""
        if self.fence is not None:
            await self._store.transaction(self.fence)

    async def _write(self, work: Callable[[Session], T]) -> T:
        fence = self.fence

        def fenced(session: Session) -> T:
            if fence is not None:
                fence(session)
            return work(session)

        return await self._store.transaction(fenced)

    async def _entries(self, states: Sequence[EffectState], order: Any) -> tuple[OutboxEntry, ...]:
        def work(session: Session) -> tuple[OutboxEntry, ...]:
            rows = session.scalars(self._states(states).order_by(order))
            return tuple(_entry(session, row) for row in rows)

        return await self._store.transaction(work)

    def _states(self, states: Sequence[EffectState]) -> Select[EffectRow]:
        return select(EffectRow).where(*self._are(states))

    def _are(self, states: Sequence[EffectState]) -> tuple[ColumnElement[bool], ...]:
        return (
            EffectRow.chain_id == self._chain_id,
            EffectRow.sender == self._sender,
            EffectRow.state.in_([state.value for state in states]),
        )

    def _put(self, session: Session, effect: Effect) -> OutboxEntry:
        row = self._find(session, effect.key)
        if row is None:
            row = EffectRow(
                chain_id=self._chain_id,
                sender=self._sender,
                key=effect.key,
                state=EffectState.INTENT.value,
            )
            session.add(row)
            _describe(row, effect)
            session.flush()
        elif (row.to, row.data, row.value) != _words(effect):
            if row.state == EffectState.FAILED:
                _reopen(session, row)
            if row.state == EffectState.INTENT:
                _describe(row, effect)
        return _entry(session, row)

    def _find(self, session: Session, key: str) -> EffectRow | None:
        return session.scalar(
            select(EffectRow).where(
                EffectRow.chain_id == self._chain_id,
                EffectRow.sender == self._sender,
                EffectRow.key == key,
            )
        )

    def _row(self, session: Session, key: str) -> EffectRow:
        row = self._find(session, key)
        if row is None:
            raise EffectError(f"effect {key}: there is none; submit it first")
        return row


def _words(effect: Effect) -> tuple[str, bytes, str]:
    return effect.call.to, effect.call.data, str(effect.value)


def _describe(row: EffectRow, effect: Effect) -> None:
    row.to, row.data, row.value = _words(effect)
    row.transient = sorted(effect.transient)


def _reopen(session: Session, row: EffectRow) -> None:
    session.execute(delete(AttemptRow).where(AttemptRow.effect_id == row.id))
    row.state, row.nonce = EffectState.INTENT.value, None
    row.mined_block = row.mined_tx = row.settled_at = None


def _attempt_row(effect_id: int, attempt: Attempt) -> AttemptRow:
    return AttemptRow(
        tx_hash=attempt.tx_hash,
        effect_id=effect_id,
        raw=attempt.raw,
        nonce=attempt.nonce,
        gas=attempt.gas,
        max_fee=str(attempt.fees.max_fee),
        priority_fee=str(attempt.fees.priority_fee),
        signed_at=attempt.signed_at,
        sent=attempt.sent,
    )


def _entry(session: Session, row: EffectRow) -> OutboxEntry:
    attempts = session.scalars(select(AttemptRow).where(AttemptRow.effect_id == row.id))
    return OutboxEntry(
        key=row.key,
        state=EffectState(row.state),
        intent=Intent(sender=row.sender, to=row.to, data=row.data, value=int(row.value)),
        transient=frozenset(row.transient),
        nonce=row.nonce,
        attempts=tuple(sorted(map(_attempt, attempts), key=lambda item: item.fees.max_fee)),
        mined_block=row.mined_block,
        mined_tx=row.mined_tx,
        reason=row.reason,
        place=row.id,
    )


def _attempt(row: AttemptRow) -> Attempt:
    return Attempt(
        tx_hash=row.tx_hash,
        raw=row.raw,
        nonce=row.nonce,
        gas=row.gas,
        fees=Fees(max_fee=int(row.max_fee), priority_fee=int(row.priority_fee)),
        signed_at=row.signed_at,
        sent=row.sent,
    )
