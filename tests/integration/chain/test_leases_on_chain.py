"""Keepers that share a sender: one is killed or paused, the other goes on, nothing is doubled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from contract_support import PAYER, Counter
from sqlalchemy import select

from workdeed.chain.effects import EffectState
from workdeed.chain.fees import GWEI, FeeSettings
from workdeed.chain.leases import Lease, new_holder, sender_lease
from workdeed.chain.outbox import Outbox, OutboxSettings
from workdeed.chain.rpc import RpcClient
from workdeed.chain.store import Store
from workdeed.chain.tables import AttemptRow, EffectRow

pytestmark = [pytest.mark.anvil, pytest.mark.postgres]

RIVAL = Path(__file__).parent / "rival_sender.py"
PATIENCE = 60
"""Seconds after which a test gives up: many times what it takes."""
SETTINGS = OutboxSettings(
    fees=FeeSettings(max_fee=50 * GWEI, priority_fee=GWEI), confirmations=1, bump_after_blocks=2
)
RunRival = Callable[[str, str], Awaitable[Process]]


@pytest.fixture
async def run_rival(anvil: str, counter: Counter, postgres: str) -> AsyncIterator[RunRival]:
    """Start a process that ends as told at a stage; it dies with the test."""
    started: list[Process] = []

    async def run(stage: str, end: str) -> Process:
        order = {
            "url": anvil,
            "database": postgres,
            "to": counter.address,
            "data": counter.act(7).data.hex(),
            "stage": stage,
            "end": end,
            "ttl": 2.0,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(RIVAL),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps(order).encode())
        process.stdin.write_eof()
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def successor(rpc: RpcClient, postgres: str) -> AsyncIterator[Outbox]:
    """The outbox that waits for the lease, entered by the test once the rival has it."""
    store = Store.open(postgres)
    chain_id = await rpc.chain_id()
    name = sender_lease(chain_id, PAYER.address)
    lease = Lease(store, name, holder=new_holder(), ttl=3.0)
    yield Outbox(rpc, store, PAYER, chain_id=chain_id, settings=SETTINGS, lease=lease)
    await store.close()


async def line_of(process: Process) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    if not line:
        assert process.stderr is not None
        pytest.fail((await process.stderr.read()).decode())
    return line.decode().strip()


async def turn_of(outbox: Outbox) -> None:
    """Wait until the lease has passed on."""
    for _ in range(PATIENCE * 10):
        if outbox.token is not None:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the lease did not pass on")


async def settle(rpc: RpcClient, outbox: Outbox) -> None:
    """Step and mine until nothing is pending."""
    for _ in range(40):
        await outbox.step()
        if not await outbox.pending():
            return
        await rpc.call("evm_mine", [])
    pytest.fail(f"still pending: {await outbox.pending()}")


async def written(database: str) -> list[object]:
    """Return all that the outbox's tables hold."""
    store = Store.open(database)

    def read(session: object) -> list[object]:
        rows: list[object] = []
        for table in (EffectRow.__table__, AttemptRow.__table__):
            found = session.execute(select(table))  # type: ignore[attr-defined]
            rows += [tuple(row) for row in found]
        return rows

    rows = await store.transaction(read)
    await store.close()
    return rows


async def check_done_once(counter: Counter, outbox: Outbox) -> None:
    entry = await outbox.entry("act:7")
    assert entry is not None
    assert (entry.state, len(entry.attempts)) == (EffectState.FINAL, 1)
    assert await counter.count(7) == 1


@pytest.mark.parametrize("stage", ["stored", "signed", "broadcast", "sent", "mined"])
async def test_a_standby_goes_on_where_a_holder_was_killed(
    rpc: RpcClient, counter: Counter, run_rival: RunRival, successor: Outbox, stage: str
) -> None:
    """Invariant 29 with a real SIGKILL, on another machine as far as files can tell."""
    killed = await run_rival(stage, "kill")
    assert await asyncio.wait_for(killed.wait(), PATIENCE) == -signal.SIGKILL
    async with successor:
        await turn_of(successor)
        await settle(rpc, successor)
        await check_done_once(counter, successor)


@pytest.mark.parametrize("stage", ["stored", "signed", "broadcast", "sent"])
async def test_a_holder_that_slept_through_its_lease_writes_and_sends_nothing(
    rpc: RpcClient,
    counter: Counter,
    run_rival: RunRival,
    successor: Outbox,
    postgres: str,
    stage: str,
) -> None:
    sleeper = await run_rival(stage, "pause")
    assert await line_of(sleeper) == "paused"
    async with successor:
        await turn_of(successor)
        await settle(rpc, successor)
        before = await written(postgres)
        nonce = await rpc.call("eth_getTransactionCount", [PAYER.address, "pending"])
        os.kill(sleeper.pid, signal.SIGCONT)
        assert await line_of(sleeper) == "LeaseLostError"
        assert await written(postgres) == before
        assert await rpc.call("eth_getTransactionCount", [PAYER.address, "pending"]) == nonce
        await check_done_once(counter, successor)


async def test_a_holder_that_sleeps_in_the_middle_of_a_write_keeps_nobody_out(
    rpc: RpcClient, counter: Counter, run_rival: RunRival, successor: Outbox, postgres: str
) -> None:
    """The row of its lease is locked by then; the server ends the transaction for it."""
    sleeper = await run_rival("inside", "pause")
    assert await line_of(sleeper) == "paused"
    async with successor:
        await turn_of(successor)
        await settle(rpc, successor)
        before = await written(postgres)
        os.kill(sleeper.pid, signal.SIGCONT)
        # Its transaction is gone; its own look at the lease, beside it, may tell so first.
        assert await line_of(sleeper) in ("StoreUnavailableError", "LeaseLostError")
        assert await written(postgres) == before
        await check_done_once(counter, successor)
