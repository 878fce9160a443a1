"""Looking up a few events: only what was asked for, whatever range the node grants."""

import pytest
from chain_support import SUITE, FakeChain, FakeRpc
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings.desk import JobDesk, JobRevised, JobScaled
from workdeed.chain.bindings.escrow import JobEscrow, Placed
from workdeed.chain.logs import find_events, topic_of
from workdeed.chain.rpc import RpcError, RpcUnavailable

TOPICS = (topic_of(JobEscrow, Placed), topic_of(JobDesk, JobScaled))


def placed(job_id: int, license_id: int) -> Placed:
    return Placed(job_id, 0, 1, 0, 9, (), (license_id,))


def scaled(job_id: int, slots: int) -> JobScaled:
    return JobScaled(job_id, 2, slots, 1, 0, 1, ())


def chain_of(count: int) -> FakeChain:
    """Return a chain with events of job 1 in every block, and of others beside them."""
    chain = FakeChain()
    for number in range(count):
        chain.mine(
            placed(2, number), scaled(1, number), JobRevised(1, 1, 1, bytes(32)), placed(1, number)
        )
    return chain


@given(blocks=st.integers(0, 20), span=st.integers(1, 25), cut=st.integers(0, 5))
async def test_what_is_asked_for_is_found_in_order(blocks: int, span: int, cut: int) -> None:
    rpc = FakeRpc(chain_of(blocks))
    rpc.max_span = span
    found = await find_events(
        rpc,
        SUITE,
        (SUITE.escrow, SUITE.desk),
        (TOPICS, ((1).to_bytes(32, "big"),)),
        first=1 + cut,
        last=blocks,
    )
    expected = [
        event for number in range(cut, blocks) for event in (scaled(1, number), placed(1, number))
    ]
    assert found == expected


async def test_any_topic_is_taken_where_none_is_named() -> None:
    rpc = FakeRpc(chain_of(1))
    found = await find_events(rpc, SUITE, (SUITE.desk,), ((), ()), first=0, last=1)
    assert found == [scaled(1, 0), JobRevised(1, 1, 1, bytes(32))]


async def test_a_node_that_refuses_a_single_block_is_an_error() -> None:
    rpc = FakeRpc(chain_of(3))
    rpc.max_span = 0
    with pytest.raises(RpcError, match="more than 10000"):
        await find_events(rpc, SUITE, (SUITE.desk,), (), first=1, last=3)


@pytest.mark.parametrize("answer", [None, "x", [1], [{"topics": "x"}], [{"topics": []}]])
async def test_malformed_logs_make_the_node_unavailable(answer: object) -> None:
    class Node(FakeRpc):
        def _eth_get_logs(self, _: object, __: object) -> object:
            return answer

    with pytest.raises(RpcUnavailable, match="malformed"):
        await find_events(Node(FakeChain()), SUITE, (SUITE.desk,), (), first=0, last=0)
