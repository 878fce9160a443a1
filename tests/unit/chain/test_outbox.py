"""The outbox against crashes, reorgs, stuck transactions and other senders: each effect once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from chain_support import BASE_FEE, FakeChain, FakeNode, StubSigner, address
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workdeed.chain.bindings.codec import Call
from workdeed.chain.effects import (
    Effect,
    EffectBook,
    EffectError,
    EffectState,
    OutboxEntry,
    OutboxTally,
)
from workdeed.chain.fees import FeeSettings
from workdeed.chain.lock import SenderLockedError
from workdeed.chain.outbox import Outbox, OutboxSettings
from workdeed.chain.rpc import RevertError, Rpc, RpcClient, RpcError, RpcUnavailable
from workdeed.chain.store import Store
from workdeed.chain.tables import AttemptRow, EffectRow

CHAIN_ID = 31337
FEES = FeeSettings(max_fee=20 * BASE_FEE, priority_fee=BASE_FEE)
SETTINGS = OutboxSettings(fees=FEES, confirmations=1, bump_after_blocks=3, lost_depth=2)
ROWS = (EffectRow, AttemptRow)
STAGES = ("stored", "signed", "broadcast", "sent", "mined", "settled")


class CrashError(Exception):
    """The process ends here."""


class Crasher:
    """An observer that ends the process at the n-th time that a stage is passed."""

    def __init__(self) -> None:
        self.stage: str | None = None
        self.countdown = 0
        self.seen: list[tuple[str, str]] = []

    def at(self, stage: str, countdown: int = 0) -> None:
        self.stage, self.countdown = stage, countdown

    def __call__(self, stage: str, key: str) -> None:
        self.seen.append((stage, key))
        if stage == self.stage:
            if self.countdown == 0:
                self.stage = None
                raise CrashError(stage)
            self.countdown -= 1


class Process:
    """An outbox that can be killed and started again on the same database."""

    def __init__(self, node: FakeNode, database: str, settings: OutboxSettings = SETTINGS) -> None:
        self.node = node
        self.rpc: Rpc = node
        self.database = database
        self.settings = settings
        self.crasher = Crasher()
        self.outbox: Outbox
        self.store: Store

    async def start(self) -> None:
        self.store = Store.open(self.database)
        self.outbox = Outbox(
            self.rpc,
            self.store,
            StubSigner(),
            chain_id=CHAIN_ID,
            settings=self.settings,
            observer=self.crasher,
        )
        await self.outbox.__aenter__()

    async def stop(self) -> None:
        await self.outbox.__aexit__()
        await self.store.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def run(self, steps: int = 12) -> None:
        """Step at every block."""
        for _ in range(steps):
            await self.outbox.step()
            self.node.produce()

    async def state(self, name: str) -> OutboxEntry:
        entry = await self.outbox.entry(name)
        assert entry is not None
        return entry


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(FakeChain())


@pytest.fixture
async def process(node: FakeNode, database: str) -> AsyncIterator[Process]:
    made = Process(node, database)
    await made.start()
    yield made
    await made.stop()


def effect(
    name: str,
    *,
    data: str | None = None,
    transient: frozenset[str] = frozenset(),
    is_done: Callable[[], Awaitable[bool]] | None = None,
) -> Effect:
    call = Call(
        to=address(0xC0), data=(data or name).encode(), name="Counter.act", decode=lambda _: None
    )
    return Effect(key=name, call=call, transient=transient, is_done=is_done)


def done_when_counted(node: FakeNode, name: str) -> Callable[[], Awaitable[bool]]:
    async def is_done() -> bool:
        return node.executed().get(name, 0) > 0

    return is_done


async def test_an_effect_goes_from_intent_to_final(process: Process, node: FakeNode) -> None:
    entry = await process.outbox.submit(effect("pay"))
    assert (entry.state, entry.nonce, entry.attempts) == (EffectState.INTENT, None, ())
    await process.outbox.step()
    entry = await process.state("pay")
    assert (entry.state, entry.nonce, len(entry.attempts)) == (EffectState.SENT, 0, 1)
    node.produce()
    await process.outbox.step()
    assert (await process.state("pay")).state is EffectState.MINED
    node.produce()
    settled = await process.outbox.step()
    assert [item.key for item in settled] == ["pay"]
    entry = await process.state("pay")
    assert (entry.state, entry.succeeded, entry.settled) == (EffectState.FINAL, True, True)
    assert node.executed() == {"pay": 1}
    assert [stage for stage, _ in process.crasher.seen] == list(STAGES)
    assert await process.outbox.pending() == ()


@pytest.mark.parametrize("stage", STAGES)
async def test_a_crash_at_any_stage_loses_and_doubles_nothing(
    process: Process, node: FakeNode, stage: str
) -> None:
    async def work() -> None:
        await process.outbox.submit(effect("pay"))
        await process.run()

    process.crasher.at(stage)
    with pytest.raises(CrashError):
        await work()
    await process.restart()
    await process.run()
    assert (await process.state("pay")).state is EffectState.FINAL
    assert node.executed() == {"pay": 1}
    assert len((await process.state("pay")).attempts) == 1


async def test_a_transaction_is_stored_before_a_node_sees_it(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("pay"))
    process.crasher.at("signed")
    with pytest.raises(CrashError):
        await process.outbox.step()
    assert node.pool == {}
    (attempt,) = (await process.state("pay")).attempts
    await process.restart()
    await process.outbox.step()
    assert [held.hash for held in node.pool.values()] == [attempt.tx_hash]


async def test_an_answer_that_never_came_is_no_reason_to_sign_again(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("pay"))
    node.silent = True
    with pytest.raises(RpcUnavailable):
        await process.outbox.step()
    node.silent = False
    await process.run()
    assert node.executed() == {"pay": 1}
    assert len((await process.state("pay")).attempts) == 1


async def test_a_key_names_one_effect_for_ever(process: Process, node: FakeNode) -> None:
    for _ in range(3):
        await process.outbox.submit(effect("pay"))
    await process.run()
    await process.outbox.submit(effect("pay"))
    await process.restart()
    entry = await process.outbox.submit(effect("pay"))
    assert entry.state is EffectState.FINAL
    await process.run()
    assert node.executed() == {"pay": 1}


async def test_several_effects_take_nonces_in_their_order(process: Process, node: FakeNode) -> None:
    names = [f"pay {n}" for n in range(5)]
    for name in names:
        await process.outbox.submit(effect(name))
    await process.outbox.step()
    assert [(await process.state(name)).nonce for name in names] == [0, 1, 2, 3, 4]
    await process.run()
    assert node.executed() == dict.fromkeys(names, 1)


async def test_a_nonce_that_no_node_knows_of_yet_is_not_given_twice(
    process: Process, node: FakeNode
) -> None:
    node.refuse = "insufficient funds"
    for name in ("pay", "refund"):
        await process.outbox.submit(effect(name))
    await process.outbox.step()
    assert [(await process.state(name)).nonce for name in ("pay", "refund")] == [0, 1]
    node.refuse = None
    await process.run()
    assert node.executed() == {"pay": 1, "refund": 1}


async def test_no_more_than_the_limit_is_under_way(node: FakeNode, database: str) -> None:
    settings = OutboxSettings(fees=FEES, max_in_flight=2)
    process = Process(node, database, settings)
    await process.start()
    for n in range(5):
        await process.outbox.submit(effect(f"pay {n}"))
    await process.outbox.step()
    assert len(node.pool) == 2
    await process.run()
    assert sum(node.executed().values()) == 5
    await process.stop()


async def test_a_transient_revert_waits_and_costs_nothing(process: Process, node: FakeNode) -> None:
    node.rule = lambda *_: "report: pending" if len(node.chain.blocks) < 6 else None
    await process.outbox.submit(effect("pay", transient=frozenset({"report: pending"})))
    await process.outbox.step()
    entry = await process.state("pay")
    assert (entry.state, entry.reason) == (EffectState.INTENT, "report: pending")
    assert node.pool == {}
    await process.restart()  # the classification is stored as well
    await process.run()
    assert (await process.state("pay")).state is EffectState.FINAL


@pytest.mark.parametrize(
    ("reason", "shown"), [("escrow: job over", "escrow: job over"), ("", "no reason given")]
)
async def test_a_permanent_revert_fails_at_once_and_for_good(
    process: Process, node: FakeNode, reason: str, shown: str
) -> None:
    node.rule = lambda *_: reason
    await process.outbox.submit(effect("pay", transient=frozenset({"other"})))
    settled = await process.outbox.step()
    assert [(item.state, item.reason) for item in settled] == [(EffectState.FAILED, shown)]
    node.rule = lambda *_: None
    assert (await process.outbox.submit(effect("pay"))).state is EffectState.FAILED
    await process.run()
    assert node.executed() == {}
    assert "eth_sendRawTransaction" not in node.calls


async def test_a_failed_effect_is_tried_again_on_demand(process: Process, node: FakeNode) -> None:
    node.rule = lambda *_: "escrow: payee frozen"
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.rule = lambda *_: None
    assert (await process.outbox.retry("pay")).state is EffectState.INTENT
    await process.run()
    assert (await process.outbox.retry("pay")).state is EffectState.FINAL
    with pytest.raises(EffectError, match="none"):
        await process.outbox.retry("nothing")


async def test_a_failed_effect_with_another_call_is_a_new_try(
    process: Process, node: FakeNode
) -> None:
    """A claim by a stale proof fails; the same claim by the next report's proof must not."""
    node.rule = lambda name, _: "escrow: wrong proof" if name == "old proof" else None
    await process.outbox.submit(effect("claim", data="old proof"))
    await process.outbox.step()
    assert (await process.state("claim")).state is EffectState.FAILED
    entry = await process.outbox.submit(effect("claim", data="new proof"))
    assert entry.state is EffectState.INTENT
    await process.run()
    assert node.executed() == {"new proof": 1}


