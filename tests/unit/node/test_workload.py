"""One workload, and the change from one revision to the next, without any process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from workdeed.intent import HealthCheck, Spec, encode_spec, load_spec
from workdeed.node.drivers.base import (
    Fingerprint,
    Handle,
    Inspection,
    Phase,
    Stats,
    Task,
    TaskKey,
)
from workdeed.node.errors import DriverError, RunnerError
from workdeed.node.health import Health
from workdeed.node.jobs import Job
from workdeed.node.lifecycle import State
from workdeed.node.records import JobRecord, Revision
from workdeed.node.runners.base import Plan
from workdeed.node.workload import Gate, Pauses, Tools, Workload
from workdeed.protocol.signing import to_checksum

ESCROW = to_checksum("0x" + "e5" * 20)
LICENSE = 7


def spec(**changes: Any) -> Spec:
    commit = "0123456789abcdef0123456789abcdef01234567"
    document: dict[str, Any] = {
        "schema": "workdeed/spec@1",
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://git.example.org/hello.git", "commit": commit}},
        "run": ["python3", "server.py"],
        "port": {},
        "health": {"interval_ms": 100, "start_period_ms": 60_000},
        "resources": {"cpu_milli": 100, "memory_mb": 128, "storage_mb": 64},
    }
    return load_spec(document | changes)


@dataclass
class World:
    """A driver, a runner and a health probe in one, which do what a test tells them."""

    running: dict[str, Task] = field(default_factory=dict)
    ended: dict[str, Inspection] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    well: bool = True
    memory: int = 0
    stuck: bool = False
    unbuildable: set[int] = field(default_factory=set)
    unstartable: bool = False

    async def fingerprint(self) -> Fingerprint:
        return Fingerprint("fake", True, True)

    async def start(self, task: Task) -> Handle:
        if self.unstartable:
            raise DriverError("task: it can't be started")
        self.running[task.key.name] = task
        self.events.append(f"start {task.key.revision}")
        return self._handle(task.key)

    async def recover(self, key: TaskKey) -> Handle | None:
        known = key.name in self.running or key.name in self.ended
        return self._handle(key) if known else None

    async def sweep(self) -> tuple[TaskKey, ...]:
        return ()

    async def inspect(self, handle: Handle) -> Inspection:
        if handle.key.name in self.running:
            return Inspection(Phase.RUNNING)
        return self.ended.pop(handle.key.name, Inspection(Phase.LOST))

    async def wait(self, handle: Handle, seconds: float) -> Inspection:
        await asyncio.sleep(0.001)
        return await self.inspect(handle)

    async def logs(self, handle: Handle, max_bytes: int) -> bytes:
        return b"first\nlast words\n"

    async def stats(self, handle: Handle) -> Stats:
        return Stats(0, self.memory, 1)

    async def stop(self, handle: Handle, grace: float) -> Inspection:
        if self.stuck:
            raise DriverError("task: it can't be ended")
        self.running.pop(handle.key.name, None)
        self.events.append(f"stop {handle.key.revision}")
        return Inspection(Phase.EXITED, 0)

    async def destroy(self, key: TaskKey) -> None:
        self.running.pop(key.name, None)

    async def prepare(self, spec: Spec, key: TaskKey) -> Plan:
        await asyncio.sleep(0)
        if key.revision in self.unbuildable:
            raise RunnerError("build command 1 of 1 failed")
        return Plan(Path("/nowhere"))

    async def discard(self, key: TaskKey) -> None:
        self.events.append(f"discard {key.revision}")

    async def check(self, check: HealthCheck, port: int) -> Health:
        return Health(self.well, "" if self.well else "it is sick")

    async def close(self) -> None:
        pass

    def exit(self, code: int | None) -> None:
        """End all processes; None leaves no trace of how."""
        for name in list(self.running):
            del self.running[name]
            if code is not None:
                self.ended[name] = Inspection(Phase.EXITED, code)

    def _handle(self, key: TaskKey) -> Handle:
        return Handle(key, 4711, key.name)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def gate() -> Gate:
    made = Gate()
    made.open()
    return made


@pytest.fixture
def tools(world: World, gate: Gate) -> Tools:
    class Runner:
        prepare, discard = world.prepare, world.discard

    runner: Any = Runner()
    pauses = Pauses(first=0.001, longest=0.002, unhealthy=0.05, grace=1)
    return Tools(world, runner, world, gate, lambda port: port or 4000, "127.0.0.1", pauses)  # type: ignore[arg-type]


@pytest.fixture
async def make(tools: Tools) -> AsyncIterator[Callable[..., Workload]]:
    made: list[Workload] = []

    def create(**changes: Any) -> Workload:
        key = TaskKey(ESCROW, 3, LICENSE, 0)
        workload = Workload(key, spec(**changes), b"h" * 32, None, tools)
        workload.turn.set()
        workload.begin()
        made.append(workload)
        return workload

    yield create
    for workload in made:
        await workload.leave()


async def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(5_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail(f"{what} did not happen")


Make = Callable[..., Workload]


async def reaches(workload: Workload, state: State) -> None:
    await until(lambda: workload.state is state, f"{state}, it is {workload.state},")


async def test_it_tells_the_service_who_it_is(make: Make, world: World):
    workload = make(env={"GREETING": "Hello"})
    await reaches(workload, State.RUNNING)
    (task,) = world.running.values()
    assert task.env == {
        "GREETING": "Hello",
        "HOST": "127.0.0.1",
        "PORT": "4000",
        "WORKDEED_COMMIT": workload.commit,
        "WORKDEED_ESCROW": ESCROW,
        "WORKDEED_JOB": "3",
        "WORKDEED_LICENSE": "7",
        "WORKDEED_REVISION": "0",
    }
    assert (workload.pid, workload.port, workload.healthy) == (4711, 4000, True)
    assert (task.limits.memory_mb, task.limits.storage_mb) == (128, 64)


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
    assert workload.pid is None
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
    async def stats(handle: Handle) -> Stats:
        raise RuntimeError("a mistake in a driver")

    right = world.stats
    monkeypatch.setattr(world, "stats", stats)
    workload = make()
    await until(lambda: "a mistake in a driver" in workload.reason, "the reason")
    monkeypatch.setattr(world, "stats", right)
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
    assert not workload.healthy
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
        await workload.end("released")
    assert workload.state is State.FAILED
    assert "can't be ended" in workload.reason
    world.stuck = False
    await workload.end("released")
    assert (workload.state, workload.reason) == (State.STOPPED, "released")
    assert world.events[-1] == "discard 0"
    assert world.running == {}


async def test_it_may_be_ended_in_any_state_and_twice(make: Make, world: World):
    world.unbuildable = {0}
    workload = make()
    await until(lambda: "build command" in workload.reason, "the failure")
    await workload.end("released")
    assert workload.state is State.STOPPED
    await workload.end("released")
    assert workload.state is State.STOPPED


async def test_a_process_found_at_the_end_is_ended_too(world: World, tools: Tools):
    workload = Workload(TaskKey(ESCROW, 3, LICENSE, 0), spec(), b"h" * 32, None, tools)
    task = Task(workload.key, ("x",), {}, Path("/nowhere"), limits=None)  # type: ignore[arg-type]
    await world.start(task)
    await workload.end("released")  # before it was ever begun
    assert world.events == ["start 0", "stop 0", "discard 0"]
    assert workload.state is State.STOPPED


def revision(number: int) -> Revision:
    return Revision(number, encode_spec(spec(env={"NUMBER": str(number)})))


@pytest.fixture
async def job(tools: Tools) -> AsyncIterator[Job]:
    record = JobRecord(ESCROW, 3, (revision(0),))
    made = Job(record, LICENSE, lambda runner, number: tools, lambda record: None)
    made.begin()
    await reaches(made.wanted, State.RUNNING)
    yield made
    await made.leave()


async def test_the_old_revision_ends_before_the_new_one_starts(job: Job, world: World):
    await job.revise(revision(1))
    await until(lambda: len(job.workloads) == 1, "the change")
    await reaches(job.wanted, State.RUNNING)
    assert world.events == ["start 0", "stop 0", "discard 0", "start 1"]
    assert [one.number for one in job.record.revisions] == [1]


async def test_an_old_revision_that_cannot_be_ended_keeps_the_new_one_waiting(
    job: Job, world: World
):
    world.stuck = True
    await job.revise(revision(1))
    await until(lambda: job.workloads[0].state is State.FAILED, "the try")
    assert "start 1" not in world.events
    world.stuck = False
    await reaches(job.wanted, State.RUNNING)
    assert world.events[-3:] == ["stop 0", "discard 0", "start 1"]


async def test_a_waiting_revision_is_dropped_for_a_newer_one(job: Job, world: World):
    world.unbuildable = {1}
    await job.revise(revision(1))
    await until(lambda: "build command" in job.wanted.reason, "the failure")
    await job.revise(revision(2))
    await until(lambda: len(job.workloads) == 1, "the change")
    await reaches(job.wanted, State.RUNNING)
    assert "start 1" not in world.events
    assert [one.key.revision for one in job.workloads] == [2]


async def test_another_spec_of_the_same_number_does_not_share_its_folders(job: Job, world: World):
    other = Revision(0, encode_spec(spec(env={"NUMBER": "other"})))
    await job.revise(other)
    await reaches(job.wanted, State.RUNNING)
    assert world.events == ["start 0", "stop 0", "discard 0", "start 0"]
    assert job.record.revisions == (other,)


async def test_a_revision_is_refused_while_the_one_it_drops_cannot_be_ended(job: Job, world: World):
    world.stuck = True
    with pytest.raises(DriverError):
        await job.revise(Revision(0, encode_spec(spec(env={"NUMBER": "other"}))))
    assert job.record.revisions == (revision(0),)
    world.stuck = False
    await job.end("released")
    assert world.running == {}


async def test_a_revision_interrupted_in_its_change_goes_on_with_the_next(job: Job, world: World):
    world.stuck = True
    await job.revise(revision(1))
    await until(lambda: job.record.revisions == (revision(1),), "the written change")
    world.stuck = False
    await job.revise(revision(2))
    await until(lambda: len(job.workloads) == 1, "the change")
    await reaches(job.wanted, State.RUNNING)
    assert world.events[-1] == "start 2"
    assert len(world.running) == 1
