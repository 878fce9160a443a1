"""What happens to a service or a change of revisions in the middle of something else."""

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from workdeed.node.errors import DriverDownError, DriverError
from workdeed.node.jobs import Job, JobTools
from workdeed.node.lifecycle import Cause, State
from workdeed.node.pod import Gate, Pod
from workdeed.node.records import JobRecord, Pin, Revision
from workdeed.node.verdict import Action, Verdict

from .job_support import QUICK, World, record_of, revision, sibling, until

Make = Callable[..., Pod]
Launch = Callable[..., Job]

FOLLOWED = {"git": {"url": "/srv/x.git", "branch": "main", "follow": True}}


def rolling(number: int, **changes: Any) -> Revision:
    policy = {"policy": "rolling", "drain_ms": 0, "deadline_ms": 60_000, "settle_ms": 0}
    return revision(number, rollout=policy | changes)


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


async def reaches(pod: Pod, state: State) -> None:
    await until(lambda: pod.state is state, f"{state}, it is {pod.state},")


@pytest.fixture
async def job(launch: Launch) -> Job:
    made = launch(record_of(revision(0)))
    await reaches(made.wanted, State.RUNNING)
    return made


# --- An end that is called off -------------------------------------------------------------------


async def test_a_revision_that_is_called_back_while_it_ends_runs_again(job: Job, world: World):
    await job.revise(rolling(1))
    world.slow = 0.3
    job.take()
    await until(lambda: job.pods[0].state is State.STOPPING, "the end of the old one")
    await job.abandon("the canary was ill")
    world.slow = 0.0
    await reaches(job.serving, State.RUNNING)
    assert job.serving.number == 0
    world.exit(1)
    await until(lambda: len(world.running) == 1 and job.serving.well, "the restart")


async def test_a_revision_that_is_kept_while_it_ends_runs_again(job: Job, world: World):
    await job.revise(rolling(1))
    world.slow = 0.3
    job.take()
    await until(lambda: job.pods[0].state is State.STOPPING, "the end of the old one")
    await job.revise(rolling(2))
    world.slow = 0.0
    await reaches(job.serving, State.RUNNING)
    assert (job.serving.number, job.wanted.number) == (0, 2)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("policy", ["on-failure", "never"])
@pytest.mark.parametrize("word", ["abandon", "revise"])
async def test_a_revision_that_ends_after_it_was_called_back_is_started_again(
    launch: Launch, world: World, word: str, policy: str, again: bool
):
    """It was told to, which is no end of its own that the restart policy speaks of."""
    restart = QUICK | {"policy": policy}
    job = launch(record_of(revision(0, restart=restart)))
    await reaches(job.wanted, State.RUNNING)
    await job.revise(rolling(1))
    world.slow = 5
    job.take()
    await until(lambda: job.pods[0].state is State.STOPPING, "the end of the old one")
    await (job.abandon("the canary was ill") if word == "abandon" else job.revise(rolling(2)))
    if again:
        await job.leave()
        job = launch(job.record)
    await reaches(job.serving, State.RUNNING)
    assert "stop 0" not in world.events
    world.slow = 0
    world.exit(0)
    await until(lambda: world.events.count("start 0") == 2, "the restart")
    await reaches(job.serving, State.RUNNING)
    assert (job.serving.number, job.serving.main.restarts) == (0, 0)
    world.exit(0)
    await reaches(job.serving, State.STOPPED)
    await asyncio.sleep(0.2)
    assert world.events.count("start 0") == 2


async def test_what_was_ended_for_its_illness_and_found_again_was_ill(launch: Launch, world: World):
    job = launch(record_of(revision(0, restart=QUICK | {"policy": "on-failure"})))
    await reaches(job.wanted, State.RUNNING)
    world.well, world.slow = False, 5
    await reaches(job.wanted, State.STOPPING)
    await job.leave()
    job = launch(job.record)
    world.well, world.slow = True, 0
    await reaches(job.wanted, State.RUNNING)
    world.exit(0)
    await until(lambda: job.wanted.main.cause is Cause.ILL, "the end")
    await until(lambda: world.events == ["start 0", "start 0"], "the restart")


async def test_a_restart_while_the_engine_is_away_leaves_it_watched(make: Make, world: World):
    pod = make(restart=QUICK | {"tries": 1})
    await reaches(pod, State.RUNNING)
    world.down = True
    with pytest.raises(DriverError):
        await pod.main.restart()
    await until(lambda: "can't be reached" in pod.reason, "the note")
    world.down = False
    await reaches(pod, State.RUNNING)
    world.memory = 500_000_000
    await until(lambda: pod.main.cause is Cause.MEMORY, "the look at its memory")


