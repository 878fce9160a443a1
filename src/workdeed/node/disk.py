"""Free space that new work must leave, and what is given up for it first."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil
import structlog

from workdeed.node.errors import DiskFullError, NodeError
from workdeed.node.runners.base import Runner, Shrinking

_log = structlog.get_logger(__name__)

_SHRINK_AGAIN_SECONDS: Final = 60.0
_MB: Final = 1_000_000


def shortage(directory: Path, reserve_mb: int) -> str:
    """Return how much less than `reserve_mb` is free where `directory` lies, "" if enough is."""
    free = int(psutil.disk_usage(str(directory)).free // _MB)
    if free >= reserve_mb:
        return ""
    return (
        f"disk.reserve_mb: {free} MB are free where state_dir lies, and {reserve_mb} are to stay "
        "free; no new work is taken until there is room"
    )


class Reserve:
    """Watches the free space of one file system."""

    def __init__(self, directory: Path, reserve_mb: int, runners: Iterable[Runner] = ()) -> None:
        """Keep `reserve_mb` free where `directory` lies; `runners` are asked to give up what helps.

        What they keep elsewhere, such as images of an engine, may not help.
        """
        self._directory = directory
        self._reserve_mb = reserve_mb
        self._runners = tuple(runners)
        self._shrunk: float | None = None
        self._problem = ""
        self._lock = asyncio.Lock()

    async def problem(self) -> str:
        """Return why new work can't be taken, "" if it can; makes room first where it is short."""
        async with self._lock:
            problem = shortage(self._directory, self._reserve_mb)
            if problem and self._may_shrink():
                await self._shrink()
                problem = shortage(self._directory, self._reserve_mb)
            if problem and not self._problem:
                _log.warning("node: the disk is too full for new work", reason=problem)
            elif self._problem and not problem:
                _log.info("node: the disk has room for new work again")
            self._problem = problem
            return problem

    async def check(self) -> None:
        """Refuse new work where space is short.

        Raises:
            DiskFullError: with what is free and what has to be.

        """
        problem = await self.problem()
        if problem:
            raise DiskFullError(problem)

    def _may_shrink(self) -> bool:
        """Tell whether it is time to look for room: that is work, and helps but once."""
        now = time.monotonic()
        if self._shrunk is not None and now - self._shrunk < _SHRINK_AGAIN_SECONDS:
            return False
        self._shrunk = now
        return True

    async def _shrink(self) -> None:
        for runner in self._runners:
            if isinstance(runner, Shrinking):
                try:
                    await runner.shrink()
                except (NodeError, OSError) as error:
                    _log.warning("node: a runner can't make room", error=str(error))
