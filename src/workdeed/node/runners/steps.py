"""Commands that prepare a workload.

The driver runs them like the workload itself: locked in, limited, and found again after a crash.
"""

import asyncio
from typing import Final

import psutil

from workdeed.node.drivers.base import Driver, Handle, Inspection, Phase, Task
from workdeed.node.errors import RunnerError
from workdeed.node.files import told_in_mb, tree_bytes

LOOK_SECONDS: Final = 5.0
"""Time between two looks at what a step takes on disk."""

_REST_SHARE = 10
"""How many times longer than a look itself the time to the next one is at least."""

_OUTPUT_BYTES = 64 * 1024
_NO_ROOM = 64 * 1024
_MB = 1_000_000


async def run_step(
    driver: Driver, task: Task, seconds: float, what: str, *, look_seconds: float = LOOK_SECONDS
) -> str:
    """Run `task` to its end and return what it printed.

    Whatever happens, nothing of the task is left.

    Args:
        driver: what runs it.
        task: its key is that of the step.
        seconds: time it may take.
        what: name of the step for people.
        look_seconds: time between two looks at what it takes on disk.

    Raises:
        RunnerError: if it fails, takes longer, or takes more storage than its limits give.

    """
    await driver.destroy(task.key)
    try:
        handle = await driver.start(task)
        inspection = await _wait(driver, handle, task, seconds, what, look_seconds)
        output = (await driver.logs(handle, _OUTPUT_BYTES)).decode(errors="replace")
    finally:
        await driver.destroy(task.key)
    if inspection.phase is Phase.RUNNING:
        raise RunnerError(f"{what} took longer than {seconds:.0f} s and was ended")
    if inspection.phase is Phase.LOST and psutil.disk_usage(str(task.directory)).free < _NO_ROOM:
        # Without a free byte, nobody can write down how it ended.
        raise RunnerError(f"{what} failed: no space is left on the disk of state_dir; make room")
    if inspection.code != 0:
        raise RunnerError(f"{what} failed: {inspection}{_last_line(output)}")
    return output


async def _wait(
    driver: Driver, handle: Handle, task: Task, seconds: float, what: str, look_seconds: float
) -> Inspection:
    """Return the state when the step ends or time is up, and bound what it takes meanwhile."""
    now = asyncio.get_running_loop().time
    deadline, pause = now() + seconds, look_seconds
    while True:
        inspection = await driver.wait(handle, min(pause, max(0.0, deadline - now())))
        if inspection.phase is not Phase.RUNNING or now() >= deadline:
            return inspection
        began = now()
        used = await asyncio.to_thread(tree_bytes, task.directory)
        used += await driver.disk_bytes(handle)
        if used // _MB > (allowed := task.limits.storage_mb):
            raise RunnerError(
                f"resources.storage_mb: {what} took {told_in_mb(used)} on disk where it may take "
                f"{allowed}, and was ended; ask for more storage"
            )
        pause = max(look_seconds, _REST_SHARE * (now() - began))


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f" ({lines[-1][:300]})" if lines else ""
