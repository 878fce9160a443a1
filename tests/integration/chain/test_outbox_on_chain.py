"""The outbox on a real node: signed transactions, its pool and its words, and processes killed."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from contract_support import DEPLOYER, PAYER, STRANGER, Counter, pool_holds, signer, until

from workdeed.chain.effects import Effect, EffectState, OutboxEntry
from workdeed.chain.fees import GWEI, FeeSettings
from workdeed.chain.outbox import Outbox, OutboxSettings
from workdeed.chain.rpc import RpcClient
from workdeed.chain.store import Store
from workdeed.chain.transactor import Transactor

pytestmark = pytest.mark.anvil

FEES = FeeSettings(max_fee=50 * GWEI, priority_fee=GWEI)
SETTINGS = OutboxSettings(fees=FEES, confirmations=1, bump_after_blocks=2)
KILLED = Path(__file__).parent / "killed_sender.py"


@pytest.fixture
async def outbox(rpc: RpcClient, tmp_path: Path) -> AsyncIterator[Outbox]:
    store = Store.open(str(tmp_path / "outbox.sqlite"))
    chain_id = await rpc.chain_id()
    async with Outbox(rpc, store, PAYER, chain_id=chain_id, settings=SETTINGS) as made:
        yield made
    await store.close()


def effect(counter: Counter, name: int, *transient: str) -> Effect:
    return Effect(f"act:{name}", counter.act(name), transient=frozenset(transient))


async def entry_of(outbox: Outbox, name: int) -> OutboxEntry:
    entry = await outbox.entry(f"act:{name}")
    assert entry is not None
    return entry


async def settle(rpc: RpcClient, outbox: Outbox) -> None:
    """Step and mine until nothing is pending."""
    for _ in range(40):
        await outbox.step()
        if not await outbox.pending():
            return
        await rpc.call("evm_mine", [])
    pytest.fail(f"still pending: {await outbox.pending()}")


async def test_effects_are_mined_once_each(
    rpc: RpcClient, counter: Counter, outbox: Outbox
) -> None:
    for name in range(1, 6):
        await outbox.submit(effect(counter, name))
    await settle(rpc, outbox)
    assert [await counter.count(name) for name in range(1, 6)] == [1] * 5
    assert [(await entry_of(outbox, name)).nonce for name in range(1, 6)] == [0, 1, 2, 3, 4]


async def test_reasons_of_reverts_are_read_before_anything_is_signed(
    rpc: RpcClient, counter: Counter, outbox: Outbox
) -> None:
    await Transactor(rpc, DEPLOYER).send_and_wait(counter.set_closed(True))
    await outbox.submit(effect(counter, 13))
    await outbox.submit(effect(counter, 1, "counter: closed"))
    (failed,) = await outbox.step()
    assert (failed.state, failed.reason) == (EffectState.FAILED, "counter: closed")
    assert (await entry_of(outbox, 1)).reason == "counter: closed"
    await Transactor(rpc, DEPLOYER).send_and_wait(counter.set_closed(False))
    assert (await outbox.retry("act:13")).state is EffectState.INTENT
    await settle(rpc, outbox)
    assert (await entry_of(outbox, 13)).reason == "counter: forbidden"
    assert await counter.count(1) == 1
    assert await rpc.call("eth_getTransactionCount", [PAYER.address, "latest"]) == "0x1"


async def test_a_transaction_refused_in_its_block_fails_with_the_reason(
    rpc: RpcClient, counter: Counter, outbox: Outbox
) -> None:
    await rpc.call("evm_setAutomine", [False])
    await outbox.submit(effect(counter, 1))
    await outbox.step()
    closing = asyncio.create_task(
        Transactor(rpc, signer(9)).send_and_wait(counter.set_closed(True))
    )
    await until(lambda: pool_holds(rpc, 2))
    # The closing pays as much and came later: let it be mined first.
    dropped = (await entry_of(outbox, 1)).attempts[0]
    await rpc.call("anvil_dropTransaction", ["0x" + dropped.tx_hash.hex()])
    await rpc.call("evm_mine", [])
    await closing
    await rpc.call("eth_sendRawTransaction", ["0x" + dropped.raw.hex()])
    for _ in range(3):
        await rpc.call("evm_mine", [])
        await outbox.step()
    failed = await entry_of(outbox, 1)
    assert (failed.state, failed.reason) == (EffectState.FAILED, "counter: closed")
    assert await counter.count(1) == 0


async def test_a_stuck_transaction_is_replaced(
    rpc: RpcClient, counter: Counter, outbox: Outbox
) -> None:
    await rpc.call("evm_setAutomine", [False])
    await outbox.submit(effect(counter, 1))
    await outbox.step()
    (first,) = (await entry_of(outbox, 1)).attempts
    await rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(first.fees.max_fee + 1)])
    await rpc.call("evm_mine", [])
    await rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(first.fees.max_fee + 1)])
    await rpc.call("evm_mine", [])
    await outbox.step()
    attempts = (await entry_of(outbox, 1)).attempts
    assert len(attempts) == 2
    pool = await rpc.call("txpool_content", [])
    held = pool["pending"][PAYER.address.lower()]
    assert [item["hash"] for item in held.values()] == ["0x" + attempts[1].tx_hash.hex()]
    await settle(rpc, outbox)
    assert await counter.count(1) == 1
    assert (await entry_of(outbox, 1)).mined_tx == attempts[1].tx_hash


async def test_a_reorg_that_loses_the_transaction_is_made_good(
    rpc: RpcClient, counter: Counter, outbox: Outbox
) -> None:
    await outbox.submit(effect(counter, 1))
    await outbox.step()
    await outbox.step()
    assert (await entry_of(outbox, 1)).state is EffectState.MINED
    await rpc.call("anvil_reorg", [1, []])
    assert await counter.count(1) == 0
    await settle(rpc, outbox)
    assert await counter.count(1) == 1
    assert len((await entry_of(outbox, 1)).attempts) == 1


async def test_a_stranger_with_the_same_key_costs_a_nonce_and_nothing_else(
    rpc: RpcClient, counter: Counter, outbox: Outbox
) -> None:
    await rpc.call("evm_setAutomine", [False])
    await outbox.submit(effect(counter, 1))
    await outbox.step()
    (mine,) = (await entry_of(outbox, 1)).attempts
    await rpc.call("anvil_dropTransaction", ["0x" + mine.tx_hash.hex()])
    transfer = {"from": PAYER.address, "to": STRANGER.address, "value": "0x1"}
    await rpc.call("eth_sendTransaction", [transfer])
    await rpc.call("evm_mine", [])
    await settle(rpc, outbox)
    entry = await entry_of(outbox, 1)
    assert (entry.state, entry.nonce) == (EffectState.FINAL, 1)
    assert await counter.count(1) == 1


async def test_a_gap_below_our_nonces_is_filled(
    rpc: RpcClient, counter: Counter, outbox: Outbox
) -> None:
    await rpc.call("evm_setAutomine", [False])
    transfer = {"from": PAYER.address, "to": STRANGER.address, "value": "0x1"}
    lost = await rpc.call("eth_sendTransaction", [transfer])
    await outbox.submit(effect(counter, 1))
    await outbox.step()
    assert (await entry_of(outbox, 1)).nonce == 1
    await rpc.call("anvil_dropTransaction", [lost])
    await settle(rpc, outbox)
    assert await counter.count(1) == 1
    assert (await entry_of(outbox, 1)).nonce == 1


@pytest.mark.parametrize("stage", ["stored", "signed", "broadcast", "sent", "mined"])
async def test_a_process_killed_at_any_stage_loses_and_doubles_nothing(
    rpc: RpcClient, counter: Counter, anvil: str, tmp_path: Path, stage: str
) -> None:
    """Invariant 29 with a real SIGKILL: database and lock are as the system left them."""
    database = tmp_path / "killed.sqlite"
    order = {
        "url": anvil,
        "database": str(database),
        "to": counter.address,
        "data": counter.act(7).data.hex(),
        "stage": stage,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(KILLED), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, errors = await process.communicate(json.dumps(order).encode())
    assert process.returncode == -signal.SIGKILL, errors.decode()
    store = Store.open(str(database))
    chain_id = await rpc.chain_id()
    async with Outbox(rpc, store, PAYER, chain_id=chain_id, settings=SETTINGS) as outbox:
        assert await outbox.entry("act:7") is not None
        await settle(rpc, outbox)
        assert (await entry_of(outbox, 7)).state is EffectState.FINAL
        assert len((await entry_of(outbox, 7)).attempts) == 1
    await store.close()
    assert await counter.count(7) == 1
