"""One service, and the change from one revision to the next, without any process."""

import asyncio
import errno
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workdeed.node.drivers.base import (
    Handle,
    Inspection,
    Task,
    TaskKey,
)
from workdeed.node.errors import DriverError, RunnerError
from workdeed.node.jobs import Job, JobTools
from workdeed.node.lifecycle import Cause, State
from workdeed.node.pod import Gate, Pod
from workdeed.node.records import Pin
from workdeed.node.runners.base import Order

from .job_support import (
    ESCROW,
    LICENSE,
    QUICK,
    World,
    record_of,
    revision,
    sibling,
    until,
)

Make = Callable[..., Pod]


async def reaches(workload: Pod, state: State) -> None:
    await until(lambda: workload.state is state, f"{state}, it is {workload.state},")


async def test_it_tells_the_service_who_it_is(make: Make, world: World):
    workload = make(env={"GREETING": "Hello"})
    await reaches(workload, State.RUNNING)
    (task,) = world.running.values()
    assert task.env == {
        "GREETING": "Hello",
        "HOST": "127.0.0.1",
        "PORT": "4000",
        "VERSION": "c0",
        "WORKDEED_COMMIT": "c0",
        "WORKDEED_ESCROW": ESCROW,
        "WORKDEED_EXPORTS": "/run/workdeed/exports",
        "WORKDEED_JOB": "3",
        "WORKDEED_LICENSE": "7",
        "WORKDEED_REVISION": "0",
        "WORKDEED_SERVICE": "main",
    }
    assert (workload.main.pid, workload.port, workload.well) == (4711, 4000, True)
    limits = task.limits
    assert (limits.memory_mb, limits.storage_mb, limits.cpu_milli) == (128, 64, 100)


async def test_without_port_and_health_a_living_process_is_enough(make: Make, world: World):
    world.well = False
    workload = make(port=None, health=None)
    await reaches(workload, State.RUNNING)
    assert workload.port is None
    (task,) = world.running.values()
    assert "PORT" not in task.env
    assert "HOST" not in task.env


@pytest.mark.parametrize(
    ("code", "reason"), [(3, "it exited with code 3 (last words)"), (None, "without a trace")]
)
async def test_what_ended_is_started_again_with_the_reason_kept(
    make: Make, world: World, code: int | None, reason: str
):
    workload = make()
    await reaches(workload, State.RUNNING)
    reasons: set[str] = set()
    world.unstartable = True
    world.exit(code)
    await until(lambda: reasons.add(workload.reason) or reason in " ".join(reasons), "the reason")  # type: ignore[func-returns-value]
    assert workload.main.pid is None
    world.unstartable = False
    await reaches(workload, State.RUNNING)
    assert world.events.count("start 0") == 2


async def test_a_driver_that_cannot_start_it_is_asked_again(make: Make, world: World):
    world.unstartable = True
    workload = make()
    await until(lambda: "can't be started" in workload.reason, "the reason")
    world.unstartable = False
    await reaches(workload, State.RUNNING)


async def test_an_unexpected_error_is_shown_and_tried_again(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
):
    async def memory_bytes(handle: Handle) -> int:
        raise RuntimeError("a mistake in a driver")

    right = world.memory_bytes
    monkeypatch.setattr(world, "memory_bytes", memory_bytes)
    workload = make()
    await until(lambda: "a mistake in a driver" in workload.reason, "the reason")
    monkeypatch.setattr(world, "memory_bytes", right)
    await reaches(workload, State.RUNNING)
    assert world.events.count("start 0") == 1  # its process never ended


async def test_too_much_memory_ends_it(make: Make, world: World):
    workload = make()
    await reaches(workload, State.RUNNING)
    world.memory = 129_000_000
    await until(lambda: "stop 0" in world.events, "the end")
    world.memory = 0
    await reaches(workload, State.RUNNING)


async def test_a_sick_one_is_ended_after_a_while(make: Make, world: World):
    workload = make()
    await reaches(workload, State.RUNNING)
    world.well = False
    await reaches(workload, State.UNHEALTHY)
    assert not workload.well
    assert workload.reason == "it is sick"
    await until(lambda: "stop 0" in world.events, "the end")