async def test_an_unsigned_effect_takes_over_a_new_call_and_a_signed_one_does_not(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("claim", data="first"))
    await process.outbox.submit(effect("claim", data="second"))
    await process.outbox.step()
    entry = await process.outbox.submit(effect("claim", data="third"))
    assert entry.intent.data == b"second"
    await process.run()
    assert node.executed() == {"second": 1}


async def test_a_newer_call_is_taken_once_a_signed_one_comes_to_nothing(
    process: Process, node: FakeNode
) -> None:
    """A claim waits in the pool while the next report makes its proof worthless."""
    node.chain.base_fee = 5 * BASE_FEE
    await process.outbox.submit(effect("claim", data="old proof"))
    await process.outbox.step()
    await process.outbox.submit(effect("claim", data="new proof"))
    node.rule = lambda name, _: "escrow: wrong proof" if name == "old proof" else None
    node.chain.base_fee = 12 * BASE_FEE  # above what the first attempt pays
    await process.run(16)
    assert (await process.state("claim")).state is EffectState.FINAL
    assert node.executed() == {"new proof": 1}
    assert ("settled", "claim") in process.crasher.seen
    assert [key for stage, key in process.crasher.seen if stage == "settled"].count("claim") == 1


async def test_a_newer_call_is_taken_once_a_signed_one_is_refused_in_its_block(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("claim", data="old proof"))
    await process.outbox.step()
    await process.outbox.submit(effect("claim", data="new proof"))
    node.rule = lambda name, _: "escrow: wrong proof" if name == "old proof" else None
    await process.run()
    assert (await process.state("claim")).state is EffectState.FINAL
    assert node.executed() == {"new proof": 1}


