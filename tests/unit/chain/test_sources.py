"""Several RPCs that have to agree: one that lies or lags neither hides nor invents an event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from chain_support import SUITE, Block, FakeChain, FakeRpc
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings.desk import JobRevised
from workdeed.chain.follower import Follower, FollowerSettings
from workdeed.chain.logbook import Cursor
from workdeed.chain.rpc import Rpc, RpcError, RpcUnavailable
from workdeed.chain.sources import AgreeingRpcs
from workdeed.chain.store import Store

ADDRESSES = [contract.address for contract in SUITE.followed]
START = Cursor(-1, b"")


def revised(number: int) -> JobRevised:
    return JobRevised(job_id=1, revision=number, window=1, spec_hash=bytes(32))


TEN_YEARS = 10 * 365 * 86_400


class Node(FakeRpc):
    """A node with a name, which may lie about logs or times."""

    def __init__(self, chain: FakeChain, name: str, lie: str = "") -> None:
        super().__init__(chain)
        self._name = name
        self.lie = lie

    @property
    def origin(self) -> str:
        return f"http://{self._name}"

    def _eth_get_block_by_number(self, blocks: list[Block], tag: str, full: bool) -> Any:
        block = super()._eth_get_block_by_number(blocks, tag, full)
        if self.lie == "dates" and block is not None:
            return block | {"timestamp": hex(int(block["timestamp"], 16) + TEN_YEARS)}
        return block

    def _eth_get_logs(self, blocks: list[Block], span: Mapping[str, Any]) -> Any:
        logs = super()._eth_get_logs(blocks, span)
        if self.lie == "hides":
            return []
        if self.lie == "invents" and logs:
            return [log | {"data": "0x" + "00" * 96} for log in logs]
        if self.lie == "refuses":
            raise RpcError(-32000, "no")
        return logs


def fork_of(chain: FakeChain, above: int) -> FakeChain:
    """Return a chain that has other blocks from some number on."""
    other = FakeChain()
    other.blocks = chain.blocks[:above]
    other._forks = 1_000
    for block in chain.blocks[above:]:
        other.mine(*[revised(999) for _ in block.events])
    return other


class Odd:
    """Remembers who contradicted the others."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, rpc: Rpc, _: str) -> None:
        self.found.append(rpc.origin)


@pytest.fixture
def chain() -> FakeChain:
    made = FakeChain()
    for number in range(1, 13):
        made.mine(*([revised(number)] if number % 3 == 0 else []))
    return made


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store.open(str(tmp_path / "follower.sqlite"))
    yield made
    await made.close()


def follow(rpcs: Sequence[Rpc], store: Store, odd: Odd, agree: int = 2) -> Follower:
    settings = FollowerSettings(first_page=5, max_page=8)
    source = AgreeingRpcs(rpcs, agree, odd)
    return Follower(source, store, SUITE, chain_id=1, start_block=0, settings=settings)


async def read_all(follower: Follower) -> list[Any]:
    while not (await follower.poll()).caught_up:
        pass
    return list((await follower.book.events())[1])


@pytest.mark.parametrize("lie", ["hides", "invents"])
async def test_one_that_lies_is_outvoted_and_told(chain: FakeChain, store: Store, lie: str) -> None:
    odd = Odd()
    rpcs = [Node(chain, "liar", lie), Node(chain, "one"), Node(chain, "two")]

    assert await read_all(follow(rpcs, store, odd)) == chain.events()
    assert set(odd.found) == {"http://liar"}


async def test_one_on_another_fork_is_outvoted(chain: FakeChain, store: Store) -> None:
    odd = Odd()
    rpcs = [Node(fork_of(chain, 5), "fork"), Node(chain, "one"), Node(chain, "two")]

    assert await read_all(follow(rpcs, store, odd)) == chain.events()
    assert set(odd.found) == {"http://fork"}


async def test_two_that_contradict_each_other_stop_the_reading(
    chain: FakeChain, store: Store
) -> None:
    follower = follow([Node(chain, "liar", "hides"), Node(chain, "one")], store, Odd())

    with pytest.raises(RpcUnavailable, match="RPCs disagree about the logs up to block 4, 1 to 1"):
        await follower.poll()
    assert (await follower.book.events())[1] == ()


async def test_a_tie_of_pairs_stops_the_reading(chain: FakeChain, store: Store) -> None:
    rpcs = [Node(chain, f"node {index}", "hides" if index % 2 else "") for index in range(4)]

    with pytest.raises(RpcUnavailable, match="2 to 2"):
        await follow(rpcs, store, Odd()).poll()


async def test_one_that_is_down_or_lags_holds_nothing_up(chain: FakeChain, store: Store) -> None:
    down, behind = Node(chain, "down"), Node(chain, "behind")
    down.down, behind.lag = True, 6
    odd = Odd()
    follower = follow([down, Node(chain, "one"), Node(chain, "two"), behind], store, odd)

    assert await read_all(follower) == chain.events()
    assert odd.found == []


async def test_a_block_that_one_alone_has_is_not_the_head_yet(chain: FakeChain) -> None:
    ahead, one, two = Node(chain, "ahead"), Node(chain, "one"), Node(chain, "two")
    one.lag, two.lag = 2, 3

    head = await AgreeingRpcs([ahead, one, two], 2, Odd()).head()
    assert head.number == chain.head.number - 2


