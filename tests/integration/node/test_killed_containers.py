"""An agent killed over its containers, and what else goes wrong around one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agent_process import AgentProcess, agent_process
from node_support import JOB, Chain, FakeRpc, Launch, alive, eventually, revise, settings, stranger
from test_agent_containers import containers, engine, serve, spec
from test_signed_requests import DELEGATE, signed

from tests.podman import Podman
from workdeed.protocol.signing import address_of

__all__ = ["engine"]  # a fixture

pytestmark = pytest.mark.container

SLOW = ["sh", "-c", "sleep 4; exec httpd -f -p 8080 -h /www"]
# PID 1 ignores a SIGTERM that it has no handler for.
STUBBORN = ["httpd", "-f", "-p", "8080", "-h", "/www"]
STOP_SECONDS = 2.0
LONG_SECONDS = 600.0
"""What the agent that is to be killed gives, so that nothing stops before that."""


@pytest.fixture
def options(engine: dict[str, Any], chain: Chain) -> dict[str, Any]:
    """Settings of both agents; the chain knows a delegate of the payer."""
    chain.grants = {address_of(DELEGATE).lower(): (8, chain.now + 10_000)}
    return {**engine, "stop_seconds": STOP_SECONDS}


@pytest.fixture
async def first(
    tmp_path: Path, rpcs: list[FakeRpc], options: dict[str, Any]
) -> AsyncIterator[AgentProcess]:
    """The agent that is to be killed."""
    patient = options | {"stop_seconds": LONG_SECONDS}
    async with agent_process(settings(tmp_path, rpcs, **patient)) as agent:
        yield agent


def running(podman: Podman) -> list[str]:
    """Return the containers that run."""
    words = ("ps", "--quiet", "--filter", "label=workdeed.owner")
    return podman.run(*words).split()


async def test_a_starting_and_a_running_container_are_found_again(
    first: AgentProcess, launch: Launch, chain: Chain, podman: Podman, options: dict[str, Any]
):
    await serve(first.client, chain, spec(podman.image("http"), run=SLOW))
    await first.client.reaches("starting")
    before = running(podman)
    await first.kill()
    client = await launch(**options)
    await client.reaches("running")
    assert running(podman) == containers(podman) == before
    assert len(before) == 1


async def test_a_stop_by_the_payer_that_was_cut_off_is_finished(
    first: AgentProcess, launch: Launch, chain: Chain, podman: Podman, options: dict[str, Any]
):
    restart = {"policy": "unless-stopped", "first_ms": 100, "longest_ms": 1_000}
    await serve(first.client, chain, spec(podman.image("http"), run=STUBBORN, restart=restart))
    await first.client.reaches("running")
    asked = asyncio.create_task(first.client.post("/requests", signed("stop").to_json()))
    await first.client.reaches("stopping")
    await first.kill()
    await asyncio.gather(asked, return_exceptions=True)
    client = await launch(**options)
    await client.reaches("stopped")
    await client.rounds(3)
    assert running(podman) == []
    assert (await client.post("/requests", signed("resume").to_json()))[0] == 202
    await client.reaches("running")
    assert len(running(podman)) == 1


async def test_between_two_revisions_there_is_never_more_than_one_container(
    first: AgentProcess, launch: Launch, chain: Chain, podman: Podman, options: dict[str, Any]
):
    image = podman.image("http")
    await serve(first.client, chain, spec(image, run=STUBBORN))
    await first.client.reaches("running")
    later = spec(image, run=STUBBORN, rollout={"policy": "recreate", "drain_ms": 0})
    revise(chain.jobs[JOB], later)
    chain.go_on()
    assert (await first.client.dispatch(later, revision=1))[0] == 202
    await first.client.reaches("stopping")
    (old,) = running(podman)
    await first.kill()
    counts: set[int] = set()

    async def count() -> None:
        while True:
            counts.add(len(await asyncio.to_thread(running, podman)))

    counting = asyncio.create_task(count())
    client = await launch(**options)
    await client.reaches("running", revision=1)
    await client.settled()
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    assert counts <= {0, 1}
    assert running(podman) == containers(podman) != [old]


async def test_a_container_that_ended_while_the_engines_service_was_down_is_started_again(
    launch: Launch, chain: Chain, podman: Podman, options: dict[str, Any]
):
    client = await launch(**options)
    await serve(client, chain, spec(podman.image("http")))
    before = await client.reaches("running")
    podman.stop(signal.SIGKILL)
    os.kill(before["pid"], signal.SIGKILL)
    await eventually(lambda: not alive(before["pid"]), "the end of the container")
    await asyncio.sleep(0.5)
    assert (await client.get("/healthz"))[0] == 200
    podman.start()

    async def another() -> bool:
        (one,) = await client.workloads()
        return one["state"] == "running" and one["pid"] != before["pid"]

    await eventually(another, "another start")
    assert len(containers(podman)) == 1


async def test_a_port_that_somebody_took_meanwhile_is_published_elsewhere(
    launch: Launch, chain: Chain, podman: Podman, options: dict[str, Any]
):
    client = await launch(**options)
    restart = {"first_ms": 2_000, "longest_ms": 2_000}
    await serve(client, chain, spec(podman.image("http"), restart=restart))
    before = await client.reaches("running")
    os.kill(before["pid"], signal.SIGKILL)
    async with stranger(before["port"]):
        await client.reaches_another(before["port"])
    assert len(running(podman)) == 1
