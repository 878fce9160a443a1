"""What a note of an end says later, and what it must not: of asked ends, and of ends for good."""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from workdeed.node import workload
from workdeed.node.drivers.base import Driver, Handle, Inspection, Phase
from workdeed.node.errors import DriverError
from workdeed.node.jobs import Job, JobTools
from workdeed.node.lifecycle import State
from workdeed.node.pod import Gate, Pod
from workdeed.node.records import JobRecord

from .job_support import QUICK, World, record_of, revision, sibling, until

Make = Callable[..., Pod]
Launch = Callable[..., Job]

FOLLOWED = {"git": {"url": "/srv/x.git", "branch": "main", "follow": True}}
NEVER = QUICK | {"policy": "never"}


async def reaches(pod: Pod, state: State) -> None:
    await until(lambda: pod.state is state, f"{state}, it is {pod.state},")


async def is_good(pod: Pod, version: str) -> None:
    await until(lambda: pod.main._memory.pin.good == version, f"the proof of {version}")


# --- An end that was asked for -------------------------------------------------------------------


async def test_a_newer_commit_is_not_blamed_for_the_illness_of_the_one_before(
    launch: Launch, world: World
):
    """Once its new run was found well, the old note was still taken for the cause of its end."""
    world.poll = 0.3
    job = launch(record_of(revision(0, source=FOLLOWED)))
    await is_good(job.wanted, "c0")
    world.well, world.slow = False, 5
    await reaches(job.wanted, State.STOPPING)
    await job.leave()
    world.well, world.slow = True, 0
    job = launch(job.record)
    await reaches(job.wanted, State.RUNNING)
    world.newest = "c1"
    await is_good(job.wanted, "c1")
    assert job.record.wanted.pins["main"].bad == ()


@pytest.mark.parametrize(("policy", "code"), [("never", 0), ("on-failure", 0), ("never", 3)])
async def test_one_shot_work_that_outlives_what_it_was_asked_ends_by_itself(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch, policy: str, code: int
):
    monkeypatch.setattr(workload, "_OBEYS_SECONDS", -10.0)
    pod = make(restart=QUICK | {"policy": policy})
    await reaches(pod, State.RUNNING)
    world.stuck = True
    with pytest.raises(DriverError):
        await pod.main.restart()
    world.stuck = False
    await reaches(pod, State.RUNNING)
    await until(lambda: pod.main._memory.end is None, "the end of the note")
    world.exit(code)
    await reaches(pod, State.STOPPED if code == 0 else State.FAILED)
    await asyncio.sleep(0.2)
    assert world.events == ["start 0"]


# --- An end for good -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["bar", "reboot", "rollback"])
async def test_what_waits_for_a_sibling_that_is_done_starts_again(
    launch: Launch, world: World, gate: Gate, how: str
):
    job = launch(record_of(revision(0, siblings=[sibling("init", restart=NEVER)], after=["init"])))
    await until(lambda: job.wanted.main.state is State.RUNNING, "the start")
    name = next(one for one in world.running if "init" in one)
    del world.running[name]
    world.ended[name] = Inspection(Phase.EXITED, 0)
    await until(lambda: job.wanted.workloads["init"].done, "the end of the sibling")
    if how == "bar":
        gate.close("the license is frozen")
        await job.suspend("the license is frozen")
        gate.open()
    elif how == "reboot":
        await job.leave()
        world.running.clear()
        world.ended.clear()
        job = launch(job.record)
    else:
        await job.revise(revision(1, rollout={"policy": "rolling", "drain_ms": 0, "settle_ms": 0}))
        job.take()
        await until(lambda: job.serving.number == 1 and job.serving.well, "the next revision")
        await job.abandon("it was given up")
    await until(lambda: job.serving.main.state is State.RUNNING, "the restart")
    assert job.serving.number == 0
    assert world.events.count("start 0.init") == 1


async def test_a_revision_that_could_not_be_built_is_tried_by_the_next_run_of_the_agent(
    launch: Launch, world: World
):
    """Nobody can resume what does not serve, and the others wait for its turn."""
    job = launch(record_of(revision(0)))
    await reaches(job.wanted, State.RUNNING)
    world.unbuildable = {1}
    await job.revise(revision(1, restart=QUICK | {"tries": 2}))
    await reaches(job.wanted, State.FAILED)
    await until(lambda: job.wanted.main.restarts == 1, "the last try")
    await asyncio.sleep(0.2)
    world.unbuildable = set()
    await job.leave()
    job = launch(job.record)
    await until(lambda: job.serving.number == 1 and job.serving.well, "the next revision")