async def test_one_that_recovers_is_not_ended(make: Make, world: World):
    workload = make()
    await reaches(workload, State.RUNNING)
    world.well = False
    await reaches(workload, State.UNHEALTHY)
    world.well = True
    await reaches(workload, State.RUNNING)
    assert world.events == ["start 0"]


async def test_the_start_period_is_bounded(make: Make, world: World):
    world.well = False
    workload = make(health={"interval_ms": 100, "start_period_ms": 0})
    await until(lambda: "not well within its start period" in workload.reason, "the reason")
    assert "stop 0" in world.events


async def test_a_service_that_starts_is_looked_at_soon_and_then_less_often(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
):
    world.well, pauses, wait = False, [], world.wait

    async def noting(handle: Handle, seconds: float) -> Inspection:
        pauses.append(seconds)
        await asyncio.sleep(seconds)
        return await wait(handle, 0.0)

    monkeypatch.setattr(world, "wait", noting)
    workload = make(health={"interval_ms": 5_000})
    await until(lambda: len(pauses) > 12, "some looks")
    assert pauses[0] == 0.025
    assert pauses == sorted(pauses)
    assert 0.025 < pauses[-1] <= 0.2
    world.well = True
    await reaches(workload, State.RUNNING)
    await until(lambda: pauses[-1] == 5, "the pace of the spec")


async def test_a_closed_gate_holds_starts_and_says_why(make: Make, world: World, gate: Gate):
    gate.close("the RPCs disagree")
    workload = make()
    await until(lambda: workload.reason == "the RPCs disagree", "the reason")
    assert workload.state is State.PENDING
    assert world.events == []
    gate.open()
    await reaches(workload, State.RUNNING)


async def test_what_cannot_be_ended_is_told_and_ended_later(make: Make, world: World):
    workload = make()
    await reaches(workload, State.RUNNING)
    world.stuck = True
    with pytest.raises(DriverError):
        await workload.end(Cause.CHAIN, "released")
    assert workload.state is State.FAILED
    assert "can't be ended" in workload.reason
    world.stuck = False
    await workload.end(Cause.CHAIN, "released")
    assert (workload.state, workload.reason) == (State.STOPPED, "released")
    assert world.events[-1] == "discard 0"
    assert world.running == {}


async def test_it_may_be_ended_in_any_state_and_twice(make: Make, world: World):
    world.unbuildable = {0}
    workload = make()
    await until(lambda: "build command" in workload.reason, "the failure")
    await workload.end(Cause.CHAIN, "released")
    assert workload.state is State.STOPPED
    await workload.end(Cause.CHAIN, "released")
    assert workload.state is State.STOPPED


async def test_a_process_found_at_the_end_is_ended_too(world: World, tools: JobTools):
    job = Job(record_of(revision(0)), LICENSE, tools)
    job.pods = [job._pod(revision(0))]
    task = Task(job.wanted.key, ("x",), {}, Path("/nowhere"), limits=None)  # type: ignore[arg-type]
    await world.start(task)
    await job.end("released")  # before it was ever begun
    assert world.events == ["start 0", "stop 0", "discard 0"]
    assert job.wanted.state is State.STOPPED


async def test_two_ports_of_one_service_are_never_the_same(make: Make, world: World):
    """A port that nothing listens on yet looks free a second time."""
    pod = make(ports=[{"name": "admin", "env": "ADMIN_PORT"}])
    await reaches(pod, State.RUNNING)
    (task,) = world.running.values()
    assert (task.env["PORT"], task.env["ADMIN_PORT"]) == ("4000", "4001")
    assert pod.main.ports == {"main": 4000, "admin": 4001}
    await pod.main.restart()
    await reaches(pod, State.RUNNING)
    assert pod.main.ports == {"main": 4000, "admin": 4001}


# --- Restart policies and commands ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "code", "again", "cause"),
    [
        ("always", 0, True, Cause.GONE),
        ("always", 3, True, Cause.CRASHED),
        ("unless-stopped", 0, True, Cause.GONE),
        ("on-failure", 0, False, Cause.GONE),
        ("on-failure", 3, True, Cause.CRASHED),
        ("never", 0, False, Cause.GONE),
        ("never", 3, False, Cause.CRASHED),
    ],
)
async def test_the_restart_policy_decides_what_follows_an_end(
    make: Make, world: World, policy: str, code: int, again: bool, cause: Cause
):
    pod = make(restart=QUICK | {"policy": policy})
    await reaches(pod, State.RUNNING)
    world.exit(code)
    if again:
        await until(lambda: world.events.count("start 0") == 2, "the restart")
        await reaches(pod, State.RUNNING)
    else:
        await reaches(pod, State.STOPPED if code == 0 else State.FAILED)
        await asyncio.sleep(0.2)
        assert world.events.count("start 0") == 1
    assert pod.main.cause is cause


