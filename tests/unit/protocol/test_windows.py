import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.protocol.errors import EncodingError
from workdeed.protocol.windows import WindowClock, leader

CLOCKS = st.builds(WindowClock, st.integers(0, 2**40), st.integers(1, 10**6))


@given(CLOCKS, st.integers(0, 2**41))
def test_a_moment_lies_in_its_window(clock: WindowClock, timestamp: int) -> None:
    window = clock.at(timestamp)
    if window == 0:
        assert timestamp < clock.genesis
    else:
        assert clock.start(window) <= timestamp < clock.end(window)


@given(CLOCKS, st.integers(1, 10**6))
def test_windows_adjoin(clock: WindowClock, window: int) -> None:
    assert clock.end(window) == clock.start(window + 1)
    assert clock.end(window) - clock.start(window) == clock.window
    assert clock.start(1) == clock.genesis


def test_the_first_window_is_1_and_before_it_is_0() -> None:
    clock = WindowClock(genesis=100, window=12)
    assert [clock.at(time) for time in (0, 99, 100, 111, 112)] == [0, 0, 1, 1, 2]


@given(CLOCKS, st.integers(1, 1000), st.integers(1, 10**5), st.integers(-(10**6), 2 * 10**6))
def test_turns_run_from_a_windows_end_to_the_next(
    clock: WindowClock, window: int, turn_seconds: int, offset: int
) -> None:
    turn = clock.turn_at(clock.end(window) + offset, window, turn_seconds)
    if 0 <= offset < clock.window:
        assert turn == offset // turn_seconds
    else:
        assert turn is None


def test_placements_are_proposed_in_the_first_half() -> None:
    clock = WindowClock(genesis=0, window=12)
    times = [11.9, 12, 14.9, 15, 17.9, 18, 24]
    turns = [clock.placement_turn_at(time, 2, 3) for time in times]
    assert turns == [None, 0, 0, 1, 1, None, None]


@given(CLOCKS, st.floats(0, 10**7), st.integers(1, 10**5))
def test_one_round_at_most_is_on(clock: WindowClock, after: float, turn_seconds: int) -> None:
    now = clock.genesis + after
    near = range(1, clock.at(int(now)) + 3)[-4:]
    on = [window for window in near if clock.turn_at(now, window, turn_seconds) is not None]
    assert on == ([clock.at(int(now)) - 1] if clock.at(int(now)) > 1 else [])


def test_turns_change_on_time() -> None:
    clock = WindowClock(genesis=0, window=12)
    times = [11.9, 12, 14.999, 15, 23.9, 24]
    assert [clock.turn_at(time, 1, 3) for time in times] == [None, 0, 0, 1, 3, None]


@given(st.integers(1, 10**6), st.integers(1, 32))
def test_every_member_leads_once_in_n_turns(window: int, n: int) -> None:
    assert {leader(window, turn, n) for turn in range(n)} == set(range(n))
    assert leader(window + 1, 0, n) == leader(window, 1, n)


def test_what_makes_no_sense_is_refused() -> None:
    clock = WindowClock(0, 12)
    for call in (
        lambda: WindowClock(-1, 12),
        lambda: WindowClock(0, 0),
        lambda: clock.end(0),
        lambda: clock.start(0),
        lambda: clock.turn_at(12, 1, 0),
        lambda: clock.turn_at(0, 1, -1),
        lambda: clock.placement_turn_at(0, 1, 0),
        lambda: leader(1, 0, 0),
    ):
        with pytest.raises(EncodingError):
            call()
