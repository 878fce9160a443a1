"""Transactions: what goes to the node, and what its answers are taken for."""

from typing import Any

import pytest
from chain_support import SUITE, FakeChain, FakeNode, address, encode_event

from workdeed.chain.bindings.desk import JobRevised
from workdeed.chain.bindings.suite import UnknownEventError
from workdeed.chain.bindings.vault import Pulled
from workdeed.chain.fees import Fees
from workdeed.chain.rpc import RevertError, RpcError, RpcUnavailable
from workdeed.chain.transactions import (
    OUT_OF_GAS,
    Intent,
    Receipt,
    ReceiptLog,
    broadcast,
    parse_receipt,
    prepare,
    reason_of,
)

INTENT = Intent(sender=address(1), to=address(2), data=b"pay", value=7)
REVISED = JobRevised(job_id=1, revision=2, window=3, spec_hash=bytes(32))
ANSWER: dict[str, Any] = {
    "transactionHash": "0x" + "11" * 32,
    "status": "0x0",
    "blockNumber": "0x3",
    "blockHash": "0x" + "22" * 32,
    "gasUsed": "0x64",
    "effectiveGasPrice": "0x5",
    "logs": [{"address": address(9).lower(), "topics": ["0x" + "33" * 32], "data": "0x44"}],
}


@pytest.fixture
def node() -> FakeNode:
    made = FakeNode(FakeChain())
    made.produce(5)
    return made


def receipt(*logs: ReceiptLog) -> Receipt:
    return Receipt(bytes(32), False, 3, bytes(32), 100, 5, logs)


def test_a_transaction_names_everything_that_is_signed() -> None:
    made = INTENT.transaction(chain_id=5, nonce=6, gas=7, fees=Fees(max_fee=8, priority_fee=9))
    assert made == {
        "type": 2,
        "chainId": 5,
        "nonce": 6,
        "to": address(2),
        "data": "0x" + b"pay".hex(),
        "value": 7,
        "gas": 7,
        "maxFeePerGas": 8,
        "maxPriorityFeePerGas": 9,
    }


def test_bug_a_receipt_tells_of_the_vaults_events_too() -> None:
    """The vault is not followed, but who sends to it wants to know what it did."""
    pulled = Pulled(1, SUITE.token.address, 5)
    topics, data = encode_event(SUITE.vault, pulled)
    log = ReceiptLog(SUITE.vault.address, tuple(topics), data)
    assert receipt(log).events(SUITE) == (pulled,)


async def test_preparing_simulates_and_finds_gas_and_nonce(node: FakeNode) -> None:
    node.send_elsewhere("something")
    found = await prepare(node, INTENT)
    assert (found.result, found.gas, found.nonce, found.used) == (b"", 50_000, 1, 0)
    node.rule = lambda *_: "escrow: job over"
    with pytest.raises(RevertError, match="job over"):
        await prepare(node, INTENT)


@pytest.mark.parametrize(
    "words", ["already known", "AlreadyKnown: already known", "transaction already imported"]
)
async def test_a_transaction_that_the_node_has_is_sent(node: FakeNode, words: str) -> None:
    node.refuse = words
    await broadcast(node, b"raw")


async def test_any_other_refusal_is_an_error(node: FakeNode) -> None:
    node.refuse = "nonce too low"
    with pytest.raises(RpcError, match="nonce too low"):
        await broadcast(node, b"raw")


def test_a_receipt_is_read(node: FakeNode) -> None:
    found = parse_receipt(node, ANSWER)
    log = ReceiptLog(address(9), (b"\x33" * 32,), b"\x44")
    assert found == Receipt(b"\x11" * 32, False, 3, b"\x22" * 32, 100, 5, (log,))
    assert parse_receipt(node, None) is None


@pytest.mark.parametrize(
    "answer",
    [
        [],
        ANSWER | {"logs": None},
        ANSWER | {"logs": ["x"]},
        ANSWER | {"status": None},
        ANSWER | {"blockHash": "0x12"},
    ],
)
def test_a_malformed_receipt_makes_the_node_unavailable(node: FakeNode, answer: object) -> None:
    with pytest.raises(RpcUnavailable, match="malformed"):
        parse_receipt(node, answer)


def test_events_of_other_contracts_in_a_receipt_are_passed_over() -> None:
    topics, data = encode_event(SUITE.desk, REVISED)
    ours = ReceiptLog(SUITE.desk.address, tuple(topics), data)
    theirs = ReceiptLog(address(0xFFFF), (bytes(32),), b"")
    assert receipt(theirs, ours).events(SUITE) == (REVISED,)
    unknown = ReceiptLog(SUITE.desk.address, (bytes(32),), b"")
    with pytest.raises(UnknownEventError):
        receipt(unknown).events(SUITE)


async def test_the_reason_of_a_failure_is_found_by_replaying(node: FakeNode) -> None:
    assert await reason_of(node, INTENT, receipt(), gas=100) == OUT_OF_GAS
    assert await reason_of(node, INTENT, receipt(), gas=101) is None
    node.rule = lambda *_: "escrow: job over"
    assert await reason_of(node, INTENT, receipt(), gas=101) == "escrow: job over"


async def test_a_state_that_the_node_forgot_leaves_the_reason_open(node: FakeNode) -> None:
    def forget(method: str) -> None:
        raise RpcError(-32000, "missing trie node")

    node.before_call = forget
    assert await reason_of(node, INTENT, receipt(), gas=101) is None
