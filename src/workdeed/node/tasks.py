"""How background tasks are put down."""

import asyncio
from typing import Any


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