async def test_a_resume_while_it_is_being_stopped_is_not_lost(make: Make, world: World):
    pod = make()
    await reaches(pod, State.RUNNING)
    world.stuck = True
    with pytest.raises(DriverError):
        await pod.main.stop()
    world.stuck, world.slow = False, 0.1
    await until(lambda: pod.state is State.STOPPING, "the next try")
    await pod.main.resume()
    await reaches(pod, State.RUNNING)


async def test_a_revise_that_cannot_end_what_it_drops_leaves_it_watched(job: Job, world: World):
    world.stuck = True
    with pytest.raises(DriverError):
        await job.revise(revision(0, env={"NUMBER": "other"}))
    world.stuck = False
    await reaches(job.wanted, State.RUNNING)
    world.exit(1)
    await until(lambda: world.events.count("start 0") == 2, "the restart")


# --- An end for good -----------------------------------------------------------------------------


async def ended_for_good(launch: Launch, world: World, policy: str, code: int) -> Job:
    job = launch(record_of(revision(0, restart=QUICK | {"policy": policy})))
    await reaches(job.wanted, State.RUNNING)
    world.exit(code)
    await reaches(job.wanted, State.STOPPED if code == 0 else State.FAILED)
    await until(lambda: bool(job.record.wanted.ends), "the note")
    return job


@pytest.mark.parametrize(
    ("policy", "code", "state"),
    [("never", 0, State.STOPPED), ("on-failure", 0, State.STOPPED), ("never", 3, State.FAILED)],
)
async def test_what_ended_for_good_is_not_run_again_by_another_run_of_the_agent(
    launch: Launch, world: World, policy: str, code: int, state: State
):
    job = await ended_for_good(launch, world, policy, code)
    cause, reason = job.wanted.main.cause, job.wanted.reason
    await job.leave()
    job = launch(job.record)
    await reaches(job.wanted, state)
    assert (job.wanted.main.cause, job.wanted.reason) == (cause, reason)
    await asyncio.sleep(0.2)
    assert world.events == ["start 0"]


async def test_what_ended_for_good_is_not_run_again_after_a_bar(
    launch: Launch, world: World, gate: Gate
):
    job = await ended_for_good(launch, world, "on-failure", 0)
    gate.close("the license is frozen")
    await job.suspend(gate.reason)
    gate.open()
    await until(lambda: job.wanted.main.cause is Cause.GONE, "the word of how it ended")
    await asyncio.sleep(0.2)
    assert (job.wanted.state, world.events) == (State.STOPPED, ["start 0"])


async def test_what_ended_for_good_is_not_run_again_by_a_rollback(launch: Launch, world: World):
    job = await ended_for_good(launch, world, "never", 0)
    await job.revise(rolling(1))
    job.take()
    await until(lambda: job.serving.number == 1 and job.serving.well, "the change")
    await job.abandon("the canary was ill")
    await until(lambda: "stop 1" in world.events, "the way back")
    await asyncio.sleep(0.2)
    assert (job.serving.number, world.running) == (0, {})


@pytest.mark.parametrize("command", ["resume", "restart"])
@pytest.mark.parametrize("again", [False, True])
async def test_what_ended_for_good_runs_again_at_its_payers_word(
    launch: Launch, world: World, command: str, again: bool
):
    job = await ended_for_good(launch, world, "never", 0)
    if again:
        await job.leave()
        job = launch(job.record)
        await reaches(job.wanted, State.STOPPED)
    await getattr(job.wanted.main, command)()
    await reaches(job.wanted, State.RUNNING)
    assert job.record.wanted.ends == {}
    await job.leave()
    job = launch(job.record)
    await reaches(job.wanted, State.RUNNING)
    assert world.events == ["start 0", "start 0"]


async def test_tries_are_not_counted_anew_by_another_run_of_the_agent(launch: Launch, world: World):
    world.unstartable = True
    job = launch(record_of(revision(0, restart=QUICK | {"tries": 2})))
    await until(lambda: bool(job.record.wanted.ends), "the last try")
    await job.leave()
    job = launch(job.record)
    world.unstartable = False
    await reaches(job.wanted, State.FAILED)
    assert "can't be started" in job.wanted.reason
    await asyncio.sleep(0.2)
    assert world.events == []


async def test_an_end_for_good_without_room_for_its_note_is_one_all_the_same(
    launch: Launch, world: World, tools: JobTools
):
    restart = QUICK | {"policy": "never"}
    job = launch(record_of(revision(0, restart=restart)), replace(tools, save=no_room))
    job.record = job.record.changing(0, ports={"main.main": 4000}, pins={"main": Pin("c0", "c0")})
    await reaches(job.wanted, State.RUNNING)
    world.exit(0)
    await reaches(job.wanted, State.STOPPED)
    await asyncio.sleep(0.2)
    assert world.events == ["start 0"]


