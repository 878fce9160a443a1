"""Pulls of the Container App Runner that others meet on their way: who waits, and who gets what."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from workdeed.node.drivers.base import DriverContext, TaskKey
from workdeed.node.drivers.container import ContainerDriver, ContainerOptions
from workdeed.node.drivers.container_images import Image, Login, PullFailedError
from workdeed.node.errors import DriverError, RunnerError
from workdeed.node.runners.base import Order, RunnerContext, RunnerOptions
from workdeed.node.runners.car import CarRunner

from .job_support import ESCROW, LICENSE, spec

NAME = "127.0.0.1:1/team/web"
PINNED = f"{NAME}@sha256:{'b' * 64}"
IMAGE = Image(f"sha256:{'a' * 64}", (PINNED,), (f"{NAME}:v1",), 5)
LOGIN = {"credentials": {"username": "reader", "secret": "registry"}}


class Images:
    """An engine's images, and a registry that asks for a login and answers when it is told to."""

    def __init__(self) -> None:
        self.there: list[Image] = []
        self.pulls: list[str] = []
        self.answers = asyncio.Event()
        self.falls_silent = False

    async def find(self, reference: str) -> Image | None:
        for image in self.there:
            if reference in (image.id, *image.digests, *image.tags):
                return image
        return None

    async def ids(self) -> frozenset[str]:
        return frozenset(image.id for image in self.there)

    async def remove(self, reference: str) -> bool:
        self.there = [image for image in self.there if image.id != reference]
        return True

    async def pull(self, name: str, tag: str, login: Login | None, **_: Any) -> str:
        self.pulls.append(tag)
        if login is None:
            raise PullFailedError(f"{name} can't be pulled: unauthorized", final=True)
        # It is there before the engine has told of it.
        self.there.append(IMAGE)
        await self.answers.wait()
        if self.falls_silent:
            raise PullFailedError(f"{name} took longer than 1 s", final=False)
        return f"sha256:{'b' * 64}"


@pytest.fixture
def images() -> Images:
    return Images()


@pytest.fixture
async def runner(images: Images, tmp_path: Path) -> AsyncIterator[CarRunner]:
    context = DriverContext(tmp_path / "driver", "owner")
    driver = ContainerDriver(context, ContainerOptions(socket="/nowhere"))
    driver.images = images  # type: ignore[assignment]
    options = RunnerOptions(allow_private_endpoints=True)
    yield CarRunner(RunnerContext({"container": driver}, tmp_path / "car", options))
    await driver.close()


def order(job: int, tag: str = ":v1", *, login: bool = False, tries: int = 1) -> Order:
    image = {"reference": f"{NAME}{tag}", "tries": tries} | (LOGIN if login else {})
    box = {"license_id": LICENSE, "node": "0x" + "11" * 20, "box": "AAAA"}
    sealed = {"secrets": {"names": ["registry"], "boxes": [box]}} if login else {}
    made = spec(runner="car", source={"image": image}, run=["serve"], **sealed)
    key = TaskKey(ESCROW, job, LICENSE, 0)
    return Order(key, made.services["main"], made.resources, {}, {"registry": "password"})


async def test_a_pull_holds_up_no_start_of_another_image_of_its_repository(
    runner: CarRunner, images: Images
):
    images.there = [Image("sha256:" + "c" * 64, (f"{NAME}@sha256:{'d' * 64}",), (), 5)]
    pulling = asyncio.create_task(runner.resolve(order(1, login=True)))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await runner.prepare(order(2, f"@sha256:{'d' * 64}"), "d" * 64)
        with pytest.raises(RunnerError, match="unauthorized"):
            await runner.resolve(order(2, ":v2"))
    images.answers.set()
    assert await pulling == "b" * 64


async def test_the_pause_before_another_try_holds_up_nobody(runner: CarRunner, images: Images):
    runner._pauses = (10_000.0, 10_000.0)
    images.falls_silent = True
    images.answers.set()
    pulling = asyncio.create_task(runner.resolve(order(1, login=True, tries=2)))
    await asyncio.sleep(0.05)
    images.falls_silent = False
    async with asyncio.timeout(5):
        assert await runner.resolve(order(2, login=True)) == "b" * 64
    pulling.cancel()


