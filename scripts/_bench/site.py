"""Node agents, a keeper and a gateway, each a process as `workdeed` starts it for its operator.

They stand on a local chain of their own, and run a repository of their own.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psutil

from scripts import gas
from scripts._bench.chain import Chain, running
from scripts._bench.process import ROOT, BenchError
from scripts._demo.ports import free_port
from scripts._demo.stage import make_repository, write_key
from workdeed.intent import Spec, encode_spec, spec_hash
from workdeed.keeper.specs import SpecStore
from workdeed.node.drivers.process import DEFAULT_PATH
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN
from workdeed.protocol.messages import Answer, Dispatch, Probe, Status, WorkloadStatus

WORKDEED = (sys.executable, "-c", "from workdeed.cli import main; main()")
PATIENCE_SECONDS = 300.0
END_SECONDS = 120.0
"""For an agent to end all that it runs."""
LOOK_SECONDS = 0.01
MEMBERS = 1
"""Seats of the committee; one keeper has it."""
FIRST_NODE_KEY = 10_000
"""`gas.Bench` gives its nodes the test keys from the next one on."""
OFFER = 1_000_000
"""Of each resource: more than any benchmark places."""

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Agent:
    """A running node agent.

    Attributes:
        license_id: its license.
        url: where it answers.
        process: the agent itself; supervisors and workloads are its descendants.

    """

    license_id: int
    url: str
    process: psutil.Process
    site: Site

    async def dispatch(self, job_id: int, data: bytes) -> None:
        """Hand over the first spec of a job, as a keeper does; raises `BenchError` if refused."""
        dispatch = Dispatch(
            escrow=self.site.chain.bench.escrow.address,
            job_id=job_id,
            revision=0,
            spec=data,
        )
        body = dispatch.to_json()
        async with self.site.session.post(f"{self.url}/dispatch", data=body, headers=_JSON) as got:
            if got.status != 202:
                raise BenchError(f"dispatch of job {job_id}: {await got.text()}")

    async def probe(self) -> Answer:
        """Ask what it runs, as an oracle does; return its answer, whose signature is checked."""
        asked = Probe(nonce=secrets.token_bytes(32), window=1, block_hash=bytes(32))
        body = asked.to_json()
        async with self.site.session.post(f"{self.url}/probe", data=body, headers=_JSON) as got:
            answer = Answer.parse(await got.read())
        answer.verify(self.site.chain.deployment.domain(COMMITTEE_DOMAIN))
        return answer

    async def status(self) -> Status:
        """Return what it says of itself."""
        async with self.site.session.get(f"{self.url}/status") as got:
            return Status.parse(await got.read())

    async def workload(self, job_id: int) -> WorkloadStatus | None:
        """Return what it says of the newest revision of a job."""
        found = [one for one in (await self.status()).workloads if one.job_id == job_id]
        return found[-1] if found else None


@dataclass(frozen=True)
class Site:
    """A chain, a repository, and a folder for everything.

    Attributes:
        url, commit: of the repository, which holds the example service.

    """

    chain: Chain
    folder: Path
    url: str
    commit: str
    session: aiohttp.ClientSession

    def spec(self, name: str, **parts: Any) -> Spec:
        """Return a job that runs the commit."""
        common = {
            "class_id": 1,
            "runner": "war",
            "source": {"git": {"url": self.url, "commit": self.commit}},
            "resources": {"cpu_milli": 100, "memory_mb": 128, "storage_mb": 64},
        }
        return Spec.model_validate({"name": name, **common, **parts})

    def placed(self, spec: Spec, licenses: list[int], jobs: int = 1) -> list[int]:
        """Open jobs of a spec and place each on the licenses; return their ids."""
        opened = self.chain.open_jobs(spec_hash(encode_spec(spec)), len(licenses), jobs)
        for job_id in opened:
            self.chain.bench.place(job_id, licenses)
        return opened

    @asynccontextmanager
    async def agent(self, **settings: Any) -> AsyncIterator[Agent]:
        """License a node, and run its agent until the end; its workloads end with it.

        Args:
            settings: tables of its configuration, over the usual ones.

        """
        bench = self.chain.bench
        license_id = bench.issue_node(bench.owners[0])
        folder = self.folder / f"node-{license_id}"
        write_key(folder / "node.key", gas.test_key(FIRST_NODE_KEY + bench.nodes))
        port = free_port()
        config = folder / "node.toml"
        config.write_text(_toml("node", _node_settings(self.chain, license_id, port) | settings))
        url = f"http://127.0.0.1:{port}"
        with command("node", "run", "--config", str(config), log=folder / "log") as started:
            await self._up(started, f"{url}/readyz")
            yield Agent(license_id, url, psutil.Process(started.child.pid), self)

    @asynccontextmanager
    async def keeper(self, agents: list[Agent], specs: list[Spec]) -> AsyncIterator[str]:
        """Run a keeper with the one seat of the committee; yield its address."""
        folder, port = self.folder / "keeper", free_port()
        write_key(folder / "member.key", self.chain.bench.keys[0])
        store = SpecStore(folder / "state" / "specs")
        for one in specs:
            data = encode_spec(one)
            store.put(spec_hash(data), data)
        config = folder / "keeper.toml"
        peers = "\n".join(f'{one.license_id} = "{one.url}"' for one in agents)
        config.write_text(
            f"""state_dir = "state"
