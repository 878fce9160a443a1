"""The benchmarks that need a chain, small: do they measure what they say?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from scripts._bench import dispatch, follower
from scripts._bench.chain import LOGS_A_BLOCK, Chain, running
from scripts._bench.process import ROOT

pytestmark = pytest.mark.anvil

BLOCKS = 3


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    path = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ.get("PATH", "")])
    if shutil.which("anvil", path=path) is None and os.environ.get("CI") != "true":
        pytest.skip("anvil is missing: run npm ci")
    with running(tmp_path_factory.mktemp("deployment")) as one:
        yield one


def test_every_reader_finds_every_log(chain: Chain) -> None:
    before = follower.backfill(chain, repeat=1)["logs"]
    assert chain.fill(BLOCKS * LOGS_A_BLOCK) == BLOCKS
    found = follower.backfill(chain, repeat=1)
    assert found["logs"] == before + BLOCKS * LOGS_A_BLOCK
    assert set(found["peers"]) == set(found["ratios"]) == {"web3", "web3_decoded"}


def test_every_event_is_seen_live(chain: Chain) -> None:
    with follower.watching(chain, poll_seconds=0.1) as lines:
        found = follower.live(chain, lines, events=3)
    assert len(found) == 3
    assert min(found) > 0


def test_every_node_of_a_placement_gets_a_dispatch(chain: Chain) -> None:
    found = dispatch.run(chain, placements=2, poll_seconds=0.1)
    assert found["dispatches"] == 2 * dispatch.NODES
    assert found["poll_ms"] == 100


def test_the_chain_mined_nothing_more_after_a_benchmark_failed(chain: Chain) -> None:
    with pytest.raises(RuntimeError, match="a bot fell over"), chain.mining_by_hand():
        raise RuntimeError("a bot fell over")
    before = chain.bench.web3.eth.block_number
    chain.open_jobs(bytes(31) + b"\1", 1, 1)
    assert chain.bench.web3.eth.block_number == before + 1
