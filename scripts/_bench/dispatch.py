"""From a placement on chain to the dispatch at the node, with a keeper as `workdeed keeper run`.

The keeper is a process of its own with the duty to dispatch alone. The time runs from the request
that mines the placement's block, which is confirmed at once here, to the arrival of the dispatch
at the node, so that it holds mining, the wait for the next poll, reading and sending.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from scripts._bench.chain import Chain
from scripts._bench.process import ROOT, BenchError, Figures, answer
from scripts._bench.stages import percentile
from workdeed.intent import Spec, encode_spec, spec_hash
from workdeed.keeper.logs import setup_logs
from workdeed.keeper.run import Keeper
from workdeed.keeper.settings import (
    ChainSettings,
    DispatchSettings,
    HttpSettings,
    KeeperSettings,
    LogSettings,
)
from workdeed.keeper.specs import SpecStore
from workdeed.protocol.messages import Dispatch, DispatchReply

NODES = 3
"""Licenses of each placement, each at a node of its own."""
PAUSE_SECONDS = (0.05, 0.35)
"""Between two placements; drawn, so that they fall anywhere between two polls."""
WAIT_SECONDS = 60.0
ALLOWED_MS = 250
"""What a dispatch may take beyond one poll."""
NEVER = 10_000.0
"""Seconds between two looks whether a node kept its workload: not while this runs."""

SPEC = Spec.model_validate(
    {
        "name": "bench",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://git.example.org/bench", "commit": "0" * 40}},
        "run": ["serve"],
        "resources": {"cpu_milli": 100, "memory_mb": 100, "storage_mb": 100},
    }
)


@dataclass
class Nodes:
    """Simulated nodes that take every dispatch, each on a port of its own.

    Attributes:
        ports: of the nodes, in order.
        taken: when each (job, port) was dispatched first, Unix seconds.

    """

    ports: list[int] = field(default_factory=list)
    taken: dict[tuple[int, int], float] = field(default_factory=dict)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take a dispatch."""
        now = time.time()
        assert request.transport is not None  # noqa: S101 - the request was just read from it
        port = request.transport.get_extra_info("sockname")[1]
        job_id = Dispatch.parse(await request.read()).job_id
        self.taken.setdefault((job_id, port), now)
        body = DispatchReply(state="pending").to_json()
        return web.Response(body=body, status=202, content_type="application/json")

    @asynccontextmanager
    async def serving(self, count: int) -> AsyncIterator[None]:
        """Listen with so many nodes."""
        server = web.Server(self.handle)
        loop = asyncio.get_running_loop()
        for _ in range(count):
            listening = await loop.create_server(server, "127.0.0.1", 0)
            self.ports.append(listening.sockets[0].getsockname()[1])
        try:
            yield
        finally:
            await server.shutdown(0.0)


def keep(url: str, deployment: str, folder: str, poll_seconds: float, peers: Any) -> Figures:
    """Be the keeper until stdin is closed."""
    settings = KeeperSettings(
        chain=ChainSettings(
            rpc_urls=(url,),
            chain_id=json.loads(Path(deployment).read_text())["chain_id"],
            deployment=Path(deployment),
            confirmations=0,
            poll_seconds=poll_seconds,
            block_seconds=1.0,
        ),
        database=str(Path(folder) / "keeper.sqlite"),
        state_dir=Path(folder),
        http=HttpSettings(port=0),
        dispatch=DispatchSettings(verify_seconds=NEVER),
        log=LogSettings(level="error"),
        allow_private_endpoints=True,
        peers=peers,
    )
    setup_logs(settings.log)

    async def work() -> None:
        keeper = await Keeper.open(settings)
        stopping = asyncio.Event()
        running = asyncio.create_task(keeper.run(stopping))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        stopping.set()
        await running

    asyncio.run(work())
    return {}


@asynccontextmanager
async def keeping(options: dict[str, Any]) -> AsyncIterator[None]:
    """Run a keeper that is ready."""
    command = [sys.executable, "-m", "scripts._bench.dispatch", json.dumps(options)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - pipes
    try:
        if not await process.stdout.readline():
            raise BenchError("keeper: it ended at once; its error is above")
        yield
        process.stdin.close()
        await asyncio.wait_for(process.wait(), WAIT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _measure(chain: Chain, placements: int, poll_seconds: float) -> list[float]:
    """Return the milliseconds of every dispatch."""
    bench, nodes, data = chain.bench, Nodes(), encode_spec(SPEC)
    licenses = [bench.issue_node(owner) for owner in bench.owners[:NODES]]
    jobs = chain.open_jobs(spec_hash(data), NODES, placements)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="workdeed-bench-")))
        SpecStore(folder / "specs").put(spec_hash(data), data)
        await stack.enter_async_context(nodes.serving(NODES))
        peers = {
            license_id: f"http://127.0.0.1:{port}"
            for license_id, port in zip(licenses, nodes.ports, strict=True)
        }
        options = {
            "url": chain.url,
            "deployment": str(chain.path),
            "folder": str(folder),
            "poll_seconds": poll_seconds,
            "peers": peers,
        }
        await stack.enter_async_context(keeping(options))
        mined = await asyncio.to_thread(_place_all, chain, jobs, licenses)
        await _until(lambda: len(nodes.taken) >= NODES * len(jobs))
    return [1_000 * (at - mined[job_id]) for (job_id, _), at in nodes.taken.items()]


def _place_all(chain: Chain, jobs: list[int], licenses: list[int]) -> dict[int, float]:
    """Place every job in a block of its own; return when each was asked for, Unix seconds."""
    chance = random.Random(1)
    mined: dict[int, float] = {}
    with chain.mining_by_hand():
        for job_id in jobs:
            chain.place_later(job_id, licenses)
            mined[job_id] = time.time()
            chain.mine()
            time.sleep(chance.uniform(*PAUSE_SECONDS))
    return mined


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise BenchError(f"dispatch: nodes lack some after {WAIT_SECONDS:.0f} s")
        await asyncio.sleep(0.05)


def run(chain: Chain, *, placements: int, poll_seconds: float) -> Figures:
    """Place jobs one after the other and return the percentiles of the dispatches."""
    found = asyncio.run(_measure(chain, placements, poll_seconds))
    poll_ms = round(1_000 * poll_seconds)
    return {
        "p50_ms": round(percentile(found, 0.5), 1),
        "p99_ms": round(percentile(found, 0.99), 1),
        "max_ms": round(max(found), 1),
        "poll_ms": poll_ms,
        "allowed_p99_ms": poll_ms + ALLOWED_MS,
        "dispatches": len(found),
        "jobs_on_chain": int(chain.bench.escrow.functions.job_count().call()),
    }


if __name__ == "__main__":
    answer(keep)
