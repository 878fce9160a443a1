"""A real keeper on a real chain rolls a job out over simulated nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from keeper_support import (
    ISSUER,
    OPERATOR,
    PAYER,
    PRICE,
    LocalChain,
    Quorum,
    member_settings,
    running,
    signer_of,
)
from sim_nodes import SimNode

from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.cli.root import root
from workdeed.intent import load_spec
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN
from workdeed.protocol.hashing import keccak
from workdeed.protocol.rollouts import EndpointList, RolloutProgress
from workdeed.sdk.client import Client
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.gateway import Gateway, GatewaySettings
from workdeed.sdk.keepers import get_spec
from workdeed.sdk.rollouts import get_endpoints, get_rollout

pytestmark = pytest.mark.anvil

PATIENCE = 120
"""Seconds after which a test gives up: many times what it takes."""

FOREVER = 2**40
BOND = 1_000_000


def spec(name: str, policy: str = "rolling", **rollout: Any) -> dict[str, Any]:
    return {
        "name": name,
        "class_id": 1,
        "runner": "war",
        "run": ["serve"],
        "port": {},
        "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
        "rollout": {"policy": policy, **rollout},
        "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
    }


class World:
    """A chain, a keeper that is the whole committee, and simulated nodes that serve job 1."""

    def __init__(self, chain: LocalChain, quorum: Quorum, folder: Path) -> None:
        self.chain = chain
        self.quorum = quorum
        self.folder = folder
        self.stack = AsyncExitStack()
        self.nodes: list[SimNode] = []
        self.keepers: list[str] = []
        self.job_id = 0

    async def client(self, account: int) -> Client:
        """Return a client that sends from an account."""
        made = await Client.connect(
            RpcClient(self.chain.url),
            self.chain.deployment,
            signer_of(account),
            keepers=self.keepers,
            allow_private=True,
        )
        return await self.stack.enter_async_context(made)

    async def add_node(self) -> None:
        """License a node, bond and announce it, and start it."""
        issuer, operator = await self.client(ISSUER), await self.client(OPERATOR)
        license_id = await issuer.issue_license(operator.sender)
        signer = LocalSigner(keccak(b"node %d" % license_id))
        await operator.link_node(license_id, signer, FOREVER)
        deployment = self.chain.deployment
        node = SimNode(
            license_id,
            signer.address,
            deployment.address("JobEscrow"),
            deployment.domain(COMMITTEE_DOMAIN),
        )
        await node.begin(self.stack)
        await operator.faucet(BOND)
        await operator.post_bond(license_id, BOND)
        await operator.set_profile(license_id, node.url, keccak(b"profile"))
        self.nodes.append(node)

    async def start_keeper(self, name: str = "keeper") -> None:
        """Start a keeper with the committee's member key."""
        told = member_settings(self.chain, self.folder, name, specs_from=self.keepers)
        keeper = await self.stack.enter_async_context(running(told))
        self.keepers.append(f"http://127.0.0.1:{keeper.port}")

    async def deploy(self) -> None:
        """Open job 1 on all nodes, and wait until it serves everywhere."""
        payer = await self.client(PAYER)
        await payer.faucet(100 * PRICE)
        self.job_id = await payer.open_job(
            load_spec(spec("first")), slots=len(self.nodes), windows=10
        )
        await self.quorum.place(self.job_id, [one.license_id for one in self.nodes])
        await self.until(lambda: all(one.serving == 0 for one in self.nodes))

    async def revise(self, changed: dict[str, Any]) -> int:
        """Replace the spec; return the revision's number."""
        payer = await self.client(PAYER)
        await self.quorum.to_next_window()
        return await payer.revise_job(self.job_id, load_spec(changed))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something."""
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110 - nodes and keepers have their own pace
                await asyncio.sleep(0.05)

    async def until_spec(self, keeper: str) -> None:
        """Wait until a keeper has the spec of the current revision."""
        client = await self.client(PAYER)
        spec_hash = (await client.job(self.job_id)).job.spec_hash
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await get_spec(client.session.endpoints, [keeper], spec_hash)
                except EndpointError:
                    await asyncio.sleep(0.05)
                else:
                    return

    async def progress(self) -> RolloutProgress:
        """Return what the keeper tells of the rollout."""
        client = await self.client(PAYER)
        return await get_rollout(client.session.endpoints, self.keepers, self.job_id)

    async def until_told(self, reason: str) -> RolloutProgress:
        """Wait until the keeper tells of the rollout what it waits for."""
        async with asyncio.timeout(PATIENCE):
            while reason not in (found := await self.progress()).reason:  # noqa: ASYNC110 - it has its own pace
                await asyncio.sleep(0.05)
        return found

    async def endpoints(self) -> EndpointList:
        """Return where the keeper sends callers."""
        client = await self.client(PAYER)
        return await get_endpoints(client.session.endpoints, self.keepers, self.job_id)

    async def type(self, *words: str, code: int = 0) -> str:
        """Type a command about this network."""
        shared = ["--network", str(self.chain.file), "--rpc", self.chain.url]
        keepers = [word for keeper in self.keepers for word in ("--keeper", keeper)]
        result = await asyncio.to_thread(CliRunner().invoke, root, [*words, *shared, *keepers])
        assert result.exit_code == code, result.output
        return result.output

    def took_turns(self) -> bool:
        """Tell whether nodes were asked to take the revision in the order of their licenses."""
        firsts = [
            min(one.asked_at for one in node.requests if one.action == "take")
            for node in self.nodes
        ]
        return firsts == sorted(firsts)


@pytest.fixture
async def around(calm_chain: LocalChain, quorum: Quorum, tmp_path: Path) -> AsyncIterator[World]:
    made = World(calm_chain, quorum, tmp_path)
    async with made.stack:
        await made.start_keeper()
        for _ in range(3):
            await made.add_node()
        await made.deploy()
        yield made


class Caller:
    """Keeps calling a gateway, and counts what comes back."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/"
        self.answers: list[str] = []
        self.failures: list[str] = []

    async def run(self) -> None:
        """Call until cancelled."""
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(self._url) as response:
                        text = await response.text()
                    (self.answers if response.status == 200 else self.failures).append(text)
                except aiohttp.ClientError as error:
                    self.failures.append(str(error))
                await asyncio.sleep(0.005)


