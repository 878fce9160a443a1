"""A job changes version on many real nodes while clients never stop calling it through a gateway.

Every node is an agent of its own, the keeper and the gateway are processes too. Clients keep their
connections, and count every answer that is not 200 and every connection that breaks.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from scripts import gas
from scripts._bench.process import BenchError, Figures
from scripts._bench.site import Agent, Site, python
from scripts._bench.stages import percentile
from workdeed.intent import Spec, encode_spec, spec_hash
from workdeed.protocol.rollouts import RolloutProgress

CLIENTS = 4
CALL_PAUSE_SECONDS = 0.02
ANSWER_SECONDS = 30.0
STEADY_SECONDS = 3.0
"""Of calling before the update and after it."""
LOOK_SECONDS = 0.5
STARTING_AT_ONCE = 4
OLD, NEW = "first", "second"
ROLLOUT: dict[str, Any] = {
    "policy": "rolling",
    "max_unavailable": 2,
    "drain_ms": 3_000,
    "settle_ms": 2_000,
    "deadline_ms": 60_000,
}


@dataclass
class Calls:
    """What clients got.

    Attributes:
        taken_ms: how long each answer took.
        versions: how many answers came from each version, in the order of the first.
        failures: what went wrong, each.

    """

    taken_ms: list[float] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many calls came to an end."""
        return len(self.taken_ms) + len(self.failures)

    @asynccontextmanager
    async def made(self, url: str) -> AsyncIterator[None]:
        """Let all clients call until the end."""
        calling = [asyncio.create_task(self._client(url)) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            for one in calling:
                one.cancel()
            for found in await asyncio.gather(*calling, return_exceptions=True):
                if isinstance(found, Exception):
                    raise found

    async def _client(self, url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._call(session, url)
                await asyncio.sleep(CALL_PAUSE_SECONDS)

    async def _call(self, session: aiohttp.ClientSession, url: str) -> None:
        began = time.monotonic()
        try:
            async with session.get(url) as got:
                body = await got.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        if got.status != 200:
            self.failures.append(f"status {got.status}: {body[:200]!r}")
            return
        self.taken_ms.append((time.monotonic() - began) * 1_000)
        version = str(json.loads(body)["greeting"])
        self.versions[version] = self.versions.get(version, 0) + 1


async def run(site: Site, replicas: int) -> Figures:
    """Update a job of so many replicas, each on a node of its own: more than may be unavailable."""
    old, new = _spec(site, OLD), _spec(site, NEW)
    async with AsyncExitStack() as stack:
        agents = await _agents(site, stack, replicas)
        (job_id,) = site.placed(old, [one.license_id for one in agents])
        keeper = await stack.enter_async_context(site.keeper(agents, [old, new]))
        await site.until(lambda: _all_serve(site, keeper, job_id, replicas, 0), "replicas")
        gateway = await stack.enter_async_context(site.gateway(job_id, keeper))
        calls = Calls()
        async with calls.made(gateway):
            await asyncio.sleep(STEADY_SECONDS)
            before, began = calls.count, time.monotonic()
            _revise(site, job_id, new)
            await site.until(lambda: _is_over(site, keeper, job_id), "update", pause=LOOK_SECONDS)
            took, after = time.monotonic() - began, calls.count
            await _check(site, keeper, job_id, replicas)
            last = dict(calls.versions)
            await asyncio.sleep(STEADY_SECONDS)
        if calls.versions.get(OLD) != last.get(OLD):
            raise BenchError("update: the old version answered when it was over")
    return _figures(calls, replicas, took, after - before)


def _figures(calls: Calls, replicas: int, took: float, meanwhile: int) -> Figures:
    return {
        "replicas": replicas,
        "rollout": ROLLOUT,
        "update_seconds": round(took, 1),
        "requests": calls.count,
        "requests_in_update": meanwhile,
        "failed": len(calls.failures),
        "failures": calls.failures[:10],
        "versions": calls.versions,
        "p50_ms": round(percentile(calls.taken_ms, 0.5), 1),
        "p99_ms": round(percentile(calls.taken_ms, 0.99), 1),
    }


def _spec(site: Site, version: str) -> Spec:
    return site.spec(
        "rolling",
        run=(python(), "server.py"),
        env={"GREETING": version},
        port={},
        health={"kind": "http"},
        rollout=ROLLOUT,
    )


async def _agents(site: Site, stack: AsyncExitStack, count: int) -> list[Agent]:
    """Start agents, a few at a time; returned by license, as they are placed."""
    turn = asyncio.Semaphore(STARTING_AT_ONCE)

    async def start() -> Agent:
        async with turn:
            return await stack.enter_async_context(site.agent())

    found = await asyncio.gather(*(start() for _ in range(count)))
    return sorted(found, key=lambda one: one.license_id)


async def _all_serve(site: Site, keeper: str, job_id: int, replicas: int, revision: int) -> bool:
    """Tell whether the keeper lists all replicas, each with that revision."""
    async with site.session.get(f"{keeper}/jobs/{job_id}/endpoints") as got:
        found = (await got.json()).get("endpoints", []) if got.status == 200 else []
    return [one["revision"] for one in found] == [revision] * replicas


async def _is_over(site: Site, keeper: str, job_id: int) -> bool:
    async with site.session.get(f"{keeper}/jobs/{job_id}/rollout") as got:
        if got.status != 200:
            return False
        found = RolloutProgress.parse(await got.read())
    if found.phase == "reverted":
        raise BenchError(f"update: it was given up ({found.reason})")
    served = all(one.revision == found.revision for one in found.replicas)
    return found.revision == 1 and found.phase == "steady" and served


async def _check(site: Site, keeper: str, job_id: int, replicas: int) -> None:
    if not await _all_serve(site, keeper, job_id, replicas, 1):
        raise BenchError("update: not all replicas serve the new version")


def _revise(site: Site, job_id: int, spec: Spec) -> None:
    bench: gas.Bench = site.chain.bench
    bench.send(bench.desk.functions.revise_job(job_id, spec_hash(encode_spec(spec))), bench.payer)