async def test_a_process_whose_start_could_not_be_noted_is_watched(
    launch: Launch, world: World, tools: JobTools
):
    kept: list[JobRecord] = []
    full = False

    def save(record: JobRecord) -> None:
        if full:
            raise OSError(errno.ENOSPC, "no space left on device")
        kept.append(record)

    others = replace(tools, save=save)
    job = launch(record_of(revision(0, restart=NEVER)), others)
    await reaches(job.wanted, State.RUNNING)
    world.exit(0)
    await until(lambda: bool(kept and kept[-1].wanted.ends), "the note")
    full = True
    await job.wanted.main.resume()
    await reaches(job.wanted, State.RUNNING)
    full = False
    await job.leave()
    job = launch(kept[-1], others)
    await reaches(job.wanted, State.RUNNING)
    assert job.runs
    assert world.events == ["start 0", "start 0"]


async def test_a_resume_while_it_is_looked_for_is_not_lost(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
):
    """An engine may take its time to say that nothing runs any more."""
    pod = make(restart=NEVER)
    await reaches(pod, State.RUNNING)
    answers, find = asyncio.Event(), pod.main._find

    async def slow() -> tuple[Driver, Handle] | None:
        await answers.wait()
        return await find()

    monkeypatch.setattr(pod.main, "_find", slow)
    world.exit(3)
    await reaches(pod, State.FAILED)
    await asyncio.sleep(0.05)
    await pod.main.resume()
    answers.set()
    await until(lambda: world.events == ["start 0", "start 0"], "the restart")


# --- Newer versions in the place of failing ones -------------------------------------------------


async def test_a_commit_that_comes_while_nothing_can_be_started_is_taken_afterwards(
    make: Make, world: World
):
    """It failed for what its predecessor failed for, and used to be given up for ever."""
    world.poll = 0.3
    pod = make(source=FOLLOWED)
    await is_good(pod, "c0")
    world.unstartable = True
    world.exit(1)
    world.newest = "c1"
    await until(lambda: pod.version == "c1", "a try")
    await until(lambda: pod.version == "c0", "the way back")
    world.unstartable = False
    await is_good(pod, "c1")
    assert pod.main._memory.pin.bad == ()


async def test_a_commit_that_comes_while_everything_crashes_is_taken_afterwards(
    make: Make, world: World
):
    world.poll = 0.3
    pod = make(source=FOLLOWED)
    await is_good(pod, "c0")
    world.well, world.newest = False, "c1"

    async def crash() -> None:
        while True:
            await asyncio.sleep(0.03)
            world.exit(1)

    crashing = asyncio.create_task(crash())
    await until(lambda: pod.version == "c1", "a try")
    await until(lambda: pod.version == "c0", "the way back")
    crashing.cancel()
    world.well = True
    await is_good(pod, "c1")
    assert pod.main._memory.pin.bad == ()


async def test_a_good_version_is_not_kept_dark_while_a_newer_one_is_made(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
):
    making, prepare = asyncio.Event(), world.prepare

    async def slow(order: Any, version: str) -> Any:
        if version == "c1":
            making.set()
            await asyncio.sleep(60)
        return await prepare(order, version)

    monkeypatch.setattr(world, "prepare", slow)
    world.poll = 0.3
    pod = make(source=FOLLOWED)
    await is_good(pod, "c0")
    world.newest = "c1"
    await making.wait()
    world.exit(1)
    await until(lambda: world.events.count("start 0") == 2 and pod.well, "the restart")
    assert pod.version == "c0"


@pytest.mark.parametrize("again", [False, True])
async def test_that_a_commit_is_not_taken_is_seen_in_every_life(
    launch: Launch, world: World, again: bool
):
    world.poll = 0.2
    job = launch(record_of(revision(0, source=FOLLOWED)))
    await reaches(job.wanted, State.RUNNING)
    if again:
        await job.wanted.main.leave()
        job.wanted.main.begin()
        await reaches(job.wanted, State.RUNNING)
    world.bad, world.newest = {"c1"}, "c1"
    await until(lambda: "c1 is not taken" in job.wanted.reason, "the note")
