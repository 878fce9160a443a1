"""Anything may happen to a job, in any order, and agents may die at any step: a property.

Time is virtual: a loop that has nothing to do jumps to its next timer, so that hours of pauses and
deadlines pass in moments.
"""

import asyncio
import errno
import selectors
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workdeed.node import jobs, pod, watch, workload
from workdeed.node.drivers.base import Handle, Inspection, Phase, Task
from workdeed.node.errors import NodeError
from workdeed.node.jobs import Job
from workdeed.node.pod import Gate
from workdeed.node.records import JobRecord

from .job_support import LICENSE, QUICK, World, make_tools, record_of, revision

PATIENCE_SECONDS = 600.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """Sleeps by moving its own clock."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = selectors.SelectSelector()
        wait = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout is not None and timeout > 0:
                self.now += timeout
                timeout = 0
            return wait(0 if timeout is None else timeout)

        selector.select = select  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        """Do it at once: while a thread works, the clock would run away."""
        done = self.create_future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done


def _drop(*_: object) -> NoReturn:
    """Drop an entry of a log: there are very many."""
    raise structlog.DropEvent


@contextmanager
def virtual_time() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    patch = pytest.MonkeyPatch()
    for module in (jobs, pod, watch, workload):
        if hasattr(module, "time"):
            patch.setattr(module, "time", SimpleNamespace(monotonic=loop.time))
        if hasattr(module, "_log"):
            patch.setattr(module, "_log", structlog.wrap_logger(None, [_drop]))
    try:
        yield loop
    finally:
        patch.undo()
        loop.close()


class StrictWorld(World):
    """A world that takes down what must not be, such as two revisions of the job at once.

    What was asked to end does so with code 0, also where nobody waits for it any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wrongs: list[str] = []
        self.asked: set[int] = set()
        """Revisions that were asked to end and not started since."""
        self.done: set[int] = set()
        """Revisions that are known to have ended for good."""

    async def stop(self, handle: Handle, grace: float) -> Inspection:
        name, number = handle.key.name, handle.key.revision
        self.asked.add(number)
        task = self.running.get(name)
        try:
            return await super().stop(handle, grace)
        except asyncio.CancelledError:

            def obey() -> None:
                if task is not None and self.running.get(name) is task:
                    del self.running[name]
                    self.ended[name] = Inspection(Phase.EXITED, 0)

            asyncio.get_running_loop().call_later(0.3, obey)
            raise

    async def wait(self, handle: Handle, seconds: float) -> Inspection:
        await asyncio.sleep(min(seconds, 0.1))
        return await super().wait(handle, seconds)

    async def start(self, task: Task) -> Handle:
        handle = await super().start(task)
        if task.key.revision in self.done:
            self.wrongs.append(f"{task.key.revision} is done after {self.events[-5:]}")
        self.asked.discard(task.key.revision)
        numbers = {one.key.revision for one in self.running.values()}
        if len(numbers) > 1:
            self.wrongs.append(f"{sorted(numbers)} after {self.events[-5:]}")
        return handle