async def test_after_so_many_tries_it_is_left_alone_until_the_payer_resumes_it(
    make: Make, world: World
):
    world.unstartable = True
    pod = make(restart=QUICK | {"tries": 2})
    await until(lambda: pod.main.restarts == 1, "the second try")
    await asyncio.sleep(0.3)
    assert pod.main.restarts == 1
    world.unstartable = False
    await pod.main.resume()
    await reaches(pod, State.RUNNING)


async def test_a_stop_by_the_payer_lasts_until_the_resume(make: Make, world: World):
    pod = make(restart=QUICK | {"policy": "unless-stopped"})
    await reaches(pod, State.RUNNING)
    await pod.main.stop()
    await reaches(pod, State.STOPPED)
    await asyncio.sleep(0.2)
    assert world.events == ["start 0", "stop 0"]
    assert (pod.main.cause, pod.reason) == (Cause.COMMAND, "stopped by its payer")
    await pod.main.resume()
    await reaches(pod, State.RUNNING)


@pytest.mark.parametrize(("policy", "stays"), [("unless-stopped", True), ("always", False)])
async def test_whether_a_stop_outlives_the_agent_is_the_policys(
    launch: Callable[..., Job], world: World, policy: str, stays: bool
):
    first = launch(record_of(revision(0, restart=QUICK | {"policy": policy})))
    await reaches(first.wanted, State.RUNNING)
    await first.wanted.main.stop()
    await first.leave()
    second = launch(first.record)
    await reaches(second.wanted, State.STOPPED if stays else State.RUNNING)
    assert bool(second.record.wanted.stopped) is stays


async def test_a_restart_is_planned_and_needs_no_pause(make: Make, world: World):
    pod = make(restart={"first_ms": 3_600_000, "longest_ms": 3_600_000})
    await reaches(pod, State.RUNNING)
    await pod.main.restart()
    await reaches(pod, State.RUNNING)
    assert world.events == ["start 0", "stop 0", "start 0"]
    assert pod.main.restarts == 0


async def test_what_was_stopped_and_is_found_running_is_ended(
    launch: Callable[..., Job], world: World, tools: JobTools
):
    held = replace(revision(0, restart=QUICK | {"policy": "unless-stopped"}), stopped=("main",))
    job = Job(record_of(held), LICENSE, tools)
    task = Task(job._pod(held).key, ("x",), {}, Path("/nowhere"), limits=None)  # type: ignore[arg-type]
    await world.start(task)
    again = launch(record_of(held))
    await reaches(again.wanted, State.STOPPED)
    assert world.events == ["start 0", "stop 0"]


# --- Checks and bounds ----------------------------------------------------------------------------


async def test_a_command_check_runs_beside_the_service(make: Make, world: World):
    world.check_code = 1
    pod = make(health={"kind": "command", "run": ["check", "me"], "interval_ms": 100})
    await until(lambda: "its health check fails: it exited with code 1" in pod.reason, "the note")
    world.check_code = 0
    await reaches(pod, State.RUNNING)
    assert {one.argv for one in world.checks} == {("check", "me")}
    (service,) = world.running.values()
    for name in ("PORT", "HOST"):
        assert {one.env[name] for one in world.checks} == {service.env[name]}


async def test_a_delay_is_waited_for(make: Make, world: World):
    world.well = False  # nobody asks the port
    began = time.monotonic()
    pod = make(health={"kind": "delay", "delay_ms": 300})
    await reaches(pod, State.STARTING)
    await reaches(pod, State.RUNNING)
    assert time.monotonic() - began >= 0.3


async def test_an_engine_that_does_not_answer_says_nothing_about_the_service(
    make: Make, world: World
):
    pod = make()
    await reaches(pod, State.RUNNING)
    world.silent = True
    await until(lambda: "it does not answer" in pod.main.reason, "the note")
    assert pod.well
    world.silent = False
    world.exit(1)
    await until(lambda: world.events.count("start 0") == 2, "the restart")


