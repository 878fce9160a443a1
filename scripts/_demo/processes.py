"""Start, record and end the demo's processes: agents, keepers, the chain and what nodes run.

A process is known by its pid and its start, so that nothing is ever signalled that took over a
number. The record is on disk before a process counts as started: a demo that was killed itself is
swept by the next one.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil

from workdeed.node.files import write_atomic

GRACE_SECONDS = 10.0
PRELOADED = ("workdeed.keeper.run", "workdeed.node.run")


@dataclass(frozen=True)
class Identity:
    """A process, whatever becomes of its number: pid, and Unix time of its start in seconds."""

    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = process.create_time() == self.started
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def identity_of(pid: int) -> Identity | None:
    """Return the identity of a running process."""
    try:
        return Identity(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


@dataclass
class Crew:
    """All processes of one demo.

    Attributes:
        folder: holds the record and the logs.
        members: the processes that the demo started, by name.
        workloads: what nodes started, as they told.

    """

    folder: Path
    members: dict[str, Identity] = field(default_factory=dict)
    workloads: set[Identity] = field(default_factory=set)
    _children: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*PRELOADED, "scripts._demo.processes"])

    def warm_up(self) -> None:
        """Start the process that all others are forked from, which imports while others work."""
        forkserver.ensure_running()

    @property
    def record(self) -> Path:
        """The file with every process that may still run."""
        return self.folder / "processes.json"

    def logs(self, name: str) -> Path:
        """Return where a process logs."""
        return self.folder / "logs" / f"{name}.log"

    def sweep(self) -> int:
        """End what an earlier demo left; return how many processes that were."""
        try:
            entries = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return 0
        return end_all(Identity(entry["pid"], entry["started"]) for entry in entries)

    def run(self, name: str, command: Sequence[str]) -> Identity:
        """Start a program in a session of its own, so that Ctrl-C reaches the demo alone."""
        with self._log(name) as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children[name] = child
        return self._add(name, child.pid)

    def fork(self, name: str, main: Callable[[str], int], config: Path) -> Identity:
        """Run `main(config)` in a process forked from one that has imported everything."""
        log = self.logs(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        child = self._context.Process(target=_child, args=(main, str(config), str(log)), name=name)
        child.start()
        self._children[name] = child
        return self._add(name, child.pid)

    def saw_workloads(self, pids: Iterable[int]) -> None:
        """Record what a node says that it runs."""
        found = {identity for pid in pids if (identity := identity_of(pid))} - self.workloads
        if found:
            self.workloads |= found
            self._write()

    def lost(self) -> list[str]:
        """Return the members that ended without being told to."""
        return [name for name, identity in self.members.items() if identity.process() is None]

    def kill(self, name: str, workloads: Iterable[int] = ()) -> None:
        """End a member at once, as a power cut would, with everything that runs on it."""
        victims = [identity for pid in workloads if (identity := identity_of(pid))]
        for identity in [self.members.pop(name), *victims]:
            kill_tree(identity)

    def end(self) -> int:
        """End all, gently first; return how many had to be killed."""
        names = sorted(self.members, key=lambda name: name == "anvil")
        chain = [self.members[name] for name in names if name == "anvil"]
        killed = end_all(self.members[name] for name in names if name != "anvil")
        killed += end_all(self.workloads) + end_all(chain)
        self.members.clear()
        self.record.unlink(missing_ok=True)
        return killed

    def _log(self, name: str) -> Any:
        self.logs(name).parent.mkdir(parents=True, exist_ok=True)
        return self.logs(name).open("ab")

    def _add(self, name: str, pid: int | None) -> Identity:
        identity = identity_of(pid) if pid else None
        if identity is None:
            raise RuntimeError(f"{name} ended at once; see {self.logs(name)}")
        self.members[name] = identity
        self._write()
        return identity

    def _write(self) -> None:
        everyone = [*self.members.values(), *self.workloads]
        entries = [{"pid": one.pid, "started": one.started} for one in everyone]
        write_atomic(self.record, json.dumps(entries).encode())


def kill_tree(identity: Identity) -> None:
    """End a process and its descendants at once."""
    process = identity.process()
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def end_all(identities: Iterable[Identity]) -> int:
    """Ask processes to end, then end those that do not; return how many these were."""
    alive = [process for one in identities if (process := one.process())]
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    _, stubborn = psutil.wait_procs(alive, timeout=GRACE_SECONDS)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            kill_tree(Identity(process.pid, process.create_time()))
    return len(stubborn)


def _child(main: Callable[[str], int], config: str, log: str) -> None:
    """Become a session leader that logs to a file, and run."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(config))


def run_node(config: str) -> int:
    """Run a node agent as `workdeed node run --config` does."""
    from workdeed.node.run import main
    from workdeed.node.settings import load_settings

    return main(load_settings(Path(config)))


def run_keeper(config: str) -> int:
    """Run a keeper as `workdeed keeper run --config` does."""
    from workdeed.keeper.run import main
    from workdeed.keeper.settings import load_settings

    return main(load_settings(Path(config)))