allow_private_endpoints = true

[chain]
rpc_urls = ["{self.chain.url}"]
chain_id = {self.chain.deployment.chain_id}
deployment = "{self.chain.path}"
confirmations = 0
poll_seconds = 0.5
block_seconds = 1.0

[keys.member]
private_key_file = "member.key"

[http]
port = {port}

[peers]
{peers}
"""
        )
        url = f"http://127.0.0.1:{port}"
        with command("keeper", "run", "--config", str(config), log=folder / "log") as started:
            await self._up(started, f"{url}/healthz")
            yield url

    @asynccontextmanager
    async def gateway(self, job_id: int, keeper: str) -> AsyncIterator[str]:
        """Run a gateway to a job; yield its address."""
        address = f"127.0.0.1:{free_port()}"
        words = ("gateway", str(job_id), "--keeper", keeper, "--listen", address)
        url = f"http://{address}"
        with command(*words, "--allow-private", log=self.folder / "gateway.log") as started:
            await self._up(started, url)
            yield url

    async def _up(self, started: Started, url: str) -> None:
        async def answers() -> bool:
            started.check()
            return await self.answers(url)

        await self.until(answers, started.name)

    async def answers(self, url: str) -> bool:
        """Tell whether a GET is answered with 200."""
        try:
            async with self.session.get(url) as got:
                return got.status == 200
        except aiohttp.ClientError:
            return False

    async def until(
        self, holds: Callable[[], Awaitable[bool]], what: str, pause: float = LOOK_SECONDS
    ) -> None:
        """Wait until `holds` returns true; raises `BenchError` that names `what` if it never does.

        Args:
            holds: asked again and again.
            what: is waited for.
            pause: seconds between two looks.

        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not await holds():
            if time.monotonic() > deadline:
                raise BenchError(f"{what}: not there after {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(pause)


@asynccontextmanager
async def opened() -> AsyncIterator[Site]:
    """Set up a chain and a repository; everything is gone afterwards."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="workdeed-bench-")))
        chain = stack.enter_context(running(folder, MEMBERS))
        url, commit = make_repository(folder / "hello.git")
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Site(chain, folder, url, commit, session)


@dataclass(frozen=True)
class Started:
    """A command of `workdeed` that runs.

    Attributes:
        name: of the command.
        child: its process.
        log: the file with its output.

    """

    name: str
    child: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `BenchError` with its last words if it has ended."""
        if self.child.poll() is not None:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            raise BenchError(f"{self.name}: it ended; {lines[-1] if lines else 'it said nothing'}")

    def end(self) -> None:
        """End it; raise `BenchError` if it had to be killed, with all that it ran."""
        self.child.terminate()
        try:
            self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired as error:
            for one in psutil.Process(self.child.pid).children(recursive=True):
                one.kill()
            self.child.kill()
            self.child.wait()
            raise BenchError(f"{self.name}: it had to be killed") from error


@contextmanager
def command(*words: str, log: Path) -> Iterator[Started]:
    """Run a command of `workdeed`, and end it; its output goes to a file.

    Raises:
        BenchError: if it ends before, or can't be ended.

    """
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*WORKDEED, *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C ends the benchmark, which ends this
        )
    started = Started(f"workdeed {' '.join(words[:2])}", child, log)
    try:
        yield started
        started.check()
    finally:
        started.end()


def python() -> str:
    """Return the interpreter that workloads find; raises `BenchError` if there is none."""
    found = shutil.which("python3", path=DEFAULT_PATH)
    if found is None:
        raise BenchError(f"python3: there is none in {DEFAULT_PATH}; install it")
    return found


def _node_settings(chain: Chain, license_id: int, port: int) -> dict[str, Any]:
    return {
        "chain_id": chain.deployment.chain_id,
        # Two names of one server: the agent compares two answers, as it does everywhere.
        "rpc_urls": [chain.url, chain.url.replace("127.0.0.1", "localhost")],
        # Blocks come with transactions only.
        "stale_seconds": 1e6,
        "deployment": str(chain.path),
        "license_id": license_id,
        "port": port,
        "state_dir": "state",
        "allow_unsandboxed": True,
        "allow_private_endpoints": True,
        "overcommit": True,
        "stop_seconds": 1.0,
        "stop_workloads_on_exit": True,
        "key": {"private_key_file": "node.key"},
        "container": {"enabled": False},
        "resources": {"cpu_milli": OFFER, "memory_mb": OFFER, "storage_mb": OFFER},
    }


def _toml(table: str, values: Mapping[str, Any]) -> str:
    """Return a table of numbers, texts, lists and further such tables as TOML."""
    lines, inner = [f"[{table}]"], ""
    for name, value in values.items():
        if isinstance(value, dict):
            inner += _toml(f"{table}.{name}", value)
        else:
            text = str(value).lower() if isinstance(value, bool) else repr(value)
            lines.append(f"{name} = {text}")
    return "\n".join(lines) + "\n" + inner