def claim(node: FakeNode, data: str) -> Effect:
    """Return an effect whose key stays while what it pays grows."""
    made = effect("claim", data=data, is_done=done_when_counted(node, data))
    return replace(made, renews=True)


async def test_a_renewed_effect_happens_once_for_each_call(
    process: Process, node: FakeNode
) -> None:
    """The next report pays more under the same key: a success that stood for both would lose it."""
    for proof in ("first", "second", "third"):
        for _ in range(2):
            await process.outbox.submit(claim(node, proof))
        await process.run(4)
        assert (await process.outbox.submit(claim(node, proof))).succeeded
        await process.restart()
        assert (await process.outbox.submit(claim(node, proof))).succeeded
        await process.run(2)
    assert node.executed() == {"first": 1, "second": 1, "third": 1}


async def test_a_renewed_effect_follows_what_another_did(process: Process, node: FakeNode) -> None:
    node.send_elsewhere("first")
    node.produce()
    await process.outbox.submit(claim(node, "first"))
    assert [item.state for item in await process.outbox.step()] == [EffectState.SUPERSEDED]
    entry = await process.outbox.submit(claim(node, "second"))
    assert (entry.state, entry.intent.data) == (EffectState.INTENT, b"second")
    assert entry.reason == ""  # it used to tell of a reorg
    assert (await process.outbox.tally()).waiting is None
    await process.run()
    assert node.executed() == {"first": 1, "second": 1}


async def test_a_success_that_is_not_renewed_stands_for_every_call(
    process: Process, node: FakeNode
) -> None:
    """Reports come with other signatures; one is enough, also while the books lag behind."""
    await process.outbox.submit(effect("report", data="first"))
    await process.run(4)
    await process.outbox.submit(effect("report", data="second"))
    await process.run(4)
    assert node.executed() == {"first": 1}


async def test_what_another_did_is_not_done_again(process: Process, node: FakeNode) -> None:
    node.send_elsewhere("pay")
    node.produce()
    await process.outbox.submit(effect("pay", is_done=done_when_counted(node, "pay")))
    settled = await process.outbox.step()
    assert [item.state for item in settled] == [EffectState.SUPERSEDED]
    assert settled[0].succeeded
    assert node.executed() == {"pay": 1}


async def test_a_revert_because_another_was_faster_is_a_success(
    process: Process, node: FakeNode
) -> None:
    looked = 0

    async def is_done() -> bool:
        nonlocal looked
        looked += 1
        return looked > 1  # it happens between the first look and the simulation

    node.rule = lambda *_: "committee: window not later"
    await process.outbox.submit(effect("report", is_done=is_done))
    settled = await process.outbox.step()
    assert [item.state for item in settled] == [EffectState.SUPERSEDED]


async def test_a_failure_that_was_a_success_of_another_is_one_when_it_is_asked_for(
    process: Process, node: FakeNode
) -> None:
    """A restarted process tries what is stored before it knows how to look for it on chain."""
    node.rule = lambda name, counts: "done before" if name in counts else None
    wanted = effect("pay", is_done=done_when_counted(node, "pay"))
    await process.outbox.submit(wanted)
    await process.restart()
    node.send_elsewhere("pay")
    node.produce()
    await process.outbox.step()
    assert (await process.state("pay")).state is EffectState.FAILED
    assert (await process.outbox.submit(wanted)).state is EffectState.SUPERSEDED
    assert node.executed() == {"pay": 1}


async def test_a_predicate_that_cannot_tell_leaves_it_to_the_simulation(
    process: Process, node: FakeNode
) -> None:
    async def is_done() -> bool:
        raise RevertError("no such job")

    await process.outbox.submit(effect("pay", is_done=is_done))
    await process.run()
    assert node.executed() == {"pay": 1}


def refuse_from(node: FakeNode, block: int, reason: str) -> None:
    """Let the contract refuse everything in blocks from `block` on."""

    def rule(_: str, __: object) -> str | None:
        return reason if len(node.chain.blocks) > block else None

    node.rule = rule


async def test_a_transaction_that_reverts_in_its_block_fails_with_the_reason(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.rule = lambda *_: "escrow: job over"
    await process.run(4)
    entry = await process.state("pay")
    assert (entry.state, entry.reason) == (EffectState.FAILED, "escrow: job over")


async def test_a_transaction_that_reverts_for_a_transient_reason_is_made_again(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("pay", transient=frozenset({"report: pending"})))
    await process.outbox.step()
    node.rule = lambda *_: "report: pending"
    await process.run(4)
    assert (await process.state("pay")).state is EffectState.INTENT
    # From here on the first transaction stays a failed one, and the next one counts.
    failed = sum(len(block.transactions) for block in node.chain.blocks)
    assert failed == 1
    node.rule = lambda name, counts: None
    await process.run()
    assert (await process.state("pay")).nonce == 1
    assert (await process.state("pay")).state is EffectState.FINAL


async def test_a_transaction_overtaken_in_its_own_block_is_simulated_anew(
    process: Process, node: FakeNode
) -> None:
    """The replay a block before finds nothing wrong: the next simulation decides."""
    node.rule = lambda name, counts: "taken" if name == "pay" and "theirs" in counts else None
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    ours = node.pool.pop(0)
    node.send_elsewhere("theirs")
    node.pool[1] = ours.__class__(ours.hash, 1, ours.data, ours.max_fee, ours.gas)
    await process.run(6)
    entry = await process.state("pay")
    assert (entry.state, entry.reason) == (EffectState.FAILED, "taken")
    assert node.executed() == {"theirs": 1}


@contextlib.asynccontextmanager
async def over_http(node: FakeNode, status: int) -> AsyncIterator[RpcClient]:
    """Serve a node that answers with an HTTP status where it returns an error."""

    async def answer(item: dict[str, Any]) -> dict[str, Any]:
        envelope = {"jsonrpc": "2.0", "id": item["id"]}
        try:
            return envelope | {"result": await node.call(item["method"], item["params"])}
        except RevertError as error:
            return envelope | {
                "error": {"code": 3, "message": f"execution reverted: {error.reason}"}
            }
        except RpcError as error:
            return envelope | {"error": {"code": error.code, "message": error.message}}

    async def handle(request: web.Request) -> web.Response:
        body = await request.json()
        found = (
            [await answer(item) for item in body] if isinstance(body, list) else await answer(body)
        )
        items = found if isinstance(found, list) else [found]
        refused = any(item.get("error", {"code": 3})["code"] != 3 for item in items)
        return web.json_response(found, status=status if refused else 200)

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with RpcClient(f"http://{host}:{port}/") as client:
            yield client
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [200, 403, 503])
async def test_bug_an_old_state_that_is_refused_by_http_stops_nothing(
    node: FakeNode, database: str, status: int
) -> None:
    """Each step used to end at the transaction that had failed long ago; nothing was sent."""
    async with over_http(node, status) as rpc:
        process = Process(node, database)
        process.rpc = rpc
        await process.start()
        await process.outbox.submit(effect("claim"))
        await process.outbox.step()
        node.rule = lambda name, _: "escrow: job over" if name == "claim" else None
        node.produce(400)
        node.oldest_state = len(node.chain.blocks) - 128
        await process.outbox.submit(effect("report"))
        await process.run(4)
        assert node.executed() == {"report": 1}
        assert (await process.state("report")).state is EffectState.FINAL
        assert (await process.state("claim")).reason == "escrow: job over"
        await process.stop()


