"""Nodes are probed at times that nobody can foresee, and none is forgotten."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workdeed.oracle.schedule import Schedule


def times(seed: int, until: float = 100.0) -> list[float]:
    """Return when one license was due, looking every tenth of a second."""
    schedule = Schedule(1.0, random.Random(seed))
    schedule.keep([7], 0.0)
    found = []
    for tenth in range(int(until * 10)):
        found += [tenth / 10] * len(list(schedule.due(tenth / 10)))
    return found


@given(st.integers(0, 1_000))
def test_pauses_stay_within_half_and_one_and_a_half_intervals(seed: int) -> None:
    found = times(seed)
    pauses = [b - a for a, b in pairwise(found)]
    assert found[0] <= 1.1
    assert all(pause + 0.01 > 0.4 and pause < 1.61 for pause in pauses)
    assert 80 <= len(found) <= 115


def test_times_differ_from_chance_to_chance() -> None:
    assert times(1) != times(2)


def test_a_license_keeps_its_time_when_others_come_and_go() -> None:
    schedule = Schedule(1.0, random.Random(1))
    schedule.keep([1, 2], 0.0)
    schedule.keep([1, 3], 0.0)
    due = list(schedule.due(1.0))
    assert sorted(due) == [1, 3]


def test_one_that_is_dropped_and_comes_back_is_due_once() -> None:
    schedule = Schedule(1.0, random.Random(1))
    for kept in ([1], [], [1]):
        schedule.keep(kept, 0.0)
    assert list(schedule.due(1.0)) == [1]


def test_the_pause_lasts_until_the_next_is_due() -> None:
    schedule = Schedule(4.0, random.Random(1))
    assert schedule.pause(0.0) == 4.0
    schedule.keep([1], 10.0)
    pause = schedule.pause(10.0)
    assert list(schedule.due(10.0 + pause - 0.001)) == []
    assert list(schedule.due(10.0 + pause)) == [1]
