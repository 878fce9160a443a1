"""Control groups: the kernel's bounds on what all processes of a task take together.

Both kinds of hierarchy serve. In version 2 the agent needs a part of the one tree that was
delegated to it (systemd's `Delegate=`), and its own process must sit in a leaf of that part; in
version 1 it needs the right to write below its own place in the hierarchies, as root has. In
either, nothing is ever made outside of the agent's own group: whoever bounds the agent bounds its
tasks too.

    <own group>/workdeed-<agent>/<task>
"""

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from workdeed.node.drivers.base import Limits
from workdeed.node.drivers.shim import ControlGroup
from workdeed.node.errors import DriverError

CONTROLLERS: Final = ("cpu", "memory", "pids")

AGENT_GROUP: Final = "workdeed-agent"
"""Name of the leaf in which the agent itself sits in version 2."""

_PROC: Final = Path("/proc/self")
_PERIOD_US: Final = 100_000
_LONG_PERIOD_US: Final = 1_000_000
_LEAST_MILLI: Final = 10
_SANDBOX_PROCESSES: Final = 2
_REMOVE_SECONDS: Final = 5.0
_LOOK_AGAIN_SECONDS: Final = 0.02
_MB: Final = 1_000_000
_PROBE: Final = "probe"
_NAME: Final = re.compile(r"[0-9a-z-]{1,200}")


class Use(StrEnum):
    """Whether control groups are used: where there are any, in any case, or not at all."""

    AUTO = "auto"
    REQUIRED = "required"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The agent's own place in a hierarchy, and which of `CONTROLLERS` are to be had there."""

    place: Path
    controllers: frozenset[str]
    unified: bool


