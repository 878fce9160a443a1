"""Rounds: every duty for itself, troubles told once, a stop that finishes."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass, field, replace

import pytest
from books_support import CALENDAR, Chain
from sqlalchemy.exc import OperationalError

from workdeed.chain.books import Books
from workdeed.chain.clock import ChainClock
from workdeed.chain.errors import ChainError, StoreError
from workdeed.chain.mirror import MirrorUpdate
from workdeed.keeper.logs import OnceLog, get_log
from workdeed.keeper.loop import Duty, Loop
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.view import View


@dataclass
class FakeMirror:
    chain: Chain
    rewound_to: int | None = None
    error: Exception | None = None
    timestamp: int | None = None

    @property
    def books(self) -> Books:
        return self.chain.books

    async def refresh(self) -> MirrorUpdate:
        if self.error is not None:
            raise self.error
        head = self.chain.view().head
        if self.timestamp is not None:
            head = replace(head, timestamp=self.timestamp)
        return MirrorUpdate(head, self.chain.block, (), self.rewound_to)


@dataclass
class FakeDesk:
    steps: int = 0
    forgets: int = 0
    finished: int = 0
    seen: list[View] = field(default_factory=list)

    async def step(self, view: View) -> None:
        self.steps += 1
        self.seen.append(view)

    def forget(self) -> None:
        self.forgets += 1

    async def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def mirror(chain: Chain) -> FakeMirror:
    return FakeMirror(chain)


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


class Loops:
    """Makes loops with some duties."""

    def __init__(self, mirror: FakeMirror, desk: FakeDesk, once: OnceLog, metrics: Metrics) -> None:
        self._parts = (mirror, desk, once, metrics)
        self.rewinds: list[int] = []

    def of(self, *duties: Duty) -> Loop:
        mirror, desk, once, metrics = self._parts
        return Loop(
            mirror,  # type: ignore[arg-type] # it has what the loop uses of a mirror
            ChainClock(CALENDAR, max_drift=0),
            duties,
            desk,  # type: ignore[arg-type] # likewise
            on_rewound=self.rewinds.append,
            poll_seconds=0.01,
            log=get_log(),
            once=once,
            metrics=metrics,
        )


@pytest.fixture
def loops(mirror: FakeMirror, desk: FakeDesk, once: OnceLog, metrics: Metrics) -> Loops:
    return Loops(mirror, desk, once, metrics)


async def test_every_duty_sees_the_chain_then_the_outbox_works(
    loops: Loops, desk: FakeDesk, chain: Chain
) -> None:
    seen: list[int] = []

    async def look(view: View) -> None:
        seen.append(view.window)

    loop = loops.of(Duty("one", look), Duty("two", look))
    assert loop.view is None
    assert loop.age is None
    await loop.round()
    chain.to_window(4)
    await loop.round()
    assert seen == [1, 1, 4, 4]
    assert desk.steps == 2
    assert loop.view is not None
    assert loop.view.window == 4


async def test_a_duty_that_fails_stops_no_other(
    loops: Loops, metrics: Metrics, log_lines: list[dict[str, object]]
) -> None:
    ran: list[str] = []

    async def fail(view: View) -> None:
        raise ValueError("broken")

    async def work(view: View) -> None:
        ran.append("work")

    loop = loops.of(Duty("bad", fail), Duty("good", work))
    for _ in range(3):
        await loop.round()
    assert ran == ["work"] * 3
    failures = metrics.registry.get_sample_value("workdeed_duty_failures_total", {"duty": "bad"})
    assert failures == 3
    told = [line for line in log_lines if line["event"] == "trouble"]
    assert [line["reason"] for line in told] == ["ValueError: broken"]


async def test_a_busy_duty_is_left_alone_and_holds_up_nobody(loops: Loops, desk: FakeDesk) -> None:
    gate, starts, ran = asyncio.Event(), [], []

    async def slow(view: View) -> None:
        starts.append(view.window)
        await gate.wait()

    async def quick(view: View) -> None:
        ran.append(view.window)

    loop = loops.of(Duty("slow", slow), Duty("quick", quick))
    for _ in range(3):
        await loop.round()
    assert (len(starts), len(ran), desk.steps) == (1, 3, 3)
    gate.set()
    await asyncio.sleep(0)
    await loop.round()
    assert len(starts) == 2


async def test_a_reorg_makes_the_desk_forget(
    loops: Loops, mirror: FakeMirror, desk: FakeDesk, metrics: Metrics
) -> None:
    loop = loops.of()
    await loop.round()
    mirror.rewound_to = 3
    await loop.round()
    assert (desk.forgets, loops.rewinds) == (1, [3])
    assert metrics.registry.get_sample_value("workdeed_reorgs_total") == 1


async def test_without_the_chain_no_duty_runs(
    loops: Loops, mirror: FakeMirror, desk: FakeDesk, log_lines: list[dict[str, object]]
) -> None:
    ran: list[View] = []

    async def work(view: View) -> None:
        ran.append(view)

    mirror.error = ChainError("rpc http://node: no answer")
    loop = loops.of(Duty("work", work))
    for _ in range(2):
        await loop.round()
    assert (ran, desk.steps) == ([], 0)
    mirror.error = None
    await loop.round()
    assert len(ran) == 1
    assert [line["event"] for line in log_lines] == [
        "trouble",
        "trouble_goes_on",
        "trouble_over",
    ]


async def test_a_fault_below_the_chain_does_not_end_the_loop(
    loops: Loops, mirror: FakeMirror, log_lines: list[dict[str, object]]
) -> None:
    mirror.error = OSError("disk full")
    loop = loops.of()
    await loop.round()
    assert log_lines[-1]["reason"] == "OSError: disk full"
    mirror.error = None
    await loop.round()
    assert loop.view is not None


async def test_no_head_ends_the_loop(
    loops: Loops, mirror: FakeMirror, desk: FakeDesk, log_lines: list[dict[str, object]]
) -> None:
    """A number that no metric takes once ended the process."""
    loop = loops.of()
    mirror.timestamp = int("f" * 300, 16)
    await loop.round()
    assert desk.steps == 0
    assert str(log_lines[-1]["reason"]).startswith("OverflowError")
    mirror.timestamp = None
    await loop.round()
    assert desk.steps == 1


async def test_a_reorg_whose_undoing_fails_is_undone_in_the_next_round(
    loops: Loops, mirror: FakeMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = loops.of()
    mirror.rewound_to = 3
    with monkeypatch.context() as broken:
        broken.setattr(loop, "_on_rewound", {}.__getitem__)
        await loop.round()
    mirror.rewound_to = None
    await loop.round()
    assert loops.rewinds == [3]


async def test_the_chain_and_its_money_are_shown(
    loops: Loops, chain: Chain, metrics: Metrics
) -> None:
    chain.open_job(1, slots=2, windows=10)
    chain.to_window(3, second=7)
    await loops.of().round()

    def shown(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert shown("workdeed_head_timestamp_seconds") == CALENDAR.start(3) + 7
    assert shown("workdeed_window") == 3
    assert shown("workdeed_open_jobs") == 1
    job = chain.books.jobs[1]
    assert shown("workdeed_job_base_units", use="deposited") == job.deposited > 0
    assert shown("workdeed_job_base_units", use="locked") == job.locked > 0
    assert shown("workdeed_job_base_units", use="paid") == 0


async def test_errors_of_database_and_disk_are_counted_wherever_they_come_from(
    loops: Loops, mirror: FakeMirror, metrics: Metrics
) -> None:
    async def fail(view: View) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    async def other(view: View) -> None:
        raise ValueError("broken")

    loop = loops.of(Duty("bad", fail), Duty("other", other))
    await loop.round()
    mirror.error = StoreError("database: it does not answer")
    await loop.round()
    mirror.error = OperationalError("COMMIT", {}, Exception("database is locked"))
    await loop.round()

    def count(kind: str) -> float | None:
        return metrics.registry.get_sample_value("workdeed_storage_errors_total", {"kind": kind})

    assert (count("disk"), count("database")) == (1, 2)


async def test_a_stop_waits_for_duties_and_finishes_the_outbox(
    loops: Loops, desk: FakeDesk
) -> None:
    stopping = asyncio.Event()
    ended: list[str] = []

    async def work(view: View) -> None:
        stopping.set()
        await asyncio.sleep(0.05)
        ended.append("work")

    await loops.of(Duty("work", work)).run(stopping)
    assert ended == ["work"]
    assert desk.finished == 1
