"""Runs tasks in containers of Docker or Podman.

The labels of a container are its record, so the engine is the only place that knows what runs: a
task is found again whatever happened to the agent or to the engine's service. A container's name
says which task it is, and an engine gives a name once: there is never a second one.

On disk there is a mark for each task that may have a container. Without one the engine needn't be
asked, so that an agent whose engine is down, or that has none, still runs its other tasks.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from weakref import WeakValueDictionary

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from workdeed.node.drivers import container_logs, container_spec
from workdeed.node.drivers.base import (
    NOT_ENFORCED,
    DriverContext,
    Fingerprint,
    Handle,
    Inspection,
    LogChunk,
    Phase,
    Stats,
    Task,
    TaskKey,
)
from workdeed.node.drivers.container_engine import (
    OLDEST_API,
    Engine,
    EngineDownError,
    EngineFacts,
    EngineRefusedError,
)
from workdeed.node.drivers.container_exec import Commands, process_of
from workdeed.node.drivers.container_images import ImageStore
from workdeed.node.drivers.container_logs import EarlierOutput, Piece
from workdeed.node.drivers.container_networks import Networks
from workdeed.node.drivers.container_oom import killed_for_memory
from workdeed.node.drivers.container_spec import OWNER_LABEL, TASK_LABEL, container_name
from workdeed.node.drivers.image_records import ImageRecords
from workdeed.node.drivers.process_identity import ProcessIdentity
from workdeed.node.errors import DriverError
from workdeed.node.files import private_directory, tree_bytes, write_atomic
from workdeed.node.tasks import Unbroken

T = TypeVar("T")

NAME: Final = "container"
_CLOSED_FOLDERS: Final = "in folders that a container closes to others: the agent is not root"

_KILL_SECONDS: Final = 10.0
_LOOK_AGAIN_SECONDS: Final = 0.05
_UNSEEN_SECONDS: Final = 1.0
_FACTS_SECONDS: Final = 60.0
_KILLED: Final = 128 + 9
_LOOPBACK: Final = IPv4Address("127.0.0.1")
# Podman has further words for what Docker calls created.
_NEVER_RAN: Final = frozenset({"created", "configured", "initialized"})
_UP: Final = frozenset({"running", "paused", "stopping"})
_NO_COMMAND: Final = re.compile(
    r"exec[: ].*(?:no such file|executable file not found|permission denied|exec format)", re.I
)


def _socket_path(text: str) -> str:
    path = text.removeprefix("unix://")
    if not path.startswith("/"):
        raise ValueError("it must be the path of a unix socket")
    return path


def _numeric(host: object) -> object:
    # Engines publish ports on addresses only.
    return _LOOPBACK if host == "localhost" else host


class ContainerOptions(BaseModel):
    """The operator's settings for this driver.

    Attributes:
        socket: path of the engine's socket, also as `unix:///path`; the first one that answers
            when absent.
        host: address of this machine that the ports of tasks are published on.
        workers: calls to the engine at one time.
        timeout_seconds: how long the engine may be silent in one call.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: Annotated[str, AfterValidator(_socket_path)] | None = None
    host: Annotated[IPv4Address | IPv6Address, BeforeValidator(_numeric)] = _LOOPBACK
    workers: Annotated[int, Field(ge=1, le=64)] = 8
    timeout_seconds: Annotated[float, Field(ge=1, le=3600)] = 120.0


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine shows it."""

    id: str
    task: str
    owner: str
    status: str
    pid: int
    code: int
    error: str
    out_of_memory: bool
    stop_signal: str
    address: str
    volumes: tuple[Path, ...]

    @property
    def up(self) -> bool:
        """Whether its process lives."""
        return self.status in _UP

    @property
    def never_ran(self) -> bool:
        """Whether it was made but not started."""
        return self.status in _NEVER_RAN

    @classmethod
    def parse(cls, found: dict[str, Any]) -> "Container":
        """Return what an engine's answer says."""
        state, config = found["State"], found["Config"]
        tags = config.get("Labels") or {}
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        mounts = found.get("Mounts") or ()
        return cls(
            id=str(found["Id"]),
            task=str(tags.get(TASK_LABEL, "")),
            owner=str(tags.get(OWNER_LABEL, "")),
            status=str(state["Status"]),
            pid=int(state.get("Pid") or 0),
            code=int(state.get("ExitCode") or 0),
            error=str(state.get("Error") or ""),
            out_of_memory=bool(state.get("OOMKilled")),
            stop_signal=str(config.get("StopSignal") or "SIGTERM"),
            address=next((str(one.get("IPAddress") or "") for one in networks.values()), ""),
            volumes=tuple(Path(one["Source"]) for one in mounts if one.get("Type") == "volume"),
        )


