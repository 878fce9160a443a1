"""Strikes come from the leaves of accepted reports, from the second window of a term on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from workdeed.oracle.strikes import ReportUnits, count_strikes
from workdeed.protocol.figures import UNIT
from workdeed.protocol.report import OpenPair

from .support import ESCROW, FIRST_NODE, Sim

NODE = FIRST_NODE
KEY = (ESCROW, 1, NODE)


def report(
    window: int, units: int = 0, *, claimed: int = 0, still_open: Sequence[int] = ()
) -> ReportUnits:
    leaves = {KEY: units} if units else {}
    waiting = frozenset(OpenPair(one, *KEY) for one in still_open)
    return ReportUnits(window, leaves, {KEY: claimed}, waiting)


@pytest.fixture
def sim() -> Sim:
    """A job whose license serves from window 2 on."""
    sim = Sim()
    sim.open_job(1, slots=1, windows=20)
    sim.place(1, [NODE])
    sim.to_window(9)
    return sim


def strikes(sim: Sim, *reports: ReportUnits, most: int = 9) -> int:
    return count_strikes(sim.books, reports, most=most)[1, NODE]


def test_windows_without_units_count(sim: Sim) -> None:
    assert strikes(sim, report(4), report(3), report(2)) == 2


def test_the_first_window_of_a_term_does_not(sim: Sim) -> None:
    assert strikes(sim, report(2)) == 0
    assert strikes(sim, report(2), report(1)) == 0


def test_a_window_with_units_ends_the_row(sim: Sim) -> None:
    assert strikes(sim, report(6, 7), report(5, 7), report(4, 7), report(3)) == 2


def test_units_that_were_claimed_are_no_loss(sim: Sim) -> None:
    assert strikes(sim, report(5, claimed=UNIT), report(4, UNIT), report(3)) == 1
    assert strikes(sim, report(5, 2 * UNIT, claimed=UNIT), report(4, claimed=UNIT)) == 0


def test_a_report_over_several_windows_counts_each(sim: Sim) -> None:
    assert strikes(sim, report(6), report(2)) == 4
    assert strikes(sim, report(6, 1), report(2)) == 0


def test_open_windows_do_not_count(sim: Sim) -> None:
    assert strikes(sim, report(5, still_open=[4, 5]), report(2)) == 1


def test_counting_stops_at_the_most(sim: Sim) -> None:
    assert strikes(sim, report(8), report(2), most=2) == 2


def test_nothing_is_known_without_reports(sim: Sim) -> None:
    assert strikes(sim) == 0


def test_a_job_that_is_over_strikes_nobody(sim: Sim) -> None:
    sim.to_window(30)
    assert strikes(sim, report(29, 5), report(21, 5), report(20)) == 0


def test_only_placed_licenses_have_strikes(sim: Sim) -> None:
    sim.place(1, release=[NODE])
    assert count_strikes(sim.books, [report(4), report(2)], most=9) == {}
