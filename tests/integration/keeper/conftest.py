"""Fixtures of the tests on a real local chain."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

# Found in every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

from keeper_support import ANVIL, BOND, TIERS, Anvil, FakeKeeper, LocalChain, Quorum, deploy

from workdeed.chain.rpc import RpcClient


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    """A chain that makes a block every half second, ended with the test."""
    yield from _started(0.5)


@pytest.fixture
def instant_anvil() -> Iterator[Anvil]:
    """A chain that makes a block of every transaction."""
    yield from _started(None)


def _started(block_time: float | None) -> Iterator[Anvil]:
    if not ANVIL.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("anvil is missing; run `make setup`")
        pytest.skip("anvil is missing; run `make setup`")
    process = Anvil(block_time)
    reader = threading.Thread(target=process.drain, daemon=True)
    reader.start()
    yield process
    process.stop()
    reader.join(10)


@pytest.fixture
async def chain(anvil: Anvil, tmp_path: Path) -> LocalChain:
    """The contracts on that chain, with a committee of one."""
    return await deploy(anvil.url, tmp_path)


@pytest.fixture
async def instant_chain(instant_anvil: Anvil, tmp_path: Path) -> LocalChain:
    """The same on a chain without a pace of its own."""
    return await deploy(instant_anvil.url, tmp_path)


@pytest.fixture
async def calm_chain(instant_anvil: Anvil, tmp_path: Path) -> LocalChain:
    """The same with windows that end only when a test says so, bonds and a sale of licenses."""
    return await deploy(instant_anvil.url, tmp_path, window=10_000, min_node_bond=BOND, tiers=TIERS)


@pytest.fixture
async def quorum(calm_chain: LocalChain) -> AsyncIterator[Quorum]:
    """The committee of the calm chain."""
    async with RpcClient(calm_chain.url) as rpc:
        yield Quorum(calm_chain, rpc)


@pytest.fixture
async def keeper() -> AsyncIterator[FakeKeeper]:
    """A keeper that only keeps."""
    fake = FakeKeeper()
    await fake.server.start_server()
    yield fake
    await fake.server.close()