async def test_too_much_storage_ends_it(make: Make, world: World):
    pod = make()
    await reaches(pod, State.RUNNING)
    world.disk = 65_000_000
    await until(lambda: "stop 0" in world.events, "the end")
    assert pod.main.cause is Cause.STORAGE
    world.disk = 0
    await reaches(pod, State.RUNNING)


async def test_what_a_service_hands_on_counts_as_its_storage(make: Make, world: World):
    pod = make()
    await reaches(pod, State.RUNNING)
    (task,) = world.running.values()
    large = task.binds[0].source / "large"
    large.touch()
    os.truncate(large, 65_000_000)
    await until(lambda: "stop 0" in world.events, "the end")
    assert pod.main.cause is Cause.STORAGE
    await reaches(pod, State.RUNNING)


# --- Services of one job --------------------------------------------------------------------------


async def test_services_start_in_order_and_read_what_others_hand_on(
    make: Make, world: World, tools: JobTools
):
    env = {
        "DB": {"service": "db", "value": "host"},
        "DB_PORT": {"service": "db", "value": "port"},
        "DB_KEY": {"service": "db", "value": "key"},
    }
    pod = make(env=env, siblings=[sibling("db", port={})])
    await until(lambda: "waiting: db has not handed on key" in pod.main.reason, "the wait")
    assert world.events == ["start 0.db"]
    db = world.running[pod.workloads["db"].key.name]
    (exports,) = [bind.source for bind in db.binds if bind.target == "/run/workdeed/exports"]
    (exports / "key").write_text("opened\n")
    await reaches(pod, State.RUNNING)
    task = world.running[pod.key.name]
    assert {name: task.env[name] for name in env} == {
        "DB": "10.0.0.2",
        "DB_PORT": "4000",
        "DB_KEY": "opened",
    }
    assert task.limits.memory_mb == 127


async def test_a_job_is_as_well_as_its_worst_service(make: Make, world: World):
    pod = make(siblings=[sibling("db")])
    await reaches(pod, State.RUNNING)
    assert pod.well_seconds > 0
    world.unstartable = True
    del world.running[pod.workloads["db"].key.name]
    await until(lambda: "db: " in pod.reason, "the reason")
    assert (pod.well, pod.well_seconds) == (False, 0.0)
    assert pod.main.well


async def test_secrets_reach_the_service_and_no_reason(make: Make, world: World):
    async def logs(handle: Handle, max_bytes: int) -> bytes:
        return b"the token is very-secret"

    world.logs = logs  # type: ignore[method-assign]
    box = {"license_id": 7, "node": "0x" + "11" * 20, "box": "AAAA"}
    secrets = {"names": ["token"], "boxes": [box]}
    pod = make(env={"TOKEN": {"secret": "token"}}, secrets=secrets, restart={"policy": "never"})
    await reaches(pod, State.RUNNING)
    assert world.running[pod.key.name].env["TOKEN"] == "very-secret"
    world.exit(1)
    await reaches(pod, State.FAILED)
    assert "the token is ***" in pod.reason


# --- Versions of a branch -------------------------------------------------------------------------

FOLLOWED = {"git": {"url": "/srv/x.git", "branch": "main", "follow": True}}


async def test_a_newer_commit_takes_over_once_it_is_built(make: Make, world: World):
    world.poll = 0.01
    pod = make(source=FOLLOWED)
    await reaches(pod, State.RUNNING)
    world.newest = "c1"
    await until(lambda: pod.version == "c1" and pod.well, "the change")
    assert world.running[pod.key.name].env["VERSION"] == "c1"
    assert pod.main.cause is Cause.VERSION
    assert pod.main.restarts == 0


async def test_a_commit_that_cannot_be_built_leaves_the_old_one_running(make: Make, world: World):
    world.poll = 0.01
    pod = make(source=FOLLOWED)
    await reaches(pod, State.RUNNING)
    world.bad, world.newest = {"c1"}, "c1"
    await until(lambda: "c1 is not taken: build command" in pod.reason, "the note")
    await until(lambda: pod.main._memory.pin.bad == ("c1",), "the last try")
    assert (pod.version, pod.well, world.events) == ("c0", True, ["start 0"])
    world.newest = "c2"
    await until(lambda: pod.version == "c2" and pod.well, "the next commit")