async def test_a_node_that_keeps_silent_about_a_recent_state_is_asked_again(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("claim"))
    await process.outbox.step()
    node.rule = lambda name, _: "escrow: job over" if name == "claim" else None
    node.oldest_state, node.forgotten = 1_000, RpcUnavailable("http://node")
    await process.outbox.submit(effect("report"))
    await process.run(4)
    assert (await process.state("claim")).state is EffectState.MINED
    assert node.executed() == {"report": 1}
    node.oldest_state = 0
    await process.outbox.step()
    entry = await process.state("claim")
    assert (entry.state, entry.reason) == (EffectState.FAILED, "escrow: job over")


@pytest.mark.parametrize("known", [0, 3])
async def test_a_nonce_that_cannot_be_looked_up_now_stays_and_holds_up_no_other(
    process: Process, node: FakeNode, known: int
) -> None:
    """Whether ours used it is open: nothing is signed anew, and the step goes on."""
    for number in range(4):
        node.send_elsewhere(f"earlier {number}")
        node.produce()
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.pool.clear()
    node.send_elsewhere("something else")
    node.produce(3)
    node.oldest_state, node.forgotten = 1_000, RpcUnavailable("http://node")
    if known:
        node.oldest_state = len(node.chain.blocks) - known
    await process.outbox.submit(effect("report"))
    await process.outbox.step()
    assert (await process.state("pay")).nonce == 4
    assert (await process.state("report")).state is EffectState.SENT
    node.oldest_state = 0
    await process.run()
    assert node.executed()["pay"] == node.executed()["report"] == 1


