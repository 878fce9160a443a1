"""Commands that prepare a workload."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workdeed.node.drivers.base import Inspection, Limits, Phase, Task, TaskKey
from workdeed.node.errors import RunnerError
from workdeed.node.runners import steps
from workdeed.node.runners.steps import run_step

from .job_support import ESCROW, World


class Ends(World):
    """Ends each task in a way that a test says."""

    how = Inspection(Phase.EXITED, 0)

    async def wait(self, handle: object, seconds: float) -> Inspection:
        if self.how.phase is Phase.RUNNING:
            await asyncio.sleep(seconds)
        return self.how


async def _run(how: Inspection, tmp_path: Path, disk: int = 0) -> str:
    world: Any = Ends()
    world.how, world.disk = how, disk
    key = TaskKey(ESCROW, 3, 7, 0).at("git")
    task = Task(key=key, argv=("true",), env={}, directory=tmp_path, limits=Limits(1, 1))
    try:
        return await run_step(world, task, 1, "git fetch", look_seconds=0.01)
    finally:
        assert world.running == {}


async def test_a_step_that_succeeds_gives_its_output(tmp_path: Path):
    assert await _run(Inspection(Phase.EXITED, 0), tmp_path) == "first\nlast words\n"


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (Inspection(Phase.EXITED, 3), "it exited with code 3 .last words"),
        (Inspection(Phase.RUNNING), "took longer than 1 s"),
        (Inspection(Phase.LOST), "without a trace"),
    ],
)
async def test_a_step_that_fails_says_how(how: Inspection, told: str, tmp_path: Path):
    with pytest.raises(RunnerError, match=f"git fetch .*{told}"):
        await _run(how, tmp_path)


@pytest.mark.parametrize("disk", [0, 600_000])
async def test_a_step_that_takes_too_much_storage_is_ended(tmp_path: Path, disk: int):
    (tmp_path / "large").write_bytes(bytes(2_100_000 - disk))
    told = (
        r"^resources.storage_mb: git fetch took 2 MB on disk where it may take 1, and was ended; "
    )
    with pytest.raises(RunnerError, match=told):
        await _run(Inspection(Phase.RUNNING), tmp_path, disk)


async def test_a_step_that_no_disk_could_take_down_is_told_as_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(steps.psutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(RunnerError, match="no space is left"):
        await _run(Inspection(Phase.LOST), tmp_path)
