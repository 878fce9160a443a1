"""Putting background tasks down."""

import asyncio

import pytest

from workdeed.node.tasks import put_down


async def _slow_to_end(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        ended.append("task")


async def test_a_task_has_ended_when_it_is_put_down() -> None:
    ended: list[str] = []
    task = asyncio.create_task(_slow_to_end(ended))
    await asyncio.sleep(0)
    await put_down(task)
    assert ended == ["task"]
    assert task.cancelled()


async def test_one_that_is_cancelled_while_it_puts_down_ends_too_and_after_the_task() -> None:
    ended: list[str] = []
    task = asyncio.create_task(_slow_to_end(ended))

    async def caller() -> None:
        await put_down(task)
        ended.append("went on")

    calling = asyncio.create_task(caller())
    await asyncio.sleep(0.001)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert ended == ["task"]


async def test_what_a_task_failed_with_is_raised() -> None:
    async def fail() -> None:
        raise OSError("no space")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="no space"):
        await put_down(task)
