"""Runs tasks as processes of this machine, under bubblewrap.

Each task has a folder: `record.json` (whose process supervises it), `exit.json` (how it ended),
its log, home and temporary folders. The record is on disk before anything of the task runs: see
`shim`.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import psutil

from workdeed.node.drivers import shim
from workdeed.node.drivers.base import (
    DriverContext,
    Fingerprint,
    Handle,
    Inspection,
    Limits,
    LogChunk,
    Phase,
    Stats,
    Task,
    TaskKey,
)
from workdeed.node.drivers.cgroups import CONTROLLERS, ControlGroups, Use
from workdeed.node.drivers.process_files import nameless_bytes
from workdeed.node.drivers.process_identity import ProcessIdentity
from workdeed.node.drivers.process_limits import cores, described, resource_limits, unheld
from workdeed.node.drivers.process_marks import left_behind, mark, marked
from workdeed.node.drivers.process_table import ProcessTable
from workdeed.node.drivers.sandbox import HOME, TEMPORARY, Layout, Sandbox
from workdeed.node.errors import DriverError, SandboxMissingError, StateError
from workdeed.node.files import (
    private_directory,
    read_json,
    remove_tree,
    sync_directory,
    tree_bytes,
    write_json,
)
from workdeed.node.tasks import Unbroken

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
DEFAULT_LOG_BYTES = 2 * 1024 * 1024

_KILL_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.02
_LOOKS_IN_VAIN = 2


class ProcessDriver:
    """The embedded driver; Linux only."""

    def __init__(
        self,
        directory: Path,
        owner: str,
        *,
        allow_unsandboxed: bool = False,
        path: str = DEFAULT_PATH,
        read_only: tuple[Path, ...] = (),
        log_bytes: int = DEFAULT_LOG_BYTES,
        cgroup: Use = Use.AUTO,
    ) -> None:
        """Keep tasks in `directory`.

        Args:
            directory: made if it is missing.
            owner: id of this agent, part of the marker by which its processes are known.
            allow_unsandboxed: run without bubblewrap where it is missing; for local networks only.
            path: PATH of tasks.
            read_only: further folders of the host that tasks may read, at the same place.
            log_bytes: size of a task's log.
            cgroup: whether tasks are bounded by control groups.

        """
        self._directory = private_directory(directory)
        self._owner = owner
        self._allow_unsandboxed = allow_unsandboxed
        self._path = path
        self._read_only = read_only
        self._log_bytes = log_bytes
        self._use = cgroup
        # Each for as long as somebody holds it or waits.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._launches = Unbroken()
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._found: Sandbox | str | None = None
        self._found_groups: ControlGroups | None = None
        self._finding = asyncio.Lock()
        self._table = ProcessTable()
        # Tasks of whose memory their group knows a part only.
        self._uncounted: set[str] = set()

    @property
    def name(self) -> str:
        """The driver's name; see `Driver`."""
        return "process"

    @property
    def own_network(self) -> bool:
        """False: tasks share the network of the host."""
        return False

    async def fingerprint(self) -> Fingerprint:
        """Tell whether tasks can run, in a sandbox or not, and what bounds them; see `Driver`."""
        if not sys.platform.startswith("linux"):
            return Fingerprint("process", False, False, "the process driver needs Linux")
        sandbox, groups = await self._sandbox(), await self._groups()
        locked_in = isinstance(sandbox, Sandbox)
        attributes = described(groups, sandboxed=locked_in)
        if isinstance(sandbox, Sandbox):
            attributes["bubblewrap"] = ".".join(str(part) for part in sandbox.version)
            attributes["namespaces"] = sandbox.namespaces
        unbounded = self._unbounded(groups)
        usable = (locked_in or self._allow_unsandboxed) and not unbounded
        reasons = [] if isinstance(sandbox, Sandbox) else [sandbox]
        reason = "; ".join([*reasons, *([unbounded] if unbounded else [])])
        return Fingerprint("process", usable, locked_in, reason, attributes)

    async def start(self, task: Task) -> Handle:
        """Start `task` unless it runs already; see `Driver`.

        Raises:
            SandboxMissingError: without bubblewrap, unless `allow_unsandboxed` is set.
            DriverError: if it can't be started, or can't be bounded and has to be.

        """
        return await self._start_in(task, None)

    async def _start_in(self, task: Task, host: TaskKey | None) -> Handle:
        """Start `task` in a control group of its own, or in that of the task `host`."""
        sandbox, groups = await self._sandbox(), await self._groups()
        if task.image:
            raise DriverError("image: the process driver runs none; install a container engine")
        if isinstance(sandbox, str) and not self._allow_unsandboxed:
            raise SandboxMissingError(
                f"allow_unsandboxed: {sandbox}, and nothing is run without it; install bubblewrap"
            )
        if unbounded := self._unbounded(groups):
            raise DriverError(unbounded)
        # A caller that gives up must not free the lock while the launch goes on in its thread.
        return await self._launches.do(
            self._start(task, sandbox if isinstance(sandbox, Sandbox) else None, host)
        )

    async def recover(self, key: TaskKey) -> Handle | None:
        """Return the task recorded under `key`, if any; see `Driver`."""
        async with self._lock(key):
            handle = self._recorded(key)
            if handle is None or not ProcessIdentity.parse(handle.reference).alive():
                await self._end_leftovers(key)
            return handle

    async def sweep(self) -> tuple[TaskKey, ...]:
        """End this agent's processes that no record owns; see `Driver`.

        Tasks that run on get their bounds anew; see `ControlGroups.apply`.
        """
        groups = await self._groups()
        keys = []
        living = set()
        for folder in sorted(self._directory.iterdir()):
            key = TaskKey.parse(folder.name)
            handle = self._recorded(key) if key is not None else None
            if key is None or handle is None:
                continue
            keys.append(key)
            if ProcessIdentity.parse(handle.reference).alive():
                living.add(key.name)
                limits = self._recorded_limits(key)
                if limits and not await asyncio.to_thread(groups.apply, key.name, limits):
                    self._uncounted.add(key.name)
        strays = {name for _, name in await asyncio.to_thread(self._strays)}
        for name in (strays | groups.names()) - living:
            await self._end_strays(name)
        groups.tidy()
        return tuple(keys)

    async def inspect(self, handle: Handle) -> Inspection:
        """Return the state of the task now; see `Driver`."""
        identity = ProcessIdentity.parse(handle.reference)
        # Read before the exit file: a task that ends in between has written the file by then.
        alive = identity.alive()
        self._reap(identity.pid)
        current = self._recorded(handle.key)
        ended = read_json(self._folder(handle.key) / "exit.json")
        if current is None or current.reference != handle.reference:
            return Inspection(Phase.LOST)
        if isinstance(ended, dict):
            killed = bool(ended.get("out_of_memory"))
            return Inspection(Phase.EXITED, int(ended["code"]), str(ended["error"]), killed)
        return Inspection(Phase.RUNNING if alive else Phase.LOST)

    async def wait(self, handle: Handle, seconds: float) -> Inspection:
        """Return the state when the task ends or time is up; see `Driver`."""
        await ProcessIdentity.parse(handle.reference).wait_gone(seconds)
        return await self.inspect(handle)

    async def logs(self, handle: Handle, max_bytes: int) -> bytes:
        """Return the end of the log; see `Driver`."""
        older, newer = self._log_files(handle.key)
        end = _tail(newer, max_bytes)
        return _tail(older, max_bytes - len(end)) + end

    async def logs_after(self, handle: Handle, cursor: str, max_bytes: int) -> LogChunk:
        """Return what was printed after `cursor`, a file and a place in it; see `Driver`."""
        return await asyncio.to_thread(_read_after, self._log_files(handle.key), cursor, max_bytes)

    async def execute(self, handle: Handle, task: Task, seconds: float) -> Inspection:
        """Run another command over the task's files, in a sandbox of its own; see `Driver`.

        It shares the control group of the task: both together are held to what the task may take.
        """
        await self.destroy(task.key)
        try:
            return await self.wait(await self._start_in(task, handle.key), seconds)
        finally:
            await self.destroy(task.key)

    async def address(self, handle: Handle) -> str:
        """Return the loopback address: tasks share the host's network; see `Driver`."""
        del handle
        return "127.0.0.1"

    async def disk_bytes(self, handle: Handle) -> int:
        """Return what home, temporary folders and log of the task hold; see `Driver`.

        Files without a name count too, as long as one of its processes has them open.
        """
        folder, pids = self._folder(handle.key), []
        identity = ProcessIdentity.parse(handle.reference)
        if identity.alive():
            pids = await self._table.descendants(identity.pid)

        def measure() -> int:
            device = self._directory.stat().st_dev
            return tree_bytes(folder) + nameless_bytes(pids, device)

        return await asyncio.to_thread(measure)

    async def close(self) -> None:
        """Let launches end, and remove the folder of control groups if no task is left.

        See `Driver`.
        """
        await self._launches.wait()
        if self._found_groups is not None:
            await asyncio.to_thread(self._found_groups.tidy)

    async def memory_bytes(self, handle: Handle) -> int:
        """Return the memory of the group, or without one that of its processes; see `Driver`."""
        identity = ProcessIdentity.parse(handle.reference)
        if not identity.alive():
            return 0
        counted = await self._counted_memory(handle.key)
        return await self._table.memory_bytes(identity.pid) if counted is None else counted

    async def stats(self, handle: Handle) -> Stats:
        """Return what the task's processes use; see `Driver`."""
        identity = ProcessIdentity.parse(handle.reference)
        if not identity.alive():
            return Stats(0.0, 0, 0)
        seconds, memory, count = 0.0, 0, 0
        for pid in shim.descendants(identity.pid):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                times = process.cpu_times()
                seconds += times.user + times.system
                memory += process.memory_info().rss
                count += 1
        # Pages that processes share are counted once by the group, and once for each above.
        counted = await self._counted_memory(handle.key)
        return Stats(seconds, memory if counted is None else counted, count)

    async def stop(self, handle: Handle, grace: float) -> Inspection:
        """End the task, gently for `grace` seconds; see `Driver`.

        Raises:
            DriverError: if a process of it can't be ended.

        """
        identity = ProcessIdentity.parse(handle.reference)
        async with self._lock(handle.key):
            if grace > 0:
                identity.signal(signal.SIGTERM)
                if await identity.wait_gone(grace):
                    return await self._ended(handle)
            identity.signal(signal.SIGUSR1)
            if not await identity.wait_gone(_KILL_SECONDS):
                (await self._groups()).kill(handle.key.name)
                self._kill_tree(identity)
                if not await identity.wait_gone(_KILL_SECONDS):
                    raise DriverError(
                        f"task: {handle.key.name} can't be ended; look at its processes"
                    )
            return await self._ended(handle)

    async def destroy(self, key: TaskKey) -> None:
        """End the task and forget it; see `Driver`."""
        handle = self._recorded(key)
        if handle is not None:
            await self.stop(handle, 0)
        async with self._lock(key):
            folder = self._folder(key)
            if folder.exists():
                await self._end_leftovers(key)
                await asyncio.to_thread(remove_tree, folder)
                sync_directory(self._directory)
        (await self._groups()).tidy()

    async def _start(self, task: Task, sandbox: Sandbox | None, host: TaskKey | None) -> Handle:
        async with self._lock(task.key):
            handle = self._recorded(task.key)
            if handle is not None and ProcessIdentity.parse(handle.reference).alive():
                return handle
            await self._end_leftovers(task.key)
            groups = await self._groups()
            order = self._order(task, sandbox, groups)
            return await asyncio.to_thread(self._launch, task, order, groups, host)

    async def _ended(self, handle: Handle) -> Inspection:
        await self._end_leftovers(handle.key)
        return await self.inspect(handle)

    async def _counted_memory(self, key: TaskKey) -> int | None:
        """Return the memory that the task's group counts, None where that is not all there is."""
        if key.name in self._uncounted:
            return None
        return (await self._groups()).memory_bytes(key.name)

    async def _sandbox(self) -> Sandbox | str:
        # Two at a time would take each other's devices away.
        async with self._finding:
            if self._found is None:
                self._found = await Sandbox.find(self._directory.parent / "accounts")
            return self._found

    async def _groups(self) -> ControlGroups:
        async with self._finding:
            if self._found_groups is None:
                if self._use is Use.OFF:
                    off = dict.fromkeys(CONTROLLERS, "sandbox.cgroup is off")
                    self._found_groups = ControlGroups((), self._owner, off)
                else:
                    self._found_groups = await asyncio.to_thread(ControlGroups.find, self._owner)
            return self._found_groups

    def _unbounded(self, groups: ControlGroups) -> str:
        """Return why nothing may be started for want of control groups, "" if it may."""
        missing = unheld(groups)
        if self._use is not Use.REQUIRED or not missing:
            return ""
        return f"sandbox.cgroup: required and not all there ({missing}); see docs/node.md"

    def _lock(self, key: TaskKey) -> asyncio.Lock:
        return self._locks.setdefault(key.name, asyncio.Lock())

    def _folder(self, key: TaskKey) -> Path:
        return self._directory / key.name

    def _log_files(self, key: TaskKey) -> tuple[Path, Path]:
        """Return the log's older and newer file."""
        log = self._folder(key) / "output.log"
        return log.with_name("output.log.1"), log

    def _record_of(self, key: TaskKey) -> dict[str, Any] | None:
        try:
            record = read_json(self._folder(key) / "record.json")
        except StateError:
            # Damaged by a failing disk: nothing can be adopted, so what carries the marker is
            # ended.
            return None
        return record if isinstance(record, dict) else None

    def _recorded(self, key: TaskKey) -> Handle | None:
        record = self._record_of(key)
        if record is None:
            return None
        identity = ProcessIdentity.parse(str(record["process"]))
        return Handle(key, identity.pid, str(identity))

    def _recorded_limits(self, key: TaskKey) -> Limits | None:
        """Return the limits of a task, None if it was started by an agent without groups."""
        limits = (self._record_of(key) or {}).get("limits")
        return Limits(**limits) if limits else None

    def _order(self, task: Task, sandbox: Sandbox | None, groups: ControlGroups) -> dict[str, Any]:
        folder = private_directory(self._folder(task.key))
        home, temporary, shared = (
            private_directory(folder / name) for name in ("home", "tmp", "shm")
        )
        own_mark = mark(self._owner, task.key)
        order: dict[str, Any] = {
            "log": str(folder / "output.log"),
            "log_bytes": self._log_bytes,
            "exit": str(folder / "exit.json"),
            "limits": resource_limits(task.limits, groups),
            "cores": cores(task.key.name, task.limits, groups),
        }
        if sandbox is None:
            places = {"HOME": str(home), "TMPDIR": str(temporary), "LANG": "C.UTF-8"}
            order |= {"argv": list(task.argv), "sandbox": None, "cwd": _start_folder(task)}
            order["env"] = {**places, "PATH": self._path, **_host_paths(task), **own_mark}
            return order
        read_only = (*self._read_only, *task.mounts)
        devices = folder / "dev"
        layout = Layout(task.directory, home, temporary, shared, devices, read_only, task.binds)
        places = {"HOME": HOME, "TMPDIR": TEMPORARY, "LANG": "C.UTF-8", "PATH": self._path}
        order["argv"] = sandbox.command(task.argv, task.limits.processes)
        order["sandbox"] = sandbox.arguments(layout, {**places, **task.env}, task.subdirectory)
        return order | {"cwd": "/", "env": {**own_mark, "PATH": self._path}}

    def _launch(
        self, task: Task, order: dict[str, Any], groups: ControlGroups, host: TaskKey | None
    ) -> Handle:
        key, folder = task.key, self._folder(task.key)
        (folder / "exit.json").unlink(missing_ok=True)
        shared = groups.folders(host.name) if host is not None else []
        order["group"] = shared or groups.make(key.name, task.limits)
        self._uncounted.discard(key.name)
        order["owns_group"] = not shared
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", shim.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=mark(self._owner, key),
            start_new_session=True,
        )
        order_pipe = process.stdin
        if order_pipe is None:
            raise DriverError("stdin: the supervisor has none; start the task again")
        try:
            identity = ProcessIdentity.of(process.pid)
            self._record(folder, identity, task.limits)
            order_pipe.write(json.dumps(order).encode())
        finally:
            # Closing without the whole order ends the supervisor before anything has run.
            with contextlib.suppress(BrokenPipeError):
                order_pipe.close()
            self._children[process.pid] = process
        return Handle(key, identity.pid, str(identity))

    def _record(self, folder: Path, identity: ProcessIdentity, limits: Limits) -> None:
        record = {"process": str(identity), "limits": asdict(limits)}
        write_json(folder / "record.json", record)
        sync_directory(folder.parent)

    def _reap(self, pid: int) -> None:
        """Collect a supervisor that is a child of this very agent, so that no zombie stays."""
        child = self._children.get(pid)
        if child is not None and child.poll() is not None:
            del self._children[pid]

    def _kill_tree(self, identity: ProcessIdentity) -> None:
        for pid, stat in shim.descendants(identity.pid).items():
            shim.send_signal(pid, stat.start_ticks, signal.SIGKILL)
        identity.signal(signal.SIGKILL)

    def _strays(self, name: str = "") -> list[tuple[int, str]]:
        """Return pid and task name of marked processes that no supervisor holds.

        Args:
            name: of the task to look for, its own supervisor included; "" for any.

        """
        found = [(pid, task) for pid, task in marked(self._owner) if name in ("", task)]
        supervisors = self._supervisors(name) if found else set()
        return [(pid, task) for pid, task in found if left_behind(pid, supervisors)]

    def _supervisors(self, but: str) -> set[int]:
        """Return the pids of all recorded supervisors that live, but that of the task `but`."""
        found = set()
        for folder in self._directory.iterdir():
            key = TaskKey.parse(folder.name) if folder.name != but else None
            handle = self._recorded(key) if key is not None else None
            if handle is not None and ProcessIdentity.parse(handle.reference).alive():
                found.add(handle.pid)
        return found

    async def _end_leftovers(self, key: TaskKey) -> None:
        """Kill what a task left whose supervisor is gone without having written how it ended.

        A supervisor that wrote it has ended everything before. It must be gone when this is called.
        """
        folder = self._folder(key)
        if folder.exists() and not (folder / "exit.json").exists():
            await self._end_strays(key.name)
        elif (groups := await self._groups()).folders(key.name):
            await asyncio.to_thread(groups.remove, key.name)

    async def _end_strays(self, name: str) -> None:
        """Kill what is in the group of the task `name`, whose supervisor is gone, or marked so.

        Repeated until nothing is found, and once more: a dying process may just have made another
        one, and one that takes up another program shows no mark for a moment.

        Raises:
            DriverError: if something is left after a long time; the task must not be started then.

        """
        await asyncio.to_thread((await self._groups()).remove, name)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _KILL_SECONDS
        found_none = 0
        while found_none < _LOOKS_IN_VAIN:
            strays = [pid for pid, _ in await asyncio.to_thread(self._strays, name)]
            found_none = 0 if strays else found_none + 1
            if strays and loop.time() > deadline:
                raise DriverError(
                    f"task: processes {strays} of {name} can't be ended; look at them"
                )
            for pid in strays:
                stat = shim.read_stat(pid)
                if stat is not None:
                    shim.send_signal(pid, stat.start_ticks, signal.SIGKILL)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            for pid in strays:
                self._reap(pid)