async def test_what_is_ill_and_cannot_be_ended_is_watched_on_under_any_policy(
    make: Make, world: World
):
    health = {"interval_ms": 100, "start_period_ms": 0}
    pod = make(restart=QUICK | {"policy": "never"}, health=health)
    await reaches(pod, State.RUNNING)
    world.stuck, world.well = True, False
    await until(lambda: "can't be ended" in pod.reason, "the try")
    world.stuck = False
    await until(lambda: "stop 0" in world.events, "the end")
    await asyncio.sleep(0.2)
    assert (world.events, pod.main.cause) == (["start 0", "stop 0"], Cause.ILL)


# --- The gate ------------------------------------------------------------------------------------


async def test_a_branch_moves_on_only_where_its_commit_may_be_started(
    make: Make, world: World, gate: Gate
):
    world.poll = 0.01
    pod = make(source=FOLLOWED)
    await reaches(pod, State.RUNNING)
    gate.close("the RPCs disagree")
    world.newest = "c1"
    await asyncio.sleep(0.3)
    assert (pod.version, pod.state, world.events) == ("c0", State.RUNNING, ["start 0"])
    gate.open()
    await until(lambda: pod.version == "c1" and pod.well, "the change")


async def test_the_old_revision_serves_on_if_the_gate_closes_while_callers_leave(
    job: Job, world: World, gate: Gate
):
    await job.revise(rolling(1, drain_ms=200))
    job.take()
    old = job.pods[0]
    await until(lambda: old.draining, "the drain")
    gate.close("the RPCs disagree")
    await until(lambda: not old.draining, "the end of the drain")
    await asyncio.sleep(0.1)
    assert world.events == ["start 0"]
    gate.open()
    await until(lambda: job.serving.number == 1 and job.serving.well, "the change")
    assert world.events == ["start 0", "stop 0", "start 1"]


async def test_what_waited_for_a_value_is_not_started_through_a_closed_gate(
    make: Make, world: World, gate: Gate
):
    env = {"KEY": {"service": "db", "value": "key"}}
    pod = make(env=env, siblings=[sibling("db")])
    await until(lambda: "waiting: db has not handed on key" in pod.main.reason, "the wait")
    gate.close("the RPCs disagree")
    db = world.running[pod.workloads["db"].key.name]
    (exports,) = [bind.source for bind in db.binds if bind.target == "/run/workdeed/exports"]
    (exports / "key").write_text("opened\n")
    await until(lambda: "the RPCs disagree" in pod.main.reason, "the wait for the chain")
    assert world.events == ["start 0.db"]
    gate.open()
    await reaches(pod, State.RUNNING)


async def test_a_chain_that_fails_now_and_then_keeps_no_ill_revision_in_its_place(
    job: Job, world: World, gate: Gate
):
    world.ill = {1}
    await job.revise(revision(1, rollout={"deadline_ms": 1_000}))
    began = time.monotonic()
    while not job.record.wanted.failed:
        assert time.monotonic() - began < 10, "it was not given up"
        await asyncio.sleep(0.3)
        gate.close("the RPCs disagree")
        await asyncio.sleep(0.55)
        gate.open()
    await reaches(job.serving, State.RUNNING)
    assert job.serving.number == 0


async def test_time_without_the_chain_does_not_count_against_a_revision(
    job: Job, world: World, gate: Gate
):
    world.ill = {1}
    await job.revise(revision(1, rollout={"deadline_ms": 1_000}))
    await until(lambda: "start 1" in world.events, "the change")
    gate.close("the RPCs disagree")
    await asyncio.sleep(2)
    gate.open()
    world.ill = set()
    await until(lambda: len(job.pods) == 1, "the proof")
    assert job.wanted.number == 1


# --- A newer revision is due ---------------------------------------------------------------------


def due(number: int) -> Callable[[Revision], Verdict]:
    """Judge as `decide` does while the revision `number` stands on chain."""

    def judge(one: Revision) -> Verdict:
        newer = Verdict(Action.KEEP, f"revision {number} is due")
        return Verdict(Action.RUN) if one.number == number else newer

    return judge


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_serves_starts_again_while_a_revision_is_due_that_nobody_can_run(
    launch: Launch, job: Job, world: World, restarted: bool
):
    job.judge_starts(due(1))
    world.exit(1)
    if restarted:
        await job.leave()
        job = launch(job.record)
        job.judge_starts(due(1))
    await until(lambda: world.events == ["start 0", "start 0"], "the restart")
    await reaches(job.serving, State.RUNNING)


