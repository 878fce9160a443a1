"""One keeper that is the whole committee, one node, and jobs from their opening to their close."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
from keeper_support import (
    CHAIN_ID,
    ISSUER,
    KEEPER,
    OPERATOR,
    ORACLE_KEYS,
    PAYER,
    PRICE,
    ROOT,
    LocalChain,
    key_of,
    running,
    signer_of,
)
from prometheus_client.parser import text_string_to_metric_families
from structlog.typing import EventDict

from workdeed.chain.books import JobState
from workdeed.chain.errors import ChainError
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.intent import Spec, load_spec
from workdeed.keeper.errors import KeeperError
from workdeed.keeper.run import Keeper, run
from workdeed.keeper.settings import KeeperSettings
from workdeed.logs import set_up
from workdeed.node.run import Node
from workdeed.node.settings import NodeSettings
from workdeed.protocol.figures import UNIT
from workdeed.protocol.hashing import keccak
from workdeed.sdk.client import Client
from workdeed.sdk.draining import DrainState
from workdeed.sdk.errors import NoProofError, SdkError
from workdeed.sdk.jobs import JobView, gross

pytestmark = pytest.mark.anvil

PATIENCE = 120
"""Seconds after which a test gives up: many times what it takes."""

T = TypeVar("T")
HELLO = ROOT / "examples" / "hello-service" / "server.py"


@dataclass
class World:
    """The chain with a running keeper and a running node, and clients of the people.

    Attributes:
        license_id: of the node, which the operator owns.
    """

    chain: LocalChain
    folder: Path
    stack: AsyncExitStack
    license_id: int = 0
    keeper_port: int = 0
    clients: dict[int, Client] = field(default_factory=dict)

    async def client(self, account: int) -> Client:
        """Return a client that sends from an account."""
        if account not in self.clients:
            self.clients[account] = await self.stack.enter_async_context(
                await Client.connect(
                    RpcClient(self.chain.url),
                    self.chain.deployment,
                    signer_of(account),
                    keepers=[f"http://127.0.0.1:{self.keeper_port}"] if self.keeper_port else (),
                    allow_private=True,
                )
            )
        return self.clients[account]

    def keeper_settings(self, **changes: object) -> KeeperSettings:
        """Return settings of a keeper on this chain."""
        sender, member = self.folder / "sender.key", self.folder / "member.key"
        sender.write_text(key_of(KEEPER).hex())
        member.write_text(key_of(ORACLE_KEYS).hex())
        content: dict[str, object] = {
            "chain": {
                "rpc_urls": [self.chain.url],
                "chain_id": CHAIN_ID,
                "deployment": self.chain.file,
                "confirmations": 0,
                "poll_seconds": 0.2,
                "block_seconds": 0.5,
            },
            "keys": {
                "sender": {"private_key_file": sender},
                "member": {"private_key_file": member},
            },
            "database": str(self.folder / "keeper.db"),
            "state_dir": self.folder / "keeper-state",
            "http": {"port": 0},
            "oracle": {
                "enabled": True,
                "turn_seconds": 1.0,
                "probe_interval": 0.3,
                "probe_timeout": 2.0,
                "open_windows": 2,
            },
            "dispatch": {"verify_seconds": 1.0},
            "allow_private_endpoints": True,
        }
        return KeeperSettings.model_validate(content | changes)

    async def start_node(self, name: str = "node") -> Node:
        """Start a node, link its key to a new license of the operator and announce it."""
        issuer, operator = await self.client(ISSUER), await self.client(OPERATOR)
        self.license_id = await issuer.issue_license(operator.sender)
        private_key = keccak(f"{name} key".encode())
        await operator.link_node(self.license_id, LocalSigner(private_key))
        key = self.folder / f"{name}.key"
        key.write_text(private_key.hex())
        settings = NodeSettings(
            chain_id=CHAIN_ID,
            rpc_urls=(self.chain.url,),
            min_rpcs=1,
            deployment=self.chain.file,
            license_id=self.license_id,
            key={"private_key_file": key},
            port=0,
            state_dir=self.folder / f"{name}-state",
            allow_unsandboxed=True,
            allow_private_endpoints=True,
            poll_seconds=0.2,
            stop_workloads_on_exit=True,
            resources={"cpu_milli": 1_000, "memory_mb": 1_024, "storage_mb": 2_048},
        )
        node = Node(settings)
        await node.start()
        self.stack.push_async_callback(node.close)
        endpoint = f"http://127.0.0.1:{node.port}"
        profile = await operator.fetch_profile(self.license_id, endpoint)
        await operator.set_profile(self.license_id, endpoint, profile.profile_hash)
        return node

    @asynccontextmanager
    async def keeper(self, **changes: object) -> AsyncIterator[Keeper]:
        """Run a keeper for a while, and stop it as a signal would."""
        async with running(self.keeper_settings(**changes)) as keeper:
            self.keeper_port = keeper.port
            yield keeper

    async def job(self, job_id: int, until: Callable[[JobView], bool]) -> JobView:
        """Wait until a job is as it should be, and return it."""
        reader = await self.client(PAYER)

        async def found() -> JobView | None:
            view = await reader.job(job_id)
            return view if until(view) else None

        return await eventually(found)

    async def metrics(self) -> dict[str, float]:
        """Return what the keeper counts, by series."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.keeper_port}/metrics") as response,
        ):
            families = text_string_to_metric_families(await response.text())
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    async def get(self, path: str) -> tuple[int, object]:
        """Ask the keeper."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.keeper_port}{path}") as response,
        ):
            return response.status, await response.json()


async def settled(keeper: Keeper, job_id: int) -> JobState | None:
    """Return a job once the keeper's books have nothing left to do for it."""
    job = keeper.view.books.jobs.get(job_id) if keeper.view else None
    return job if job is not None and job.closed and job.locked == 0 else None