async def test_a_commit_that_could_not_be_had_once_is_tried_again(make: Make, world: World):
    """A host that was down at the wrong moment kept its commit from ever being taken."""
    world.poll = 0.05
    pod = make(source=FOLLOWED)
    await reaches(pod, State.RUNNING)
    world.bad, world.newest = {"c1"}, "c1"
    await until(lambda: "c1 is not taken: build command" in pod.reason, "the note")
    world.bad = set()
    await until(lambda: pod.version == "c1" and pod.well, "the change")
    assert pod.main._memory.pin.bad == ()


async def test_a_commit_mends_a_first_one_that_cannot_be_built(make: Make, world: World):
    world.poll, world.bad = 0.3, {"c0"}
    pod = make(source=FOLLOWED)
    await until(lambda: pod.main.restarts > 1, "some tries")
    world.newest = "c1"
    await until(lambda: pod.version == "c1" and pod.well, "the next commit")
    assert "start 0" in world.events


@pytest.mark.parametrize("good", ["", "c0"])
async def test_a_commit_mends_one_that_crashes_before_its_branch_is_looked_at(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch, good: str
):
    world.poll = 0.3
    pod = make(source=FOLLOWED)
    await reaches(pod, State.RUNNING)
    monkeypatch.setattr(pod.main, "prove", lambda: None)
    pod.main._memory.remember_pin(Pin("c0", good))

    async def crash() -> None:
        while True:
            await asyncio.sleep(0.01)
            if any(task.env["VERSION"] == "c0" for task in world.running.values()):
                world.exit(1)

    crashing = asyncio.create_task(crash())
    await until(lambda: pod.main.restarts > 1, "some crashes")
    world.newest = "c1"
    await until(lambda: pod.version == "c1" and pod.well, "the next commit")
    crashing.cancel()


async def test_a_branch_is_looked_at_no_more_often_for_failures(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
):
    looks = 0

    async def resolve(order: Order) -> str:
        nonlocal looks
        looks += 1
        raise RunnerError("git: the host is away")

    world.poll = 0.25
    pod = make(source=FOLLOWED)
    await reaches(pod, State.RUNNING)
    monkeypatch.setattr(world, "resolve", resolve)
    last = asyncio.get_running_loop().time() + 1.2
    while asyncio.get_running_loop().time() < last:
        world.exit(1)
        await asyncio.sleep(0.02)
    assert 1 <= looks <= 2  # the pauses double
    assert world.events.count("start 0") > 3  # it is tried nevertheless


async def test_a_full_disk_is_no_fault_of_what_runs(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
):
    """Neither a look at the branch nor a note about what runs may end it."""
    world.poll = 0.01
    pod = make(source=FOLLOWED)
    await reaches(pod, State.RUNNING)
    memory = pod.main._memory
    looks: list[State] = []
    memory.remember_pin(Pin("c0"))  # not yet known to be good

    def full(*_: object) -> None:
        looks.append(pod.state)
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(memory, "remember_pin", full)
        patch.setattr(world, "prepare", full)
        world.newest = "c1"
        await until(lambda: len(looks) > 3, "some tries")
        assert (pod.state, pod.version, world.events) == (State.RUNNING, "c0", ["start 0"])
    await until(lambda: pod.version == "c1" and pod.well, "the change")


async def test_a_commit_that_does_not_get_well_goes_back_to_the_last_good_one(
    make: Make, world: World
):
    world.poll = 0.01
    pod = make(source=FOLLOWED, health={"interval_ms": 100, "start_period_ms": 0})
    await reaches(pod, State.RUNNING)
    await until(lambda: pod.main._memory.pin.good == "c0", "the proof")
    world.ill_versions, world.newest = {"c1"}, "c1"
    await until(lambda: pod.main._memory.pin.bad == ("c1",), "the way back")
    await reaches(pod, State.RUNNING)
    await asyncio.sleep(0.1)
    assert pod.version == "c0"
    assert pod.main._memory.pin.bad == ("c1",)


