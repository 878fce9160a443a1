"""The trees that the Worker App Runner gives workloads, when who asked for one is called off."""

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from workdeed.node.drivers.base import TaskKey
from workdeed.node.runners.base import Order, RunnerContext, RunnerOptions
from workdeed.node.runners.war import WarRunner

from .job_support import ESCROW, LICENSE, World, spec, until

FOLDERS, FILES = 10, 40
WHOLE = FOLDERS * (FILES + 1)
KEY = TaskKey(ESCROW, 3, LICENSE, 0)
SPEC = spec()
VERSION = "0123456789abcdef0123456789abcdef01234567"


def order(key: TaskKey) -> Order:
    return Order(key, SPEC.services["main"], SPEC.resources)


def below(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*"))


@pytest.fixture
async def runner(tmp_path: Path) -> WarRunner:
    """One that has built the commit already."""
    driver: Any = World()
    made = WarRunner(RunnerContext({"process": driver}, tmp_path, RunnerOptions()))
    build = made._builds / await made._digest(order(KEY), VERSION, await made._place(order(KEY)))
    for folder in range(FOLDERS):
        (build / f"d{folder}").mkdir(parents=True)
        for file in range(FILES):
            (build / f"d{folder}" / f"f{file}").write_bytes(b"x" * 2_000)
    return made


def copied(runner: WarRunner, key: TaskKey) -> int:
    """Return how many folders of the tree of `key` are begun; all of them once it is whole."""
    tree = runner._tree(key, VERSION)
    partial = tree.with_name(f"{tree.name}.partial")
    return FOLDERS if tree.exists() else len(list(partial.glob("*")))


async def call_off(runner: WarRunner, key: TaskKey, folders: int) -> None:
    """Cancel a `prepare` once that many folders are begun."""
    preparing = asyncio.create_task(runner.prepare(order(key), VERSION))
    await until(lambda: copied(runner, key) >= folders, "the copy")
    preparing.cancel()
    await asyncio.wait([preparing])


async def test_a_tree_whose_copy_was_called_off_is_whole_the_next_time(runner: WarRunner):
    for number in range(FOLDERS):
        key = TaskKey(ESCROW, number, LICENSE, 0)
        await call_off(runner, key, number)
        plan = await runner.prepare(order(key), VERSION)
        assert below(plan.directory) == WHOLE


async def test_nothing_comes_back_after_a_discard(runner: WarRunner):
    for number in range(FOLDERS):
        key = TaskKey(ESCROW, number, LICENSE, 0)
        await call_off(runner, key, number)
        await runner.discard(key)
    await asyncio.sleep(0.5)
    assert list(runner._trees.iterdir()) == []


async def test_a_copy_that_is_called_off_ends_with_the_file_in_hand(
    runner: WarRunner, monkeypatch: pytest.MonkeyPatch
):
    files = []
    loop, reached, copy = asyncio.get_running_loop(), asyncio.Event(), shutil.copy2
    called_off = threading.Event()

    def noting(*arguments: Any, **more: Any) -> Any:
        files.append(arguments[0])
        loop.call_soon_threadsafe(reached.set)
        assert called_off.wait(60)
        return copy(*arguments, **more)

    monkeypatch.setattr(shutil, "copy2", noting)
    preparing = asyncio.create_task(runner.prepare(order(KEY), VERSION))
    await reached.wait()
    preparing.cancel()
    # Who copies is told of it in a turn of the loop.
    await asyncio.wait([preparing], timeout=0.1)
    called_off.set()
    await asyncio.wait([preparing])
    assert preparing.cancelled()
    assert len(files) == 1
    assert list(runner._trees.iterdir()) == []


async def test_who_waited_for_the_same_tree_takes_the_one_that_is_there(runner: WarRunner):
    first, second = await asyncio.gather(
        runner.prepare(order(KEY), VERSION), runner.prepare(order(KEY), VERSION)
    )
    assert first == second
    assert below(first.directory) == WHOLE


async def test_a_build_that_is_being_copied_is_not_removed(runner: WarRunner):
    preparing = asyncio.create_task(runner.prepare(order(KEY), VERSION))
    await until(lambda: copied(runner, KEY) > 0, "the copy")
    await runner.shrink()
    assert below((await preparing).directory) == WHOLE
