"""The chain's clock: carried on by this machine's, never led by it."""

import asyncio

import pytest
from chain_support import FIRST_TIMESTAMP, FakeChain, FakeRpc
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.clock import ChainClock, ClockError, last_block_before
from workdeed.chain.rpc import Head, RpcUnavailable
from workdeed.protocol.windows import WindowClock

WINDOWS = WindowClock(genesis=1_000, window=12)


class Machine:
    """A monotonic clock that stands where a test puts it."""

    def __init__(self) -> None:
        self.seconds = 500.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> ChainClock:
    return ChainClock(WINDOWS, max_drift=5.0, monotonic=machine)


def head(number: int, timestamp: int, fork: int = 0) -> Head:
    return Head(number, bytes([fork]) + number.to_bytes(31, "big"), timestamp)


def test_time_is_unknown_before_the_first_block(clock: ChainClock) -> None:
    for ask in (clock.now, clock.window, lambda: clock.window_over(1), lambda: clock.head):
        with pytest.raises(ClockError, match="poll"):
            ask()


def test_time_goes_on_between_blocks_up_to_the_drift(clock: ChainClock, machine: Machine) -> None:
    clock.observe(head(1, 1_012))
    assert clock.now() == 1_012
    machine.seconds += 3
    assert clock.now() == 1_015
    machine.seconds += 100
    assert clock.now() == 1_017


def test_windows_end_by_the_head_alone(clock: ChainClock, machine: Machine) -> None:
    clock.observe(head(1, 1_011))
    machine.seconds += 4
    assert clock.now() > WINDOWS.end(1)
    assert not clock.window_over(1)
    assert clock.window() == 1
    clock.observe(head(2, 1_012))
    assert clock.window_over(1)
    assert not clock.window_over(2)
    assert clock.window() == 2


def test_seeing_a_head_again_does_not_set_time_back(clock: ChainClock, machine: Machine) -> None:
    clock.observe(head(1, 1_012))
    machine.seconds += 3
    clock.observe(head(1, 1_012))
    assert clock.now() == 1_015


def test_a_node_that_lags_does_not_set_time_back(clock: ChainClock) -> None:
    clock.observe(head(9, 1_100))
    clock.observe(head(8, 1_090))
    assert clock.head.number == 9


def test_a_head_of_another_fork_counts(clock: ChainClock) -> None:
    clock.observe(head(9, 1_100))
    clock.observe(head(9, 1_101, fork=1))
    assert clock.now() == 1_101


@given(blocks=st.integers(1, 40), offset=st.integers(-3, 90), first=st.integers(0, 45))
def test_the_last_block_before_a_time_is_found(blocks: int, offset: int, first: int) -> None:
    chain = FakeChain()
    for _ in range(blocks):
        chain.mine()
    first = min(first, blocks)
    timestamp = FIRST_TIMESTAMP + offset

    async def search() -> Head | None:
        rpc = FakeRpc(chain)
        return await last_block_before(rpc, timestamp, first=first, last=await rpc.head())

    found = asyncio.run(search())
    earlier = [block.number for block in chain.blocks[first:] if block.timestamp < timestamp]
    assert (None if found is None else found.number) == (earlier[-1] if earlier else None)


async def test_a_node_that_lacks_a_block_is_no_ground_for_a_snapshot() -> None:
    chain = FakeChain()
    for _ in range(20):
        chain.mine()
    rpc = FakeRpc(chain)
    last = await rpc.head()
    rpc.lag = 15
    with pytest.raises(RpcUnavailable, match="lacks block"):
        await last_block_before(rpc, FIRST_TIMESTAMP + 30, first=0, last=last)
