"""Real agents change the version of a job while clients keep calling it through a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from keeper_support import (
    CHAIN_ID,
    ISSUER,
    OPERATOR,
    PAYER,
    PRICE,
    ROOT,
    LocalChain,
    Quorum,
    member_settings,
    running,
    signer_of,
)

from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.intent import load_spec
from workdeed.node.run import Node
from workdeed.node.settings import NodeSettings
from workdeed.protocol.hashing import keccak
from workdeed.protocol.rollouts import EndpointList, RolloutProgress
from workdeed.sdk.client import Client
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.gateway import Gateway, GatewaySettings
from workdeed.sdk.rollouts import get_endpoints, get_rollout

pytestmark = pytest.mark.anvil

NODES = 4
CLIENTS = 3
PATIENCE = 120
"""Seconds after which a test gives up: many times what it takes."""

FOREVER = 2**40
BOND = 1_000_000
HELLO = ROOT / "examples" / "hello-service" / "server.py"
ROLLOUT = {"policy": "rolling", "max_unavailable": 2, "drain_ms": 3_000, "settle_ms": 500}


class Calls:
    """What clients of a gateway got; each keeps its connection."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []

    @asynccontextmanager
    async def made(self, port: int) -> AsyncIterator[None]:
        """Call in the background, and wait for what is under way in the end."""
        enough = asyncio.Event()
        url = f"http://127.0.0.1:{port}/"
        calling = [asyncio.create_task(self._client(url, enough)) for _ in range(CLIENTS)]
        yield
        enough.set()
        await asyncio.gather(*calling)

    async def more(self, count: int) -> None:
        """Wait for more calls, whatever comes of them."""
        before = self._count
        async with asyncio.timeout(PATIENCE):
            while self._count < before + count:  # noqa: ASYNC110 - clients have their own pace
                await asyncio.sleep(0.05)

    @property
    def _count(self) -> int:
        return len(self.answers) + len(self.failures)

    async def _client(self, url: str, enough: asyncio.Event) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not enough.is_set():
                try:
                    async with session.get(url) as response:
                        text = await response.text()
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.failures.append(f"{type(error).__name__} {error}")
                else:
                    self._take(response.status, text)
                await asyncio.sleep(0.02)

    def _take(self, status: int, text: str) -> None:
        if status == 200:
            self.answers.append(json.loads(text)["greeting"])
        else:
            self.failures.append(f"{status} {text}")