async def test_a_commit_takes_the_name_over_when_the_old_one_has_ended(make: Make, world: World):
    """Else a crash in between would leave the old one running under the new one's name."""
    world.poll = 0.01
    pod = make(source=FOLLOWED)
    await reaches(pod, State.RUNNING)
    world.stuck, world.newest = True, "c1"
    await until(lambda: "can't be ended" in pod.reason, "the try")
    assert pod.version == "c0"
    world.stuck = False
    await until(lambda: pod.version == "c1" and pod.well, "the change")


async def test_an_ill_one_that_cannot_be_ended_is_not_lost_sight_of(make: Make, world: World):
    pod = make()
    await reaches(pod, State.RUNNING)
    world.stuck, world.well = True, False
    await until(lambda: "can't be ended" in pod.reason, "the try")
    world.stuck, world.well = False, True
    await reaches(pod, State.RUNNING)


# --- Revisions ------------------------------------------------------------------------------------


@pytest.fixture
async def job(launch: Callable[..., Job]) -> Job:
    made = launch(record_of(revision(0)))
    await reaches(made.wanted, State.RUNNING)
    return made


async def test_the_old_revision_ends_before_the_new_one_starts(job: Job, world: World):
    await job.revise(revision(1))
    await until(lambda: len(job.pods) == 1, "the change")
    assert job.wanted.state is State.RUNNING
    assert world.events == ["start 0", "stop 0", "start 1", "discard 0"]
    assert [one.number for one in job.record.revisions] == [1]


async def test_an_old_revision_that_cannot_be_ended_keeps_the_new_one_waiting(
    job: Job, world: World
):
    world.stuck = True
    await job.revise(revision(1))
    await until(lambda: job.pods[0].state is State.FAILED, "the try")
    assert "start 1" not in world.events
    world.stuck = False
    await reaches(job.wanted, State.RUNNING)
    assert world.events[:3] == ["start 0", "stop 0", "start 1"]


async def test_a_waiting_revision_is_dropped_for_a_newer_one(job: Job, world: World):
    world.unbuildable = {1}
    await job.revise(revision(1))
    await until(lambda: "build command" in job.wanted.reason, "the failure")
    await job.revise(revision(2))
    await until(lambda: len(job.pods) == 1, "the change")
    assert "start 1" not in world.events
    assert [one.number for one in job.pods] == [2]


async def test_another_spec_of_the_same_number_does_not_share_its_folders(job: Job, world: World):
    other = revision(0, env={"NUMBER": "other"})
    await job.revise(other)
    await reaches(job.wanted, State.RUNNING)
    assert world.events == ["start 0", "stop 0", "discard 0", "start 0"]
    assert [one.spec for one in job.record.revisions] == [other.spec]


async def test_a_revision_is_refused_while_the_one_it_drops_cannot_be_ended(job: Job, world: World):
    world.stuck = True
    with pytest.raises(DriverError):
        await job.revise(revision(0, env={"NUMBER": "other"}))
    assert [one.spec for one in job.record.revisions] == [revision(0).spec]
    world.stuck = False
    await job.end("released")
    assert world.running == {}


async def test_a_revision_interrupted_in_its_change_goes_on_with_the_next(job: Job, world: World):
    world.stuck = True
    await job.revise(revision(1))
    await until(lambda: job.record.serving == 1, "the written change")
    world.stuck = False
    await job.revise(revision(2))
    await until(lambda: len(job.pods) == 1, "the change")
    await reaches(job.wanted, State.RUNNING)
    assert world.running.keys() == {job.wanted.key.name}


async def test_a_revision_that_does_not_get_well_gives_way_to_the_one_before(
    job: Job, world: World
):
    world.ill = {1}
    await job.revise(revision(1, rollout={"deadline_ms": 1_000}))
    await until(lambda: bool(job.record.wanted.failed), "the end of its time")
    await reaches(job.serving, State.RUNNING)
    assert job.serving.number == 0
    assert "it was not well in time: it is sick" in job.record.wanted.failed
    assert world.events == ["start 0", "stop 0", "start 1", "stop 1", "start 0"]


async def test_a_revision_that_was_given_up_is_not_tried_again_after_a_restart(
    launch: Callable[..., Job], job: Job, world: World
):
    world.ill = {1}
    await job.revise(revision(1, rollout={"deadline_ms": 1_000}))
    await until(lambda: bool(job.record.wanted.failed), "the end of its time")
    await job.leave()
    again = launch(job.record)
    await reaches(again.serving, State.RUNNING)
    assert again.serving.number == 0
    assert world.events.count("start 1") == 1
    world.ill = set()
    await again.revise(revision(2))
    await until(lambda: len(again.pods) == 1, "the next revision")
    assert again.wanted.number == 2