def process_driver(context: DriverContext) -> ProcessDriver:
    """Return the driver for an agent; what its entry point names.

    Options: `path`, PATH of tasks; `read_only`, further folders that they may read; `cgroup`, one
    of `Use`.
    """
    return ProcessDriver(
        context.directory,
        context.owner,
        allow_unsandboxed=context.allow_unsandboxed,
        path=str(context.options.get("path", DEFAULT_PATH)),
        read_only=tuple(Path(one) for one in context.options.get("read_only", ())),
        log_bytes=context.log_bytes,
        cgroup=Use(context.options.get("cgroup", Use.AUTO)),
    )


def _host_paths(task: Task) -> dict[str, str]:
    """Return the variables of a task without a sandbox, which sees the places of the host.

    A variable that says where a bind lies inside then says where it lies on the host.

    Raises:
        DriverError: if a bind has a place that no variable tells.

    """
    sources = {bind.target: str(bind.source) for bind in task.binds}
    untold = sources.keys() - set(task.env.values())
    if untold:
        raise DriverError(
            f"volumes: {min(untold)} can't be shown to a task without a sandbox; install bubblewrap"
        )
    return {name: sources.get(value, value) for name, value in task.env.items()}


def _start_folder(task: Task) -> str:
    root = task.directory.resolve()
    place = (root / task.subdirectory).resolve()
    if not place.is_relative_to(root):
        raise DriverError("subdirectory: it leads out of the task's directory; use a real folder")
    return str(place)


def _read_after(files: tuple[Path, Path], cursor: str, max_bytes: int) -> LogChunk:
    """Read on from `cursor`, which is `inode:offset` of one of the log's two files."""
    number, _, offset = cursor.partition(":")
    at = int(offset) if number.isdigit() and offset.isdigit() else 0
    kept = []
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            kept.append((path, str(path.stat().st_ino)))
    known = [inode for _, inode in kept]
    start = known.index(number) if number in known else 0
    data = b""
    for path, inode in kept[start:]:
        begin = at if inode == number else 0
        try:
            with path.open("rb") as file:
                file.seek(begin)
                piece = file.read(max_bytes - len(data))
        except FileNotFoundError:
            break  # it was turned over this moment; the next read finds its place
        data += piece
        cursor = f"{inode}:{begin + len(piece)}"
        if len(data) >= max_bytes:
            break
    return LogChunk(data, cursor)


def _tail(path: Path, max_bytes: int) -> bytes:
    if max_bytes <= 0:
        return b""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - max_bytes))
            return file.read(max_bytes)
    except FileNotFoundError:
        return b""
