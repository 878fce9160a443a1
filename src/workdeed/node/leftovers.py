"""What no job needs any more: left by an earlier run, or not to be removed when its job ended."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from workdeed.node.drivers.base import Driver, TaskKey
from workdeed.node.errors import NodeError
from workdeed.node.runners.base import Runner
from workdeed.node.volumes import Volumes

_log = structlog.get_logger(__name__)

FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 600.0


@dataclass(frozen=True, slots=True)
class Held:
    """What belongs to jobs, and is left alone.

    Attributes:
        keys: of their services.
        prefixes: with which the names of those tasks begin whose services can't be told.

    """

    keys: tuple[TaskKey, ...]
    prefixes: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Tell whether the task `name` belongs to a job."""
        return name.startswith(self.prefixes) or any(one.name == name for one in self.keys)

    def has_job_of(self, key: TaskKey) -> bool:
        """Tell whether anything of the job of `key` is held."""
        prefix = job_prefix(key.escrow, key.job_id)
        return prefix in self.prefixes or any(one.name.startswith(prefix) for one in self.keys)


def job_prefix(escrow: str, job_id: int) -> str:
    """Return what the names of all tasks of a job begin with."""
    return f"{escrow.lower().removeprefix('0x')}-{job_id}-"


class Leftovers:
    """Ends and removes what belongs to no job; whatever is wrong with one, the others go.

    Args:
        held: returns what belongs to jobs now.

    """

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        runners: Mapping[str, Runner],
        volumes: Volumes,
        held: Callable[[], Held],
    ) -> None:
        self._drivers = drivers
        self._runners = runners
        self._volumes = volumes
        self._held = held
        self._unswept = set(drivers)
        self._keys: dict[TaskKey, str] = {}
        self._pause = FIRST_PAUSE
        self._next = 0.0

    async def sweep(self) -> None:
        """Remove what an earlier run left; to be called before anything runs."""
        await self._sweep_drivers()
        held = self._held()
        if held.prefixes:
            _log.warning("agent: leftovers on disk stay: a job's services can't be told")
            return
        for name, runner in self._runners.items():
            await _tried(name, runner.sweep, held.keys)
        await _tried("volumes", self._volumes.sweep, held.keys)

    def add(self, key: TaskKey, runner: str) -> None:
        """Have removed later what is left of a service that `runner` had made ready."""
        self._keys[key] = runner
        self._pause, self._next = FIRST_PAUSE, 0.0

    async def again(self) -> None:
        """Try anew what failed; at first often, then less so.

        What runners and volumes could not remove at the start is left to the next one: what they
        would find now may be in the making.
        """
        if not (self._unswept or self._keys) or time.monotonic() < self._next:
            return
        await self._sweep_drivers()
        for key, runner in tuple(self._keys.items()):
            if await _tried(key.name, self._remove, key, runner):
                self._keys.pop(key, None)
        self._next = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _sweep_drivers(self) -> None:
        for name in sorted(self._unswept):
            if await _tried(name, self._sweep_driver, self._drivers[name]):
                self._unswept.discard(name)

    async def _sweep_driver(self, driver: Driver) -> None:
        destroyed = [
            await _tried(key.name, driver.destroy, key)
            for key in await driver.sweep()
            # Asked late: what was begun since is no leftover.
            if not self._held().has(key.name)
        ]
        if not all(destroyed):
            raise NodeError("not all could be ended; it is tried again")

    async def _remove(self, key: TaskKey, runner: str) -> None:
        """Remove what is left of a service, unless its job was placed anew."""
        works = [driver.destroy for driver in self._drivers.values()]
        if runner in self._runners:
            works.append(self._runners[runner].discard)
        works.append(self._volumes.discard)
        removed = [
            await _tried(key.name, work, key) for work in works if not self._held().has(key.name)
        ]
        if not self._held().has_job_of(key):
            removed.append(await _tried(key.name, self._volumes.discard_job, key))
        if not all(removed):
            raise NodeError("not all could be removed; it is tried again")


async def _tried(of: str, work: Callable[..., Awaitable[object]], *arguments: object) -> bool:
    """Do something; return whether it went well, after saying so where it did not."""
    try:
        await work(*arguments)
    except Exception as error:
        _log.error("agent: leftovers stay", of=of, error=str(error) or type(error).__name__)
        return False
    return True
