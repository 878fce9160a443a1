"""A job's update under a client, against keepers that say what the test wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from scripts._demo.specs import EVENING, MORNING, image_spec
from scripts._demo.update import Caller, Update
from workdeed.intent.spec import Spec
from workdeed.protocol.rollouts import (
    Endpoint,
    EndpointList,
    Phase,
    ReplicaProgress,
    RolloutProgress,
)

JOB = 3
SECONDS = 10.0


class World:
    """A keeper, two replicas of one job behind one port, and the payer who revises it."""

    def __init__(self) -> None:
        self.port = 0
        self.serving = 2
        self.revision = 0
        self.phase: Phase = "steady"
        self.reason = ""
        self.text = MORNING
        self.status = 200
        self.revised: list[Spec] = []

    async def revise_job(self, job_id: int, spec: Spec) -> int:
        assert job_id == JOB
        self.revised.append(spec)
        self.phase = "rolling"
        self.revision = 1
        return 1

    async def endpoints(self, _: web.Request) -> web.Response:
        found = tuple(
            Endpoint(license_id=number, host="127.0.0.1", port=self.port, revision=0, version="")
            for number in range(1, self.serving + 1)
        )
        body = EndpointList(job_id=JOB, replicas=2, endpoints=found)
        return web.Response(body=body.to_json())

    async def rollout(self, _: web.Request) -> web.Response:
        served = 1 if self.phase == "steady" else 0
        replicas = tuple(
            ReplicaProgress(license_id=one, state="well", revision=served, well_ms=1, reason="")
            for one in (1, 2)
        )
        body = RolloutProgress(
            job_id=JOB,
            revision=self.revision,
            policy="rolling",
            phase=self.phase,
            reason=self.reason,
            replicas=replicas,
        )
        return web.Response(body=body.to_json())

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=f"{self.text}\n", status=self.status)


@asynccontextmanager
async def playing() -> AsyncIterator[tuple[World, Update]]:
    world, app = World(), web.Application()
    app.router.add_get(f"/jobs/{JOB}/endpoints", world.endpoints)
    app.router.add_get(f"/jobs/{JOB}/rollout", world.rollout)
    app.router.add_get("/", world.page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    world.port = runner.addresses[0][1]
    spec = image_spec("localhost/demo:1", EVENING)
    update = Update(JOB, 2, spec, (f"http://127.0.0.1:{world.port}",))
    try:
        yield world, update
    finally:
        await update.close()
        await runner.cleanup()


async def until(condition: Callable[[Caller], bool], caller: Caller | None) -> None:
    """Wait until something is true of the client."""
    assert caller is not None
    deadline = time.monotonic() + SECONDS
    while not condition(caller):
        assert time.monotonic() < deadline, caller
        await asyncio.sleep(0.01)


async def answered(caller: Caller | None, text: str) -> None:
    """Wait until the client has read `text`."""
    await until(lambda one: text in one.answers, caller)


async def test_it_begins_when_all_replicas_serve() -> None:
    async with playing() as (world, update):
        world.serving = 1
        assert await update.advance(world) == ""
        assert not update.is_under_way
        assert world.revised == []
        world.serving = 2
        assert "updated to revision 1" in await update.advance(world)
        assert update.is_under_way
        assert world.revised == [image_spec("localhost/demo:1", EVENING)]
        assert await update.advance(world) == ""
        assert len(world.revised) == 1


async def test_the_client_calls_until_the_new_revision_serves_everywhere() -> None:
    async with playing() as (world, update):
        await update.advance(world)
        await answered(update.caller, MORNING)
        world.text = EVENING
        await answered(update.caller, EVENING)
        assert await update.advance(world) == ""
        world.phase = "steady"
        assert "serves revision 1 everywhere" in await update.advance(world)
        assert update.is_done
        assert await update.advance(world) == ""
        result = update.result()
        assert result["revision"] == 1
        assert result["answers"] == [MORNING, EVENING]
        assert result["calls"] >= 2
        assert result["failed"] == 0
        await asyncio.sleep(0.2)
        assert update.result() == result


async def test_a_call_that_fails_counts() -> None:
    async with playing() as (world, update):
        await update.advance(world)
        await answered(update.caller, MORNING)
        world.status = 404
        await until(lambda one: one.failed > 0, update.caller)
        world.phase = "steady"
        told = await update.advance(world)
        assert "0 failed" not in told
        assert update.result()["failed"] >= 1


async def test_what_was_given_up_is_told_with_the_reason() -> None:
    async with playing() as (world, update):
        await update.advance(world)
        world.phase, world.reason = "reverted", "license 1: it never got well"
        told = await update.advance(world)
        assert "went back to revision 0: license 1: it never got well" in told
        assert update.result()["revision"] == 0


async def test_a_keeper_that_does_not_answer_is_asked_again() -> None:
    payer: Any = None
    update = Update(JOB, 2, image_spec("localhost/demo:1", EVENING), ("http://127.0.0.1:1",))
    assert await update.advance(payer) == ""
    assert not update.is_done
    await update.close()


async def test_before_it_has_begun_there_is_nothing_to_tell() -> None:
    async with playing() as (_, update):
        assert update.result() == {
            "job_id": JOB,
            "revision": None,
            "calls": 0,
            "failed": 0,
            "answers": [],
        }
