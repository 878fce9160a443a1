"""The snapshot that all members share, read over RPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from workdeed.chain.clock import ChainClock
from workdeed.chain.history import History
from workdeed.chain.mirror import Mirror
from workdeed.chain.rpc import BlockId, Head, Rpc
from workdeed.oracle.errors import NotYetError
from workdeed.oracle.snapshots import NO_BLOCK, ChainReader
from workdeed.protocol.hashing import keccak

from .support import CLOCK, ESCROW, GENESIS, Sim


class FakeRpc(Rpc):
    """Serves the headers of a simulated chain, and counts how many were asked for."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.asked: list[BlockId] = []

    @property
    def origin(self) -> str:
        return "http://rpc.test"

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        raise NotImplementedError

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        raise NotImplementedError

    async def close(self) -> None:
        pass

    async def block(self, block: BlockId) -> Head | None:
        self.asked.append(block)
        number = cast("int", block)
        return self.sim.blocks[number] if number < len(self.sim.blocks) else None


class FakeMirror:
    """The history of a simulated chain, read up to some blocks below its head."""

    def __init__(self, sim: Sim, confirmations: int = 0) -> None:
        self.sim = sim
        self.confirmations = confirmations
        self.history = History(ESCROW, 0)
        self.read()

    def read(self) -> None:
        """Read what is settled by now."""
        last = self.sim.head.number - self.confirmations
        if last > self.history.block:
            events = self.sim.history.events(self.history.block + 1, last)
            self.history.extend(tuple(events), last)

    @property
    def books(self) -> Any:
        return self.history.tip


def reader_of(sim: Sim, confirmations: int = 0, first_block: int = 1) -> ChainReader:
    mirror = FakeMirror(sim, confirmations)
    clock = ChainClock(CLOCK, max_drift=3.0)
    clock.observe(sim.head)
    return ChainReader(FakeRpc(sim), cast("Mirror", mirror), clock, first_block=first_block)


def blocks_asked(reader: ChainReader) -> int:
    return len(cast("FakeRpc", reader._rpc).asked)


async def test_it_is_the_last_block_before_the_time() -> None:
    sim = Sim()
    sim.mine(GENESIS + 10)
    sim.mine(GENESIS + 13)
    reader = reader_of(sim)
    found = await reader.snapshot(CLOCK.end(1))
    assert found.block.timestamp == GENESIS + 10
    assert found.books == sim.history.at(found.block.number)


async def test_a_block_at_the_time_itself_is_not_before_it() -> None:
    sim = Sim()
    sim.advance(CLOCK.end(1))
    found = await reader_of(sim).snapshot(CLOCK.end(1))
    assert found.block.timestamp == CLOCK.end(1) - 1


async def test_it_is_not_known_before_a_later_block_is_settled() -> None:
    sim = Sim()
    sim.advance(CLOCK.end(1) - 1)
    with pytest.raises(NotYetError):
        await reader_of(sim).snapshot(CLOCK.end(1))
    sim.advance(CLOCK.end(1) + 1)
    with pytest.raises(NotYetError):
        await reader_of(sim, confirmations=2).snapshot(CLOCK.end(1))
    sim.advance(CLOCK.end(1) + 2)
    found = await reader_of(sim, confirmations=2).snapshot(CLOCK.end(1))
    assert found.block.timestamp == CLOCK.end(1) - 1


async def test_members_at_different_heads_find_the_same() -> None:
    sim = Sim()
    sim.advance(CLOCK.end(2))
    behind = reader_of(sim)
    sim.advance(CLOCK.end(5))
    ahead = reader_of(sim)
    for before in (CLOCK.end(1), CLOCK.end(2)):
        assert await behind.snapshot(before) == await ahead.snapshot(before)


async def test_it_is_looked_for_once() -> None:
    sim = Sim()
    sim.advance(CLOCK.end(4))
    reader = reader_of(sim)
    first = await reader.snapshot(CLOCK.end(3))
    asked = blocks_asked(reader)
    assert await reader.snapshot(CLOCK.end(3)) == first
    assert blocks_asked(reader) == asked


async def test_a_reorg_changes_it() -> None:
    sim = Sim()
    sim.advance(CLOCK.end(1) + 1)
    reader = reader_of(sim)
    old = await reader.snapshot(CLOCK.end(1))
    for block in sim.blocks[old.block.number :]:
        sim.blocks[block.number] = Head(block.number, keccak(b"fork"), block.timestamp)
    assert (await reader.snapshot(CLOCK.end(1))).block == old.block
    reader.rewound(old.block.number - 1)
    assert (await reader.snapshot(CLOCK.end(1))).block.hash == keccak(b"fork")


async def test_a_node_on_another_fork_than_the_events_is_not_believed() -> None:
    sim = Sim()
    sim.advance(CLOCK.end(1) - 2)
    logged = sim.open_job(1)
    sim.advance(CLOCK.end(1) + 1)
    reader = reader_of(sim)
    sim.blocks[logged.number] = Head(logged.number, keccak(b"fork"), logged.timestamp)
    with pytest.raises(NotYetError, match="reorg"):
        await reader.snapshot(CLOCK.end(1))


async def test_before_the_contracts_there_is_nothing() -> None:
    sim = Sim()
    sim.advance(CLOCK.end(1))
    reader = reader_of(sim)
    before_all = await reader.snapshot(GENESIS)
    assert before_all.block == sim.blocks[0]
    assert not before_all.books.jobs
    assert not before_all.books.members


async def test_before_the_first_block_there_is_no_block() -> None:
    """A local chain may be younger than the first window of its calendar."""
    sim = Sim()
    sim.advance(CLOCK.end(1))
    found = await reader_of(sim).snapshot(GENESIS - 1)
    assert found.block == NO_BLOCK
    assert not found.books.members


async def test_time_is_the_clocks() -> None:
    sim = Sim()
    reader = reader_of(sim)
    assert reader.head == sim.head
    assert reader.windows == CLOCK
    assert sim.head.timestamp <= reader.now() <= sim.head.timestamp + 3.0
