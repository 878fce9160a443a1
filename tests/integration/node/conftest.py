"""Fixtures of the node's integration tests."""

import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import pytest
import structlog

# Found in every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

from node_support import (
    HELLO,
    JOB,
    NODE_KEY,
    Chain,
    ChainJob,
    Client,
    FakeRpc,
    Launch,
    Repository,
    has_sandbox,
    marked,
    no_sandbox,
    settings,
    spec_bytes,
)

from workdeed.intent import spec_hash
from workdeed.node import agent
from workdeed.node.drivers.process import ProcessDriver
from workdeed.node.run import Node


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


@pytest.fixture
async def launch(
    tmp_path: Path, rpcs: list[FakeRpc], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Launch]:
    """Start agents on one state directory; what runs at the end is ended."""
    key = tmp_path / "node.key"
    key.write_text(NODE_KEY.hex())
    nodes: list[Node] = []
    session = aiohttp.ClientSession()

    async def start(sandboxed: bool = False, **changes: Any) -> Client:
        if not sandboxed:
            no_sandbox(monkeypatch)
        node = Node(settings(tmp_path, rpcs, **changes))
        nodes.append(node)
        await node.start()
        return Client(node, session)

    yield start
    for node in nodes:
        await node.agent.close(stop_workloads=True)
        await node.close()
    await session.close()


@pytest.fixture
def data(repository: Repository, hello: str) -> bytes:
    """Canonical bytes of a spec that runs the demo's service."""
    return spec_bytes(repository, hello)


@pytest.fixture
def placed(chain: Chain, data: bytes) -> ChainJob:
    """The job with that spec, to be served from the next window on."""
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    return chain.jobs[JOB]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the agent logs, whatever other tests have made of the log."""
    lines: list[str] = []

    def take(_: object, __: str, entry: dict[str, Any]) -> NoReturn:
        lines.append(entry["event"])
        raise structlog.DropEvent

    logger = structlog.wrap_logger(None, [take], wrapper_class=structlog.stdlib.BoundLogger)
    monkeypatch.setattr(agent, "_log", logger)
    return lines