class ControlGroups:
    """The groups of one agent's tasks. Its methods block, but never for long."""

    def __init__(
        self, hierarchies: Iterable[Hierarchy], owner: str, missing: Mapping[str, str]
    ) -> None:
        """Make groups in `hierarchies`.

        Args:
            hierarchies: those in which groups can be made; none will do.
            owner: id of the agent.
            missing: why the other controllers can't be used, by name.

        """
        self._hierarchies = tuple(hierarchies)
        self._folder = f"workdeed-{owner}"
        self.missing = dict(missing)
        self._lock = threading.Lock()

    @property
    def controllers(self) -> frozenset[str]:
        """What is bounded."""
        return frozenset().union(*(one.controllers for one in self._hierarchies))

    def version(self, controller: str) -> str:
        """Return which kind of hierarchy bounds `controller`: `v1` or `v2`."""
        found = next(one for one in self._hierarchies if controller in one.controllers)
        return "v2" if found.unified else "v1"

    @classmethod
    def find(cls, owner: str, proc: Path = _PROC) -> "ControlGroups":
        """Return the groups that were seen to work here.

        Args:
            owner: id of the agent.
            proc: the folder of this process in /proc.

        """
        found, missing = [], dict.fromkeys(CONTROLLERS, "no hierarchy has it here")
        for hierarchy in _own_places(proc):
            problem = _unusable(hierarchy, owner)
            if not problem:
                found.append(hierarchy)
            for name in hierarchy.controllers:
                if problem:
                    missing[name] = problem
                else:
                    del missing[name]
        return cls(found, owner, missing)

    def make(self, name: str, limits: Limits) -> list[str]:
        """Make the empty group `name` and return its folders, as the supervisor takes them.

        Raises:
            DriverError: if it can't be made, or holds processes.

        """
        self.remove(name)
        with self._lock:
            try:
                for hierarchy in self._hierarchies:
                    self._open(hierarchy)
                    (hierarchy.place / self._folder / name).mkdir()
                self._bound(name, limits)
            except OSError as error:
                raise DriverError(
                    f"task: its control group can't be made ({error}); see `workdeed check`"
                ) from error
        return self.folders(name)

    def apply(self, name: str, limits: Limits) -> bool:
        """Bound the group `name` anew, if there is one.

        Whoever restarts the agent may have taken the controllers away for a while, and with them
        the bounds.

        Returns:
            Whether the kernel still knows all memory of the group: it counts what is taken while
            there is a controller, and never what was taken before.

        Raises:
            DriverError: if it can't be bounded.

        """
        with self._lock:
            if not self.folders(name):
                return True
            is_counted = not self._lost_memory(name)
            try:
                for hierarchy in self._hierarchies:
                    self._open(hierarchy)
                self._bound(name, limits)
            except OSError as error:
                raise DriverError(
                    f"task: its control group can't be bounded ({error}); restart the task"
                ) from error
        return is_counted

    def folders(self, name: str) -> list[str]:
        """Return the folders of the group `name`, none if there is no such group.

        Raises:
            DriverError: if `name` can't be the name of a group.

        """
        return [str(path) for path in self._paths(name) if path.is_dir()]

    def names(self) -> set[str]:
        """Return the names of all groups of this agent."""
        return {
            path.name
            for hierarchy in self._hierarchies
            for path in (hierarchy.place / self._folder).glob("*/")
            if _NAME.fullmatch(path.name)
        }

    def processes(self, name: str) -> set[int]:
        """Return the processes in the group `name`."""
        return ControlGroup(self.folders(name)).processes()

    def memory_bytes(self, name: str) -> int | None:
        """Return the memory that the group `name` takes now, None if that is not known.

        What the kernel only caches of files and gives up at need does not count.
        """
        folders = self.folders(name)
        return next((used for one in folders if (used := _memory(Path(one))) is not None), None)

    def kill(self, name: str) -> None:
        """End all processes in the group `name` at once."""
        ControlGroup(self.folders(name)).kill()

    def remove(self, name: str) -> None:
        """Remove the group `name`, if there is one, and what is left in it.

        Raises:
            DriverError: if a process in it can't be ended.

        """
        group = ControlGroup(self.folders(name))
        deadline = time.monotonic() + _REMOVE_SECONDS
        while not group.remove():
            if time.monotonic() > deadline:
                raise DriverError(
                    f"task: the control group of {name} can't be emptied; look at its processes"
                )
            group.kill()
            time.sleep(_LOOK_AGAIN_SECONDS)

    def tidy(self) -> None:
        """Remove the agent's own folders where no task is left."""
        with self._lock:
            for hierarchy in self._hierarchies:
                with contextlib.suppress(OSError):
                    (hierarchy.place / self._folder).rmdir()

    def _lost_memory(self, name: str) -> bool:
        return any(
            one.unified
            and "memory" in one.controllers
            and _words(one.place / self._folder / name / "memory.max") in ([], ["max"])
            for one in self._hierarchies
        )

    def _paths(self, name: str) -> Iterator[Path]:
        # A path would lead to groups of others, and what is in a group may be ended.
        if not _NAME.fullmatch(name):
            raise DriverError(f"task: {name[:80]!r} can't name a control group; use a task's name")
        for hierarchy in self._hierarchies:
            yield hierarchy.place / self._folder / name

    def _open(self, hierarchy: Hierarchy) -> None:
        """Make sure of the agent's folder, and that groups in it have controllers."""
        folder = hierarchy.place / self._folder
        folder.mkdir(exist_ok=True)
        if hierarchy.unified:
            words = " ".join(f"+{name}" for name in sorted(hierarchy.controllers))
            for inner in (hierarchy.place, folder):
                _write(inner / "cgroup.subtree_control", words)

    def _bound(self, name: str, limits: Limits) -> None:
        for hierarchy, path in zip(self._hierarchies, self._paths(name), strict=True):
            bounds = _unified_bounds(limits) if hierarchy.unified else _older_bounds(limits)
            for controller in hierarchy.controllers:
                for file, value, is_needed in bounds[controller]:
                    if is_needed or (path / file).exists():
                        _write(path / file, value)


Bounds = Mapping[str, tuple[tuple[str, object, bool], ...]]
"""By controller: file, value, and whether a kernel without that file is of no use."""