class Play:
    """A job under an agent that may die, in a world that may be bad."""

    def __init__(self, folder: Path, policy: str) -> None:
        self.world = StrictWorld()
        self.full = False
        self.restart = QUICK | {"policy": policy}
        self.gate = Gate()
        self.gate.open()
        self.saved: JobRecord = record_of(revision(0, restart=self.restart))
        tools = make_tools(self.world, self.gate, folder)
        self.tools = jobs.JobTools(
            *(getattr(tools, name) for name in ("facts", "gate", "volumes", "tools", "allot")),
            tools.secrets,
            self._save,
            tools.settle_seconds,
        )
        self.job = Job(self.saved, LICENSE, self.tools)
        self.job.begin()

    def _save(self, record: JobRecord) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "no space left on device")
        self.saved = record
        for one in record.revisions:
            if any(end.for_good for end in one.ends.values()):
                if one.number in self.world.asked:
                    self.world.wrongs.append(f"{one.number} was to go on: {one.ends}")
                self.world.done.add(one.number)

    async def die(self) -> None:
        """End the agent without a word, and start another from what is on disk."""
        await self.job.leave()
        self.job = Job(self.saved, LICENSE, self.tools)
        self.job.begin()

    async def revise(self, policy: str, ill: bool, unbuildable: bool) -> None:
        number = self.saved.wanted.number + 1
        if ill:
            self.world.ill.add(number)
        if unbuildable:
            self.world.unbuildable.add(number)
        rollout = {"policy": policy, "deadline_ms": 5_000, "drain_ms": 100}
        async with self.job.lock:
            await self.job.revise(revision(number, rollout=rollout, restart=self.restart))

    async def do(self, step: tuple[Any, ...]) -> None:
        name, *arguments = step
        try:
            await getattr(self, name)(*arguments)
        except NodeError:
            assert self.world.stuck or self.world.down  # nothing else is refused
        except OSError:
            assert self.full
        await asyncio.sleep(0.05)

    async def word(self, what: str) -> None:
        async with self.job.lock:
            if what == "take":
                self.job.take()
            elif what == "abandon":
                await self.job.abandon("the canary was ill")
            else:
                await self.job.settle()

    async def command(self, what: str) -> None:
        async with self.job.lock:
            if what != "stop":
                self.world.done.discard(self.job.serving.number)
            await getattr(self.job.serving.main, what)()

    async def set(self, what: str, value: bool) -> None:
        setattr(self.world, what, value)

    async def slow(self, seconds: float) -> None:
        self.world.slow = seconds

    async def disk(self, full: bool) -> None:
        self.full = full

    async def chain(self, readable: bool) -> None:
        self.gate.open() if readable else self.gate.close("the RPCs disagree")

    async def bar(self) -> None:
        """Take away the license's standing: nothing runs until the chain says otherwise."""
        self.gate.close("the license is frozen")
        async with self.job.lock:
            await self.job.suspend(self.gate.reason)
        assert self.world.running == {}

    async def exit(self, code: int | None) -> None:
        self.world.exit(code)

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def end_well(self) -> None:
        """Let everything be good from now on, and see the job run one revision."""
        world = self.world
        world.stuck = world.silent = world.unstartable = world.down = self.full = False
        world.well, world.disk, world.memory = True, 0, 0
        world.unbuildable.clear()
        self.gate.open()
        self.job.take()
        await self.command("resume")
        last = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not (self.job.serving.well and len(world.running) == 1 and self._is_over()):
            assert asyncio.get_running_loop().time() < last, self._tell()
            if self.job.serving.main.stopped or self.job.serving.number in world.done:
                # The payer stopped a revision that came back since, or it has done its work.
                await self.command("resume")
            await asyncio.sleep(1)

    def _is_over(self) -> bool:
        """Tell whether the wanted revision serves, or was given up for being ill."""
        wanted = self.job.record.wanted
        return self.job.serving is self.job.wanted or bool(wanted.failed)

    def _tell(self) -> str:
        told = [(one.number, one.state, one.reason) for one in self.job.pods]
        return f"{told} {self.job.record} {list(self.world.running)}"


STEPS = st.one_of(
    st.tuples(
        st.just("revise"), st.sampled_from(["recreate", "rolling"]), st.booleans(), st.booleans()
    ),
    st.tuples(st.just("word"), st.sampled_from(["take", "abandon", "settle"])),
    st.tuples(st.just("command"), st.sampled_from(["stop", "resume", "restart"])),
    st.tuples(
        st.just("set"),
        st.sampled_from(["stuck", "silent", "unstartable", "well", "down"]),
        st.booleans(),
    ),
    st.tuples(st.just("chain"), st.booleans()),
    st.tuples(st.just("slow"), st.sampled_from([0.0, 0.2, 5.0])),
    st.tuples(st.just("disk"), st.booleans()),
    st.tuples(st.just("exit"), st.sampled_from([0, 1, None])),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.3, 2.0, 30.0])),
    st.just(("die",)),
    st.just(("bar",)),
)


@given(
    steps=st.lists(STEPS, max_size=25),
    policy=st.sampled_from(["always", "unless-stopped", "on-failure"]),
)
@example(
    steps=[
        ("slow", 5.0),
        ("revise", "rolling", False, False),
        ("word", "take"),
        ("wait", 0.3),
        ("word", "abandon"),  # the old one is on its way out
        ("wait", 2.0),
    ],
    policy="on-failure",
)
@settings(deadline=None, max_examples=max(150, settings.default.max_examples))
def test_one_revision_runs_whatever_happens_and_in_the_end_a_good_one(
    steps: list[tuple[Any, ...]], policy: str
) -> None:
    with virtual_time() as loop, tempfile.TemporaryDirectory() as folder:

        async def play() -> None:
            story = Play(Path(folder), policy)
            for step in steps:
                await story.do(step)
            await story.end_well()
            await story.job.leave()
            assert story.world.wrongs == []
            assert story.job.serving.number not in story.world.ill

        loop.run_until_complete(play())