async def test_callers_notice_nothing_of_a_rolling_update(around: World) -> None:
    settings = GatewaySettings(around.job_id, tuple(around.keepers), allow_private=True)
    async with Gateway(settings) as gateway:
        caller = Caller(gateway.port)
        calling = asyncio.create_task(caller.run())
        await around.until(lambda: bool(caller.answers))
        await around.revise(spec("second", drain_ms=6_000, settle_ms=500))
        await around.until(lambda: all(one.revisions == [1] for one in around.nodes))
        before = len(caller.answers)
        await around.until(lambda: len(caller.answers) > before + 50)
        calling.cancel()
    assert caller.failures == []
    assert caller.answers[0] == "0"
    assert set(caller.answers[-20:]) == {"1"}
    assert around.took_turns()
    found = await around.endpoints()
    assert [one.revision for one in found.endpoints] == [1, 1, 1]


async def test_a_bad_revision_leaves_the_old_one_serving_and_says_why(around: World) -> None:
    around.nodes[1].broken.add("bad")
    await around.revise(spec("bad", drain_ms=0, deadline_ms=1_500, settle_ms=300))
    output = await around.type("rollout", str(around.job_id), "--wait", code=1)
    reason = f"license {around.nodes[1].license_id}: it was not well in time"
    assert f"revision 1 was given up ({reason})" in output
    assert [one.serving for one in around.nodes] == [0, 0, 0]
    assert around.nodes[2].requests[-1].argument == reason
    actions = {one.action for one in around.nodes[2].requests}
    assert actions == {"abandon"}
    shown = json.loads(await around.type("rollout", str(around.job_id), "--json"))
    assert (shown["phase"], shown["reason"]) == ("reverted", reason)
    assert {one["state"] for one in shown["replicas"]} == {"failed"}

    await around.revise(spec("mended", drain_ms=0, settle_ms=300))
    await around.until(lambda: all(one.revisions == [2] for one in around.nodes))
    output = await around.type("rollout", str(around.job_id), "--wait")
    assert "revision 2 (rolling) steady" in output


async def test_a_canary_proves_itself_before_the_others_follow(around: World) -> None:
    first, *others = around.nodes
    await around.revise(
        spec(
            "canary",
            policy="canary",
            share_bps=1_000,
            wait_ms=600_000,
            max_unavailable=2,
            drain_ms=0,
            settle_ms=300,
        )
    )
    await around.until(lambda: first.serving == 1)
    found = await around.until_told("the canaries have to stay well for")
    assert found.phase == "canary"
    await asyncio.sleep(1.5)
    assert [one.serving for one in others] == [0, 0]
    assert [one.requests for one in others] == [[], []]
    first.age(600)
    await around.until(lambda: all(one.serving == 1 for one in others))
    for node in others:
        node.age(600)
    await around.until(lambda: all(one.revisions == [1] for one in around.nodes))


async def test_another_keeper_goes_on_where_one_stopped(
    calm_chain: LocalChain, quorum: Quorum, tmp_path: Path
) -> None:
    world = World(calm_chain, quorum, tmp_path)
    async with world.stack:
        async with AsyncExitStack() as first:
            world.stack, outer = first, world.stack
            await world.start_keeper("first")
            world.stack = outer
            for _ in range(3):
                await world.add_node()
            await world.deploy()
            await world.revise(spec("second", drain_ms=500, settle_ms=1_000))
            await world.until(lambda: world.nodes[0].serving == 1)
            await world.start_keeper("second")
            del world.keepers[0]
            # Nobody else could give it the spec any more.
            await world.until_spec(world.keepers[0])
        await world.until(lambda: all(one.revisions == [1] for one in world.nodes))
        assert world.took_turns()
