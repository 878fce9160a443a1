"""The driver port: what the agent asks of whatever runs processes for it.

A task is one command in one writable directory. Drivers keep their own record of each task on
disk, so that a task outlives the agent and is found again by its key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from workdeed.node.errors import DriverError

_STEP = re.compile(r"[a-z0-9]{1,16}")
_NAME = re.compile(r"([0-9a-f]{40})-(\d{1,20})-(\d{1,20})-(\d{1,20})-([a-z0-9]{1,16})")

RUN_STEP = "run"


@dataclass(frozen=True, slots=True, order=True)
class TaskKey:
    """Identity of a task: a driver runs at most one per key.

    Attributes:
        escrow: address of the escrow, any case.
        step: `run` for the service itself, another word for a step that prepares it.

    """

    escrow: str
    job_id: int
    license_id: int
    revision: int
    step: str = RUN_STEP

    def __post_init__(self) -> None:
        if not _STEP.fullmatch(self.step):
            raise DriverError(f"step: {self.step!r} must be 1 to 16 lower-case letters or digits")

    @property
    def name(self) -> str:
        """File name and marker of the task."""
        escrow = self.escrow.lower().removeprefix("0x")
        return f"{escrow}-{self.job_id}-{self.license_id}-{self.revision}-{self.step}"

    @classmethod
    def parse(cls, name: str) -> "TaskKey | None":
        """Return the key that has this `name` (its escrow in lower case), None if it is none."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        escrow, job_id, license_id, revision, step = match.groups()
        return cls("0x" + escrow, int(job_id), int(license_id), int(revision), step)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a task; the driver enforces each as well as its means allow.

    Attributes:
        memory_mb: MB (10^6 bytes) of data a process may hold.
        storage_mb: MB that one file may have.
        processes: processes and threads of the task.
        open_files: file descriptors of a process.

    """

    memory_mb: int
    storage_mb: int
    processes: int = 1024
    open_files: int = 4096


@dataclass(frozen=True, slots=True)
class Task:
    """What to run.

    Attributes:
        argv: the command, no shell.
        env: variables of the task; the driver adds PATH, HOME and TMPDIR where they are missing.
        directory: the one directory of the host that the task may write.
        subdirectory: folder inside `directory` to start in, "" for `directory` itself.
        mounts: further paths of the host to be readable inside, at the same place.

    """

    key: TaskKey
    argv: tuple[str, ...]
    env: Mapping[str, str]
    directory: Path
    limits: Limits
    subdirectory: str = ""
    mounts: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Handle:
    """A started task: its key, the process people may look at, and the driver's own reference."""

    key: TaskKey
    pid: int
    reference: str


class Phase(StrEnum):
    """What a driver knows of a task."""

    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Inspection:
    """State of a task.

    Attributes:
        code: exit code when it exited by itself, 128 + signal number when a signal ended it.
        error: why the command could not be executed at all, "" otherwise.

    """

    phase: Phase
    code: int | None = None
    error: str = ""

    def __str__(self) -> str:
        if self.phase is Phase.EXITED:
            return self.error or f"it exited with code {self.code}"
        return "it runs" if self.phase is Phase.RUNNING else "its process is gone without a trace"


@dataclass(frozen=True, slots=True)
class Stats:
    """What a task uses now: seconds of processor time, bytes of resident memory, processes."""

    cpu_seconds: float
    memory_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a driver can do here: `available` is false with the `reason` when it can run nothing."""

    driver: str
    available: bool
    sandboxed: bool
    reason: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


class Driver(Protocol):
    """Runs tasks. All methods are safe to repeat, and to call again after a crash of the agent."""

    async def fingerprint(self) -> Fingerprint:
        """Tell whether tasks can run here, and how well they are locked in."""

    async def start(self, task: Task) -> Handle:
        """Start `task`, or return the handle of the one that already runs under its key.

        Raises:
            DriverError: if it can't be started.

        """

    async def recover(self, key: TaskKey) -> Handle | None:
        """Return the handle of the task recorded under `key`, running or not; None without one.

        Ends leftovers of the task that lost their supervisor.
        """

    async def sweep(self) -> tuple[TaskKey, ...]:
        """End processes of this agent that no record owns; return the keys of all records."""

    async def inspect(self, handle: Handle) -> Inspection:
        """Return the state of the task now."""

    async def wait(self, handle: Handle, seconds: float) -> Inspection:
        """Return the state when the task ends, or after `seconds`."""

    async def logs(self, handle: Handle, max_bytes: int) -> bytes:
        """Return the last `max_bytes` of what the task printed, both streams mixed."""

    async def stats(self, handle: Handle) -> Stats:
        """Return what the task uses now; zeros once it is over."""

    async def stop(self, handle: Handle, grace: float) -> Inspection:
        """Ask the task to end, and end it and all of its descendants after `grace` seconds.

        Raises:
            DriverError: if something of it is left even then.

        """

    async def destroy(self, key: TaskKey) -> None:
        """End the task at once and forget its record and logs; its `directory` stays."""