async def test_a_transaction_that_ran_out_of_gas_fails(
    process: Process, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = node._receipt
    monkeypatch.setattr(
        node,
        "_receipt",
        lambda block, item: original(block, item) | {"gasUsed": hex(item.gas), "status": "0x0"},
    )
    await process.outbox.submit(effect("pay"))
    await process.run(4)
    entry = await process.state("pay")
    assert (entry.state, entry.reason) == (EffectState.FAILED, "out of gas")


async def test_a_stuck_transaction_is_replaced_by_one_that_pays_more(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.chain.base_fee = 5 * BASE_FEE  # the first attempt pays at most 3
    for _ in range(SETTINGS.bump_after_blocks - 1):
        node.produce()
        await process.outbox.step()
    assert len((await process.state("pay")).attempts) == 1
    node.produce()
    await process.outbox.step()
    first, second = (await process.state("pay")).attempts
    assert second.nonce == first.nonce
    assert second.fees.max_fee >= 6 * BASE_FEE
    assert second.fees.priority_fee * 8 >= first.fees.priority_fee * 9
    await process.run()
    assert node.executed() == {"pay": 1}
    assert (await process.state("pay")).mined_tx == second.tx_hash


async def test_the_first_of_two_attempts_may_be_the_one_that_is_mined(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    original = node.pool[0]
    node.chain.base_fee = 5 * BASE_FEE
    for _ in range(SETTINGS.bump_after_blocks):
        node.produce()
    await process.outbox.step()
    assert node.pool[0] != original
    node.pool[0], node.chain.base_fee = original, BASE_FEE
    await process.run()
    entry = await process.state("pay")
    assert (entry.state, entry.mined_tx) == (EffectState.FINAL, original.hash)
    assert node.executed() == {"pay": 1}


async def test_a_stuck_transaction_that_became_pointless_is_cancelled(
    process: Process, node: FakeNode
) -> None:
    """A dearer replacement would only pay more for its failure."""
    node.chain.base_fee = 5 * BASE_FEE
    await process.outbox.submit(effect("claim"))
    await process.outbox.step()
    node.chain.base_fee = 12 * BASE_FEE  # above what the first attempt pays
    node.rule = lambda name, _: "escrow: nothing to claim" if name == "claim" else None
    await process.run()

    entry = await process.state("claim")
    assert (entry.state, entry.reason) == (EffectState.FAILED, "escrow: nothing to claim")
    mined = [item.data for block in node.chain.blocks for item in block.transactions]
    assert mined == [b""]
    assert not await process.outbox.pending()


async def test_a_stuck_transaction_that_another_made_pointless_is_cancelled(
    process: Process, node: FakeNode
) -> None:
    node.chain.base_fee = 5 * BASE_FEE
    done = False

    async def is_done() -> bool:
        return done

    await process.outbox.submit(replace(effect("claim"), is_done=is_done))
    await process.outbox.step()
    node.chain.base_fee, done = 12 * BASE_FEE, True
    await process.run()

    assert (await process.state("claim")).state is EffectState.SUPERSEDED
    assert node.executed() == {}
    await process.outbox.submit(effect("next"))
    await process.run()
    assert node.executed() == {"next": 1}


async def test_a_cancellation_that_comes_too_late_changes_nothing(
    process: Process, node: FakeNode
) -> None:
    node.chain.base_fee = 5 * BASE_FEE
    await process.outbox.submit(effect("claim"))
    await process.outbox.step()
    (first,) = node.pool.values()
    node.chain.base_fee = 12 * BASE_FEE
    node.rule = lambda name, _: "escrow: paused" if name == "claim" else None
    for _ in range(4):
        await process.outbox.step()
        node.chain.mine()
    node.rule = lambda name, _: None
    node.pool = {first.nonce: first}  # the block's producer knows the first one only
    node.chain.base_fee = BASE_FEE
    await process.run()

    assert (await process.state("claim")).state is EffectState.FINAL
    assert node.executed() == {"claim": 1}
    assert not await process.outbox.pending()


async def test_replacements_stop_at_the_cap(process: Process, node: FakeNode) -> None:
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.chain.base_fee = 30 * BASE_FEE
    await process.run(60)
    attempts = (await process.state("pay")).attempts
    assert len(attempts) > 1 or attempts[0].fees.max_fee == 3 * BASE_FEE
    assert all(attempt.fees.max_fee <= FEES.max_fee for attempt in attempts)
    node.chain.base_fee = BASE_FEE
    await process.run()
    assert node.executed() == {"pay": 1}


async def test_nothing_is_signed_while_the_base_fee_is_above_the_cap(
    process: Process, node: FakeNode
) -> None:
    node.chain.base_fee = 20 * BASE_FEE
    node.produce()
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    entry = await process.state("pay")
    assert (entry.state, entry.reason) == (EffectState.INTENT, "the base fee is above the cap")
    node.chain.base_fee = BASE_FEE
    node.produce()
    await process.run()
    assert node.executed() == {"pay": 1}


async def test_a_transaction_that_the_pool_lost_is_sent_again(
    process: Process, node: FakeNode
) -> None:
    for n in range(3):
        await process.outbox.submit(effect(f"pay {n}"))
    await process.outbox.step()
    node.pool.clear()
    await process.run(30)
    assert node.executed() == {f"pay {n}": 1 for n in range(3)}


@pytest.mark.parametrize("keep_pool", [True, False])
async def test_a_transaction_that_a_reorg_undid_is_mined_again(
    process: Process, node: FakeNode, keep_pool: bool
) -> None:
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.produce()
    await process.outbox.step()
    assert (await process.state("pay")).state is EffectState.MINED
    node.undo(1, keep_pool=keep_pool)
    node.chain.mine()
    await process.outbox.step()
    assert (await process.state("pay")).state is EffectState.SENT
    await process.run()
    assert (await process.state("pay")).state is EffectState.FINAL
    assert node.executed() == {"pay": 1}


async def test_a_final_effect_that_a_deep_reorg_undid_is_done_again_when_asked_for(
    process: Process, node: FakeNode
) -> None:
    wanted = effect("pay", is_done=done_when_counted(node, "pay"))
    await process.outbox.submit(wanted)
    await process.run()
    node.undo(12, keep_pool=False)
    node.produce(15)
    assert node.executed() == {}
    assert (await process.outbox.submit(wanted)).state is EffectState.SENT
    await process.run()
    assert (await process.state("pay")).state is EffectState.FINAL
    assert node.executed() == {"pay": 1}


async def test_what_another_did_and_a_reorg_undid_is_done_when_asked_for(
    process: Process, node: FakeNode
) -> None:
    node.send_elsewhere("pay")
    node.produce()
    wanted = effect("pay", is_done=done_when_counted(node, "pay"))
    await process.outbox.submit(wanted)
    await process.outbox.step()
    node.undo(1, keep_pool=False)
    node.produce(2)
    entry = await process.outbox.submit(wanted)
    assert (entry.state, entry.reason) == (EffectState.INTENT, "a reorg undid what another did")
    await process.run()
    assert node.executed() == {"pay": 1}


async def test_a_nonce_used_by_another_is_given_up_only_when_that_is_settled(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.pool.clear()
    node.send_elsewhere("something else")
    node.produce()
    await process.outbox.step()
    assert (await process.state("pay")).state is EffectState.SENT
    node.produce(SETTINGS.lost_depth)
    await process.outbox.step()
    entry = await process.state("pay")
    assert (entry.state, entry.nonce) == (EffectState.SENT, 1)
    await process.run()
    assert node.executed() == {"something else": 1, "pay": 1}


async def test_a_node_that_denies_receipts_makes_nothing_happen_twice(
    process: Process, node: FakeNode
) -> None:
    """Its index of receipts lags behind its blocks, which show that ours used the nonce."""
    node.send_elsewhere("something else")
    node.produce(3)
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.denies_receipts = True
    for _ in range(SETTINGS.lost_depth + 4):
        node.produce()
        await process.outbox.step()
    assert (await process.state("pay")).nonce == 1
    node.denies_receipts = False
    await process.run()
    assert node.executed() == {"something else": 1, "pay": 1}
    assert (await process.state("pay")).state is EffectState.FINAL


async def test_a_nonce_used_long_ago_is_given_up_without_the_states_of_that_time(
    process: Process, node: FakeNode
) -> None:
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    node.pool.clear()
    node.send_elsewhere("something else")
    node.produce(140)
    node.oldest_state = 20
    await process.run()
    assert node.executed() == {"something else": 1, "pay": 1}
    assert (await process.state("pay")).nonce == 1


async def test_a_nonce_that_got_lost_below_ours_is_filled(process: Process, node: FakeNode) -> None:
    """Else nothing of ours would ever be mined; signing ours anew could do it twice."""
    node.send_elsewhere("something else")
    for name in ("pay", "refund"):
        await process.outbox.submit(effect(name))
    await process.outbox.step()
    node.pool.clear()
    await process.run(SETTINGS.bump_after_blocks - 1)
    assert len(await process.outbox.pending()) == 2
    await process.restart()
    await process.run(16)
    assert node.executed() == {"pay": 1, "refund": 1}
    assert [(await process.state(name)).nonce for name in ("pay", "refund")] == [1, 2]
    assert (await process.state("outbox:gap:0")).state is EffectState.FINAL


async def test_a_gap_that_closed_by_itself_is_left_alone(process: Process, node: FakeNode) -> None:
    node.send_elsewhere("something else")
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    stranger = node.pool[0]
    node.pool.clear()
    process.crasher.at("reopened")  # between storing what fills the gap and signing it
    with pytest.raises(CrashError):
        await process.run()
    node.pool[0] = stranger
    await process.restart()
    await process.run()
    assert node.executed() == {"something else": 1, "pay": 1}
    assert (await process.state("outbox:gap:0")).state is EffectState.SUPERSEDED


@pytest.mark.parametrize("lie", [40, 1_000_000])
async def test_bug_a_made_up_pending_nonce_is_not_signed_for(
    process: Process, node: FakeNode, lie: int
) -> None:
    """It used to be stored, and all that followed stood above it, also once the RPC was honest."""
    node.made_up = {"pending": lie}
    await process.outbox.submit(effect("report"))
    await process.outbox.step()
    entry = await process.state("report")
    assert (entry.state, entry.attempts) == (EffectState.INTENT, ())
    assert f"names {lie} as the next nonce, though 0 are used" in entry.reason
    node.made_up = {}
    await process.outbox.submit(effect("claim"))
    await process.run(4)
    assert node.executed() == {"report": 1, "claim": 1}
    assert node._nonce(node.chain.blocks) == 2


@pytest.mark.parametrize("lie", [40, 1_000_000])
async def test_bug_a_nonce_out_of_reach_that_is_stored_is_given_up(
    process: Process, node: FakeNode, lie: int
) -> None:
    node.made_up = {"pending": lie, "latest": lie}
    for name in ("report", "place"):
        await process.outbox.submit(effect(name))
    await process.outbox.step()
    assert [(await process.state(name)).nonce for name in ("report", "place")] == [lie, lie + 1]
    node.made_up = {}
    await process.restart()
    await process.run(4 * SETTINGS.bump_after_blocks)
    assert node.executed() == {"report": 1, "place": 1}
    assert node._nonce(node.chain.blocks) == 3  # one empty transaction proved the lie
    assert not await process.outbox.pending()


async def test_what_comes_while_a_nonce_is_out_of_reach_takes_the_true_one(
    process: Process, node: FakeNode
) -> None:
    node.made_up = {"pending": 40, "latest": 40}
    await process.outbox.submit(effect("report"))
    await process.outbox.step()
    node.made_up = {}
    await process.outbox.submit(effect("claim"))
    await process.outbox.step()
    assert (await process.state("claim")).nonce == 0
    await process.run(3 * SETTINGS.bump_after_blocks)
    assert node.executed() == {"report": 1, "claim": 1}
    assert node._nonce(node.chain.blocks) == 2


async def test_a_node_that_names_low_nonces_makes_nothing_happen_twice(
    process: Process, node: FakeNode
) -> None:
    """Its word is no proof that a nonce of ours is made up: what is under way may be mined yet."""
    for number in range(30):
        node.send_elsewhere(f"earlier {number}")
        node.produce()
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    held, node.pool = node.pool, {}
    node.made_up = {"pending": -30, "latest": -30}
    for _ in range(4 * SETTINGS.bump_after_blocks):
        node.chain.mine()
        await process.outbox.step()
    assert (await process.state("pay")).nonce == 30
    node.made_up, node.pool = {}, held
    await process.run()
    assert node.executed()["pay"] == 1


@pytest.mark.parametrize("behind", ["lag", "batch_lag"])
async def test_bug_a_node_that_lags_behind_what_was_mined_is_not_signed_for(
    process: Process, node: FakeNode, behind: str
) -> None:
    """It used to be believed where ours under way were out of its reach: all it named was used."""
    for number in range(60):
        node.send_elsewhere(f"earlier {number}")
        node.produce()
    await process.outbox.submit(effect("pay"))
    await process.run(3)
    flying = [f"refund {number}" for number in range(4)]
    for name in flying:
        await process.outbox.submit(effect(name))
    await process.outbox.step()
    assert [(await process.state(name)).nonce for name in ("pay", *flying)] == [60, 61, 62, 63, 64]
    setattr(node, behind, 40)
    await process.outbox.submit(effect("claim"))
    await process.outbox.step()
    entry = await process.state("claim")
    assert (entry.state, entry.attempts) == (EffectState.INTENT, ())
    assert "lags behind a transaction of this account" in entry.reason
    setattr(node, behind, 0)
    await process.run()
    assert (await process.state("claim")).nonce == 65
    assert all(node.executed()[name] == 1 for name in ("pay", *flying, "claim"))


async def test_what_a_deep_reorg_undid_for_good_holds_up_nothing(
    process: Process, node: FakeNode
) -> None:
    """Its nonce is free again; a node that says so does not lag."""
    await process.outbox.submit(effect("pay"))
    await process.run(4)
    assert (await process.state("pay")).state is EffectState.FINAL
    node.undo(5, keep_pool=False)
    node.produce(6)
    await process.outbox.submit(effect("claim"))
    await process.run(4)
    assert node.executed() == {"claim": 1}
    assert (await process.state("claim")).nonce == 0


async def test_what_was_open_when_the_database_was_deleted_is_in_reach(
    node: FakeNode, tmp_path: Path
) -> None:
    """Nothing tells a new database of them but the pool."""
    names = [f"pay {n}" for n in range(SETTINGS.max_in_flight)]
    first = Process(node, str(tmp_path / "first.sqlite"))
    await first.start()
    for name in names:
        await first.outbox.submit(effect(name))
    await first.outbox.step()
    await first.stop()
    second = Process(node, str(tmp_path / "second.sqlite"))
    await second.start()
    await second.outbox.submit(effect("next"))
    await second.outbox.step()
    assert (await second.state("next")).nonce == len(names)
    del node.pool[3]  # and one of them gets lost
    await second.run(20)
    assert node.executed() == dict.fromkeys([*names[:3], *names[4:], "next"], 1)
    await second.stop()


async def test_a_refused_transaction_keeps_its_place_and_says_why(
    process: Process, node: FakeNode
) -> None:
    node.refuse = "insufficient funds for gas * price + value"
    await process.outbox.submit(effect("pay"))
    await process.outbox.step()
    entry = await process.state("pay")
    assert entry.state is EffectState.SIGNED
    assert "insufficient funds" in entry.reason
    node.refuse = None
    await process.run()
    assert node.executed() == {"pay": 1}
    assert (await process.state("pay")).nonce == 0


async def test_a_node_that_is_down_stops_nothing_for_good(process: Process, node: FakeNode) -> None:
    await process.outbox.submit(effect("pay"))
    node.down = True
    with pytest.raises(RpcUnavailable):
        await process.outbox.step()
    node.down = False
    await process.run()
    assert node.executed() == {"pay": 1}


async def test_one_process_owns_the_nonces_of_a_sender(node: FakeNode, tmp_path: Path) -> None:
    """On PostgreSQL a lease takes the place of the lock: see `test_leases`."""
    process, other = (Process(node, str(tmp_path / "outbox.sqlite")) for _ in range(2))
    await process.start()
    with pytest.raises(SenderLockedError, match="another process"):
        await other.start()
    await other.store.close()
    await process.stop()
    await other.start()
    with pytest.raises(SenderLockedError):
        await process.start()
    await process.store.close()
    await other.stop()
    await process.start()
    await process.stop()


async def test_an_outbox_that_was_not_entered_does_nothing(node: FakeNode, database: str) -> None:
    store = Store.open(database)
    outbox = Outbox(node, store, StubSigner(), chain_id=CHAIN_ID)
    for act in (outbox.step(), outbox.submit(effect("pay")), outbox.retry("pay")):
        with pytest.raises(EffectError, match="enter"):
            await act
    await store.close()


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_must_fit(process: Process, key: str) -> None:
    with pytest.raises(EffectError, match="characters"):
        await process.outbox.submit(effect(key, data="x"))


def writes(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return what grows with each write of the outbox."""
    counted: list[None] = []
    write = EffectBook._write

    async def counting(book: EffectBook, work: Callable[[Session], object]) -> object:
        counted.append(None)
        return await write(book, work)

    monkeypatch.setattr(EffectBook, "_write", counting)
    return counted


async def test_bug_a_step_tries_some_of_what_waits_only(
    node: FakeNode, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to ask about each one and to store why it waits; the round stood still so long."""
    process = Process(node, database, replace(SETTINGS, max_tries=8))
    await process.start()
    for n in range(40):
        await process.outbox.submit(effect(f"pay {n}", transient=frozenset({"later"})))
    counted = writes(monkeypatch)
    node.chain.base_fee = 20 * BASE_FEE
    node.produce()
    await process.outbox.step()
    assert len(counted) <= 2  # why all of them wait, and what is pruned
    assert "eth_call" not in node.calls
    assert (await process.outbox.tally()) == OutboxTally(
        {EffectState.INTENT: 40}, ("pay 0", "the base fee is above the cap")
    )
    node.chain.base_fee, node.rule = BASE_FEE, lambda *_: "later"
    node.produce()
    counted.clear()
    await process.outbox.step()
    assert (len(counted), node.calls["eth_call"]) == (8, 8)
    node.rule = lambda *_: None
    await process.run(20)
    assert node.executed() == {f"pay {n}": 1 for n in range(40)}
    await process.stop()


async def test_everything_that_waits_gets_its_turn(node: FakeNode, database: str) -> None:
    process = Process(node, database, replace(SETTINGS, max_tries=4))
    await process.start()
    node.rule = lambda name, _: "later" if name not in {"pay 29", "report"} else None
    for n in range(30):
        await process.outbox.submit(effect(f"pay {n}", transient=frozenset({"later"})))
    await process.run(16)
    assert node.executed() == {"pay 29": 1}
    await process.outbox.submit(effect("report"))  # does not wait for the others' turns
    await process.run(1)
    assert node.executed() == {"pay 29": 1, "report": 1}
    node.rule = lambda *_: None
    await process.run(12)
    assert sum(node.executed().values()) == 31
    await process.stop()


async def test_bug_what_settled_is_forgotten_after_a_while(node: FakeNode, database: str) -> None:
    """Rows and closures of every effect there ever was used to stay."""
    process = Process(node, database, replace(SETTINGS, kept_blocks=50))
    await process.start()
    most = 0
    for n in range(60):
        name = f"pay {n}"
        await process.outbox.submit(effect(name, is_done=done_when_counted(node, name)))
        await process.run(1)
        node.produce(4)
        most = max(most, len(process.outbox._effects))
    await process.run(4)
    assert most <= 4
    assert len(process.outbox._effects) == 0
    with Session(process.store._engine) as session:
        rows = [session.scalar(select(func.count()).select_from(table)) for table in ROWS]
    assert max(row or 0 for row in rows) < 45
    assert await process.outbox.entry("pay 0") is None
    # It is on chain, whatever the database has forgotten.
    await process.outbox.submit(effect("pay 0", is_done=done_when_counted(node, "pay 0")))
    await process.run(4)
    assert (await process.state("pay 0")).state is EffectState.SUPERSEDED
    assert node.executed() == {f"pay {n}": 1 for n in range(60)}
    await process.stop()


async def test_what_the_chain_does_not_tell_of_is_never_forgotten(
    node: FakeNode, database: str
) -> None:
    process = Process(node, database, replace(SETTINGS, kept_blocks=10))
    await process.start()
    await process.outbox.submit(effect("pay"))
    await process.run(4)
    node.produce(300)
    await process.outbox.step()
    await process.outbox.submit(effect("pay"))
    await process.run(4)
    assert node.executed() == {"pay": 1}
    await process.stop()


class Campaign:
    """Effects that must each happen once, and a world that does what it can against it."""

    def __init__(self, data: st.DataObject, database: str) -> None:
        self.data = data
        self.node = FakeNode(FakeChain())
        self.process = Process(self.node, database)
        self.names: list[str] = []

    def wanted(self, name: str) -> Effect:
        return effect(name, is_done=done_when_counted(self.node, name))

    async def guarded(self, work: Awaitable[object]) -> None:
        """Start again after a crash, go on after an answer that did not come."""
        try:
            await work
        except CrashError:
            await self.process.restart()
        except RpcUnavailable:
            pass

    async def submit(self) -> None:
        self.names.append(f"effect {len(self.names)}")
        await self.guarded(self.process.outbox.submit(self.wanted(self.names[-1])))

    async def step(self) -> None:
        await self.guarded(self.process.outbox.step())

    async def block(self) -> None:
        self.node.produce(self.data.draw(st.integers(1, 3)))

    async def crash(self) -> None:
        self.process.crasher.at(
            self.data.draw(st.sampled_from(STAGES)), self.data.draw(st.integers(0, 2))
        )

    async def fault(self) -> None:
        self.node.silent = self.data.draw(st.booleans())
        self.node.down = self.data.draw(st.sampled_from((False, False, True)))
        self.node.refuse = self.data.draw(st.sampled_from((None, None, "insufficient funds")))

    async def fees(self) -> None:
        self.node.chain.base_fee = BASE_FEE * self.data.draw(st.sampled_from((1, 4, 25)))

    async def forget(self) -> None:
        self.node.pool.clear()

    async def finish(self) -> None:
        """Let everything heal, ask again for all that is wanted, and wait."""
        node, process = self.node, self.process
        node.silent = node.down = False
        node.refuse, node.chain.base_fee = None, BASE_FEE
        process.crasher.at("never")
        node.produce(3)
        for _ in range(2):
            for name in self.names:
                await process.outbox.submit(self.wanted(name))
            for _ in range(60):
                await process.run(1)
                if not await process.outbox.pending():
                    break
        for name in self.names:
            assert (await process.state(name)).succeeded, await process.state(name)
        assert node.executed() == dict.fromkeys(node.executed(), 1)
        assert set(self.names) <= set(node.executed())
        await process.stop()


async def _campaign(campaign: Campaign, acts: tuple[str, ...]) -> None:
    await campaign.process.start()
    for _ in range(campaign.data.draw(st.integers(1, 30))):
        await getattr(campaign, campaign.data.draw(st.sampled_from(acts)))()
    await campaign.finish()


@given(data=st.data())
def test_no_crash_and_no_fault_loses_or_doubles_an_effect(
    data: st.DataObject, databases: Callable[[], str]
) -> None:
    """Invariant 29, on a contract that would do everything as often as it is told to."""
    campaign = Campaign(data, databases())
    acts = ("submit", "step", "step", "block", "crash", "fault", "fees", "forget")
    asyncio.run(_campaign(campaign, acts))


class HostileCampaign(Campaign):
    """With reorgs and another user of the key as well, on a contract that is idempotent."""

    def __init__(self, data: st.DataObject, database: str) -> None:
        super().__init__(data, database)
        self.node.rule = lambda name, counts: "done before" if name in counts else None
        self.strangers = 0

    async def reorg(self) -> None:
        depth = self.data.draw(st.integers(1, 4))
        if depth < len(self.node.chain.blocks):
            self.node.undo(depth, keep_pool=self.data.draw(st.booleans()))
            self.node.produce(depth + self.data.draw(st.integers(0, 2)))

    async def stranger(self) -> None:
        self.strangers += 1
        self.node.send_elsewhere(f"stranger {self.strangers}")

    async def rival(self) -> None:
        """Someone else does what is wanted."""
        if self.names:
            self.node.send_elsewhere(self.data.draw(st.sampled_from(self.names)))


@given(data=st.data())
def test_no_reorg_and_no_other_sender_loses_or_doubles_an_effect(
    data: st.DataObject, databases: Callable[[], str]
) -> None:
    campaign = HostileCampaign(data, databases())
    acts = ("submit", "step", "step", "block", "crash", "fault", "fees", "forget")
    asyncio.run(_campaign(campaign, (*acts, "reorg", "reorg", "stranger", "rival")))


async def test_keys_of_the_outbox_itself_are_refused(process: Process) -> None:
    with pytest.raises(EffectError, match="choose another"):
        await process.outbox.submit(effect("outbox:gap:0"))


async def test_waiting_for_a_turn_does_not_mix_steps(process: Process, node: FakeNode) -> None:
    await process.outbox.submit(effect("pay"))
    with contextlib.suppress(RpcUnavailable):
        await asyncio.gather(*(process.outbox.step() for _ in range(5)))
    await process.run()
    assert node.executed() == {"pay": 1}
    assert len((await process.state("pay")).attempts) == 1
