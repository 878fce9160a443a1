"""Work beside the agent's rounds."""

import asyncio

from workdeed.node.beside import Beside


async def test_each_kind_of_work_is_done_once_at_a_time() -> None:
    beside, gate, begun = Beside(), asyncio.Event(), []

    async def work() -> None:
        begun.append(1)
        await gate.wait()

    first = beside.begin("one", work)
    assert beside.begin("one", work) is first
    beside.begin("other", work)
    await asyncio.sleep(0)
    assert len(begun) == 2
    gate.set()
    await first
    await beside.begin("one", work)
    assert len(begun) == 3
    await beside.close()


async def test_work_that_fails_or_never_ends_holds_up_no_close() -> None:
    beside = Beside()

    async def fail() -> None:
        raise OSError("No space left on device")

    async def hang() -> None:
        await asyncio.Event().wait()

    failed = beside.begin("fails", fail)
    hanging = beside.begin("hangs", hang)
    await asyncio.sleep(0)
    await beside.close()
    assert failed.done()
    assert hanging.cancelled()
