"""The driver port: what the agent asks of whatever runs processes for it, and how it is found.

A driver is registered in the entry point group `workdeed.drivers` under its name; the entry point
is a callable that takes a `DriverContext` and returns a `Driver`.

A task is one command in one writable directory. Drivers keep their own record of each task on
disk, so that a task outlives the agent and is found again by its key.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from workdeed.node.errors import DriverError

_WORD = re.compile(r"[a-z0-9]{1,16}")
_NAME = re.compile(
    r"([0-9a-f]{40})-(\d{1,20})-(\d{1,20})-(\d{1,20})-([a-z0-9]{1,16})-([a-z0-9]{1,16})"
)

GROUP: Final = "workdeed.drivers"
RUN_STEP: Final = "run"
MAIN_SERVICE: Final = "main"
NOT_ENFORCED: Final = "not enforced"


@dataclass(frozen=True, slots=True, order=True)
class TaskKey:
    """Identity of a task: a driver runs at most one per key.

    Attributes:
        escrow: address of the escrow, any case.
        service: which service of the job.
        step: `run` for the service itself, another word for a step that prepares it.

    """

    escrow: str
    job_id: int
    license_id: int
    revision: int
    service: str = MAIN_SERVICE
    step: str = RUN_STEP

    def __post_init__(self) -> None:
        for part, word in (("service", self.service), ("step", self.step)):
            if not _WORD.fullmatch(word):
                raise DriverError(f"{part}: {word!r} must be 1 to 16 lower-case letters or digits")

    @property
    def name(self) -> str:
        """File name and marker of the task."""
        escrow = self.escrow.lower().removeprefix("0x")
        numbers = f"{self.job_id}-{self.license_id}-{self.revision}"
        return f"{escrow}-{numbers}-{self.service}-{self.step}"

    def at(self, step: str) -> "TaskKey":
        """Return the key of another step of the same service."""
        return replace(self, step=step)

    @classmethod
    def parse(cls, name: str) -> "TaskKey | None":
        """Return the key that has this `name` (its escrow in lower case), None if it is none."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        escrow, job_id, license_id, revision, service, step = match.groups()
        return cls("0x" + escrow, int(job_id), int(license_id), int(revision), service, step)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a task; the driver enforces each as well as its means allow.

    Attributes:
        cpu_milli: thousandths of a core that the task gets when others want the processor too, and
            where the means allow it at most.
        memory_mb: MB (10^6 bytes) of data a process may hold.
        storage_mb: MB that one file may have.
        processes: processes and threads of the task.
        open_files: file descriptors of a process.

    """

    memory_mb: int
    storage_mb: int
    cpu_milli: int = 1_000
    processes: int = 1024
    open_files: int = 4096


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder `source` of the host that the task sees at the absolute path `target`."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A TCP port: `host` is where others reach it, `inside` where the task listens.

    They differ only for a driver that gives tasks a network of their own.
    """

    host: int
    inside: int


@dataclass(frozen=True, slots=True)
class Task:
    """What to run.

    Attributes:
        argv: the command, no shell; may be empty where the image brings its own.
        env: variables of the task; the driver adds PATH, HOME and TMPDIR where they are missing.
        directory: the directory of the host that the task may write, its tree.
        subdirectory: folder inside `directory` to start in, "" for `directory` itself.
        mounts: further paths of the host to be readable inside, at the same place.
        binds: further files and folders, each at a place of its own.
        ports: where it listens; a driver without networks of its own ignores them.
        image: what the task runs in, as `name@sha256:...`; "" for drivers without images.
        entrypoint: in place of the image's own, None to keep that.
        user: inside the image, "" for the image's own.
        mount_tree: whether `directory` is shown inside at all; an image that brings everything
            needs none.

    """

    key: TaskKey
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)  # among it the secrets of the payer
    directory: Path
    limits: Limits
    subdirectory: str = ""
    mounts: tuple[Path, ...] = ()
    binds: tuple[Bind, ...] = ()
    ports: tuple[Published, ...] = ()
    image: str = ""
    entrypoint: tuple[str, ...] | None = None
    user: str = ""
    mount_tree: bool = True