def _unified_bounds(limits: Limits) -> Bounds:
    period = _period(limits)
    return {
        "cpu": (
            ("cpu.max", f"{limits.cpu_milli * period // 1_000} {period}", True),
            ("cpu.weight", _between(1, limits.cpu_milli // 10, 10_000), False),
        ),
        "memory": (
            ("memory.max", limits.memory_mb * _MB, True),
            ("memory.swap.max", 0, False),
            ("memory.oom.group", 1, False),
        ),
        "pids": (("pids.max", limits.processes + _SANDBOX_PROCESSES, True),),
    }


def _older_bounds(limits: Limits) -> Bounds:
    period, memory = _period(limits), limits.memory_mb * _MB
    return {
        "cpu": (
            ("cpu.cfs_period_us", period, True),
            ("cpu.cfs_quota_us", limits.cpu_milli * period // 1_000, True),
            ("cpu.shares", _between(2, limits.cpu_milli * 1_024 // 1_000, 262_144), False),
        ),
        "memory": (
            # Memory and swap together must never be below memory alone, in either direction.
            ("memory.memsw.limit_in_bytes", -1, False),
            ("memory.limit_in_bytes", memory, True),
            ("memory.memsw.limit_in_bytes", memory, False),
            ("memory.swappiness", 0, False),
        ),
        "pids": (("pids.max", limits.processes + _SANDBOX_PROCESSES, True),),
    }


def _period(limits: Limits) -> int:
    """Return the microseconds over which processor time is shared out; the least share is 1 ms."""
    return _PERIOD_US if limits.cpu_milli >= _LEAST_MILLI else _LONG_PERIOD_US


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def _own_places(proc: Path) -> Iterator[Hierarchy]:
    """Yield where this process sits in the hierarchies that have controllers for us."""
    own = dict(_memberships((proc / "cgroup").read_text()))
    left = set(CONTROLLERS)
    unified: Path | None = None
    for kind, root, point, options in _mounts((proc / "mountinfo").read_text()):
        if kind == "cgroup2":
            unified = unified or _place(point, root, own.get("", "/"))
            continue
        controllers = left & set(options)
        place = _place(point, root, own.get(min(controllers), "/")) if controllers else None
        if place is not None:
            left -= controllers
            yield Hierarchy(place, frozenset(controllers), unified=False)
    if unified is not None:
        leaf = unified.name == AGENT_GROUP
        place = unified.parent if leaf else unified
        offered = left & set(_words(place / "cgroup.controllers"))
        if offered:
            yield Hierarchy(place, frozenset(offered), unified=True)


def _memberships(text: str) -> Iterator[tuple[str, str]]:
    """Yield controller and path of each line of /proc/<pid>/cgroup; "" stands for version 2."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _mounts(text: str) -> Iterator[tuple[str, str, Path, list[str]]]:
    """Yield kind, root, mount point and options of each mount of control groups."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            yield kind, fields[3], Path(fields[4]), options.split(",")


def _place(point: Path, root: str, own: str) -> Path | None:
    """Return where the group `own` is found below a mount of `root`, None if it is not shown."""
    try:
        return point / Path(own).relative_to(root)
    except ValueError:
        return None


def _unusable(hierarchy: Hierarchy, owner: str) -> str:
    """Return why no group can be made and used in a hierarchy, "" if that was seen to work."""
    groups = ControlGroups([hierarchy], owner, {})
    try:
        if hierarchy.unified:
            _move_to_leaf(hierarchy)
        folders = groups.make(_PROBE, Limits(memory_mb=64, storage_mb=1))
        _try_entering(folders)
    except (DriverError, OSError) as error:
        return f"{hierarchy.place} can't be used ({_plain(error)})"
    finally:
        with contextlib.suppress(DriverError):
            groups.remove(_PROBE)
        groups.tidy()
    return ""


def _plain(error: BaseException) -> str:
    cause = error.__cause__ or error
    return (cause.strerror if isinstance(cause, OSError) else None) or str(cause)


def _move_to_leaf(hierarchy: Hierarchy) -> None:
    """Move this process out of a group whose subgroups are to have controllers.

    The kernel allows no processes beside such subgroups; only the root of the tree is free of
    that rule. Processes of others are never moved: where there are any, it is left at that.

    Raises:
        OSError: if it can't be moved.

    """
    place = hierarchy.place
    own = str(os.getpid())
    is_root = not (place / "cgroup.type").exists()
    if is_root or own not in _words(place / "cgroup.procs"):
        return
    others = set(_words(place / "cgroup.procs")) - {own}
    if others:
        raise OSError(None, "it holds processes of others too; give the agent a group of its own")
    leaf = place / AGENT_GROUP
    leaf.mkdir(exist_ok=True)
    _write(leaf / "cgroup.procs", own)


def _try_entering(folders: list[str]) -> None:
    """Move a process into a group, as rights to make one are not yet rights to fill it.

    Raises:
        OSError: if it can't be moved.

    """
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        for folder in folders:
            _write(Path(folder) / "cgroup.procs", process.pid)


def _memory(folder: Path) -> int | None:
    """Return the bytes that a group takes beside what the kernel caches and gives up at need."""
    for total, cached in (
        ("memory.current", "inactive_file"),
        ("memory.usage_in_bytes", "total_inactive_file"),
    ):
        used = _number(folder / total)
        if used is not None:
            words = _words(folder / "memory.stat")
            figures = dict(zip(words[::2], words[1::2], strict=False))
            return max(0, used - int(figures.get(cached, 0)))
    return None


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words else None


def _words(path: Path) -> list[str]:
    """Return the words in a file of the kernel's, none where it can't be read."""
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _write(path: Path, value: object) -> None:
    # Not `write_text`: the kernel's files must not be created where they are missing.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)
