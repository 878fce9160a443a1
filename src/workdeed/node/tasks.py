"""How background tasks are put down, and how what must not be broken off is not."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def put_down(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; what it ended with by itself is raised.

    If the caller is cancelled meanwhile, it is told only after that end: `suppress(CancelledError)`
    around `await task` would take that word for the task's own, and the caller would live on.
    """
    task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    if not task.cancelled():
        task.result()


class Unbroken:
    """Work that goes on to its end though whoever waits for it gives up."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` gives, or raise what it raises."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def wait(self) -> None:
        """Wait until all work that was begun has ended, however it does."""
        while self._tasks:
            await asyncio.wait(self._tasks)