async def eventually(find: Callable[[], Awaitable[T | None]]) -> T:
    """Return what `find` finds at last."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await find()
            if found is not None:
                return found
            await asyncio.sleep(0.2)


@pytest.fixture
async def world(chain: LocalChain, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(chain, tmp_path, stack)


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    """A spec of the example service, at a commit of a repository of its own."""
    repository = tmp_path / "repository"
    repository.mkdir()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@t"]
        done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    (repository / "server.py").write_text(HELLO.read_text())
    git("add", ".")
    git("commit", "--quiet", "-m", "Serve")
    return load_spec(
        {
            "name": "hello",
            "class_id": 1,
            "runner": "war",
            "source": {"git": {"url": str(repository), "commit": git("rev-parse", "HEAD")}},
            "run": ["python3", "server.py"],
            "port": {"name": "main", "env": "PORT"},
            "health": {"interval_ms": 200, "timeout_ms": 500},
            "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
        }
    )


async def test_a_job_is_placed_served_paid_and_closed(world: World, spec: Spec) -> None:
    await world.start_node()
    async with world.keeper() as keeper:
        payer = await world.client(PAYER)
        payer.session.keepers = (f"http://127.0.0.1:{world.keeper_port}",)
        await payer.faucet(10 * PRICE)
        job_id = await payer.open_job(spec, slots=1, windows=3)
        placed = await world.job(job_id, lambda view: view.job.active == 1)
        assert placed.job.end == placed.job.start + 3
        closed = await world.job(job_id, lambda view: view.job.closed)
        paid = await world.job(job_id, lambda view: view.locked == 0)
        assert closed.job.funded_units == paid.job.claimed_units
        # It came up before or within its first window, and stayed.
        assert 2 * UNIT <= paid.job.claimed_units <= 3 * UNIT
        status, content = await world.get("/readyz")
        assert (status, content) == (
            200,
            {"ready": True, "troubles": {"chain": "", "committee": ""}, "notes": {}},
        )
        # The keeper sees at its next poll what the chain shows already.
        await eventually(lambda: settled(keeper, job_id))
        _, books = await world.get("/status")
    operator = signer_of(OPERATOR).address
    earned, refunded = await payer.balance(operator), await payer.balance() - 7 * PRICE
    gross = PRICE * paid.job.claimed_units // UNIT
    assert refunded == 3 * PRICE - gross
    assert earned == gross - gross * 2_000 // 10_000
    assert isinstance(books, dict)
    (job,) = books["jobs"]
    assert (job["state"], job["locked"]) == ("closed", "0")
    assert int(job["deposited"]) == sum(int(job[name]) for name in ("paid", "fees", "refunded"))


async def test_a_keeper_that_lost_its_database_finishes_what_it_began(
    world: World, spec: Spec
) -> None:
    await world.start_node()
    payer = await world.client(PAYER)
    await payer.faucet(10 * PRICE)
    async with world.keeper():
        payer.session.keepers = (f"http://127.0.0.1:{world.keeper_port}",)
        job_id = await payer.open_job(spec, slots=1, windows=4)
        await world.job(job_id, lambda view: view.job.claimed_units > 0)
    for name in ("keeper.db", "keeper.db-wal", "keeper.db-shm"):
        (world.folder / name).unlink(missing_ok=True)
    shutil.rmtree(world.folder / "keeper-state" / "specs")
    async with world.keeper() as keeper:
        job = await eventually(lambda: settled(keeper, job_id))
    assert job.deposited == 4 * PRICE
    assert job.deposited == job.paid + job.fees + job.refunded
    assert job.round == 1


async def test_a_node_that_drains_is_replaced_and_the_keeper_counts_it(
    world: World, spec: Spec
) -> None:
    await world.start_node()
    leaving = world.license_id
    payer, operator = await world.client(PAYER), await world.client(OPERATOR)
    await payer.faucet(20 * PRICE)
    async with world.keeper() as keeper:
        payer.session.keepers = (f"http://127.0.0.1:{world.keeper_port}",)
        job_id = await payer.open_job(spec, slots=1, windows=20)
        await world.job(job_id, lambda view: view.job.claimed_units > 0)
        await world.start_node("other node")
        told: list[DrainState] = []
        async with asyncio.timeout(PATIENCE):
            last = await operator.drain(leaving, told=told.append)
        assert (told[0].jobs, last.jobs) == ((job_id,), ())
        assert keeper.view is not None
        books = keeper.view.books
        assert books.placed(job_id) == (world.license_id,)
        # It was linked for as long as it served.
        assert books.assignments[job_id, leaving].until <= last.window
        counted = await world.metrics()
    assert counted["workdeed_probes_total valid"] > 0
    assert counted["workdeed_probe_seconds_count"] > 0
    assert counted["workdeed_probe_verdicts_total ok"] > 0
    assert counted["workdeed_evidence_total"] > 0
    assert counted["workdeed_observations_total measured"] > 0
    assert counted["workdeed_turns_total report"] > 0
    assert counted["workdeed_reports_signed_total"] > 0
    assert counted["workdeed_effects_settled_total place final"] == 2
    assert counted["workdeed_effects_settled_total claim final"] > 0
    assert counted["workdeed_job_base_units deposited"] == 20 * PRICE
    assert counted["workdeed_job_base_units paid"] > 0
    assert counted["workdeed_state_free_bytes"] > 0
    assert counted[f"workdeed_rpc_seconds_count {world.chain.url}"] > 0
    assert counted["workdeed_storage_errors_total disk"] == 0


async def test_a_process_starts_by_its_file_and_stops_at_a_signal(world: World) -> None:
    settings = world.keeper_settings()
    config = world.folder / "keeper.toml"
    config.write_text(
        f"""