@pytest.mark.parametrize("tag", [":v1", f"@sha256:{'b' * 64}"])
async def test_what_a_login_is_bringing_is_given_to_nobody_else(
    runner: CarRunner, images: Images, tag: str
):
    pulling = asyncio.create_task(runner.resolve(order(1, login=True)))
    await asyncio.sleep(0.05)
    thief = asyncio.create_task(_prepare(runner, order(2, tag)))
    await asyncio.sleep(0.05)
    images.answers.set()
    await pulling
    with pytest.raises(RunnerError, match="unauthorized"):
        await thief
    await _prepare(runner, order(1, login=True))


async def test_a_pull_that_was_called_off_is_recorded_when_it_ends(
    runner: CarRunner, images: Images
):
    pulling = asyncio.create_task(runner.resolve(order(1, login=True)))
    await asyncio.sleep(0.05)
    pulling.cancel()
    await asyncio.wait([pulling])
    images.answers.set()
    with pytest.raises(RunnerError, match="unauthorized"):
        await _prepare(runner, order(2))
    assert await runner.resolve(order(1, login=True)) == "b" * 64
    # The first one's, and that of who had to show a login.
    assert images.pulls == ["v1", "v1"]


@pytest.mark.parametrize("engine_answers", [True, False])
async def test_what_a_failed_pull_has_brought_is_nobodys(
    runner: CarRunner, images: Images, monkeypatch: pytest.MonkeyPatch, engine_answers: bool
):
    images.falls_silent = True
    pulling = asyncio.create_task(runner.resolve(order(1, login=True)))
    await asyncio.sleep(0.05)
    with monkeypatch.context() as patch:
        if not engine_answers:
            patch.setattr(images, "find", _down)
        images.answers.set()
        with pytest.raises(RunnerError, match="took longer"):
            await pulling
    for tag in (":v1", f"@sha256:{'b' * 64}"):
        with pytest.raises(RunnerError, match="unauthorized"):
            await _prepare(runner, order(2, tag))


@pytest.mark.parametrize("brought", [True, False])
async def test_a_failed_pull_keeps_from_nobody_what_the_operator_loads_later(
    runner: CarRunner, images: Images, monkeypatch: pytest.MonkeyPatch, brought: bool
):
    images.falls_silent = True
    pulling = asyncio.create_task(runner.resolve(order(1, login=True)))
    await asyncio.sleep(0.05)
    with monkeypatch.context() as patch:
        patch.setattr(images, "find", _down)
        images.answers.set()
        with pytest.raises(RunnerError, match="took longer"):
            await pulling
    loaded = Image("sha256:" + "c" * 64, (f"{NAME}@sha256:{'d' * 64}",), (f"{NAME}:own",), 5)
    images.there = [IMAGE, loaded] if brought else [loaded]
    for tag in (":own", f"@sha256:{'d' * 64}"):
        await _prepare(runner, order(2, tag))
    # What the pull had brought is nobody's still.
    with pytest.raises(RunnerError, match="unauthorized"):
        await _prepare(runner, order(2))


async def test_a_late_answer_about_a_failed_pull_ends_no_later_pull(
    runner: CarRunner, images: Images, monkeypatch: pytest.MonkeyPatch
):
    runner._records.begin(f"{NAME}:v1", None, frozenset())
    runner._records.fail(f"{NAME}:v1")
    late, find = asyncio.Event(), images.find
    images.there = [Image("sha256:" + "c" * 64, (), (f"{NAME}:own",), 5)]

    async def slowly(reference: str) -> Image | None:
        found = await find(reference)
        if reference == f"{NAME}:v1":
            await late.wait()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(images, "find", slowly)
        asking = asyncio.create_task(runner.resolve(order(2, ":own")))
        await asyncio.sleep(0.05)
    pulling = asyncio.create_task(runner.resolve(order(1, login=True)))
    await asyncio.sleep(0.05)
    assert images.pulls == ["v1"]
    late.set()
    await asking
    with pytest.raises(RunnerError, match="unauthorized"):
        await _prepare(runner, order(2, f"@sha256:{'b' * 64}"))
    images.answers.set()
    assert await pulling == "b" * 64


async def test_two_that_need_one_image_bring_it_once(runner: CarRunner, images: Images):
    asked = [asyncio.create_task(_prepare(runner, order(1, login=True))) for _ in range(2)]
    await asyncio.sleep(0.05)
    images.answers.set()
    await asyncio.gather(*asked)
    assert images.pulls == ["v1"]


async def _prepare(runner: CarRunner, asked: Order) -> None:
    await runner.prepare(asked, await runner.resolve(asked))


async def _down(reference: str) -> None:
    raise DriverError("engine: it does not answer; start it")
