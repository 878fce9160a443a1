"""Which nodes answer."""

from __future__ import annotations

import asyncio

import pytest
from books_support import Chain
from http_support import FakeEndpoints

from workdeed.keeper.logs import OnceLog
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.reach import AT_ONCE, NODE_SECONDS, Reach, TooManyAskedError, Waits
from workdeed.sdk.errors import EndpointError

TURN = 10.0


class Network:
    """Nodes at the addresses of their licenses; nobody answers unless told."""

    def __init__(self, chain: Chain, once: OnceLog, nodes: int) -> None:
        self.chain = chain
        self.now = 100.0
        self.endpoints = FakeEndpoints()
        self.faults: list[str] = []
        self.reach = Reach(
            AddressBook({}),
            self.endpoints,
            lambda: self.now,
            TURN,
            once,
            lambda where, _: self.faults.append(where),
        )
        for license_id in range(1, nodes + 1):
            chain.license(license_id, f"http://node{license_id}")

    def up(self, license_id: int) -> None:
        self.endpoints.on("GET", f"http://node{license_id}/healthz", b"{}")

    async def silent(self, *licenses: int) -> set[int]:
        return await self.reach.silent(self.chain.books, licenses)


async def test_a_node_that_does_not_answer_is_silent(chain: Chain, once: OnceLog) -> None:
    network = Network(chain, once, 2)
    chain.license(3, "")
    network.up(1)
    assert await network.silent(1, 2, 3, 99) == {2, 3, 99}


async def test_a_silent_node_is_not_waited_for_twice_in_a_turn(chain: Chain, once: OnceLog) -> None:
    network = Network(chain, once, 2)
    network.up(1)
    assert await network.silent(1, 2) == {2}
    network.up(2)
    network.now += TURN - 1
    assert await network.silent(1, 2) == {2}
    assert network.endpoints.asked.count(("GET", "http://node2/healthz")) == 1
    assert network.endpoints.asked.count(("GET", "http://node1/healthz")) == 2
    network.now += 1
    assert await network.silent(1, 2) == set()


async def test_nodes_are_asked_all_at_once(chain: Chain, once: OnceLog) -> None:
    network = Network(chain, once, AT_ONCE)
    waiting = 0
    all_asked = asyncio.Event()

    async def slow(_: bytes) -> bytes:
        nonlocal waiting
        waiting += 1
        if waiting == AT_ONCE:
            all_asked.set()
        await all_asked.wait()
        return b"{}"

    for license_id in range(1, AT_ONCE + 1):
        network.endpoints.on("GET", f"http://node{license_id}/healthz", slow)
    async with asyncio.timeout(5):
        assert await network.silent(*range(1, AT_ONCE + 1)) == set()


async def test_whoever_could_not_be_asked_is_not_called_silent(chain: Chain, once: OnceLog) -> None:
    """Else a leader could name many silent nodes of its own, to have others passed over."""
    count = 2 * AT_ONCE + 1
    network = Network(chain, once, count)
    for expected in (AT_ONCE, 2 * AT_ONCE):
        with pytest.raises(TooManyAskedError, match="ask again"):
            await network.silent(*range(1, count + 1))
        assert len(network.endpoints.asked) == expected
    assert await network.silent(*range(1, count + 1)) == set(range(1, count + 1))


async def test_what_is_asked_at_the_same_time_counts_together(chain: Chain, once: OnceLog) -> None:
    network = Network(chain, once, AT_ONCE + 1)
    release = asyncio.Event()

    async def slow(_: bytes) -> bytes:
        await release.wait()
        raise EndpointError("no answer")

    for license_id in range(1, AT_ONCE + 2):
        network.endpoints.on("GET", f"http://node{license_id}/healthz", slow)
    first = asyncio.create_task(network.silent(*range(1, AT_ONCE + 1)))
    await asyncio.sleep(0)
    with pytest.raises(TooManyAskedError):
        await network.silent(AT_ONCE + 1)
    release.set()
    assert len(await first) == AT_ONCE
    assert await network.silent(AT_ONCE + 1) == {AT_ONCE + 1}


async def test_a_fault_is_told_of(chain: Chain, once: OnceLog) -> None:
    network = Network(chain, once, 1)

    def broken(_: bytes) -> bytes:
        raise RuntimeError("no such thing")

    network.endpoints.on("GET", "http://node1/healthz", broken)
    assert await network.silent(1) == {1}
    assert network.faults == ["health of license 1"]


@pytest.mark.parametrize("turn", [0.5, 1.5, 12.0, 120.0])
def test_a_member_is_waited_for_longer_than_it_waits_for_nodes(turn: float) -> None:
    """With one timeout for both, leaders gave up just before the followers were done."""
    waits = Waits.of(turn)
    assert waits.node <= NODE_SECONDS
    assert waits.member >= 3 * waits.node
    assert waits.member < turn
