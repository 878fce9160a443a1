"""The real contracts on a chain of one's own, and a contract that counts what it is told to do."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

# Found in every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

from contract_support import Counter, Network

from workdeed.chain.rpc import RpcClient


@pytest.fixture
async def rpc(anvil: str) -> AsyncIterator[RpcClient]:
    async with RpcClient(anvil, timeout=30) as client:
        yield client


@pytest.fixture
async def network(rpc: RpcClient) -> Network:
    """Every contract, deployed, with a committee of four."""
    return await Network.deploy(rpc)


@pytest.fixture
async def counter(rpc: RpcClient) -> Counter:
    """A contract that counts, deployed."""
    return await Counter.deploy(rpc)
