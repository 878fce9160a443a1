"""Identity of a process that outlives numbers: pid, start and boot.

A pid alone is reused. The start is taken in clock ticks since boot, not as a time of day, which
moves when the clock is set; the boot's id tells a process from one of the same pid and ticks
before a reboot.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workdeed.node.drivers.shim import open_process, read_stat, send_signal
from workdeed.node.errors import DriverError


@cache
def boot_id() -> str:
    """Return the kernel's random id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, for good."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """Return the identity of the living process `pid`.

        Raises:
            DriverError: if there is none.

        """
        stat = read_stat(pid)
        if stat is None:
            raise DriverError(
                f"pid: process {pid} ended before it could be recorded; start it again"
            )
        return cls(pid, stat.start_ticks, boot_id())

    @classmethod
    def parse(cls, text: str) -> "ProcessIdentity":
        """Return the identity that `str()` wrote.

        Raises:
            DriverError: if `text` is none.

        """
        try:
            pid, ticks, boot = text.split(":")
            return cls(int(pid), int(ticks), boot)
        except ValueError as error:
            raise DriverError(f"reference: {text!r} is no process; start the task again") from error

    def __str__(self) -> str:
        return f"{self.pid}:{self.start_ticks}:{self.boot}"

    def alive(self) -> bool:
        """Tell whether this very process still runs; a zombie does not."""
        if self.boot != boot_id():
            return False
        stat = read_stat(self.pid)
        return stat is not None and stat.start_ticks == self.start_ticks and stat.state not in "ZX"

    def signal(self, number: int) -> bool:
        """Send a signal to this very process; false when it is gone."""
        return self.boot == boot_id() and send_signal(self.pid, self.start_ticks, number)

    async def wait_gone(self, seconds: float) -> bool:
        """Wait up to `seconds` for its end; true when it has ended."""
        descriptor = open_process(self.pid)
        if descriptor is None:
            return True
        try:
            # The pidfd pins whoever has the number now; only then is it sure to be the right
            # process.
            if not self.alive():
                return True
            await _readable(descriptor, seconds)
        finally:
            os.close(descriptor)
        return not self.alive()


async def _readable(descriptor: int, seconds: float) -> None:
    """Return when `descriptor` (a pidfd: when its process ends) is readable or time is up."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, end)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended, seconds)
    finally:
        loop.remove_reader(descriptor)