@pytest.mark.parametrize("serving", [0, 1])
async def test_a_crash_in_a_change_never_leaves_two_revisions_running(
    launch: Callable[..., Job], world: World, tools: JobTools, serving: int
):
    ports = {"main.main": 4000}
    both = (replace(revision(0), ports=ports), replace(revision(1), ports=ports))
    record = record_of(*both, serving=serving)
    if serving == 0:
        record = record.changing(1, failed="it was ill")
    for number in (0, 1):
        key = TaskKey(ESCROW, 3, LICENSE, number)
        await world.start(Task(key, ("x",), {}, Path("/nowhere"), limits=None))  # type: ignore[arg-type]
    world.events.clear()
    job = launch(record)
    await reaches(job.serving, State.RUNNING)
    await until(lambda: len(world.running) == 1, "the end of the other one")
    assert world.running.keys() == {job.serving.key.name}
    assert job.serving.number == serving


# --- Rolling: at the word of a keeper -------------------------------------------------------------

ROLLING = {"rollout": {"policy": "rolling", "drain_ms": 0, "deadline_ms": 5_000}}


async def test_under_rolling_a_ready_revision_waits_for_its_word(job: Job, world: World):
    await job.revise(revision(1, **ROLLING))
    await until(lambda: job.wanted.is_ready, "the build")
    await asyncio.sleep(0.1)
    assert world.events == ["start 0"]
    job.take()
    await until(lambda: job.wanted.well, "the change")
    await asyncio.sleep(0.1)
    assert len(job.pods) == 2  # kept until it is settled
    assert await job.settle()
    assert [one.number for one in job.record.revisions] == [1]
    assert world.events == ["start 0", "stop 0", "start 1", "discard 0"]


async def test_a_revision_that_is_abandoned_gives_way_to_the_one_before(job: Job, world: World):
    await job.revise(revision(1, **ROLLING))
    job.take()
    await until(lambda: job.wanted.well, "the change")
    await job.abandon("the canary failed")
    await reaches(job.serving, State.RUNNING)
    assert (job.serving.number, job.record.wanted.failed) == (0, "the canary failed")
    assert not await job.settle()  # a late word changes nothing
    assert len(job.pods) == 2


async def test_a_revision_that_was_never_well_is_not_settled(job: Job, world: World):
    """The one before it would be gone, and there would be nothing to go back to."""
    world.ill = {1}
    await job.revise(revision(1, **ROLLING))
    job.take()
    await until(lambda: "start 1" in world.events, "the change")
    assert not await job.settle()
    await until(lambda: bool(job.record.wanted.failed), "the end of its time")
    await reaches(job.serving, State.RUNNING)
    assert job.serving.number == 0


async def test_a_revision_may_be_abandoned_before_it_took_over(job: Job, world: World):
    await job.revise(revision(1, **ROLLING))
    await job.abandon("the canary failed")
    job.take()
    await asyncio.sleep(0.1)
    assert (job.serving.number, world.events) == (0, ["start 0"])


async def test_a_replica_drains_before_it_ends(job: Job, world: World):
    await job.revise(revision(1, rollout={"policy": "rolling", "drain_ms": 300}))
    job.take()
    await until(lambda: job.pods[0].draining, "the draining")
    assert job.pods[0].well
    assert world.events == ["start 0"]
    await until(lambda: job.wanted.well, "the change")


async def test_a_node_without_an_older_revision_waits_for_nobody(
    launch: Callable[..., Job], world: World
):
    job = launch(record_of(revision(1, **ROLLING), serving=1))
    await reaches(job.wanted, State.RUNNING)


async def test_a_restart_asked_for_in_a_change_does_not_bring_the_old_one_back(
    job: Job, world: World
):
    await job.revise(revision(1))
    await until(lambda: job.record.serving == 1, "the change")
    await job.pods[0].main.restart()
    await until(lambda: job.wanted.well, "the new one")
    await asyncio.sleep(0.2)
    assert world.running.keys() == {job.wanted.key.name}
