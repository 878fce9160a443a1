"""Putting background tasks down."""

import asyncio

import pytest

from workdeed.node.tasks import Unbroken, put_down


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


async def test_work_goes_on_when_its_caller_gives_up_and_can_be_waited_for() -> None:
    unbroken, go_on, ended = Unbroken(), asyncio.Event(), []

    async def work() -> None:
        await go_on.wait()
        ended.append("work")

    calling = asyncio.create_task(unbroken.do(work()))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    waiting = asyncio.create_task(unbroken.wait())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    go_on.set()
    await waiting
    assert ended == ["work"]


async def test_what_work_gives_or_raises_is_passed_on_and_no_wait_ends_by_it() -> None:
    unbroken = Unbroken()

    async def fail() -> None:
        raise ValueError("no luck")

    async def give() -> int:
        return 3

    assert await unbroken.do(give()) == 3
    failing = asyncio.create_task(unbroken.do(fail()))
    await asyncio.sleep(0)
    await unbroken.wait()
    with pytest.raises(ValueError, match="no luck"):
        await failing
    await unbroken.wait()
