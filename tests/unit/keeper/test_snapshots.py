"""The block from which licenses are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from books_support import CALENDAR, ESCROW, WINDOW, Chain
from rpc_support import BlockRpc

from workdeed.chain.books import Books
from workdeed.chain.rpc import Head
from workdeed.keeper.snapshots import SnapshotError, Snapshots, Strikes
from workdeed.keeper.specs import SpecReader, SpecStore
from workdeed.placement import Profiles
from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak

DOMAIN = Domain(COMMITTEE_DOMAIN, 31_337, ESCROW)


async def no_strikes(_: Books) -> Strikes:
    return {}


@dataclass
class Around:
    chain: Chain
    rpc: BlockRpc
    specs: SpecStore

    def snapshots(self) -> Snapshots:
        return Snapshots(
            self.rpc,
            self.chain.history,
            CALENDAR,
            Profiles(DOMAIN),
            SpecReader(self.specs),
            no_strikes,
            2,
        )


@pytest.fixture
def around(chain: Chain, tmp_path: Path) -> Around:
    return Around(chain, BlockRpc(chain), SpecStore(tmp_path))


async def test_a_quiet_window_takes_the_last_block_before_it(around: Around) -> None:
    chain = around.chain
    chain.license(1)
    last = chain.block
    chain.to_window(3)
    around.chain.mine()
    view = await around.snapshots().current(3)
    assert view.block_hash == chain.hash_of(last)
    assert view.timestamp < CALENDAR.start(3)
    assert (view.window, view.k) == (3, 2)


async def test_a_change_in_the_window_moves_it_and_a_claim_does_not(around: Around) -> None:
    chain = around.chain
    chain.license(1)
    chain.open_job(1)
    chain.place(1, [1])
    chain.to_window(3, second=5)
    chain.open_job(2)
    changed = chain.block
    chain.timestamp += 10
    chain.claim(1, 1, 5)
    view = await around.snapshots().current(3)
    assert view.block_hash == chain.hash_of(changed)
    assert 2 in view.books.jobs
    assert view.books.assignments[1, 1].claimed_units == 0


async def test_a_report_in_the_window_brings_its_strikes(around: Around) -> None:
    around.chain.to_window(3)
    around.chain.report(2)
    accepted = around.chain.block
    around.chain.mine()
    view = await around.snapshots().current(3)
    assert view.block_hash == around.chain.hash_of(accepted)
    assert 2 in view.books.reports


async def test_a_named_block_must_stand_and_be_recent(around: Around) -> None:
    chain = around.chain
    chain.license(1)
    old = chain.block
    chain.to_window(4)
    chain.open_job(1)
    fresh = chain.block
    snapshots = around.snapshots()
    assert 1 in (await snapshots.named(chain.hash_of(fresh), 4)).books.jobs
    with pytest.raises(SnapshotError, match="older than the window before"):
        await snapshots.named(chain.hash_of(old), 4)
    with pytest.raises(SnapshotError, match="not read here yet"):
        await snapshots.named(keccak(b"unknown"), 4)
    around.rpc.others[keccak(b"orphan")] = Head(fresh, keccak(b"orphan"), chain.timestamp)
    with pytest.raises(SnapshotError, match="not on the chain"):
        await snapshots.named(keccak(b"orphan"), 4)
    around.rpc.others[keccak(b"new")] = Head(fresh + 1, keccak(b"new"), chain.timestamp)
    with pytest.raises(SnapshotError, match="not read here yet"):
        await snapshots.named(keccak(b"new"), 4)


async def test_a_spec_that_nobody_can_run_counts_as_missing(around: Around) -> None:
    data = canonical_bytes({"name": "not a spec"})
    around.specs.put(keccak(data), data)
    around.chain.license(1)
    around.chain.timestamp += WINDOW
    around.chain.mine()
    view = await around.snapshots().current(2)
    assert view.specs(keccak(data)) is None
    assert view.specs(keccak(b"absent")) is None
