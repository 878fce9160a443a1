"""The whole agent with images: Podman behind, a chain that tests can bend."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from container_support import fetch
from node_support import JOB, Chain, ChainJob, Client, Launch, eventually

from tests.podman import Podman
from workdeed.intent import encode_spec, load_spec, spec_hash

pytestmark = pytest.mark.container


@pytest.fixture
def engine(podman: Podman) -> Iterator[dict[str, Any]]:
    """Settings of an agent that uses the tests' Podman, which runs again after the test."""
    yield {"container": {"socket": f"unix://{podman.socket}"}}
    podman.stop()
    podman.start()


def spec(image: str, **changes: Any) -> bytes:
    document: dict[str, Any] = {
        "schema": "workdeed/spec@1",
        "name": "hello",
        "class_id": 1,
        "runner": "car",
        "source": {"image": {"reference": image, "pull": "never"}},
        "port": {"name": "main", "env": "PORT", "number": 8080},
        "health": {"kind": "http", "path": "/", "interval_ms": 100, "timeout_ms": 2000},
        "restart": {"first_ms": 100, "longest_ms": 1_000},
        "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
    }
    return encode_spec(load_spec(document | changes))


def containers(podman: Podman) -> list[str]:
    return podman.run("ps", "--all", "--quiet", "--filter", "label=workdeed.owner").split()


async def serve(client: Client, chain: Chain, data: bytes) -> None:
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    assert (await client.dispatch(data))[0] in (200, 202)


def main_port(status: dict[str, Any]) -> int:
    return int(status["port"])


async def test_an_image_serves_and_outlives_the_agent_and_the_engines_service(
    launch: Launch, chain: Chain, podman: Podman, engine: dict[str, Any]
):
    data = spec(podman.image("http"))
    client = await launch(**engine)
    await serve(client, chain, data)
    status = await client.reaches("running")
    url = f"http://127.0.0.1:{main_port(status)}/"
    assert await asyncio.to_thread(fetch, url) == "hello\n"
    before = containers(podman)
    assert len(before) == 1
    await client.node.close()
    podman.stop(signal.SIGKILL)
    assert await asyncio.to_thread(fetch, url) == "hello\n"
    podman.start()
    client = await launch(**engine)
    assert main_port(await client.reaches("running")) == main_port(status)
    assert containers(podman) == before
    podman.stop()
    await asyncio.sleep(0.5)
    assert (await client.workloads())[0]["state"] == "running"
    podman.start()
    chain.jobs[JOB].first = 0
    await client.rounds()
    chain.go_on()
    await client.gone()

    async def empty() -> bool:
        return containers(podman) == []

    await eventually(empty, "end of the container")
    assert "workdeed-" not in podman.run("network", "ls")


async def test_services_reach_each_other_by_the_address_that_is_handed_on(
    launch: Launch, chain: Chain, podman: Podman, engine: dict[str, Any]
):
    script = (
        "while :; do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 $PEER 8080 > /www/seen; "
        "sleep 0.2; done & exec httpd -f -p 8080 -h /www"
    )
    sibling = {
        "name": "pages",
        "runner": "car",
        "source": {"image": {"reference": podman.image("http"), "pull": "never"}},
        "port": {"name": "main", "env": "PORT", "number": 8080},
        "resources": {"cpu_milli": 50, "memory_mb": 16, "storage_mb": 16},
    }
    data = spec(
        podman.image(),
        run=["sh", "-c", script],
        env={"PEER": {"service": "pages", "value": "host"}},
        siblings=[sibling],
    )
    client = await launch(**engine)
    await serve(client, chain, data)
    url = f"http://127.0.0.1:{main_port(await client.reaches('running'))}/seen"

    async def seen() -> bool:
        return "hello" in await asyncio.to_thread(fetch, url)

    await eventually(seen, "an answer of the sibling")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("crash", "code 3"),
        ("greedy", "memory"),
        ("base", "command"),
    ],
)
async def test_why_an_image_does_not_run_is_told(
    launch: Launch,
    chain: Chain,
    podman: Podman,
    engine: dict[str, Any],
    image: str,
    words: str,
):
    client = await launch(**engine)
    await serve(client, chain, spec(podman.image(image)))
    found: list[dict[str, Any]] = []

    async def told() -> bool:
        found[:] = await client.workloads()
        return words in str(found)

    await eventually(told, f"{words!r} as the reason")
    assert len(containers(podman)) <= 1


async def test_the_status_of_a_container_that_ended_at_once(
    launch: Launch, chain: Chain, podman: Podman, engine: dict[str, Any]
):
    """It has no process number any more, and the whole status failed for that."""
    client = await launch(**engine)
    restart = {"first_ms": 100, "longest_ms": 100}
    await serve(client, chain, spec(podman.image(), run=["true"], restart=restart))

    async def some_lives() -> bool:
        return any(one["services"][0]["restarts"] > 3 for one in await client.workloads())

    await eventually(some_lives, "some restarts")


async def test_an_image_that_never_gets_healthy(
    launch: Launch, chain: Chain, podman: Podman, engine: dict[str, Any]
):
    client = await launch(**engine)
    health = {"kind": "command", "run": ["false"], "interval_ms": 100, "start_period_ms": 300}
    await serve(client, chain, spec(podman.image("polite"), health=health))

    async def told() -> bool:
        return "not well within its start period" in str(await client.workloads())

    async def again() -> bool:
        return any(one["services"][0]["restarts"] > 0 for one in await client.workloads())

    await eventually(told, "the reason")
    await eventually(again, "a restart")
    assert len(containers(podman)) <= 1


async def test_without_its_engine_a_node_offers_no_images(launch: Launch, tmp_path: Any):
    client = await launch(container={"socket": f"unix://{tmp_path}/absent.sock"})
    status, profile = await client.get("/profile")
    assert status == 200
    assert "war" in str(profile)
    assert "'car'" not in str(profile)
