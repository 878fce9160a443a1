"""A driver, a runner and a health probe that do what tests tell them, and jobs made of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from workdeed.intent import HealthCheck, Service, Spec, encode_spec, load_spec
from workdeed.node.drivers.base import (
    Fingerprint,
    Handle,
    Inspection,
    Phase,
    Stats,
    Task,
    TaskKey,
)
from workdeed.node.errors import DriverDownError, DriverError, RunnerError
from workdeed.node.health import Health
from workdeed.node.jobs import JobTools
from workdeed.node.pod import Gate
from workdeed.node.records import JobRecord, Revision
from workdeed.node.runners.base import Order, Plan
from workdeed.node.secrets import Opened
from workdeed.node.surroundings import Pauses, Tools
from workdeed.node.values import NodeFacts
from workdeed.node.volumes import Volumes
from workdeed.protocol.signing import to_checksum

ESCROW = to_checksum("0x" + "e5" * 20)
LICENSE = 7
FACTS = NodeFacts(str(LICENSE), "0x" + "11" * 20, "127.0.0.1")
QUICK = {"first_ms": 100, "longest_ms": 100}


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
        "restart": QUICK,
        "resources": {"cpu_milli": 100, "memory_mb": 128, "storage_mb": 64},
    }
    return load_spec(document | changes)


def sibling(name: str, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": name,
        "runner": "war",
        "source": {"git": {"url": "/srv/x.git", "commit": "0" * 40}},
        "run": [name],
        "restart": QUICK,
        "resources": {"cpu_milli": 1, "memory_mb": 1, "storage_mb": 1},
    }
    return made | changes


@dataclass
class World:
    """A driver, a runner and a health probe in one, which do what a test tells them."""

    running: dict[str, Task] = field(default_factory=dict)
    ended: dict[str, Inspection] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    well: bool = True
    ill: set[int] = field(default_factory=set)
    ill_versions: set[str] = field(default_factory=set)
    memory: int = 0
    disk: int = 0
    stuck: bool = False
    silent: bool = False
    slow: float = 0.0
    """How many seconds a task takes to end."""
    down: bool = False
    """Whether the driver can't be asked anything."""
    unbuildable: set[int] = field(default_factory=set)
    unstartable: bool = False
    newest: str = "c0"
    bad: set[str] = field(default_factory=set)
    poll: float | None = None
    checks: list[Task] = field(default_factory=list)
    check_code: int = 0
    name: str = "fake"
    own_network: bool = False

    # --- a driver ---

    async def fingerprint(self) -> Fingerprint:
        return Fingerprint("fake", True, True)

    async def start(self, task: Task) -> Handle:
        self._ask()
        if self.unstartable:
            raise DriverError("task: it can't be started")
        self.running[task.key.name] = task
        self.events.append(f"start {_name(task.key)}")
        return self._handle(task.key)

    async def recover(self, key: TaskKey) -> Handle | None:
        self._ask()
        known = key.name in self.running or key.name in self.ended
        return self._handle(key) if known else None

    async def inspect(self, handle: Handle) -> Inspection:
        self._ask()
        if handle.key.name in self.running:
            return Inspection(Phase.RUNNING)
        return self.ended.pop(handle.key.name, Inspection(Phase.LOST))

    async def wait(self, handle: Handle, seconds: float) -> Inspection:
        await asyncio.sleep(0.001)
        if self.silent:
            raise DriverError("engine: it does not answer")
        return await self.inspect(handle)

    async def logs(self, handle: Handle, max_bytes: int) -> bytes:
        return b"first\nlast words\n"

    async def memory_bytes(self, handle: Handle) -> int:
        return self.memory

    async def stats(self, handle: Handle) -> Stats:
        return Stats(0, self.memory, 1)

    async def execute(self, handle: Handle, task: Task, seconds: float) -> Inspection:
        self.checks.append(task)
        return Inspection(Phase.EXITED, self.check_code)

    async def address(self, handle: Handle) -> str:
        return "10.0.0.2"

    async def disk_bytes(self, key: object) -> int:
        return self.disk if isinstance(key, Handle) else 0

    async def stop(self, handle: Handle, grace: float) -> Inspection:
        self._ask()
        if self.stuck:
            raise DriverError("task: it can't be ended")
        if self.slow:
            await asyncio.sleep(self.slow)
        self.running.pop(handle.key.name, None)
        self.events.append(f"stop {_name(handle.key)}")
        return Inspection(Phase.EXITED, 0)

    async def destroy(self, key: TaskKey) -> None:
        self._ask()
        self.running.pop(key.name, None)

    # --- a runner ---

    def poll_seconds(self, service: Service) -> float | None:
        return self.poll

    async def resolve(self, order: Order) -> str:
        return self.newest

    async def prepare(self, order: Order, version: str) -> Plan:
        await asyncio.sleep(0)
        if order.key.revision in self.unbuildable or version in self.bad:
            raise RunnerError("build command 1 of 1 failed")
        driver: Any = self
        return Plan(driver, Path("/nowhere"), order.service.run or (), env={"VERSION": version})

    async def discard(self, key: TaskKey) -> None:
        self.events.append(f"discard {_name(key)}")

    # --- a health probe ---

    async def check(self, check: HealthCheck, port: int) -> Health:
        ill = any(
            task.key.revision in self.ill or task.env.get("VERSION") in self.ill_versions
            for task in self.running.values()
        )
        well = self.well and not ill
        return Health(well, "" if well else "it is sick")

    def exit(self, code: int | None) -> None:
        """End all processes; None leaves no trace of how."""
        for name in list(self.running):
            del self.running[name]
            if code is not None:
                self.ended[name] = Inspection(Phase.EXITED, code)

    def _ask(self) -> None:
        if self.down:
            raise DriverDownError("engine: it can't be reached")

    def _handle(self, key: TaskKey) -> Handle:
        return Handle(key, 4711, key.name)


def _name(key: TaskKey) -> str:
    return str(key.revision) if key.service == "main" else f"{key.revision}.{key.service}"


def make_tools(world: World, gate: Gate, folder: Path) -> JobTools:
    pauses = Pauses(0.001, 0.002, unhealthy=0.05, grace=1, proven=0, disk=0)
    volumes = Volumes(folder)
    any_world: Any = world
    parts = Tools({"fake": any_world}, any_world, any_world, volumes, "127.0.0.1", pauses)
    return JobTools(
        FACTS,
        gate,
        volumes,
        lambda runner: parts,
        lambda taken, port: port or next(one for one in count(4000) if one not in taken),
        lambda spec: Opened({"token": "very-secret"}),
        lambda record: None,
        settle_seconds=0.01,
    )


def revision(number: int, **changes: Any) -> Revision:
    changes = {"env": {"NUMBER": str(number)}} | changes
    return Revision(number, encode_spec(spec(**changes)))


def record_of(*revisions: Revision, serving: int = 0) -> JobRecord:
    return JobRecord(ESCROW, 3, revisions, serving)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds; fail with `what` after a time no healthy run needs."""
    for _ in range(60_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail(f"{what} did not happen")
