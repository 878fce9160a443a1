"""Starts victims, ends them, and tells how they ended."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, Literal

from tests.chaos.victim import Beat, Order, main
from tests.chaos.world import Scene

PRELOADED = "tests.chaos.preload"
LOOK_SECONDS = 0.005
MAX_SECONDS = 20.0
"""Time after which a victim is no longer waited for."""

Ending = Literal["point", "random", "broken"]
"""By its own hand at a crash point, by ours at a random time, or by an error of its own."""


@dataclass
class Victims:
    """Forks victims from a process that has imported everything, so that a start takes moments.

    Attributes:
        scene: what stands on the chain.
        folder: where they log.
        broken: the endings that no fault explains.

    """

    scene: Scene
    folder: Path
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._scene = json.dumps(self.scene.to_json())
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([PRELOADED])

    def warm_up(self) -> None:
        """Start the process that all victims are forked from."""
        forkserver.ensure_running()

    @contextmanager
    def running(self, order: Order) -> Iterator[Any]:
        """Run a victim for a while; it is killed at the end."""
        process = self.start(order)
        try:
            yield process
        finally:
            self.end(process, order)

    async def sacrifice(self, order: Order, rounds: int, seconds: float) -> Ending:
        """Start a victim, and kill it if it does not end by itself in time.

        Args:
            order: what it is told.
            rounds: how many rounds it may begin; with 0 it may die while it starts.
            seconds: how much longer it may live.

        """
        process = self.start(order)
        beat = Beat(Path(order.folder))
        last = beat.count + rounds
        try:
            await until(lambda: beat.count >= last or not process.is_alive(), MAX_SECONDS)
            await until(lambda: not process.is_alive(), seconds)
            lived = process.is_alive()
        finally:
            beat.close()
            process.kill()
            process.join()
        if self._note(process, order):
            return "broken"
        return "random" if lived else "point"

    def start(self, order: Order) -> Any:
        """Start a victim and return its process; `end` it."""
        Path(order.folder).mkdir(parents=True, exist_ok=True)
        log = str(Path(order.folder) / "victim.log")
        process = self._context.Process(target=main, args=(order.to_json(), self._scene, log))
        process.start()
        return process

    def end(self, process: Any, order: Order) -> None:
        """Kill a victim, unless it has ended by itself."""
        process.kill()
        process.join()
        self._note(process, order)

    def _note(self, process: Any, order: Order) -> bool:
        """Record a victim that ended by an error; return whether it did."""
        if process.exitcode == -signal.SIGKILL or order.file_limit:
            return False  # on a full disk, a keeper that cannot start says so and ends
        log = Path(order.folder) / "victim.log"
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        self.broken.append(f"victim ended with {process.exitcode}: {' '.join(last)}; see {log}")
        return True


async def until(happened: Callable[[], bool], seconds: float) -> None:
    """Wait until something happened, at most so long."""
    limit = time.monotonic() + seconds
    while not happened() and time.monotonic() < limit:  # noqa: ASYNC110 - another process acts
        await asyncio.sleep(LOOK_SECONDS)
