"""How long a workload takes until it is well: under an agent, beside the same command started bare.

Both in turn, each time another job, so that nothing is left of the one before. What is built or
pulled once is there already. The agent's time runs from the moment it has accepted the dispatch,
and what it took to accept it, which is reading the chain, is told apart.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import aiohttp

from scripts._bench.process import BenchError, Figures
from scripts._bench.site import LOOK_SECONDS, PATIENCE_SECONDS, Agent, Site, python
from scripts._demo.ports import free_port
from scripts._demo.stage import EXAMPLE
from workdeed.intent import Spec, encode_spec
from workdeed.node.drivers.process import DEFAULT_PATH

if TYPE_CHECKING:
    from tests.podman import Podman

Bare = Callable[[int], AbstractAsyncContextManager[str]]
"""Starts a workload by itself that is to listen on a port; yields the address that tells of it."""

BARE_LOOK_SECONDS = 0.002
HEALTH = {"kind": "http", "path": "/healthz"}
PAGE = {"kind": "http", "path": "/index.html"}
RESOURCES = {"cpu_milli": 1_000, "memory_mb": 128, "storage_mb": 64}
"""A whole core: what starts bare has one too."""
LISTENS_ON = 8080
"""Where the image's server listens inside."""


async def processes(site: Site, repeat: int) -> Figures:
    """Return how long a process takes."""
    run = (python(), "server.py")
    spec = site.spec("starting", run=run, port={}, health=HEALTH, resources=RESOURCES)
    async with site.agent() as agent:
        return await _compare(agent, spec, _process(run), repeat)


async def containers(site: Site, repeat: int) -> Figures:
    """Return how long a container takes, or why that can't be known here."""
    # The tests' way to an engine of one's own; the other benchmarks do without tests.
    from tests import podman

    if reason := podman.missing():
        return {"absent": reason}
    with TemporaryDirectory(prefix="workdeed-pod-") as folder:
        engine = podman.Podman(Path(folder))
        engine.start()
        try:
            image = engine.image("http")
            spec = _image_spec(image)
            async with site.agent(container={"socket": f"unix://{engine.socket}"}) as agent:
                return await _compare(agent, spec, _container(engine, image), repeat)
        finally:
            engine.close()


def _image_spec(image: str) -> Spec:
    return Spec.model_validate(
        {
            "name": "starting",
            "class_id": 1,
            "runner": "car",
            "source": {"image": {"reference": image, "pull": "never"}},
            "port": {"number": LISTENS_ON},
            "health": PAGE,
            "resources": RESOURCES,
        }
    )


async def _compare(agent: Agent, spec: Spec, bare: Bare, repeat: int) -> Figures:
    """Start `spec` under the agent and bare, in turn; the first of each is not counted."""
    jobs = agent.site.placed(spec, [agent.license_id], repeat + 1)
    under: list[tuple[float, float, float]] = []
    alone: list[float] = []
    for job_id in jobs:
        alone.append(await _bare_seconds(agent.site, bare))
        under.append(await _agent_seconds(agent, job_id, encode_spec(spec)))
    accepted, launched, well = (_middle_ms(one[at] for one in under[1:]) for at in range(3))
    bare_ms = _middle_ms(alone[1:])
    return {
        "runs": repeat,
        "accepted_ms": accepted,
        "launched_ms": launched,
        "well_ms": well,
        "bare_ms": bare_ms,
        "overhead_ms": round(well - bare_ms, 1),
        "ratio": round(well / bare_ms, 2),
    }


async def _agent_seconds(agent: Agent, job_id: int, data: bytes) -> tuple[float, float, float]:
    """Return the seconds until a dispatch was accepted, and from there until launch and health."""
    began = time.perf_counter()
    await agent.dispatch(job_id, data)
    accepted = time.perf_counter()
    launched = 0.0
    while time.perf_counter() - accepted < PATIENCE_SECONDS:
        found = await agent.workload(job_id)
        now = time.perf_counter()
        state = found.state if found is not None else "pending"
        if state in ("starting", "running") and not launched:
            launched = now
        if state == "running":
            return accepted - began, launched - accepted, now - accepted
        if found is not None and found.services[0].cause:
            raise BenchError(f"job {job_id}: it ended ({found.reason})")
        await asyncio.sleep(LOOK_SECONDS)
    raise BenchError(f"job {job_id}: it is not well in {PATIENCE_SECONDS:.0f} s")


async def _bare_seconds(site: Site, bare: Bare) -> float:
    began = time.perf_counter()
    async with bare(free_port()) as url:
        await site.until(lambda: _is_well(site.session, url), "bare", BARE_LOOK_SECONDS)
        return time.perf_counter() - began


async def _is_well(session: aiohttp.ClientSession, url: str) -> bool:
    """Tell whether a workload answers; a port that is forwarded is open before it does."""
    try:
        async with session.get(url, headers={"Connection": "close"}) as got:
            return got.status == 200
    except aiohttp.ClientError:
        return False


def _process(run: tuple[str, ...]) -> Bare:
    @asynccontextmanager
    async def start(port: int) -> AsyncIterator[str]:
        env = {"PATH": DEFAULT_PATH, "HOST": "127.0.0.1", "PORT": str(port), "LANG": "C.UTF-8"}
        silent = subprocess.DEVNULL
        child = await asyncio.create_subprocess_exec(
            *run, cwd=EXAMPLE, env=env, stdout=silent, stderr=silent
        )
        try:
            yield f"http://127.0.0.1:{port}{HEALTH['path']}"
        finally:
            child.terminate()
            await child.wait()

    return start


def _container(engine: Podman, image: str) -> Bare:
    @asynccontextmanager
    async def start(port: int) -> AsyncIterator[str]:
        name = f"bare-{port}"
        options = ["--detach", "--name", name, "--publish", f"127.0.0.1:{port}:{LISTENS_ON}"]
        # By itself it asks for more than some machines allow.
        options += ["--ulimit", "nofile=1024", "--ulimit", "nproc=1024"]
        await asyncio.to_thread(engine.run, "run", *options, image)
        try:
            yield f"http://127.0.0.1:{port}{PAGE['path']}"
        finally:
            await asyncio.to_thread(engine.run, "rm", "--force", "--time", "0", name)

    return start


def _middle_ms(seconds: Iterable[float]) -> float:
    return round(float(median(seconds)) * 1_000, 1)
