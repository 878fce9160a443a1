"""Sending one transaction over a node that leaves calls unanswered: never a second one."""

from collections import Counter
from collections.abc import Callable

import pytest
from chain_support import FakeChain, FakeNode, StubSigner, address

from workdeed.chain.bindings.codec import Call
from workdeed.chain.errors import ChainError
from workdeed.chain.rpc import RpcError, RpcUnavailable
from workdeed.chain.transactor import (
    TransactionFailedError,
    TransactionTimeoutError,
    Transactor,
    TransactorSettings,
)

OPEN = Call(to=address(1), data=b"open", name="JobEscrow.open_job", decode=lambda _: None)
SEND, RECEIPT = "eth_sendRawTransaction", "eth_getTransactionReceipt"
UNANSWERED = RpcUnavailable("http://node", "no answer in time")


@pytest.fixture
def node() -> FakeNode:
    made = FakeNode(FakeChain())
    made.produce(2)
    return made


def transactor(node: FakeNode, wait_seconds: float = 5) -> Transactor:
    settings = TransactorSettings(poll_seconds=0.01, wait_seconds=wait_seconds)
    return Transactor(node, StubSigner(), chain_id=1, settings=settings)


def fails(method: str, error: ChainError, *turns: int) -> Callable[[str], None]:
    """Return what lets these calls of a method fail, the first being 1."""
    calls = Counter[str]()

    def before(called: str) -> None:
        calls[called] += 1
        if called == method and calls[called] in turns:
            raise error

    return before


def mines(node: FakeNode, then: Callable[[str], None]) -> Callable[[str], None]:
    """Return what makes a block before each look for a receipt, and then does something else."""

    def before(method: str) -> None:
        if method == RECEIPT:
            node.produce()
        then(method)

    return before


@pytest.mark.parametrize("error", [UNANSWERED, RpcError(-32005, "rate limited")])
async def test_bug_a_dropped_poll_is_no_reason_to_send_again(
    node: FakeNode, error: ChainError
) -> None:
    """It used to end the waiting, with nothing that told that a transaction was sent."""
    node.before_call = mines(node, fails(RECEIPT, error, 1, 2))
    receipt = await transactor(node).send_and_wait(OPEN)
    assert receipt.succeeded
    assert node.executed() == {"open": 1}
    assert node.calls[SEND] == 1


async def test_bug_a_broadcast_without_an_answer_is_looked_for(node: FakeNode) -> None:
    """The node took it; only its answer was lost."""
    node.silent = True
    node.before_call = mines(node, lambda _: None)
    receipt = await transactor(node).send_and_wait(OPEN)
    assert receipt.succeeded
    assert node.executed() == {"open": 1}


async def test_a_broadcast_that_never_arrived_is_made_again(node: FakeNode) -> None:
    node.before_call = mines(node, fails(SEND, UNANSWERED, 1, 2))
    receipt = await transactor(node).send_and_wait(OPEN)
    assert receipt.succeeded
    assert node.executed() == {"open": 1}


async def test_a_node_that_falls_silent_after_a_broadcast_leaves_the_hash(node: FakeNode) -> None:
    def before(method: str) -> None:
        if method == RECEIPT:
            raise UNANSWERED

    node.before_call = before
    with pytest.raises(TransactionTimeoutError, match="look it up before") as caught:
        await transactor(node, wait_seconds=0.05).send_and_wait(OPEN)
    assert [held.hash for held in node.pool.values()] == [caught.value.tx_hash]


async def test_a_refused_broadcast_is_an_error_at_once(node: FakeNode) -> None:
    node.refuse = "insufficient funds"
    with pytest.raises(RpcError, match="insufficient funds"):
        await transactor(node).send_and_wait(OPEN)
    assert node.pool == {}


async def test_a_revert_that_nobody_explains_is_a_revert(node: FakeNode) -> None:
    def before(method: str) -> None:
        if method == RECEIPT and node.pool:
            node.rule = lambda *_: "escrow: paused"
            node.produce()
        elif method == "eth_call" and len(node.chain.blocks) > 3:
            raise UNANSWERED

    node.before_call = before
    with pytest.raises(TransactionFailedError, match="does not tell why") as caught:
        await transactor(node).send_and_wait(OPEN)
    mined = [item.hash for block in node.chain.blocks for item in block.transactions]
    assert mined == [caught.value.tx_hash]
