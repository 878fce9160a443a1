"""The runtime of a node: how soon a workload is well, what many cost, an update in service."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from scripts._bench import crowd, rolling, starting
from scripts._bench.process import Figures
from scripts._bench.site import Site, opened


def run(*, starts: int, jobs: int, rest_seconds: float, replicas: int) -> Figures:
    """Measure all parts, each on a chain of its own; where no agent runs, say why.

    Args:
        starts: workloads of each kind that are started.
        jobs: on one agent, of four services each.
        rest_seconds: that the agent with these is watched, at rest and under each question.
        replicas: of the job that is updated.

    """
    if not sys.platform.startswith("linux"):
        return {"absent": "an agent that runs processes needs Linux"}
    return {
        "process": _on_a_site(lambda site: starting.processes(site, starts)),
        "container": _on_a_site(lambda site: starting.containers(site, starts)),
        "crowd": _on_a_site(lambda site: crowd.run(site, jobs, rest_seconds)),
        "rolling": _on_a_site(lambda site: rolling.run(site, replicas)),
    }


def _on_a_site(work: Callable[[Site], Awaitable[Figures]]) -> Figures:
    async def measured() -> Figures:
        async with opened() as site:
            return await work(site)

    return asyncio.run(measured())
