"""Two keepers on one database: they fail in turn, and so does its server."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psutil

from tests.chaos.crash import Crash
from tests.chaos.server import FailingServer
from tests.chaos.victim import LEASES, Order
from tests.chaos.victims import Victims, until

Kind = Literal["kill", "stop", "stall", "pause"]
FAULTS: tuple[Kind, ...] = ("kill", "stop", "stall", "pause")
"""What is done in turn:

- kill: one is killed, at a point or at any moment
- stop: the server ends without a checkpoint, and starts again
- pause: one stops at any moment, for longer than its lease lasts
- stall: one stops where it has decided and not written yet, or the other way round, for as long
"""

STALLS = ("transaction:before", "transaction:after", "outbox:stored", "outbox:signed")
"""Where it does: whoever has the lease on the sender comes there."""

TOO_LONG = 2 * LEASES.ttl_seconds
"""Seconds after which the other has taken over."""

POINT_SHARE = 0.7
"""Share of those that start anew which are to die at a point."""

STALL_SECONDS = 3.0
"""Time after which one that was to stall is paused where it is."""


@dataclass
class Pair:
    """Two victims and the server that both depend on; `end` it.

    Attributes:
        victims: starts and ends them.
        orders: what each is told.
        server: has their database.
        luck: draws what is left open.
        crash: draws a point to die at.
        processes: those that run now, or died last.

    """

    victims: Victims
    orders: Sequence[Order]
    server: FailingServer
    luck: random.Random
    crash: Callable[[], Crash]
    processes: list[Any] = field(default_factory=list)

    def start(self) -> None:
        """Start both."""
        self.processes = [self.victims.start(order) for order in self.orders]

    def end(self) -> None:
        """End both."""
        for process, order in zip(self.processes, self.orders, strict=True):
            self.victims.end(process, order)

    def restart(self) -> None:
        """Start both anew; neither has a point to die at any more."""
        self.end()
        self.start()

    async def fail(self, kind: Kind) -> None:
        """Do one fault; both run again after it, though one may have a point to die at."""
        at = self.luck.randrange(len(self.processes))
        if kind == "stop":
            await self._stop_server()
        elif kind == "stall":
            await self._stall(at)
        elif kind == "pause":
            await self._pause(at)
        else:
            self.processes[at].kill()
            self.processes[at].join()
            await asyncio.sleep(self.luck.choice((0.0, TOO_LONG)))
        for index, process in enumerate(self.processes):
            if not process.is_alive():
                self.victims.end(process, self.orders[index])
                self._start(index, self.crash() if self.luck.random() < POINT_SHARE else None)

    async def _stop_server(self) -> None:
        await asyncio.to_thread(self.server.fail)
        await asyncio.sleep(self.luck.choice((0.0, TOO_LONG)))
        await asyncio.to_thread(self.server.start)

    async def _stall(self, first: int) -> None:
        """Let the first alone come to a point at which it stops, and the other take over."""
        self.end()
        point = Crash(self.luck.choice(STALLS), self.luck.randint(1, 3), stalls=True)
        self._start(first, point)
        await until(lambda: _has_stopped(self.processes[first]), STALL_SECONDS)
        self._start(1 - first, None)
        await self._pause(first)

    async def _pause(self, index: int) -> None:
        """Let one stand still for too long, unless it is dead."""
        process = self.processes[index]
        if not process.is_alive():
            return
        os.kill(process.pid, signal.SIGSTOP)
        await asyncio.sleep(TOO_LONG)
        os.kill(process.pid, signal.SIGCONT)

    def _start(self, index: int, crash: Crash | None) -> None:
        """Start one, with a point to die or to stall at."""
        self.processes[index] = self.victims.start(replace(self.orders[index], crash=crash))


def _has_stopped(process: Any) -> bool:
    try:
        return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False
