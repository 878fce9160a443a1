"""Files that processes hold open and that have no name any more.

They take room on the disk for as long as they are held, and no walk through folders finds them.
"""

import contextlib
import os
import random
from collections.abc import Iterator, Sequence
from typing import Final

from workdeed.node.files import held_bytes

MOST: Final = 65_536
"""Descriptors that one look goes through; a look costs about a second for each 200,000."""


def nameless_bytes(pids: Sequence[int], device: int, *, most: int = MOST) -> int:
    """Return what nameless files on `device` take that these processes hold.

    Args:
        pids: the processes, in any order; those that end meanwhile count as nothing.
        device: number of the file system.
        most: descriptors to go through. Of more of them, it is chance which ones are looked at, so
            that none escapes for long.

    """
    found: dict[int, int] = {}
    for pid in random.sample(pids, len(pids)):
        for held in _held(pid):
            if most <= 0:
                return sum(found.values())
            most -= 1
            if held.st_nlink == 0 and held.st_dev == device:
                found[held.st_ino] = held_bytes(held)
    return sum(found.values())


def _held(pid: int) -> Iterator[os.stat_result]:
    # A process may end meanwhile, and may keep others from a look at it.
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                yield entry.stat()
