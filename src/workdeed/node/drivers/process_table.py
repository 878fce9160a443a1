"""All processes of this machine, read once for all tasks that are looked at within a moment.

To find the processes of one task all have to be read, so with a look for each task the cost would
grow with the square of their number.
"""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from workdeed.node.drivers import shim

MAX_AGE: Final = 1.0
"""Seconds for which a reading counts as the present one."""

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class _Reading:
    began: float
    processes: asyncio.Task[Mapping[int, list[tuple[int, int]]]]


class ProcessTable:
    """Tells of processes and their memory by the tree of processes.

    Args:
        max_age: seconds for which one reading serves.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self, *, max_age: float = MAX_AGE, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_age = max_age
        self._now = now
        self._reading: _Reading | None = None

    async def memory_bytes(self, root: int) -> int:
        """Return the resident memory of all descendants of the process `root`.

        Pages that several of them hold count once for each.
        """
        return sum((await self._below(root)).values())

    async def descendants(self, root: int) -> list[int]:
        """Return the numbers of all descendants of the process `root`."""
        return list(await self._below(root))

    async def _below(self, root: int) -> Mapping[int, int]:
        """Return the memory of each descendant by its number."""
        children = await self._read()
        found: dict[int, int] = {}
        queue = [root]
        for parent in queue:
            for pid, memory in children.get(parent, ()):
                # They were not read in one moment: a number that was reused may make a circle.
                if pid not in found:
                    found[pid] = memory
                    queue.append(pid)
        return found

    async def _read(self) -> Mapping[int, list[tuple[int, int]]]:
        """Return number and memory of all processes by their parent."""
        found = self._reading
        if found is None or self._now() - found.began > self._max_age:
            reading = asyncio.create_task(asyncio.to_thread(_children))
            found = self._reading = _Reading(self._now(), reading)
        # Others may wait for the same reading: one that gives up must not end it.
        return await asyncio.shield(found.processes)


def _children() -> Mapping[int, list[tuple[int, int]]]:
    found = defaultdict(list)
    for pid, stat in shim.living().items():
        found[stat.parent].append((pid, stat.pages * _PAGE_BYTES))
    return found
