"""Many services on one agent: what the agent itself takes at rest, and how fast it answers then.

Each job has four small services, of which one is asked over HTTP and one over TCP whether it is
well. Supervisors and services are processes of their own and told apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from scripts._bench.process import MEGABYTE, BenchError, Figures
from scripts._bench.site import Agent, Site, python
from scripts._bench.stages import percentile
from workdeed.intent import Spec, encode_spec
from workdeed.node.drivers import shim

SERVICES = 4
ANSWER_EVERY_SECONDS = 0.1
MINUTE = 60.0
SETTLE_SECONDS = 5.0

_HTTP = """\
import os, socket
listening = socket.create_server((os.environ["HOST"], int(os.environ["PORT"])))
while True:
    connection, _ = listening.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    connection.close()
"""
_TCP = """\
import os, socket
listening = socket.create_server((os.environ["HOST"], int(os.environ["PORT"])))
while True:
    listening.accept()[0].close()
"""


@dataclass(frozen=True)
class Load:
    """What processes took.

    Attributes:
        cpu_seconds: since they began.
        memory: resident bytes; pages that several hold count in each.
        share: bytes, each page divided among those that hold it.

    """

    cpu_seconds: float = 0.0
    memory: int = 0
    share: int = 0

    @classmethod
    def of(cls, processes: list[psutil.Process]) -> Load:
        """Add up what processes took."""
        seconds, memory, share = 0.0, 0, 0
        for one in processes:
            times, held = one.cpu_times(), one.memory_full_info()
            seconds += times.user + times.system
            memory += held.rss
            share += held.pss
        return cls(seconds, memory, share)


async def run(site: Site, jobs: int, seconds: float) -> Figures:
    """Start `jobs` jobs on an agent, and return what it takes for them.

    Args:
        site: where.
        jobs: of `SERVICES` services each.
        seconds: that are measured at rest, and under each kind of question.

    """
    spec = _spec(site)
    async with site.agent() as agent:
        placed = site.placed(spec, [agent.license_id], jobs)
        empty = await _at_rest(agent, [], seconds / 2)
        took = await _start_all(agent, placed, encode_spec(spec))
        # What is done once a task is well is over by then.
        await asyncio.sleep(SETTLE_SECONDS)
        supervisors = list(_supervisors(agent.process))
        if len(supervisors) != jobs * SERVICES:
            raise BenchError(f"crowd: {len(supervisors)} services run, not {jobs * SERVICES}")
        rest = await _at_rest(agent, supervisors, seconds)
        probes = await _answers(agent, agent.probe, seconds)
        status = await _answers(agent, agent.status, seconds)
        if any(not one.healthy for one in (await agent.probe()).workloads):
            raise BenchError("crowd: a job is not well in the end")
    return {
        "jobs": jobs,
        "services": jobs * SERVICES,
        "start_seconds": round(took, 1),
        "empty": empty,
        "rest": rest,
        "probe": probes,
        "status": status,
    }


def _spec(site: Site) -> Spec:
    size = {"cpu_milli": 10, "memory_mb": 32, "storage_mb": 16}
    program = (python(), "-I", "-S", "-c")
    common: dict[str, Any] = {
        "runner": "war",
        "source": {"git": {"url": site.url, "commit": site.commit}},
    }
    siblings: list[dict[str, Any]] = [
        {"name": "tcp", "run": (*program, _TCP), "port": {}, "health": {"kind": "tcp"}},
        {"name": "first", "run": ("sleep", "infinity")},
        {"name": "second", "run": ("sleep", "infinity")},
    ]
    return site.spec(
        "crowd",
        run=(*program, _HTTP),
        port={},
        health={"kind": "http"},
        siblings=[{**common, **one, "resources": size} for one in siblings],
    )


async def _start_all(agent: Agent, jobs: list[int], data: bytes) -> float:
    """Dispatch all jobs, and return the seconds until the last is well."""
    began = time.monotonic()
    for job_id in jobs:
        await agent.dispatch(job_id, data)

    async def all_well() -> bool:
        return all(one.healthy for one in (await agent.probe()).workloads)

    await agent.site.until(all_well, "crowd", pause=0.5)
    return time.monotonic() - began


async def _at_rest(agent: Agent, supervisors: list[psutil.Process], seconds: float) -> Figures:
    """Return what the agent and the supervisors take while nobody asks."""
    parts = {"agent": [agent.process], "supervisors": supervisors}
    before = {name: Load.of(processes) for name, processes in parts.items()}
    began = time.monotonic()
    await asyncio.sleep(seconds)
    lived = time.monotonic() - began
    found = {}
    for name, processes in parts.items():
        after = Load.of(processes)
        used = after.cpu_seconds - before[name].cpu_seconds
        found[name] = {
            "rss_mb": round(after.memory / MEGABYTE, 1),
            "pss_mb": round(after.share / MEGABYTE, 1),
            "cpu_seconds_a_minute": round(used * MINUTE / lived, 2),
        }
    return found


async def _answers(agent: Agent, ask: Callable[[], Awaitable[object]], seconds: float) -> Figures:
    """Ask at a steady pace, and return how long the answers took, and the agent's CPU for each."""
    taken: list[float] = []
    before, began = Load.of([agent.process]).cpu_seconds, time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        await ask()
        taken.append((time.monotonic() - now) * 1_000)
        due = began + len(taken) * ANSWER_EVERY_SECONDS
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    used = Load.of([agent.process]).cpu_seconds - before
    return {
        "asked": len(taken),
        "p50_ms": round(percentile(taken, 0.5), 1),
        "p99_ms": round(percentile(taken, 0.99), 1),
        "max_ms": round(max(taken), 1),
        "cpu_seconds_a_minute": round(used * MINUTE / (time.monotonic() - began), 2),
    }


def _supervisors(agent: psutil.Process) -> Iterator[psutil.Process]:
    """Yield the processes that each look after one task of an agent."""
    for one in agent.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if shim.__file__ in one.cmdline():
                yield one
