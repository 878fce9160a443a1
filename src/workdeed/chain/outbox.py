r"""Brings effects about on chain: each once, whatever crashes, reorgs and other senders do.

    intent -> signed -> sent -> mined -> final
       |        (a reorg leads back)  \-> failed | superseded | intent
       \-> failed | superseded

An effect is stored before anything else, a transaction is stored before it is sent, and what became
of it is looked up on chain before anything is sent again. One process owns the sender's nonces: on
SQLite by a lock beside the file, on PostgreSQL by a lease, without which nothing is stored or sent.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from workdeed.chain.bindings.codec import Call
from workdeed.chain.effects import (
    Attempt,
    Effect,
    EffectBook,
    EffectError,
    EffectState,
    OutboxEntry,
    OutboxTally,
)
from workdeed.chain.fees import Fees, FeeSettings, bump, quote, with_margin
from workdeed.chain.keys import Signer
from workdeed.chain.leases import Lease, new_holder, sender_lease
from workdeed.chain.lock import SenderLock
from workdeed.chain.rpc import Head, RevertError, Rpc, RpcError, RpcUnavailable
from workdeed.chain.store import Store
from workdeed.chain.transactions import (
    Intent,
    Preparation,
    Receipt,
    beside_nonce,
    broadcast,
    parse_receipt,
    prepare,
    reason_of,
    receipt_of,
)
from workdeed.protocol.hashing import keccak

_OWN: Final = "outbox:"
_GAP: Final = f"{_OWN}gap:"
_KEPT_STATES: Final = 128
"""States of past blocks that every node keeps."""
_OTHERS: Final = 8
"""Transactions of one account that others may have under way beside ours, by the same key."""
_PRUNED_EVERY: Final = 100
"""Blocks from one look for rows that are of no use any more to the next."""

_STALE_NONCE: Final = ("nonce too low", "replacement transaction underpriced", "underpriced")


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """How effects are brought about.

    Attributes:
        fees: what may be paid for gas.
        confirmations: blocks on top of a transaction's before its outcome counts.
        max_in_flight: transactions under way at most.
        bump_after_blocks: blocks without progress after which the next transaction in line is
            replaced by one that pays more, or sent again where the cap allows no more.
        lost_depth: blocks on top of one in which the nonce was used by another transaction before
            an effect is signed anew.
        max_tries: effects that a step tries to send at most; the others get their turn in the next.
        kept_blocks: blocks after which a settled effect is forgotten, if the chain tells that it is
            done: one that is asked for again is looked for there before anything is sent.

    """

    fees: FeeSettings = field(default_factory=FeeSettings)
    confirmations: int = 0
    max_in_flight: int = 16
    bump_after_blocks: int = 5
    lost_depth: int = 2
    max_tries: int = 32
    kept_blocks: int = 10_000


def _unobserved(stage: str, key: str) -> None:
    """Take no note of a stage."""


def _no_result(_: bytes) -> None:
    """Decode the answer of a call of an account without code."""


class Outbox:
    """The outbox of one sender on one chain: enter it, submit effects, and `step` at every head.

    Args:
        rpc: the chain.
        store: the database.
        signer: the sender.
        chain_id: the chain's id.
        settings: how effects are brought about.
        observer: told each stage that an effect has passed: "stored", "signed", "broadcast",
            "sent", "mined", "settled", "reopened", with its key. What it raises stops the step.
        lease: the lease on the sender, on PostgreSQL; made here if it is not given.

    """

    def __init__(
        self,
        rpc: Rpc,
        store: Store,
        signer: Signer,
        *,
        chain_id: int,
        settings: OutboxSettings | None = None,
        observer: Callable[[str, str], None] = _unobserved,
        lease: Lease | None = None,
    ) -> None:
        self._rpc = rpc
        self._signer = signer
        self._chain_id = chain_id
        self._settings = settings or OutboxSettings()
        self._observe = observer
        self._book = EffectBook(store, chain_id=chain_id, sender=signer.address)
        self._effects: dict[str, Effect] = {}
        self._height: int | None = None
        self._pruned_at = 0
        self._last_tried = 0
        self._busy = asyncio.Lock()
        self._lock = _lock_beside(store.path, chain_id, signer.address)
        self._lease = lease or _lease_in(store, chain_id, signer.address)

    @property
    def sender(self) -> str:
        """The account that sends."""
        return self._signer.address

    @property
    def token(self) -> int | None:
        """Under which token of its lease it sends; None while another process sends instead.

        Without a lease it is 0 and stays so.
        """
        return 0 if self._lease is None else self._lease.token

    async def __aenter__(self) -> Self:
        """Take the sender's nonces, or stand by until its lease can be had.

        Raises:
            SenderLockedError: if another process has them on this machine, on SQLite.
            StoreUnavailableError: if the database does not answer.

        """
        if self._lock is not None:
            self._lock.acquire()
        if self._lease is not None:
            await self._lease.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the sender's nonces back; what is under way goes on at the next start."""
        if self._lease is not None:
            async with self._busy:
                await self._lease.__aexit__()
        if self._lock is not None:
            self._lock.release()

    async def submit(self, effect: Effect) -> OutboxEntry:
        """Store an effect to be brought about by `step`, or return the one that its key names.

        A success is believed as long as the chain shows it: where a reorg undid it, the effect is
        brought about again. A failure stays, unless the effect comes with another call, or turns
        out to be done. A call that comes while a transaction is under way is taken if that comes to
        nothing. After a restart, submit what is still wanted: `is_done` is not stored.

        Raises:
            EffectError: if the key is empty, too long or reserved.
            LeaseLostError: if another process sends.
            RpcUnavailable, RpcError: if the chain has to be asked and does not answer.

        """
        if effect.key.startswith(_OWN):
            raise EffectError(f"key: {_OWN!r} begins the keys of the outbox itself; choose another")
        async with self._turn():
            self._effects[effect.key] = effect
            entry = await self._take(effect)
            if entry.settled:
                self._effects.pop(effect.key, None)
            return entry

    async def _take(self, effect: Effect) -> OutboxEntry:
        entry = await self._book.put(effect)
        self._observe("stored", effect.key)
        if entry.state is EffectState.FAILED and await self._is_done(effect.key):
            # It was tried while nobody could tell, after a restart, that another had done it.
            return await self._settle(entry, EffectState.SUPERSEDED)
        if not entry.succeeded:
            return entry
        is_next = effect.renews and not entry.brings(effect)
        if await self._holds(entry, effect):
            if is_next and not await self._is_done(effect.key):
                return await self._reopen(entry, "")
            return entry
        if entry.state is EffectState.FINAL:
            return await self._book.resume(entry.key)
        # That the next is not done tells nothing of what another did.
        return await self._reopen(entry, "" if is_next else "a reorg undid what another did")

    async def retry(self, key: str) -> OutboxEntry:
        """Make a failed effect an intent again; any other is returned as it is.

        Raises:
            EffectError: if no effect has this key.
            LeaseLostError: if another process sends.

        """
        async with self._turn():
            entry = await self._book.entry(key)
            if entry is None:
                raise EffectError(f"effect {key}: there is none; submit it first")
            if entry.state is not EffectState.FAILED:
                return entry
            return await self._reopen(entry, "")

    async def entry(self, key: str) -> OutboxEntry | None:
        """Return the effect that a key names."""
        return await self._book.entry(key)

    async def pending(self) -> tuple[OutboxEntry, ...]:
        """Return the effects that are not settled: those under way, then those to come."""
        return (*await self._book.in_flight(), *await self._book.intents())

    async def tally(self) -> OutboxTally:
        """Count the effects that are not settled."""
        return await self._book.tally()

    async def step(self) -> tuple[OutboxEntry, ...]:
        """Look at what is under way, send what is due, and return the effects that settled.

        Raises:
            LeaseLostError: if another process sends; what was signed and not stored is discarded.
            RpcUnavailable, RpcError: if the node does not answer, or refuses to tell how things
                stand; the next step goes on from there.

        """
        async with self._turn():
            head = await self._rpc.head()
            self._height = head.number
            settled = await self._watch(head)
            settled += await self._launch(head)
            await self._prune(head)
            return tuple(settled)

    async def _watch(self, head: Head) -> list[OutboxEntry]:
        """Follow the transactions under way."""
        entries = await self._book.in_flight()
        if not entries:
            return []
        count, receipts = await self._look_up(entries)
        hidden = [
            item for item in entries if not any(receipts[one.tx_hash] for one in item.attempts)
        ]
        given_up = await self._give_up(hidden, count, head)
        entries = tuple(item for item in entries if item.key not in given_up)
        if entries:
            await self._close_gap(entries[0], count, head)
        settled = []
        for entry in entries:
            found = [receipts[item.tx_hash] for item in entry.attempts]
            receipt = next((item for item in found if item is not None), None)
            if receipt is not None:
                entry = await self._on_receipt(entry, receipt, head)
                settled += [entry] if entry.settled else []
            else:
                await self._on_none(entry, count, head)
        return settled

    async def _look_up(
        self, entries: tuple[OutboxEntry, ...], block: str = "latest"
    ) -> tuple[int, dict[bytes, Receipt | None]]:
        """Return the sender's next nonce after a block, and the receipts, as one node has them."""
        hashes = [item.tx_hash for entry in entries for item in entry.attempts]
        count, *answers = await self._rpc.batch(
            [
                ("eth_getTransactionCount", [self.sender, block]),
                *(("eth_getTransactionReceipt", ["0x" + item.hex()]) for item in hashes),
            ]
        )
        receipts = (parse_receipt(self._rpc, answer) for answer in answers)
        return self._rpc.quantity(count), dict(zip(hashes, receipts, strict=True))

    async def _on_receipt(self, entry: OutboxEntry, receipt: Receipt, head: Head) -> OutboxEntry:
        place = receipt.block, receipt.tx_hash
        if entry.state is not EffectState.MINED or (entry.mined_block, entry.mined_tx) != place:
            entry = await self._book.update(
                entry.key,
                state=EffectState.MINED.value,
                mined_block=receipt.block,
                mined_tx=receipt.tx_hash,
                reason="",
            )
            self._observe("mined", entry.key)
        if head.number - receipt.block < self._settings.confirmations:
            return entry
        if receipt.succeeded:
            return await self._settle(entry, EffectState.FINAL)
        gas = next(item.gas for item in entry.attempts if item.tx_hash == receipt.tx_hash)
        try:
            reason = await reason_of(self._rpc, entry.intent, receipt, gas)
        except RpcUnavailable:
            # It must not end the step for the others; a node may keep silent about old states.
            if head.number - receipt.block <= _KEPT_STATES:
                return entry
            reason = None
        if reason is None and not await self._is_done(entry.key):
            return await self._reopen(entry, "overtaken in its block")
        return await self._on_revert(entry, reason or "")

    async def _on_revert(self, entry: OutboxEntry, reason: str) -> OutboxEntry:
        """Decide about an effect that the chain refuses for `reason`."""
        if await self._is_done(entry.key):
            return await self._settle(entry, EffectState.SUPERSEDED)
        newest = self._effects.get(entry.key)
        if newest is not None and not entry.brings(newest):
            return await self._reopen(entry, "")
        if reason not in entry.transient:
            return await self._settle(entry, EffectState.FAILED, reason or "no reason given")
        if entry.state is EffectState.INTENT:
            return await self._book.update(entry.key, reason=reason)
        return await self._reopen(entry, reason)

    async def _on_none(self, entry: OutboxEntry, count: int, head: Head) -> None:
        """Go on with an effect none of whose transactions is in a block."""
        latest = entry.attempts[-1]
        waited = head.number - latest.signed_at
        if latest.nonce < count:
            await self._on_used_nonce(entry, head)
        elif latest.nonce == count and waited >= self._settings.bump_after_blocks:
            await self._hurry(entry, latest, head)
        elif entry.state is not EffectState.SENT:
            # Signed before a crash, or mined in a block that a reorg undid.
            await self._send(entry, latest, head)

    async def _on_used_nonce(self, entry: OutboxEntry, head: Head) -> None:
        """Sign anew once another transaction has used the nonce for good, never sooner."""
        depth = max(self._settings.confirmations, self._settings.lost_depth)
        block = max(0, head.number - depth)
        try:
            count, receipts = await self._look_up((entry,), hex(block))
        except (RpcUnavailable, RpcError):
            return  # a node that does not know that block is none to rely on
        used = entry.nonce is not None and count > entry.nonce
        if used and not any(receipts.values()) and not await self._is_mined(entry, block, head):
            await self._reopen(entry, "its nonce was used by another transaction")

    async def _is_mined(self, entry: OutboxEntry, block: int, head: Head) -> bool:
        """Tell whether ours used the nonce up to `block`, though the node shows no receipt of it.

        Nothing else tells a node whose index of receipts lags from one where another's transaction
        took the nonce, and ours signed anew would happen twice.
        """
        latest = entry.attempts[-1]
        try:
            hashes = await beside_nonce(self._rpc, self.sender, latest.nonce, block)
        except RpcUnavailable:
            return True  # it may have: the next step asks again, the others go on
        except RpcError:
            # It has forgotten the states of that time: by then it has the receipts.
            return head.number - latest.signed_at <= _KEPT_STATES
        return any(item.tx_hash in hashes for item in entry.attempts)

    async def _give_up(
        self, entries: Sequence[OutboxEntry], count: int, head: Head
    ) -> frozenset[str]:
        """Decide anew about effects whose nonces an RPC has made up; return their keys.

        An RPC's word alone is not enough: one that lags names low nonces, and what is signed anew
        beside a transaction that is only slow may happen twice. What proves it is a transaction of
        ours that was mined after theirs were signed, and whose nonce is out of reach below theirs.
        """
        until = head.number - self._settings.bump_after_blocks
        made_up = [
            entry for entry in entries if await self._is_made_up(entry.attempts[-1], count, until)
        ]
        for entry in made_up:
            await self._reopen(entry, "an RPC had named a nonce that is far from the next")
        return frozenset(entry.key for entry in made_up)

    async def _is_made_up(self, latest: Attempt, count: int, until: int) -> bool:
        """Tell whether a nonce was never in reach, by what was mined up to a block."""
        out_of_reach = latest.nonce - self._reach
        return out_of_reach > count and await self._book.has_mined(
            below=out_of_reach, after=latest.signed_at, until=until
        )

    @property
    def _reach(self) -> int:
        """How far above the nonces that are used the next one can be."""
        return self._settings.max_in_flight + _OTHERS

    async def _close_gap(self, first: OutboxEntry, count: int, head: Head) -> None:
        """Fill a nonce below all of ours that the node knows no transaction for.

        Whatever held it is lost: something sent from the same account by other means, or before the
        database was deleted. Without it, nothing of ours is ever mined. Signing ours anew with that
        nonce could do it twice; an empty transaction to oneself cannot.
        """
        latest = first.attempts[-1]
        waited = head.number - latest.signed_at
        if latest.nonce <= count or waited < self._settings.bump_after_blocks:
            return
        if await self._is_made_up(latest, count, head.number):
            return  # it is about to be given up: see `_give_up`
        fees = quote(head.base_fee or 0, self._settings.fees)
        try:
            found = await prepare(self._rpc, self._nothing)
        except RpcError:
            return  # nothing is lost by waiting for a node that can tell
        is_lost = found.nonce < latest.nonce and found.nonce <= found.used + self._reach
        if is_lost and fees is not None:
            await self._fill(found.nonce, found.gas, fees, head)

    async def _hurry(self, entry: OutboxEntry, latest: Attempt, head: Head) -> None:
        """Replace a transaction that is stuck, or send it again where the cap allows no more."""
        fees = bump(latest.fees, head.base_fee or 0, self._settings.fees)
        if fees is None:
            await self._send(entry, latest, head)
        elif entry.key.startswith(_OWN) or not await self._is_pointless(entry):
            await self._sign(entry, latest.nonce, latest.gas, fees, head)
        else:
            await self._cancel(latest, fees, head)

    async def _is_pointless(self, entry: OutboxEntry) -> bool:
        """Tell whether a transaction would only pay for its failure by now."""
        if await self._is_done(entry.key):
            return True
        try:
            await self._rpc.call("eth_call", [entry.intent.parameters(), "latest"])
        except RevertError as error:
            return error.reason not in entry.transient
        except RpcError:
            return False
        return False

    async def _cancel(self, latest: Attempt, fees: Fees, head: Head) -> None:
        """Use up the nonce of a stuck transaction; its effect is decided anew after that."""
        try:
            found = await prepare(self._rpc, self._nothing)
        except RpcError:
            return  # the next step tries again
        await self._fill(latest.nonce, found.gas, fees, head)

    async def _fill(self, nonce: int, gas: int, fees: Fees, head: Head) -> None:
        """Send an empty transaction to oneself under a nonce, unless one is under way."""
        nothing = self._nothing
        call = Call(to=nothing.to, data=nothing.data, name="outbox.gap", decode=_no_result)
        entry = await self._book.put(Effect(key=f"{_GAP}{nonce}", call=call))
        if entry.settled or entry.state is EffectState.INTENT:
            entry = await self._reopen(entry, "")
            await self._sign(entry, nonce, with_margin(gas, self._settings.fees), fees, head)

    @property
    def _nothing(self) -> Intent:
        return Intent(self.sender, self.sender, b"")

    async def _launch(self, head: Head) -> list[OutboxEntry]:
        """Sign and send what is due, in the order in which it came, as far as a step goes."""
        room = self._settings.max_in_flight - len(await self._book.in_flight())
        if room <= 0:
            return []
        fees = quote(head.base_fee or 0, self._settings.fees)
        settled = []
        for entry in await self._book.due(self._settings.max_tries, self._last_tried):
            if room <= 0:
                break
            if entry.reason:
                self._last_tried = entry.place
            entry = await self._start(entry, fees, head)
            room -= entry.state in (EffectState.SIGNED, EffectState.SENT)
            settled += [entry] if entry.settled else []
        if fees is None:
            await self._book.hold("the base fee is above the cap")
        return settled

    async def _start(self, entry: OutboxEntry, fees: Fees | None, head: Head) -> OutboxEntry:
        """Take an intent as far as it goes."""
        # What fills a gap is only worth something with the nonce that it was for.
        if entry.key.startswith(_GAP) or await self._is_done(entry.key):
            return await self._settle(entry, EffectState.SUPERSEDED)
        if fees is None:
            return entry
        try:
            found = await prepare(self._rpc, entry.intent)
        except RevertError as error:
            return await self._on_revert(entry, error.reason)
        except RpcError as error:
            return await self._book.update(entry.key, reason=error.message or "no reason given")
        nonce = await self._next_nonce(found)
        if isinstance(nonce, str):
            return await self._book.update(entry.key, reason=nonce)
        gas = with_margin(found.gas, self._settings.fees)
        return await self._sign(entry, nonce, gas, fees, head)

    async def _next_nonce(self, found: Preparation) -> int | str:
        """Return the nonce after all that are under way, or why it can't be told for now.

        One that is made up would keep all that follows from ever being mined.
        """
        if await self._lags(found.used):
            return (
                f"the RPC says that {found.used} nonces are used, and lags behind a transaction of"
                " this account with a higher one: wait for it, or replace the RPC"
            )
        limit = found.used + self._reach
        flying = [entry.attempts[-1].nonce for entry in await self._book.in_flight()]
        # Those out of reach are made up themselves: see `_give_up`.
        nonce = max([found.nonce, *(held + 1 for held in flying if held <= limit)])
        if nonce <= limit:
            return nonce
        return (
            f"the RPC names {found.nonce} as the next nonce, though {found.used} are used: wait"
            " for what else this account sent, or replace the RPC"
        )

    async def _lags(self, used: int) -> bool:
        """Tell whether a node that counts so many used nonces lacks a block with one of ours.

        One that has a block of that number, and no such transaction, does not lag: a reorg undid
        ours, and nobody may ever ask for it again.
        """
        last = await self._book.last_mined()
        if last is None or last.nonce is None or last.nonce < used:
            return False
        if last.mined_block is None or last.mined_tx is None:
            return False
        try:
            block, receipt = await self._rpc.batch(
                [
                    ("eth_getBlockByNumber", [hex(last.mined_block), False]),
                    ("eth_getTransactionReceipt", ["0x" + last.mined_tx.hex()]),
                ]
            )
        except RpcError:
            return True  # nothing is lost by waiting for a node that can tell
        return block is None or receipt is not None

    async def _sign(
        self, entry: OutboxEntry, nonce: int, gas: int, fees: Fees, head: Head
    ) -> OutboxEntry:
        """Sign, store, then send."""
        raw = self._signer.sign_transaction(
            entry.intent.transaction(chain_id=self._chain_id, nonce=nonce, gas=gas, fees=fees)
        )
        attempt = Attempt(keccak(raw), raw, nonce, gas, fees, signed_at=head.number)
        entry = await self._book.add_attempt(entry.key, attempt)
        self._observe("signed", entry.key)
        return await self._send(entry, attempt, head)

    async def _send(self, entry: OutboxEntry, attempt: Attempt, head: Head) -> OutboxEntry:
        """Send a stored transaction; where a node refuses it, the next step looks on chain.

        A process that loses its lease right after it is confirmed doubles nothing either: the next
        holder finds this very transaction stored, and of its nonce the chain takes one.
        """
        await self._book.confirm()
        try:
            await broadcast(self._rpc, attempt.raw)
        except RpcError as error:
            if any(word in error.message.lower() for word in _STALE_NONCE):
                return await self._book.mark_sent(entry.key, attempt.tx_hash, head.number)
            return await self._book.update(entry.key, reason=error.message)
        self._observe("broadcast", entry.key)
        entry = await self._book.mark_sent(entry.key, attempt.tx_hash, head.number)
        self._observe("sent", entry.key)
        return entry

    async def _settle(
        self, entry: OutboxEntry, state: EffectState, reason: str = ""
    ) -> OutboxEntry:
        effect = self._effects.get(entry.key)
        is_told = effect is not None and effect.is_done is not None
        entry = await self._book.update(
            entry.key,
            state=state.value,
            reason=reason,
            settled_at=self._height if is_told else None,
        )
        self._effects.pop(entry.key, None)
        self._observe("settled", entry.key)
        return entry

    async def _prune(self, head: Head) -> None:
        if abs(head.number - self._pruned_at) >= _PRUNED_EVERY:
            await self._book.prune(head.number - self._settings.kept_blocks)
            self._pruned_at = head.number

    async def _reopen(self, entry: OutboxEntry, reason: str) -> OutboxEntry:
        entry = await self._book.reopen(entry.key, reason, self._effects.get(entry.key))
        self._observe("reopened", entry.key)
        return entry

    async def _is_done(self, key: str) -> bool:
        effect = self._effects.get(key)
        if effect is None or effect.is_done is None:
            return False
        try:
            return await effect.is_done()
        except RpcError:
            # What can't be asked for is not there; the simulation that follows decides.
            return False

    async def _holds(self, entry: OutboxEntry, effect: Effect) -> bool:
        """Tell whether the chain still shows the success of an effect."""
        if effect.is_done is not None and await self._is_done(effect.key):
            return True
        if entry.state is EffectState.FINAL and entry.mined_tx is not None:
            return await receipt_of(self._rpc, entry.mined_tx) is not None
        return effect.is_done is None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Let one act at a time, all of it under one token of the lease."""
        async with self._busy:
            owned = self._lock is None or self._lock.held
            if not owned or not (self._lease is None or self._lease.entered):
                raise EffectError(
                    "outbox: enter it first, to be the one that owns the sender's nonces"
                )
            if self._lease is not None:
                self._book.fence = self._lease.fence()
                await self._book.confirm()
            yield


def _lock_beside(database: Path | None, chain_id: int, sender: str) -> SenderLock | None:
    if database is None:
        return None
    return SenderLock(database.with_name(f"{database.name}.{chain_id}-{sender}.lock"))


def _lease_in(store: Store, chain_id: int, sender: str) -> Lease | None:
    if not store.is_shared:
        return None
    return Lease(store, sender_lease(chain_id, sender), holder=new_holder())