class ContainerDriver:
    """See the module; a `Driver`."""

    name = NAME
    own_network = True

    def __init__(self, context: DriverContext, options: ContainerOptions) -> None:
        """Work for the owner that `context` names.

        Raises:
            StateError: if the records of images are damaged.

        """
        directory = private_directory(context.directory)
        self._owner = context.owner
        self._options = options
        self._log_bytes = context.log_bytes
        self._allow_unlimited = context.allow_unsandboxed
        self._engine = Engine(
            options.socket, directory / "socket", options.workers, options.timeout_seconds
        )
        self._networks = Networks(self._engine, context.owner)
        self._commands = Commands(self._engine)
        self._marks = private_directory(directory / "tasks")
        self._earlier = EarlierOutput(private_directory(directory / "output"), context.log_bytes)
        # Each for as long as somebody holds it or waits.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._launches = Unbroken()
        self._processes: dict[str, ProcessIdentity] = {}
        self._facts: tuple[float, EngineFacts] | None = None
        self.images = ImageStore(self._engine)
        # One for all runners: a job gets no image from one that another has to keep from it.
        self.image_records = ImageRecords(directory / "images.json")
        self.image_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.cleaning = asyncio.Lock()

    async def fingerprint(self) -> Fingerprint:
        """Tell whether an engine answers and what it can enforce; see `Driver`."""
        try:
            facts = await self._fresh_facts()
        except (EngineDownError, EngineRefusedError) as error:
            return Fingerprint(NAME, False, False, str(error))
        attributes = {"engine": facts.kind, "version": facts.version, **facts.attributes}
        attributes |= dict.fromkeys(facts.missing_limits, NOT_ENFORCED)
        if os.geteuid() != 0:
            attributes["storage"] = f"{NOT_ENFORCED} {_CLOSED_FOLDERS}"
        reason = self._unfit(facts)
        return Fingerprint(NAME, not reason, True, reason, attributes)

    async def start(self, task: Task) -> Handle:
        """Start `task` unless it runs already; see `Driver`.

        Raises:
            DriverError: if it can't be started.

        """
        # A caller that gives up must not free the lock while the engine goes on.
        return await self._launches.do(self._start(task))

    async def recover(self, key: TaskKey) -> Handle | None:
        """Return the task of `key`, if there is one; see `Driver`."""
        async with self._lock(key):
            found = await self._find(key) if self._mark(key).exists() else None
            if found is None:
                return None
            if found.never_ran:
                await self._remove(found.id)
                return None
            return _handle(key, found)

    async def sweep(self) -> tuple[TaskKey, ...]:
        """Remove this agent's containers that are no task's, and idle networks; see `Driver`."""
        try:
            labelled = await self._labelled()
        except EngineDownError:
            if any(self._marks.iterdir()):
                raise
            return ()
        keys = []
        for container, name in labelled:
            key = TaskKey.parse(name)
            if key is None:
                await self._remove(container)
                continue
            write_atomic(self._mark(key), b"")
            if await self.recover(key) is not None:
                keys.append(key)
        for network in await self._networks.names():
            await self._networks.drop(network)
        self._forget_others({key.name for key in keys})
        return tuple(sorted(keys))

    async def inspect(self, handle: Handle) -> Inspection:
        """Return the state of the task now; see `Driver`."""
        # The kernel knows whether it lives, also while the engine's service is restarted.
        if self._alive(handle):
            return Inspection(Phase.RUNNING)
        found = await self._look(handle.reference)
        if found is None or found.never_ran:
            return Inspection(Phase.LOST)
        if found.up:
            self._remember(found)
            return Inspection(Phase.RUNNING)
        self._processes.pop(found.id, None)
        return await _end_of(found)

    async def wait(self, handle: Handle, seconds: float) -> Inspection:
        """Return the state when the task ends or time is up; see `Driver`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            inspection = await self.inspect(handle)
            left = deadline - loop.time()
            if inspection.phase is not Phase.RUNNING or left <= 0:
                return inspection
            await self._watch(handle, left)

    async def logs(self, handle: Handle, max_bytes: int) -> bytes:
        """Return the end of the output, that of earlier starts included; see `Driver`."""
        pieces = await self._output(handle, 0)
        return b"".join(one.data for one in container_logs.newest(pieces, max_bytes))

    async def logs_after(self, handle: Handle, cursor: str, max_bytes: int) -> LogChunk:
        """Return the output after `cursor`; see `Driver`."""
        pieces = await self._output(handle, container_logs.cursor_seconds(cursor))
        return container_logs.after(pieces, cursor, max_bytes)

    async def execute(self, handle: Handle, task: Task, seconds: float) -> Inspection:
        """Run the command of `task` in the container of `handle`; see `Driver`."""
        folder = f"{container_spec.APP}/{task.subdirectory}".rstrip("/")
        return await self._commands.run(
            handle.reference, list(task.argv), seconds, folder if task.mount_tree else None
        )

    async def address(self, handle: Handle) -> str:
        """Return the container's address in the network of its job; see `Driver`.

        Raises:
            DriverError: if it has none, as when it is over.

        """
        found = await self._look(handle.reference)
        if found is None or not found.address:
            raise DriverError(f"address: {handle.key.name} has none now; wait until it runs")
        return found.address

    async def disk_bytes(self, handle: Handle) -> int:
        """Return what the container wrote outside its folders, and its output; see `Driver`."""
        found = await self._look(handle.reference)
        if found is None:
            return 0

        def ask(client: Any) -> int:
            filters = {"id": found.id}
            listed = client.containers(all=True, size=True, filters=filters)
            return sum(int(one.get("SizeRw") or 0) for one in listed)

        layer = await self._call("measuring a container", ask)
        volumes = await asyncio.to_thread(lambda: sum(map(tree_bytes, found.volumes)))
        return layer + volumes + self._earlier.size(handle.key.name)

    async def memory_bytes(self, handle: Handle) -> int:
        """Return the memory that the container takes; see `Driver`."""
        return (await self.stats(handle)).memory_bytes

    async def stats(self, handle: Handle) -> Stats:
        """Return what the container uses; see `Driver`."""
        if (await self.inspect(handle)).phase is not Phase.RUNNING:
            return Stats(0.0, 0, 0)
        try:
            found = await self._call(
                "measuring a container",
                lambda client: client.stats(handle.reference, stream=False, one_shot=True),
            )
        except EngineRefusedError:
            return Stats(0.0, 0, 0)
        return _stats(found)

    async def stop(self, handle: Handle, grace: float) -> Inspection:
        """End the task, gently for `grace` seconds; see `Driver`.

        Raises:
            DriverError: if it can't be ended.

        """
        async with self._lock(handle.key):
            found = await self._look(handle.reference)
            if found is not None and found.up:
                if grace > 0:
                    await self._ask_to_end(found)
                    inspection = await self.wait(handle, grace)
                    if inspection.phase is not Phase.RUNNING:
                        return inspection
                await self._kill(handle)
            return await self.inspect(handle)

    async def destroy(self, key: TaskKey) -> None:
        """End the task and forget it; see `Driver`."""
        async with self._lock(key):
            if not self._mark(key).exists():
                return
            found = await self._find(key)
            if found is not None:
                if found.up:
                    await self._kill(_handle(key, found))
                await self._remove(found.id)
            self._earlier.drop(key.name)
            async with self._networks.lock(key):
                await self._networks.drop(container_spec.network_name(self._owner, key))
            self._mark(key).unlink(missing_ok=True)

    async def close(self) -> None:
        """Let launches end, and give the connection back; see `Driver`."""
        await self._launches.wait()
        self._engine.close()

    async def _start(self, task: Task) -> Handle:
        async with self._lock(task.key):
            found = await self._find(task.key)
            if found is not None:
                if found.up:
                    return _handle(task.key, found)
                await self._save_output(found)
                await self._remove(found.id)
            async with self._networks.lock(task.key):
                return await self._launch(task)

    async def _launch(self, task: Task) -> Handle:
        facts = await self._fresh_facts()
        if reason := self._unfit(facts):
            raise DriverError(f"engine: {reason}")
        await self._networks.ensure(task.key)
        await asyncio.to_thread(self._make_ready, task)

        def create(client: Any) -> str:
            arguments = container_spec.arguments(
                client,
                task,
                self._owner,
                kind=facts.kind,
                host=str(self._options.host),
                log_bytes=self._log_bytes,
            )
            return str(client.create_container(**arguments)["Id"])

        container = await self._call("making a container", create)
        try:
            await self._call("starting a container", lambda client: client.start(container))
        except EngineRefusedError as error:
            await self._remove(container)
            raise DriverError(_why_not_started(task, error)) from error
        found = await self._look(container)
        if found is None:
            raise DriverError(f"task: the container of {task.key.name} was removed; start it again")
        self._remember(found)
        return _handle(task.key, found)

    def _make_ready(self, task: Task) -> None:
        """Note that there may be a container of `task`, and open its folders to users inside.

        Raises:
            DriverError: if the disk is full or the like.

        """
        try:
            self._engine.remember()
            write_atomic(self._mark(task.key), b"")
            container_spec.open_folders(task)
        except OSError as error:
            raise DriverError(
                f"task: {task.key.name} can't be made ready on this node's disk ({error}); "
                "free some disk and start it again"
            ) from error

    async def _call(self, what: str, function: Callable[[Any], T]) -> T:
        return await self._engine.call(what, function)

    def _unfit(self, facts: EngineFacts) -> str:
        """Return why nothing may be run in this engine, "" if it may."""
        if facts.api < OLDEST_API:
            needed = ".".join(map(str, OLDEST_API))
            return f"its API is older than {needed}; update Docker or Podman"
        if facts.missing_limits and not self._allow_unlimited:
            words = " and ".join(facts.missing_limits)
            return f"it can't limit {words} here; run it as root or use cgroups v2"
        return ""

    async def _fresh_facts(self) -> EngineFacts:
        await self._engine.ping()
        now = asyncio.get_running_loop().time()
        if self._facts is None or now - self._facts[0] > _FACTS_SECONDS:
            self._facts = (now, await self._engine.facts())
        return self._facts[1]

    async def _labelled(self) -> list[tuple[str, str]]:
        """Return id and task name of all containers of this agent."""
        label = f"{OWNER_LABEL}={self._owner}"
        found = await self._call(
            "listing containers",
            lambda client: client.containers(all=True, filters={"label": label}),
        )
        return [(str(one["Id"]), str((one["Labels"] or {}).get(TASK_LABEL, ""))) for one in found]

    async def _find(self, key: TaskKey) -> Container | None:
        found = await self._look(container_name(self._owner, key))
        if found is not None and (found.owner, found.task) != (self._owner, key.name):
            raise DriverError(
                f"task: the container {container_name(self._owner, key)} is not this agent's; "
                "remove it"
            )
        return found

    async def _look(self, container: str) -> Container | None:
        """Return a container by name or id, None when there is none.

        Raises:
            DriverError: if the engine can't be asked: then nothing is known of it.

        """
        try:
            found = await self._call(
                "looking at a container", lambda client: client.inspect_container(container)
            )
        except EngineRefusedError as error:
            if error.missing:
                return None
            raise
        return Container.parse(found)

    async def _output(self, handle: Handle, since: int) -> list[Piece]:
        earlier = self._earlier.read(handle.key.name)
        try:
            present = await self._call(
                "reading output",
                lambda client: container_logs.read_pieces(client, handle.reference, since),
            )
        except EngineRefusedError as error:
            if not error.missing:
                raise
            present = []
        return [*earlier, *present]

    async def _save_output(self, found: Container) -> None:
        pieces = await self._call(
            "reading output", lambda client: container_logs.read_pieces(client, found.id)
        )
        await asyncio.to_thread(self._earlier.add, found.task, pieces)

    async def _remove(self, container: str) -> None:
        self._processes.pop(container, None)
        try:
            await self._call(
                "removing a container",
                # With the volumes that its image asked for: nobody else knows of them.
                lambda client: client.remove_container(container, v=True, force=True),
            )
        except EngineRefusedError as error:
            if not error.missing:
                raise

    async def _signal(self, found: Container, signal: str) -> None:
        try:
            await self._call(
                "signalling a container", lambda client: client.kill(found.id, signal=signal)
            )
        except EngineRefusedError:
            now = await self._look(found.id)
            if now is not None and now.up:
                raise

    async def _ask_to_end(self, found: Container) -> None:
        """Send the signal that its image names, or SIGTERM where the engine knows no such signal.

        A container that can't be asked is ended all the same, after its time.
        """
        try:
            await self._signal(found, found.stop_signal)
        except EngineRefusedError:
            with contextlib.suppress(EngineRefusedError):
                await self._signal(found, "SIGTERM")

    async def _kill(self, handle: Handle) -> None:
        found = await self._look(handle.reference)
        if found is not None:
            await self._signal(found, "SIGKILL")
        inspection = await self.wait(handle, _KILL_SECONDS)
        if inspection.phase is Phase.RUNNING:
            raise DriverError(
                f"task: {handle.key.name} can't be ended; look at its container in the engine"
            )

    async def _watch(self, handle: Handle, seconds: float) -> None:
        """Return when the task seems to have ended, or after a part of `seconds`."""
        identity = self._processes.get(handle.reference)
        if identity is None:
            await asyncio.sleep(min(seconds, _UNSEEN_SECONDS))
        elif not await identity.wait_gone(seconds):
            return
        else:
            # The engine learns of it a moment later.
            await asyncio.sleep(min(seconds, _LOOK_AGAIN_SECONDS))

    def _alive(self, handle: Handle) -> bool:
        identity = self._processes.get(handle.reference)
        return identity is not None and identity.alive()

    def _remember(self, found: Container) -> None:
        """Keep the identity of the container's process, where the agent can see it."""
        with contextlib.suppress(DriverError):
            identity = ProcessIdentity.of(found.pid)
            # Checked after the number is pinned to a start: it may have been given anew.
            if process_of(found.pid, found.id):
                self._processes[found.id] = identity

    def _forget_others(self, known: set[str]) -> None:
        """Remove marks and kept output of all tasks but the `known`."""
        for name in self._earlier.names():
            if name not in known:
                self._earlier.drop(name)
        for mark in self._marks.iterdir():
            if mark.name not in known:
                mark.unlink()

    def _mark(self, key: TaskKey) -> Path:
        return self._marks / key.name

    def _lock(self, key: TaskKey) -> asyncio.Lock:
        return self._locks.setdefault(key.name, asyncio.Lock())