@pytest.mark.parametrize("place", range(3))
async def test_a_liar_that_ties_the_number_does_not_make_the_head(
    chain: FakeChain, place: int
) -> None:
    rpcs = [Node(chain, "one"), Node(chain, "two")]
    rpcs.insert(place, Node(chain, "liar", "dates"))
    odd = Odd()

    head = await AgreeingRpcs(rpcs, 2, odd).head()
    assert (head.number, head.timestamp) == (chain.head.number, chain.head.timestamp)
    assert odd.found == ["http://liar"]
    assert [sum(one.calls.values()) for one in rpcs] == [1, 1, 1]


async def test_a_liar_beside_one_that_is_a_block_behind_does_not_make_the_head(
    chain: FakeChain,
) -> None:
    """The liar ties the newest block; the two honest ones agree about the one below."""
    liar, one, behind = Node(chain, "liar", "dates"), Node(chain, "one"), Node(chain, "behind")
    behind.lag = 1
    odd = Odd()

    head = await AgreeingRpcs([liar, one, behind], 2, odd).head()
    assert (head.number, head.timestamp) == (12 - 1, chain.blocks[11].timestamp)
    assert odd.found == ["http://liar"]


async def test_with_one_down_the_head_is_what_both_others_have(chain: FakeChain) -> None:
    down, ahead, behind = Node(chain, "down"), Node(chain, "ahead"), Node(chain, "behind")
    down.down, behind.lag = True, 3
    odd = Odd()

    head = await AgreeingRpcs([down, ahead, behind], 2, odd).head()
    assert head.hash == chain.blocks[12 - 3].hash
    assert odd.found == []


async def test_with_one_down_and_two_ends_of_the_chain_the_head_is_below_them(
    chain: FakeChain,
) -> None:
    down, one, other = Node(chain, "down"), Node(chain, "one"), Node(fork_of(chain, 11), "other")
    down.down = True

    head = await AgreeingRpcs([down, one, other], 2, Odd()).head()
    assert head.hash == chain.blocks[10].hash


async def test_without_a_common_block_there_is_no_head(chain: FakeChain) -> None:
    rpcs = [Node(chain, "liar", "dates"), Node(chain, "one")]

    with pytest.raises(RpcUnavailable, match="RPCs disagree about block 12, 1 to 1"):
        await AgreeingRpcs(rpcs, 2, Odd()).head()


async def test_too_few_answers_are_named(chain: FakeChain) -> None:
    rpcs = [Node(chain, "one"), Node(chain, "two"), Node(chain, "three")]
    rpcs[0].down = rpcs[2].down = True
    source = AgreeingRpcs(rpcs, 2, Odd())

    with pytest.raises(RpcUnavailable, match=r"1 of 3 RPCs answer, 2 have to agree .*http://three"):
        await source.head()


async def test_a_page_that_is_too_large_for_all_shrinks(chain: FakeChain, store: Store) -> None:
    rpcs = [Node(chain, "one"), Node(chain, "two")]
    for one in rpcs:
        one.max_span = 2
    assert await read_all(follow(rpcs, store, Odd())) == chain.events()
    assert max(span for one in rpcs for span in one.spans) == 5
    assert rpcs[0].spans[-1] <= 2


async def test_refusals_are_told_as_such(chain: FakeChain) -> None:
    rpcs = [Node(chain, "one", "refuses"), Node(chain, "two", "refuses"), Node(chain, "three")]
    with pytest.raises(RpcError, match="no"):
        await AgreeingRpcs(rpcs, 2, Odd()).page(ADDRESSES, START, 3)


@given(data=st.data())
async def test_one_of_three_changes_nothing_whatever_it_says(data: st.DataObject) -> None:
    """Invariant 30, with a node that lies, lags, forks or fails between any two polls."""
    chain = FakeChain()
    for number in range(1, data.draw(st.integers(2, 12), label="blocks")):
        chain.mine(*([revised(number)] if number % 2 else []))
    liar, one, two = (Node(chain, name) for name in ("liar", "one", "two"))
    rpcs = data.draw(st.permutations([liar, one, two]), label="order")
    store = Store.open("sqlite://")
    follower = follow(rpcs, store, Odd())
    for _ in range(data.draw(st.integers(1, 6), label="polls")):
        lies = ["", "hides", "invents", "refuses", "dates"]
        liar.lie = data.draw(st.sampled_from(lies), label="lie")
        liar.down = data.draw(st.booleans(), label="down")
        liar.lag = data.draw(st.integers(0, 1), label="lag")
        above = data.draw(st.integers(1, len(chain.blocks)), label="fork above")
        liar.chain = fork_of(chain, above) if data.draw(st.booleans(), label="forks") else chain
        update = await follower.poll()
        assert update.head.timestamp == chain.blocks[update.head.number].timestamp
        stored = list((await follower.book.events())[1])
        assert stored == chain.events()[: len(stored)]
        if data.draw(st.booleans(), label="reorg"):
            depth = data.draw(st.integers(1, len(chain.blocks) - 1), label="depth")
            chain.reorg(depth, *[[revised(50 + at)] for at in range(depth + 1)])
            await follower.poll()
    assert await read_all(follower) == chain.events()
    await store.close()
