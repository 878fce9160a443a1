"""The mark in the environment of a task's processes: how those are known that lost their record.

A process may write into the environment of its children what it likes, the mark of another task
too. So a mark alone is never believed:

- What a living supervisor holds is that one's: it adopts every descendant that loses its parent.
- What is in another name space of processes, as in a container or a sandbox, ends with the process
  outside that made the name space, and only that one's mark counts. A sandbox whose process
  outside was killed before it could be bound to it belongs to nobody any more.
"""

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from workdeed.node.drivers.base import TaskKey
from workdeed.node.drivers.shim import read_stat

MARKER: Final = "WORKDEED_WORKLOAD"

_INIT: Final = 1


def mark(owner: str, key: TaskKey) -> dict[str, str]:
    """Return the variable that marks the processes of a task of the agent `owner`."""
    return {MARKER: f"{owner}/{key.name}"}


def marked(owner: str) -> Iterator[tuple[int, str]]:
    """Yield pid and task name of all processes that carry a mark of the agent `owner`."""
    prefix = f"{MARKER}={owner}/".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        # Processes of others, and those which end meanwhile, can't be read and are not ours.
        with contextlib.suppress(OSError):
            for item in (entry / "environ").read_bytes().split(b"\0"):
                name = _task_name(item[len(prefix) :]) if item.startswith(prefix) else ""
                if name:
                    yield int(entry.name), name


def left_behind(pid: int, supervisors: Collection[int]) -> bool:
    """Tell whether the marked process `pid` has no supervisor any more.

    Args:
        pid: of the process.
        supervisors: pids of all living supervisors of this agent.

    """
    line = [pid, *_ancestors(pid)]
    if any(one in supervisors for one in line):
        return False
    here = _namespace(os.getpid())
    if _namespace(pid) == here:
        return True
    outside = next((one for one in line if _namespace(one) in (here, None)), _INIT)
    return outside in (_INIT, *_ancestors(os.getpid()))


def _ancestors(pid: int) -> list[int]:
    """Return parent, grandparent and so on, as far as this process can see."""
    found: list[int] = []
    while (stat := read_stat(pid)) is not None and stat.parent and stat.parent not in found:
        pid = stat.parent
        found.append(pid)
    return found


def _namespace(pid: int) -> int | None:
    """Return the name space of processes that `pid` is in, None if that can't be seen."""
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    except OSError:
        return None


def _task_name(text: bytes) -> str:
    """Return the task name that `text` is, "" if it is none: it becomes a part of paths."""
    name = text.decode("ascii", errors="replace")
    key = TaskKey.parse(name)
    return name if key is not None and key.name == name else ""