def container_driver(context: DriverContext) -> ContainerDriver:
    """Make the driver; what entry points name.

    Raises:
        DriverError: if an option is wrong.

    """
    try:
        options = ContainerOptions.model_validate(dict(context.options))
    except ValidationError as error:
        first = error.errors()[0]
        raise DriverError(f"container.{first['loc'][0]}: {first['msg']}; correct it") from error
    return ContainerDriver(context, options)


def _handle(key: TaskKey, found: Container) -> Handle:
    return Handle(key, found.pid, found.id)


async def _end_of(found: Container) -> Inspection:
    out_of_memory = found.out_of_memory
    if found.code == _KILLED and not out_of_memory:
        out_of_memory = await asyncio.to_thread(killed_for_memory, found.id)
    return Inspection(Phase.EXITED, found.code, found.error, out_of_memory)


def _why_not_started(task: Task, error: EngineRefusedError) -> str:
    text = str(error)
    if "already in use" in text or "already allocated" in text:
        return f"ports: one of {task.key.name} is taken by another program; try another ({text})"
    if _NO_COMMAND.search(text):
        return f"run: the command can't be run in this image; correct it ({text})"
    return text


def _stats(found: dict[str, Any]) -> Stats:
    cpu = (found.get("cpu_stats") or {}).get("cpu_usage") or {}
    memory = found.get("memory_stats") or {}
    details = memory.get("stats") or {}
    # What the kernel holds of files and can drop at once; v2 and v1 name it differently.
    cache = details.get("inactive_file", details.get("total_inactive_file", 0))
    return Stats(
        cpu_seconds=int(cpu.get("total_usage") or 0) / 1e9,
        memory_bytes=max(0, int(memory.get("usage") or 0) - int(cache)),
        processes=int((found.get("pids_stats") or {}).get("current") or 0),
    )
