"""Work beside the rounds of the agent, which must not wait for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from workdeed.node.tasks import put_down

_log = structlog.get_logger(__name__)


class Beside:
    """Runs each kind of work once at a time; what goes wrong with it is logged, and no more."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, kind: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Begin a kind of work unless it is under way; return the task that does it."""
        task = self._tasks.get(kind)
        if task is None or task.done():
            task = self._tasks[kind] = asyncio.create_task(_logged(kind, work))
        return task

    async def close(self) -> None:
        """End all of it."""
        for task in self._tasks.values():
            await put_down(task)


async def _logged(kind: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await work()
    except Exception:
        _log.exception("agent: work beside the rounds failed", work=kind)