class World:
    """A chain, a keeper that is the whole committee, and agents that serve one job."""

    def __init__(self, chain: LocalChain, quorum: Quorum, folder: Path) -> None:
        self.chain = chain
        self.quorum = quorum
        self.folder = folder
        self.stack = AsyncExitStack()
        self.nodes: list[Node] = []
        self.keeper = ""
        self.job_id = 0
        self.source = _repository(folder / "repository")
        self._clients: dict[int, Client] = {}

    async def client(self, account: int) -> Client:
        """Return a client that sends from an account."""
        if account not in self._clients:
            made = await Client.connect(
                RpcClient(self.chain.url),
                self.chain.deployment,
                signer_of(account),
                keepers=[self.keeper],
                allow_private=True,
            )
            self._clients[account] = await self.stack.enter_async_context(made)
        return self._clients[account]

    async def start_keeper(self) -> None:
        """Start a keeper with the committee's member key."""
        told = member_settings(self.chain, self.folder)
        keeper = await self.stack.enter_async_context(running(told))
        self.keeper = f"http://127.0.0.1:{keeper.port}"

    async def add_node(self) -> int:
        """License a node, bond and announce it, and start its agent; return the license."""
        issuer, operator = await self.client(ISSUER), await self.client(OPERATOR)
        license_id = await issuer.issue_license(operator.sender)
        private_key = keccak(b"agent %d" % license_id)
        await operator.link_node(license_id, LocalSigner(private_key), FOREVER)
        key = self.folder / f"node-{license_id}.key"
        key.write_text(private_key.hex())
        node = Node(
            NodeSettings(
                chain_id=CHAIN_ID,
                rpc_urls=(self.chain.url,),
                min_rpcs=1,
                stale_seconds=1e6,
                deployment=self.chain.file,
                license_id=license_id,
                key={"private_key_file": key},
                port=0,
                state_dir=self.folder / f"node-{license_id}",
                allow_unsandboxed=True,
                allow_private_endpoints=True,
                overcommit=True,
                poll_seconds=0.5,
                stop_seconds=2,
                stop_workloads_on_exit=True,
                container={"enabled": False},
                resources={"cpu_milli": 1_000, "memory_mb": 1_024, "storage_mb": 1_024},
            )
        )
        self.stack.push_async_callback(node.close)
        await node.start()
        await operator.faucet(BOND)
        await operator.post_bond(license_id, BOND)
        await operator.set_profile(license_id, f"http://127.0.0.1:{node.port}", keccak(b"profile"))
        self.nodes.append(node)
        return license_id

    async def deploy(self) -> None:
        """Open a job on all nodes, and wait until it serves everywhere."""
        licenses = [await self.add_node() for _ in range(NODES)]
        payer = await self.client(PAYER)
        await payer.faucet(100 * PRICE)
        self.job_id = await payer.open_job(self.spec("first"), slots=NODES, windows=10)
        await self.quorum.place(self.job_id, licenses)
        await self.until(self.serves(0))

    def spec(self, greeting: str, **changes: Any) -> Any:
        """Return the job with a greeting, by which its versions are told apart."""
        return load_spec(
            {
                "name": greeting,
                "class_id": 1,
                "runner": "war",
                "source": {"git": self.source},
                "run": ["/usr/bin/env", "python3", "server.py"],
                "env": {"GREETING": greeting},
                "port": {},
                "health": {"kind": "http", "interval_ms": 500, "start_period_ms": 60_000},
                "rollout": ROLLOUT,
                "resources": {"cpu_milli": 250, "memory_mb": 128, "storage_mb": 64},
            }
            | changes
        )

    async def revise(self, spec: Any) -> None:
        """Replace the spec."""
        await self.quorum.to_next_window()
        await (await self.client(PAYER)).revise_job(self.job_id, spec)

    async def endpoints(self) -> EndpointList:
        """Return where the keeper sends callers."""
        session = (await self.client(PAYER)).session
        return await get_endpoints(session.endpoints, [self.keeper], self.job_id)

    async def progress(self) -> RolloutProgress:
        """Return what the keeper tells of the rollout."""
        session = (await self.client(PAYER)).session
        return await get_rollout(session.endpoints, [self.keeper], self.job_id)

    def serves(self, revision: int) -> Callable[[], Awaitable[bool]]:
        """Return what tells whether the keeper lists all nodes, each with that revision."""

        async def holds() -> bool:
            listed = (await self.endpoints()).endpoints
            return [one.revision for one in listed] == [revision] * NODES

        return holds

    def phase(self, revision: int, phase: str) -> Callable[[], Awaitable[bool]]:
        """Return what tells whether the rollout of a revision is in a phase."""

        async def holds() -> bool:
            found = await self.progress()
            return (found.revision, found.phase) == (revision, phase)

        return holds

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something that the keeper may not know of yet."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(EndpointError):
                    if await holds():
                        return
                await asyncio.sleep(0.2)

    @asynccontextmanager
    async def called(self) -> AsyncIterator[Calls]:
        """Let clients call the job through a gateway."""
        settings = GatewaySettings(self.job_id, (self.keeper,), allow_private=True)
        calls = Calls()
        async with Gateway(settings) as gateway, calls.made(gateway.port):
            await calls.more(30)
            yield calls


def _repository(path: Path) -> dict[str, str]:
    """Return address and commit of a new repository that holds the example service."""
    path.mkdir()
    shutil.copy(HELLO, path)
    identity = ("-c", "user.name=author", "-c", "user.email=author@example.org")
    for words in (("init", "--quiet"), ("add", "."), (*identity, "commit", "-qm", "Serve")):
        subprocess.run(["git", "-C", str(path), *words], check=True)
    head = subprocess.run(
        ["git", "-C", str(path), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return {"url": str(path), "commit": head.stdout.strip()}


@pytest.fixture
async def world(calm_chain: LocalChain, quorum: Quorum, tmp_path: Path) -> AsyncIterator[World]:
    made = World(calm_chain, quorum, tmp_path)
    async with made.stack:
        await made.start_keeper()
        await made.deploy()
        yield made


async def test_no_call_fails_while_agents_take_a_new_version(world: World) -> None:
    async with world.called() as calls:
        await world.revise(world.spec("second"))
        await world.until(world.phase(1, "steady"))
        await world.until(world.serves(1))
        at = len(calls.answers)
        await calls.more(60)
    assert calls.failures == []
    assert set(calls.answers[:20]) == {"first"}
    assert set(calls.answers[at:]) == {"second"}
    # Nothing of the version before is kept anywhere.
    held = [[pod.number for pod in node.agent.pods()] for node in world.nodes]
    assert held == [[1]] * NODES


async def test_no_call_fails_while_a_version_that_is_ill_is_taken_back(world: World) -> None:
    ill = world.spec(
        "ill",
        health={"kind": "http", "path": "/nothing", "start_period_ms": 60_000},
        rollout=ROLLOUT | {"deadline_ms": 10_000},
    )
    async with world.called() as calls:
        await world.revise(ill)
        await world.until(world.phase(1, "reverted"))
        await world.until(world.serves(0))
        at = len(calls.answers)
        await calls.more(60)
    assert calls.failures == []
    assert set(calls.answers) == {"first"}
    assert len(calls.answers) > at
    found = await world.progress()
    assert "it was not well in time: its health check answers 404" in found.reason
    assert {one.revision for one in found.replicas} == {0}
