"""The transactor on a real node."""

import asyncio

import pytest
from contract_support import PAYER, SPEC, Counter, Network, pool_holds, signer, until

from workdeed.chain.bindings.codec import CodecError
from workdeed.chain.bindings.escrow import JobOpened
from workdeed.chain.bindings.token import Transfer
from workdeed.chain.fees import FeeSettings
from workdeed.chain.rpc import RpcClient
from workdeed.chain.transactor import (
    FeeCapError,
    TransactionFailedError,
    TransactionTimeoutError,
    Transactor,
    TransactorSettings,
)

pytestmark = pytest.mark.anvil


async def test_a_job_is_opened_and_its_events_are_read(network: Network) -> None:
    await network.add_payer(10**12)
    transactor = Transactor(network.rpc, PAYER)
    call = network.escrow.open_job(SPEC, 1, 0, 2, 1, 3, 10**9)
    assert await transactor.simulate(call) == 1
    receipt = await transactor.send_and_wait(call)
    events = receipt.events(network.suite)
    (opened,) = (event for event in events if isinstance(event, JobOpened))
    (moved,) = (event for event in events if isinstance(event, Transfer))
    assert (opened.payer, opened.spec_hash, opened.slots) == (PAYER.address, SPEC, 2)
    assert moved.value == opened.deposit


async def test_a_refusal_names_call_and_reason_and_sends_nothing(network: Network) -> None:
    transactor = Transactor(network.rpc, PAYER)
    call = network.escrow.open_job(SPEC, 1, 0, 2, 1, 3, 10**9)
    for act in (transactor.simulate, transactor.send_and_wait):
        with pytest.raises(TransactionFailedError) as caught:
            await act(call)
        assert caught.value.name == "JobEscrow.open_job"
        assert caught.value.reason == "escrow: payer not verified"
        assert caught.value.tx_hash is None
    count = await network.rpc.call("eth_getTransactionCount", [PAYER.address, "latest"])
    assert count == "0x0"


async def test_a_simulation_without_a_contract_says_so(network: Network) -> None:
    nowhere = type(network.escrow)("0x" + "77" * 20)
    with pytest.raises(CodecError, match="nothing answers"):
        await Transactor(network.rpc, PAYER).simulate(nowhere.claim(1, 1, 1, []))


async def test_transactions_at_once_take_a_nonce_each(rpc: RpcClient, counter: Counter) -> None:
    transactor = Transactor(rpc, PAYER)
    receipts = await asyncio.gather(
        *(transactor.send_and_wait(counter.act(name)) for name in range(1, 6))
    )
    assert len({receipt.tx_hash for receipt in receipts}) == 5
    assert [await counter.count(name) for name in range(1, 6)] == [1] * 5


async def test_a_transaction_refused_in_its_block_names_the_reason(
    rpc: RpcClient, counter: Counter
) -> None:
    """What came before it in its block made the contract refuse it."""
    await rpc.call("evm_setAutomine", [False])
    greedy = TransactorSettings(fees=FeeSettings(priority_fee=5 * 10**9), poll_seconds=0.02)
    patient = TransactorSettings(poll_seconds=0.02)
    closing = Transactor(rpc, signer(9), settings=greedy).send_and_wait(counter.set_closed(True))
    acting = Transactor(rpc, PAYER, settings=patient).send_and_wait(counter.act(1))
    tasks = [asyncio.create_task(acting), asyncio.create_task(closing)]
    await until(lambda: pool_holds(rpc, 2))
    await rpc.call("evm_mine", [])
    with pytest.raises(TransactionFailedError, match="what came before it") as caught:
        await tasks[0]
    assert caught.value.tx_hash is not None
    await tasks[1]


async def test_a_transaction_that_is_not_mined_in_time_names_its_hash(
    rpc: RpcClient, counter: Counter
) -> None:
    await rpc.call("evm_setAutomine", [False])
    settings = TransactorSettings(wait_seconds=0.1, poll_seconds=0.02)
    with pytest.raises(TransactionTimeoutError) as caught:
        await Transactor(rpc, PAYER, settings=settings).send_and_wait(counter.act(1))
    await rpc.call("evm_mine", [])
    receipt = await rpc.call("eth_getTransactionReceipt", ["0x" + caught.value.tx_hash.hex()])
    assert receipt["status"] == "0x1"


async def test_confirmations_are_waited_for(rpc: RpcClient, counter: Counter) -> None:
    settings = TransactorSettings(confirmations=2, poll_seconds=0.02)
    sending = asyncio.create_task(
        Transactor(rpc, PAYER, settings=settings).send_and_wait(counter.act(1))
    )
    await until(lambda: counter.count(1))
    await rpc.call("evm_mine", [])
    assert not sending.done()
    await rpc.call("evm_mine", [])
    receipt = await sending
    assert (await rpc.head()).number - receipt.block == 2


async def test_nothing_is_sent_above_the_fee_cap(rpc: RpcClient, counter: Counter) -> None:
    settings = TransactorSettings(fees=FeeSettings(max_fee=1, priority_fee=1))
    with pytest.raises(FeeCapError, match="above the cap"):
        await Transactor(rpc, PAYER, settings=settings).send_and_wait(counter.act(1))
    assert await counter.count(1) == 0