async def test_what_took_over_starts_again_while_the_next_is_due_and_goes_back_if_it_is_ill(
    job: Job, world: World
):
    await job.revise(rolling(1, settle_ms=60_000))
    job.take()
    await until(lambda: job.serving.number == 1 and job.serving.well, "the change")
    job.judge_starts(due(2))
    world.exit(1)
    await until(lambda: world.events.count("start 1") == 2, "the restart")
    await job.abandon("the canary was ill")
    await reaches(job.serving, State.RUNNING)
    assert job.serving.number == 0


async def test_what_has_yet_to_take_over_waits_while_the_next_is_due(job: Job, world: World):
    await job.revise(rolling(1))
    await until(lambda: job.wanted.is_ready, "the build")
    job.judge_starts(due(2))
    job.take()
    world.exit(1)
    await until(lambda: world.events == ["start 0", "start 0"], "the restart")
    await asyncio.sleep(0.3)
    assert world.events == ["start 0", "start 0"]
    job.judge_starts(due(1))
    await until(lambda: job.serving.number == 1 and job.serving.well, "the change")


async def test_what_the_chain_does_not_know_is_not_started(job: Job, world: World):
    job.judge_starts(lambda _: Verdict(Action.HOLD, "another spec stands on chain"))
    world.exit(1)
    await until(lambda: job.serving.reason == "another spec stands on chain", "the note")
    assert world.events == ["start 0"]


# --- A full disk ---------------------------------------------------------------------------------


async def test_a_version_that_can_not_be_given_up_for_want_of_room_is_started_again(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
):
    pod = make()
    await reaches(pod, State.RUNNING)
    memory = pod.main._memory
    monkeypatch.setattr(pod.main, "prove", lambda: None)
    memory.remember_pin(Pin("c1", good="c0"))
    with monkeypatch.context() as patch:
        patch.setattr(memory, "remember_pin", no_room)
        world.exit(1)
        await until(lambda: world.events.count("start 0") == 2, "the restart")
    world.exit(1)
    await until(lambda: memory.pin.version == "c0", "the way back")


async def test_a_change_that_can_not_be_written_goes_on_when_there_is_room(
    launch: Launch, world: World, tools: JobTools
):
    full = False

    def save(record: JobRecord) -> None:
        if full:
            no_room()

    job = launch(record_of(revision(0)), replace(tools, save=save))
    await reaches(job.wanted, State.RUNNING)
    await job.revise(rolling(1))
    full = True
    job.take()
    await asyncio.sleep(0.2)
    assert (world.events, job.serving.draining) == (["start 0"], False)
    full = False
    await until(lambda: job.serving.number == 1 and job.serving.well, "the change")


async def test_a_revision_that_can_not_be_written_leaves_the_job_as_it_was(
    launch: Launch, world: World, tools: JobTools
):
    full = False

    def save(record: JobRecord) -> None:
        if full:
            no_room()

    job = launch(record_of(revision(0)), replace(tools, save=save))
    await reaches(job.wanted, State.RUNNING)
    full = True
    for other in (revision(1), revision(0, env={"NUMBER": "other"})):
        with pytest.raises(OSError, match="no space"):
            await job.revise(other)
        assert (job.serving.number, len(job.pods)) == (0, 1)
        await reaches(job.serving, State.RUNNING)


async def test_a_stop_that_can_not_be_forgotten_keeps_no_job_from_starting(
    launch: Launch, tools: JobTools
):
    held = replace(revision(0, restart=QUICK | {"policy": "always"}), stopped=("main",))
    job = launch(record_of(held), replace(tools, save=no_room))
    assert job.record.wanted.stopped == ()


# --- Commands while an engine is away ------------------------------------------------------------


@pytest.mark.parametrize("word", ["settle", "abandon"])
async def test_a_word_does_not_wait_for_an_engine_that_is_away(job: Job, world: World, word: str):
    await job.revise(rolling(1))
    job.take()
    await until(lambda: job.wanted.well_seconds > 0.02, "the change")
    world.down = True
    began = time.monotonic()
    await (job.settle() if word == "settle" else job.abandon("it was ill"))
    assert time.monotonic() - began < 5
    await asyncio.sleep(0.1)
    assert len(job.pods) == 2
    world.down = False
    if word == "settle":
        await until(lambda: len(job.pods) == 1, "the end of the old one")
    else:
        await until(lambda: job.serving.number == 0 and job.serving.well, "the way back")


