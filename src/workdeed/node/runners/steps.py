"""Commands that prepare a workload.

The driver runs them like the workload itself: locked in, limited, and found again after a crash.
"""

import psutil

from workdeed.node.drivers.base import Driver, Phase, Task
from workdeed.node.errors import RunnerError

_OUTPUT_BYTES = 64 * 1024
_NO_ROOM = 64 * 1024


async def run_step(driver: Driver, task: Task, seconds: float, what: str) -> str:
    """Run `task` to its end and return what it printed.

    Whatever happens, nothing of the task is left.

    Args:
        driver: what runs it.
        task: its key is that of the step.
        seconds: time it may take.
        what: name of the step for people.

    Raises:
        RunnerError: if it fails or takes longer.

    """
    await driver.destroy(task.key)
    try:
        handle = await driver.start(task)
        inspection = await driver.wait(handle, seconds)
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


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f" ({lines[-1][:300]})" if lines else ""