database = "keeper.db"
state_dir = "keeper-state"
allow_private_endpoints = true

[chain]
rpc_urls = ["{world.chain.url}"]
chain_id = {CHAIN_ID}
deployment = "{world.chain.file}"
confirmations = 0
poll_seconds = 0.2
block_seconds = 0.5

[keys]
sender = {{ private_key_file = "sender.key" }}
member = {{ private_key_file = "member.key" }}

[http]
port = 0

[oracle]
enabled = true
turn_seconds = 1.0
probe_interval = 0.3
open_windows = 2
"""
    )
    assert settings.oracle.enabled
    command = [sys.executable, "-c", "from workdeed.cli import main; main()"]
    process = await asyncio.create_subprocess_exec(
        *command, "keeper", "run", "--config", str(config), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    lines: list[dict[str, object]] = []
    async with asyncio.timeout(PATIENCE):
        while not lines or lines[-1]["event"] != "keeper_opened":
            lines.append(json.loads(await process.stderr.readline()))
        world.keeper_port = int(str(lines[-1]["port"]))
        assert (await world.get("/healthz"))[0] == 200
        process.send_signal(signal.SIGTERM)
        rest = await process.stderr.read()
        assert await process.wait() == 0
    lines += [json.loads(line) for line in rest.splitlines()]
    assert lines[-1]["event"] == "keeper_stopped"
    text = json.dumps(lines)
    for index in (KEEPER, ORACLE_KEYS):
        assert key_of(index).hex() not in text


async def test_a_keeper_that_says_that_it_opened_stops_at_a_signal(world: World) -> None:
    """One that came at once ended it without closing anything: it was not listened for yet."""
    lost = []

    def stop(_: object, __: str, event: EventDict) -> EventDict:
        if event["event"] == "keeper_opened":
            os.kill(os.getpid(), signal.SIGTERM)
        return event

    set_up(first=[stop])
    before = signal.signal(signal.SIGTERM, lambda *_: lost.append("SIGTERM"))
    try:
        keeper = asyncio.create_task(run(world.keeper_settings()))
        while not (lost or keeper.done()):  # noqa: ASYNC110 - one of both comes to pass
            await asyncio.sleep(0.05)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert lost == []


async def test_two_keepers_with_one_sender_do_not_run_side_by_side(world: World) -> None:
    async with world.keeper():
        with pytest.raises((ChainError, KeeperError), match=r"stop it first|another process"):
            await Keeper.open(world.keeper_settings())
        status, _ = await world.get("/healthz")
        assert status == 200


async def test_people_collect_and_close_themselves(world: World, spec: Spec) -> None:
    await world.start_node()
    payer, operator = await world.client(PAYER), await world.client(OPERATOR)
    await payer.faucet(2 * PRICE)
    async with world.keeper(duties={"claims": False, "closes": False}) as keeper:
        for client in (payer, operator):
            client.session.keepers = (f"http://127.0.0.1:{world.keeper_port}",)
        job_id = await payer.open_job(spec, slots=1, windows=2)
        with pytest.raises(NoProofError, match="nothing to collect"):
            await operator.claim(job_id, world.license_id)
        ended = await world.job(job_id, lambda view: view.state == "ended")
        with pytest.raises(SdkError, match="is not in a final report yet"):
            await payer.close_job(job_id)

        async def reported() -> int | None:
            view = keeper.view
            return view.reported if view and view.reported + 1 >= ended.job.end else None

        await eventually(reported)
        collected = await operator.claim(job_id, world.license_id)
        assert collected is not None
        assert collected.payee == operator.sender
        assert await operator.balance() == collected.amount > 0
        assert await operator.claim(job_id, world.license_id) is None
        assert await operator.claim_license(world.license_id) == []
        refund = await payer.close_job(job_id)
        closed = await payer.job(job_id)
        assert closed.state == "closed"
        assert refund + gross(PRICE, closed.job.claimed_units) == 2 * PRICE
        assert await payer.balance() == refund
