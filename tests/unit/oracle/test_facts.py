"""What placements rest on must be the same at every member, whatever it keeps in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from workdeed.chain.bindings import licenses
from workdeed.chain.books import Books, ReportState
from workdeed.keeper.assembly import KEPT_WINDOWS
from workdeed.keeper.snapshots import Snapshots, Strikes
from workdeed.oracle.bases import Bases
from workdeed.oracle.facts import FactFinder
from workdeed.oracle.settlement import Base
from workdeed.oracle.snapshots import ChainReader
from workdeed.placement import Profiles
from workdeed.protocol.limits import MAX_WINDOWS

from .support import CLOCK, DOMAIN, ESCROW, FIRST_NODE, RULES, WINDOW, Sim
from .test_snapshots import FakeRpc, reader_of

NODE = FIRST_NODE
MANY = 300
"""Events of one block."""


def bases() -> Bases:
    """Return the bases of reports without leaves."""

    def load(report: ReportState | None) -> Base:
        return Base(report.window, report.root) if report else Base()

    return cast("Bases", SimpleNamespace(load=load))


def restarted(sim: Sim) -> tuple[ChainReader, FactFinder]:
    """Return what a member reads by that begins anew, and keeps as little as it may."""
    reader = reader_of(sim)
    reader._mirror.history.drop_older(sim.head.timestamp - KEPT_WINDOWS * WINDOW)
    return reader, FactFinder(reader, bases(), RULES)


def busy(sim: Sim) -> None:
    """Log so many events that members drop them once they are old."""
    for _ in range(40):
        sim.log(*[licenses.ApprovalForAll(ESCROW, ESCROW, True)] * MANY)


@pytest.fixture
def quiet() -> Sim:
    """Three reports, many events, nothing for 80 windows, and then a new job."""
    sim = Sim()
    sim.open_job(1, slots=1, windows=2)
    sim.place(1, [NODE])
    for window in (1, 2, 3):
        sim.to_window(window + 1)
        sim.report(window, data_hash=bytes([window]) * 32)
    busy(sim)
    sim.to_window(3 + 80)
    sim.open_job(2, slots=1, windows=5)
    return sim


async def test_after_a_quiet_spell_and_a_restart_placements_are_chosen(quiet: Sim) -> None:
    """Reports were looked at whose events had left the memory, so no placement came about."""
    reader, facts = restarted(quiet)
    history = reader._mirror.history
    assert history.floor > max(one.number for one in quiet.blocks if one.timestamp < CLOCK.end(3))

    async def strikes(books: Books) -> Strikes:
        return await facts.strikes(books, 2)

    snapshots = Snapshots(
        FakeRpc(quiet), lambda: history, CLOCK, Profiles(DOMAIN), lambda _: None, strikes, 2
    )
    view = await snapshots.current(quiet.window)
    assert 2 in view.books.jobs
    assert view.strikes == {(1, NODE): 0}


@pytest.mark.parametrize("passed", [0, 1, 5, MAX_WINDOWS - 2, MAX_WINDOWS - 1, MAX_WINDOWS, 70])
async def test_strikes_are_the_same_whatever_a_member_keeps_in_memory(passed: int) -> None:
    sim = Sim()
    sim.open_job(1, slots=1, windows=200)
    sim.place(1, [NODE])
    busy(sim)
    for window in (12, 13, 14):
        sim.to_window(window + 1)
        sim.report(window, data_hash=bytes([window]) * 32)
    sim.to_window(15 + passed)
    whole = reader_of(sim)
    found = await FactFinder(whole, bases(), RULES).strikes(sim.books, 9)
    _, facts = restarted(sim)
    assert await facts.strikes(sim.books, 9) == found
    # The license earned nothing since ever, so one report that counts is enough to tell it.
    assert found == {(1, NODE): 9 if passed < MAX_WINDOWS - 1 else 0}


async def test_a_report_of_the_oldest_window_that_counts_can_be_read_anywhere_in_a_window() -> None:
    sim = Sim()
    sim.open_job(1, slots=1, windows=200)
    sim.place(1, [NODE])
    busy(sim)
    sim.to_window(13)
    sim.report(12, data_hash=b"\x0c" * 32)
    sim.to_window(12 + MAX_WINDOWS - 1)
    for _ in range(WINDOW):
        _, facts = restarted(sim)
        assert await facts.strikes(sim.books, 2) == {(1, NODE): 2}
        sim.mine(sim.head.timestamp + 1)
    _, facts = restarted(sim)
    assert await facts.strikes(sim.books, 2) == {(1, NODE): 0}
