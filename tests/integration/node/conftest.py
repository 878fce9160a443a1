"""Fixtures of the node's integration tests."""

import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

# Found in every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

from node_support import HELLO, Chain, FakeRpc, Repository, has_sandbox, marked, no_sandbox

from workdeed.node.drivers.process import ProcessDriver


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
async def rpcs(chain: Chain) -> AsyncIterator[list[FakeRpc]]:
    """Two RPCs of one chain."""
    servers = [FakeRpc(chain), FakeRpc(chain)]
    for server in servers:
        await server.start()
    yield servers
    for server in servers:
        await server.stop()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    path = tmp_path / "repository"
    path.mkdir()
    made = Repository(path)
    made.git("init", "--quiet", "--initial-branch=main")
    return made


@pytest.fixture
def hello(repository: Repository) -> str:
    """Commit the demo's service; return the commit."""
    return repository.commit({"server.py": (HELLO / "server.py").read_text()})


@pytest.fixture(params=["plain", pytest.param("sandboxed", marks=pytest.mark.sandbox)])
def sandboxed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run a test without and with bubblewrap."""
    if request.param == "sandboxed":
        if not has_sandbox():
            pytest.skip("bubblewrap is not installed or can't make a sandbox here")
        return True
    no_sandbox(monkeypatch)
    return False


@pytest.fixture
def owner() -> str:
    """Id of the agent that a test's tasks belong to."""
    return secrets.token_hex(16)


@pytest.fixture
async def driver(tmp_path: Path, owner: str, sandboxed: bool) -> AsyncIterator[ProcessDriver]:
    """A driver whose tasks end with the test."""
    made = ProcessDriver(tmp_path / "state" / "tasks", owner, allow_unsandboxed=not sandboxed)
    yield made
    for key in await made.sweep():
        await made.destroy(key)


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path, owner: str) -> Iterator[None]:
    """Fail a test that leaves a process of one of its agents behind."""
    yield
    owners = {owner, *(one.read_text() for one in tmp_path.rglob("instance"))}
    left = [pid for one in owners for pid in marked(one)]
    assert not left
