"""Supervises one task: run by path with `python -I -S`, standard library only.

The agent starts this process, records its identity on disk, and only then sends the order (JSON)
on its standard input. An agent that dies in between closes the pipe, and this process ends
without having run anything: there is never a task that no record knows.

It outlives the agent. It adopts every descendant that loses its parent, so none escapes; it keeps
the log within bounds; it writes how the task ended.

Signals: SIGTERM asks the task to end, SIGUSR1 ends it at once.

Where the agent made a control group for the task, only the task is put into it: the supervisor
stays outside, so that it can tell of a task that was killed for its memory.
"""

# pathlib would double the time and memory that each supervisor takes.
# ruff: noqa: PTH105, PTH106, PTH123, PTH208

import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any, NamedTuple

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_IDLE_MS = 5_000
_STOPPING_MS = 100
_CANNOT_EXECUTE = 127
_LOOK_SECONDS = 1.0
_REMOVE_TRIES = 50
_NO_PROCESS = (errno.ESRCH, errno.EINVAL, errno.ENOENT)


class Stat(NamedTuple):
    """Of /proc/<pid>/stat: state letter, parent, start in ticks since boot, resident pages."""

    state: str
    parent: int
    start_ticks: int
    pages: int


def read_stat(pid: int) -> Stat | None:
    """Return the stat of `pid`, None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            # The command's name may hold spaces and brackets; the last bracket ends it.
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Stat(fields[0], int(fields[1]), int(fields[19]), int(fields[21]))


def living() -> dict[int, Stat]:
    """Return all processes of this machine but zombies."""
    stats = {}
    for entry in os.listdir("/proc"):
        stat = read_stat(int(entry)) if entry.isdigit() else None
        if stat is not None and stat.state not in "ZX":
            stats[int(entry)] = stat
    return stats


def descendants(root: int) -> dict[int, Stat]:
    """Return all living descendants of the process `root`, parents before children."""
    stats = living()
    children: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        children.setdefault(stat.parent, []).append(pid)
    found: dict[int, Stat] = {}
    queue = [root]
    for parent in queue:
        for pid in children.get(parent, ()):
            if pid not in found:
                found[pid] = stats[pid]
                queue.append(pid)
    return found


def send_signal(pid: int, start_ticks: int, number: int) -> bool:
    """Signal the process `pid` that started at `start_ticks`, never one that took its number.

    False where there is none, or where it may not be signalled. The pidfd pins the process before
    its start is compared, so no reuse can slip in between.
    """
    descriptor = open_process(pid)
    if descriptor is None:
        return False
    try:
        stat = read_stat(pid)
        if stat is None or stat.start_ticks != start_ticks:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True


def open_process(pid: int) -> int | None:
    """Return a pidfd of the process `pid`, None where there is none.

    Kernels have different words for a number that is a thread's now.
    """
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_PROCESS:
            return None
        raise


class ControlGroup:
    """The control group of one task.

    It is a folder in the kernel's one hierarchy, or one in each hierarchy of the older kind; none
    where there are no groups.
    """

    def __init__(self, folders: list[str]) -> None:
        self._folders = folders

    def enter(self) -> None:
        """Move the calling process into the group."""
        for folder in self._folders:
            _write(f"{folder}/cgroup.procs", "0")

    def processes(self) -> set[int]:
        """Return the processes in the group."""
        found: set[int] = set()
        for folder in self._folders:
            found.update(int(line) for line in _lines(f"{folder}/cgroup.procs"))
        # The kernel calls all those 0 that are in no name space of ours.
        return found - {0}

    def memory_kills(self) -> int:
        """Return how many processes of the group the kernel has ended for want of memory."""
        for folder in self._folders:
            for name in ("memory.events", "memory.oom_control"):
                for line in _lines(f"{folder}/{name}"):
                    word, _, number = line.partition(" ")
                    if word == "oom_kill":
                        return int(number)
        return 0

    def kill(self) -> None:
        """Keep the group from growing, and end all processes in it."""
        for folder in self._folders:
            # Files that a hierarchy or an older kernel lacks are made up for by the signals.
            for name, value in (("pids.max", "0"), ("cgroup.kill", "1")):
                with contextlib.suppress(OSError):
                    _write(f"{folder}/{name}", value)
        for pid in self.processes():
            self._kill(pid)

    def remove(self) -> bool:
        """Remove the group; false while something is in it."""
        for folder in self._folders:
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                pass
            except OSError:
                return False
        return True

    def _kill(self, pid: int) -> None:
        descriptor = open_process(pid)
        if descriptor is None:
            return
        try:
            # Asked again, now that the number is pinned: it may have gone to a stranger.
            if pid in self.processes():
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        finally:
            os.close(descriptor)


class Log:
    """Two files of half the allowed size: when the newer is full it takes the older's place."""

    def __init__(self, path: str, max_bytes: int) -> None:
        self._path = path
        self._half = max(1, max_bytes // 2)
        self._open()

    def write(self, data: bytes) -> None:
        """Append `data`; on a full disk it is dropped, as a task must not hang on its log."""
        with contextlib.suppress(OSError):
            while data:
                room = self._half - self._size
                if room <= 0:
                    os.close(self._descriptor)
                    os.replace(self._path, self._path + ".1")
                    self._open()
                    continue
                written = os.write(self._descriptor, data[:room])
                self._size += written
                data = data[written:]

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size


class Supervisor:
    """One task from its order to its end."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._pid = os.getpid()
        self._log = Log(order["log"], order["log_bytes"])
        self._group = ControlGroup(order["group"])
        # A command beside a task is in the group of that task, which it must not end.
        self._own = ControlGroup(order["group"] if order["owns_group"] else [])
        self._stopping = False
        self._killing = False
        self._looked = 0.0
        self._asked: set[tuple[int, int]] = set()
        self._wake, self._wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._wake_write, False)

    def run(self) -> None:
        """Run the task and write its end to the order's `exit` file."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._catch_signals()
        output, task_output = os.pipe()
        os.set_blocking(output, False)
        try:
            child = self._spawn(task_output)
        except (OSError, subprocess.SubprocessError) as error:
            self._own.remove()
            self._write_exit(_CANNOT_EXECUTE, f"its command can't be executed: {error}")
            return
        os.close(task_output)
        code = self._watch(child, output)
        self._kill_all()
        self._drain(output)
        out_of_memory = self._own.memory_kills() > 0
        # Before the end is known: whoever knows it may start the task again, with a new group.
        self._remove_group()
        self._write_exit(code, "", out_of_memory=out_of_memory)

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGUSR1, self._on_signal)
        signal.signal(signal.SIGCHLD, self._on_signal)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stopping = self._stopping or number == signal.SIGTERM
        self._killing = self._killing or number == signal.SIGUSR1

    def _spawn(self, output: int) -> subprocess.Popen[bytes]:
        argv = list(self._order["argv"])
        passed = []
        if self._order["sandbox"] is not None:
            # Through a file without a name: neither the list of processes nor a limit on the
            # length of command lines sees the task's environment, and the sandbox tool itself
            # runs without it.
            passed.append(_memory_file("\0".join(self._order["sandbox"]).encode()))
            argv[1:1] = ["--args", str(passed[0])]
        return subprocess.Popen(
            argv,
            env=self._order["env"],
            cwd=self._order["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=passed,
            start_new_session=True,
            preexec_fn=self._confine,
        )

    def _confine(self) -> None:
        self._group.enter()
        if self._order["cores"]:
            os.sched_setaffinity(0, self._order["cores"])
        for name, value in self._order["limits"].items():
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (bound, bound))
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._pid:  # the supervisor died before its death could be noticed
            os._exit(_CANNOT_EXECUTE)
        if self._order["sandbox"] is None:
            _prctl(_PR_SET_NO_NEW_PRIVS, 1)

    def _watch(self, child: subprocess.Popen[bytes], output: int) -> int:
        poll = select.poll()
        poll.register(output, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        open_output = True
        while (code := self._reap(child)) is None:
            if self._killing:
                return self._killed(child)
            if self._stopping:
                self._ask(child)
            events = dict(poll.poll(_STOPPING_MS if self._stopping else _IDLE_MS))
            self._killing = self._killing or self._outgrown()
            if self._wake in events:
                os.read(self._wake, 4096)
            if output in events and open_output and not self._read(output):
                poll.unregister(output)
                open_output = False
        return code

    def _outgrown(self) -> bool:
        """Tell whether the kernel has ended a part of the task for its memory.

        The older hierarchies end one process only, which would leave the rest half alive.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        return self._own.memory_kills() > 0

    def _reap(self, child: subprocess.Popen[bytes]) -> int | None:
        """Collect whoever has ended; return the exit code of `child` once it is among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return _CANNOT_EXECUTE
            if pid == 0:
                return None
            if pid == child.pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code

    def _ask(self, child: subprocess.Popen[bytes]) -> None:
        """Send SIGTERM once to every process of the task, those born meanwhile included.

        The sandbox's own two processes are spared: if the outer one ended, the task would lose its
        time to finish.
        """
        root = child.pid
        tree = descendants(os.getpid())
        spared: set[int] = set()
        if self._order["sandbox"] is not None:
            spared = {root, *(pid for pid, stat in tree.items() if stat.parent == root)}
        for pid, stat in tree.items():
            identity = (pid, stat.start_ticks)
            if pid not in spared and identity not in self._asked:
                self._asked.add(identity)
                send_signal(pid, stat.start_ticks, signal.SIGTERM)

    def _killed(self, child: subprocess.Popen[bytes]) -> int:
        self._own.kill()
        for pid, stat in descendants(os.getpid()).items():
            send_signal(pid, stat.start_ticks, signal.SIGKILL)
        code = None
        while code is None:
            code = self._reap(child)
            time.sleep(0.005)
        return code

    def _kill_all(self) -> None:
        """End what the task left behind; orphans become children of this process and are reaped."""
        while True:
            self._own.kill()
            for pid, stat in descendants(os.getpid()).items():
                send_signal(pid, stat.start_ticks, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.005)

    def _remove_group(self) -> None:
        """Remove the task's group; what can't be removed now is left to the agent."""
        for _ in range(_REMOVE_TRIES):
            if self._own.remove():
                return
            time.sleep(0.01)

    def _read(self, output: int) -> bool:
        """Move what there is to the log; false when the pipe is closed."""
        try:
            data = os.read(output, 65_536)
        except BlockingIOError:
            return True
        self._log.write(data)
        return bool(data)

    def _drain(self, output: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(output, 65_536):
                self._log.write(data)

    def _write_exit(self, code: int, error: str, *, out_of_memory: bool = False) -> None:
        path = self._order["exit"]
        end = {"code": code, "error": error, "out_of_memory": out_of_memory}
        content = json.dumps(end).encode()
        with open(path + ".partial", "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".partial", path)


def _write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _lines(path: str) -> list[str]:
    """Return the lines of a file of the kernel's, none where it lacks the file."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _memory_file(data: bytes) -> int:
    descriptor = os.memfd_create("arguments", 0)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")


def main() -> int:
    """Read the order and carry it out; without a whole order nothing is run."""
    try:
        order = json.loads(sys.stdin.buffer.read())
    except ValueError:
        return 0
    Supervisor(order).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
