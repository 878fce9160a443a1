"""What nodes say of themselves, asked for once and shared by all parts of a keeper.

A look that is under way, or not older than a moment, serves everybody who asks meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from workdeed.keeper.logs import OnceLog, get_log
from workdeed.protocol.errors import MessageError
from workdeed.protocol.limits import MAX_STATUS_BYTES
from workdeed.protocol.messages import Status
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError

MAX_AGE = 1.0
"""Seconds for which a status counts as the present one."""

MAX_LOOKS = 64
"""Nodes that are asked at a time; the others wait, and waiting takes none of their time."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at a node that began at some moment, under way or over."""

    address: str
    began: float
    task: asyncio.Task[Status]


class Statuses:
    """Reads `GET /status` of nodes; `close` it.

    Args:
        endpoints: the HTTP client.
        max_age: seconds for which a look serves others.
        log: told of faults of this program, which count as the node's failure to answer.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        max_age: float = MAX_AGE,
        log: OnceLog | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._max_age = max_age
        self._log = log or OnceLog(get_log())
        self._now = now
        self._slots = asyncio.Semaphore(MAX_LOOKS)
        self._looks: dict[int, _Look] = {}
        self._tasks: set[asyncio.Task[Status]] = set()
        self._swept = now()

    async def read(self, license_id: int, address: str | None) -> Status:
        """Return the status of the node of a license, at most `max_age` old.

        Args:
            license_id: the license.
            address: where its node answers, None if nowhere.

        Raises:
            EndpointError: if it does not answer, not as the protocol asks, or for another license;
                or if this program fails at it: one node must not keep the others from being read.

        """
        if address is None:
            raise EndpointError(f"license {license_id} announces no endpoint")
        look = self._looks.get(license_id)
        if look is None or look.address != address or self._is_stale(look):
            look = self._start(license_id, address)
        # Others may wait for the same look: one that gives up must not end it.
        return await asyncio.shield(look.task)

    def forget(self, license_id: int) -> None:
        """Look anew when next asked: the node was just told something."""
        self._looks.pop(license_id, None)

    async def close(self) -> None:
        """Give up the looks that are under way."""
        self._looks.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, license_id: int, address: str) -> _Look:
        self._sweep()
        task = asyncio.create_task(self._guarded(license_id, address))
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        look = self._looks[license_id] = _Look(address, self._now(), task)
        return look

    async def _guarded(self, license_id: int, address: str) -> Status:
        where = f"status of license {license_id}"
        try:
            status = await self._look(license_id, address)
        except EndpointError:
            raise
        except Exception as error:
            self._log.trouble(where, f"{type(error).__name__}: {error}")
            raise EndpointError(
                f"license {license_id}: this keeper failed to read its status; its log says why"
            ) from error
        self._log.fine(where)
        return status

    async def _look(self, license_id: int, address: str) -> Status:
        async with self._slots:
            data = await self._endpoints.get(address, "/status", MAX_STATUS_BYTES)
        try:
            status = Status.parse(data)
        except MessageError as error:
            raise EndpointError(f"{address}: its status is malformed ({error})") from error
        if status.license_id != license_id:
            raise EndpointError(
                f"{address}: license {status.license_id} answers there, not {license_id}"
            )
        return status

    def _finished(self, task: asyncio.Task[Status]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of, though everybody who asked may have gone

    def _is_stale(self, look: _Look) -> bool:
        return look.task.done() and self._now() - look.began > self._max_age

    def _sweep(self) -> None:
        """Drop what serves nobody any more, now and then."""
        if self._now() - self._swept > self._max_age:
            self._swept = self._now()
            kept = self._looks.items()
            self._looks = {
                license_id: look for license_id, look in kept if not self._is_stale(look)
            }
