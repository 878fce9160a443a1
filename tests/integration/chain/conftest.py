"""The real contracts on a chain of one's own, and a contract that counts what it is told to do."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

# Found in every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

from contract_support import Contracts, Counter, Network

from workdeed.chain.rpc import RpcClient


@pytest.fixture(scope="session")
def contracts(pytestconfig: pytest.Config) -> Contracts:
    """The compiled contracts, kept between runs as long as their sources do not change."""
    assert pytestconfig.cache is not None
    return Contracts(pytestconfig.cache.mkdir("workdeed-contracts"))


@pytest.fixture
async def rpc(anvil: str) -> AsyncIterator[RpcClient]:
    async with RpcClient(anvil, timeout=30) as client:
        yield client


@pytest.fixture
async def network(rpc: RpcClient, contracts: Contracts) -> Network:
    """Every contract, deployed, with a committee of four."""
    return await Network.deploy(rpc, contracts)


@pytest.fixture
async def counter(rpc: RpcClient, contracts: Contracts) -> Counter:
    """A contract that counts, deployed."""
    return await Counter.deploy(rpc, contracts)