@dataclass(frozen=True, slots=True)
class Handle:
    """A started task: its key, the process people may look at, and the driver's own reference.

    The process is 0 where a container ended before it could be looked at.
    """

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
        out_of_memory: whether the kernel ended it for the memory it took, as far as is known.

    """

    phase: Phase
    code: int | None = None
    error: str = ""
    out_of_memory: bool = False

    def __str__(self) -> str:
        if self.out_of_memory:
            return "it took more memory than it may and was killed"
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
class LogChunk:
    """A piece of a task's output, and the `cursor` by which the next piece is asked for."""

    data: bytes
    cursor: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a driver can do here: `available` is false with the `reason` when it can run nothing.

    An attribute that is named after a limit and begins with `NOT_ENFORCED` says that the limit does
    not hold.
    """

    driver: str
    available: bool
    sandboxed: bool
    reason: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def unenforced(self) -> dict[str, str]:
        """The limits that do not hold, each with what is done in place of that."""
        return {
            name: text for name, text in self.attributes.items() if text.startswith(NOT_ENFORCED)
        }


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What a driver is made with.

    Attributes:
        directory: a folder of the driver's own, for its records.
        owner: id of this agent, by which the driver knows its tasks among those of other agents.
        allow_unsandboxed: run tasks that nothing locks in; for local networks only.
        log_bytes: how much of a task's output is kept.
        options: the operator's settings for this driver, as the driver itself names them.

    """

    directory: Path
    owner: str
    allow_unsandboxed: bool = False
    log_bytes: int = 2 * 1024 * 1024
    options: Mapping[str, Any] = field(default_factory=dict)


class Driver(Protocol):
    """Runs tasks. All methods are safe to repeat, and to call again after a crash of the agent."""

    @property
    def name(self) -> str:
        """The driver's name: `process`, `container`, or that of its entry point."""

    @property
    def own_network(self) -> bool:
        """Whether a task has a network of its own, so that it may listen on any port inside."""

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

    async def logs_after(self, handle: Handle, cursor: str, max_bytes: int) -> LogChunk:
        """Return what the task printed after `cursor`, "" for all that is kept; maybe nothing.

        A cursor whose place is no longer kept counts as "".
        """

    async def execute(self, handle: Handle, task: Task, seconds: float) -> Inspection:
        """Run the command of `task` beside the running task of `handle`, and return how it ended.

        It sees the files of that task, and what it prints is dropped.

        Args:
            handle: of the task that runs.
            task: like that one but for its command and its step.
            seconds: time it may take; it is ended then, and RUNNING returned.

        """

    async def address(self, handle: Handle) -> str:
        """Return the host by which other tasks on this node reach this one's ports inside."""

    async def disk_bytes(self, handle: Handle) -> int:
        """Return what the driver itself keeps on disk for the task, its `directory` not counted."""

    async def memory_bytes(self, handle: Handle) -> int:
        """Return the memory that the task takes now or took a moment ago, 0 once it is over.

        It is asked for often, of each task, so it must cost little; `stats` tells more.
        """

    async def stats(self, handle: Handle) -> Stats:
        """Return what the task uses now; zeros once it is over."""

    async def stop(self, handle: Handle, grace: float) -> Inspection:
        """Ask the task to end, and end it and all of its descendants after `grace` seconds.

        Raises:
            DriverError: if something of it is left even then.

        """

    async def destroy(self, key: TaskKey) -> None:
        """End the task at once and forget its record and logs; its `directory` stays."""

    async def close(self) -> None:
        """Give back connections and the like; tasks run on.

        Starts that were given up end first: another agent may come right after, and must find what
        they started.
        """


DriverFactory = Callable[[DriverContext], Driver]
