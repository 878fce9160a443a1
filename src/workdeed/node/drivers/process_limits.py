"""What bounds a task of the process driver, by control groups or by lesser means."""

import os
import zlib
from typing import Final

from workdeed.node.drivers.base import NOT_ENFORCED, Limits
from workdeed.node.drivers.cgroups import ControlGroups

_MB: Final = 1_000_000


def resource_limits(limits: Limits, groups: ControlGroups) -> dict[str, int]:
    """Return the kernel's per-process limits.

    RLIMIT_DATA and not RLIMIT_AS bounds memory: runtimes reserve far more addresses than they use.
    Where a control group bounds what is really used, addresses are free.
    """
    found = {
        "RLIMIT_FSIZE": limits.storage_mb * _MB,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
    }
    if "memory" not in groups.controllers:
        found["RLIMIT_DATA"] = limits.memory_mb * _MB
    return found


def cores(name: str, limits: Limits, groups: ControlGroups) -> list[int]:
    """Return the cores that the task `name` is to stay on, none where it needs not.

    The lesser means: whole cores, and others than the next task's as far as they go round.
    """
    ours = sorted(os.sched_getaffinity(0))
    count = -(-limits.cpu_milli // 1_000)
    if "cpu" in groups.controllers or count >= len(ours):
        return []
    first = zlib.crc32(name.encode()) % len(ours)
    return [ours[(first + number) % len(ours)] for number in range(count)]


def described(groups: ControlGroups, *, sandboxed: bool) -> dict[str, str]:
    """Return what is held how, and what is not, for people; by resource."""
    lesser = {
        "cpu": f"{NOT_ENFORCED}: kept to whole cores at most, which a workload can undo",
        "memory": f"{NOT_ENFORCED} for the sum: single processes by the kernel, the sum by looks",
        "pids": _processes(sandboxed=sandboxed),
    }
    return {
        word: f"cgroup {groups.version(name)}"
        if name in groups.controllers
        else f"{lesser[name]} ({groups.missing[name]})"
        for name, word in (("cpu", "cpu"), ("memory", "memory"), ("pids", "processes"))
    }


def _processes(*, sandboxed: bool) -> str:
    if not sandboxed:
        return NOT_ENFORCED
    if os.geteuid() == 0:
        return f"{NOT_ENFORCED}: the kernel counts no processes of root, run the agent as another"
    return "in each sandbox, by the kernel"


def unheld(groups: ControlGroups) -> str:
    """Return which controllers are missing and why, "" if none is."""
    reasons: dict[str, list[str]] = {}
    for name, reason in sorted(groups.missing.items()):
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
