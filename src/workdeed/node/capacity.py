"""Whether the machine has what the node offers."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import structlog

from workdeed.node.errors import SettingsError
from workdeed.node.files import tree_bytes
from workdeed.protocol.messages import Resources

_log = structlog.get_logger(__name__)

_MB: Final = 1_000_000
_DEEPEST: Final = 4
"""How many folders below the state the trees of single workloads begin at the latest."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is.

    Attributes:
        cpu_milli: thousandths of the cores that this process may use.
        memory_mb: of the machine.
        free_mb: on the file system of the state.
        held_mb: what the state holds already, its workloads' share of the offer among it.

    """

    cpu_milli: int
    memory_mb: int
    free_mb: int
    held_mb: int

    @classmethod
    def of(cls, state: Path) -> "Machine":
        """Look at this machine, and at the file system on which the folder `state` lies."""
        return cls(
            cpu_milli=1_000 * len(os.sched_getaffinity(0)),
            memory_mb=psutil.virtual_memory().total // _MB,
            free_mb=psutil.disk_usage(str(state)).free // _MB,
            held_mb=_held_bytes(state, _DEEPEST) // _MB,
        )


def _held_bytes(folder: Path, depth: int) -> int:
    """Return what is below `folder`, but for single folders that can't be counted."""
    try:
        return tree_bytes(folder)
    except (OSError, RecursionError) as error:
        if depth == 0:
            text = str(error) or type(error).__name__
            _log.warning("node: a folder counts as empty", folder=str(folder), error=text)
            return 0
    try:
        inside = [one for one in folder.iterdir() if not one.is_symlink()]
        folders = [one for one in inside if one.is_dir()]
        files = sum(one.lstat().st_size for one in inside if not one.is_dir())
    except OSError:
        return 0
    return files + sum(_held_bytes(one, depth - 1) for one in folders)


def check_offer(offer: Resources, machine: Machine, reserve_mb: int) -> None:
    """Refuse an offer that the machine can't keep.

    Args:
        offer: what the node gives to all workloads together.
        machine: what there is.
        reserve_mb: disk space that is to stay free.

    Raises:
        SettingsError: naming the resource that is short.

    """
    for problem in _excesses(offer, machine, reserve_mb):
        raise SettingsError(problem)


def _excesses(offer: Resources, machine: Machine, reserve_mb: int) -> Iterator[str]:
    disk_mb = max(0, machine.free_mb + machine.held_mb - reserve_mb)
    for name, offered, there, what in (
        ("cpu_milli", offer.cpu_milli, machine.cpu_milli, "the cores that the agent may use"),
        ("memory_mb", offer.memory_mb, machine.memory_mb, "the machine's memory"),
        (
            "storage_mb",
            offer.storage_mb,
            disk_mb,
            f"the disk of state_dir without disk.reserve_mb ({reserve_mb})",
        ),
    ):
        if offered > there:
            yield (
                f"resources.{name}: {offered} is offered, and {what} come to {there}; "
                "offer no more than that, or set overcommit on a local chain"
            )