# --- Health commands and measurements ------------------------------------------------------------


async def test_a_health_command_that_waits_for_a_value_blinds_nobody(make: Make, world: World):
    health = {"kind": "command", "run": ["check"], "interval_ms": 100, "timeout_ms": 100}
    env = {"KEY": {"service": "db", "value": "key"}}
    pod = make(env=env, siblings=[sibling("db")], health=health | {"start_period_ms": 60_000})
    await until(lambda: "waiting: db" in pod.main.reason, "the wait")
    db = world.running[pod.workloads["db"].key.name]
    (exports,) = [bind.source for bind in db.binds if bind.target == "/run/workdeed/exports"]
    (exports / "key").write_text("opened\n")
    await until(lambda: "start 0" in world.events, "the start")
    (exports / "key").unlink()
    world.memory = 500_000_000
    await until(lambda: pod.main.cause is Cause.MEMORY, "the look at its memory")


async def test_an_engine_that_is_away_is_no_failed_health_command(make: Make, world: World):
    async def execute(*_: object) -> Any:
        raise DriverDownError("engine: it can't be reached")

    pod = make(health={"kind": "command", "run": ["check"], "interval_ms": 100})
    await reaches(pod, State.RUNNING)
    world.execute = execute  # type: ignore[method-assign]
    await until(lambda: "can't be reached" in pod.main.reason, "the note")
    await asyncio.sleep(0.3)
    assert (pod.state, world.events) == (State.RUNNING, ["start 0"])


async def test_short_lives_are_measured_together(
    launch: Launch, world: World, tools: JobTools, monkeypatch: pytest.MonkeyPatch
):
    """A service that ends before each look at its disk would never be looked at."""
    parts = tools.tools("war")
    seldom = replace(parts, pauses=replace(parts.pauses, disk=0.3))
    job = launch(record_of(revision(0)), replace(tools, tools=lambda _: seldom))
    world.disk = 65_000_000
    looks = asyncio.get_running_loop().time() + 10
    while "stop 0" not in world.events:
        await reaches(job.wanted, State.RUNNING)
        await asyncio.sleep(0.05)
        world.exit(0)
        assert asyncio.get_running_loop().time() < looks, "it was never measured"
    assert job.wanted.main.cause in (Cause.STORAGE, Cause.GONE)


async def test_volumes_are_counted_while_the_main_service_does_not_run(make: Make, world: World):
    volumes = [{"kind": "named", "name": "data", "path": "/data"}]
    pod = make(volumes=volumes, siblings=[sibling("db")], restart={"policy": "never"})
    await reaches(pod, State.RUNNING)
    (folder,) = [
        bind.source for bind in world.running[pod.key.name].binds if bind.target == "/data"
    ]
    del world.running[pod.key.name]
    await until(lambda: pod.main.running is None, "the end of the main service")
    with (folder / "large").open("wb") as file:
        file.truncate(70_000_000)
    await until(lambda: "stop 0.db" in world.events, "the end of its sibling")
    assert "the job's volumes hold 70 MB" in pod.workloads["db"].reason


async def test_what_takes_too_much_while_it_starts_is_ended(make: Make, world: World):
    world.well, world.memory = False, 500_000_000
    make(health={"start_period_ms": 3_600_000})
    await until(lambda: "stop 0" in world.events, "the end")


# --- What a new revision has to prove ------------------------------------------------------------


async def test_a_canary_that_falls_ill_in_its_time_of_proof_is_given_up(job: Job, world: World):
    canary = {"policy": "canary", "wait_ms": 600, "settle_ms": 0, "drain_ms": 0, "share_bps": 5_000}
    await job.revise(revision(1, rollout=canary, health={"interval_ms": 100, "start_period_ms": 0}))
    job.take()
    await until(lambda: job.serving.number == 1 and job.serving.well, "the change")
    while not job.record.wanted.failed:
        world.exit(1)
        await asyncio.sleep(0.2)
    await reaches(job.serving, State.RUNNING)
    assert job.serving.number == 0


async def test_a_new_revision_that_its_payer_stops_is_not_given_up(job: Job, world: World):
    restart = QUICK | {"policy": "unless-stopped"}
    await job.revise(revision(1, rollout={"deadline_ms": 1_000}, restart=restart))
    world.ill = {1}
    await until(lambda: "start 1" in world.events, "the change")
    await job.wanted.main.stop()
    await asyncio.sleep(1.5)
    assert (job.record.wanted.failed, world.running) == ("", {})
    world.ill = set()
    await job.wanted.main.resume()
    await until(lambda: len(job.pods) == 1, "the proof")
