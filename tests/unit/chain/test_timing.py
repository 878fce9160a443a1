"""The relations between the times of a deployment, at their bounds."""

import pytest
from pydantic import ValidationError

from workdeed.chain.timing import Timing, TimingError, check_timing

HOUR, DAY = 3_600, 86_400
LOCAL = Timing(
    window=12,
    challenge=3,
    freeze_period=60,
    close_grace=12,
    open_windows=2,
    relink_delay=12,
    timelock_delay=24,
    unbond_delay=90,
)
TESTNET = Timing(
    window=HOUR,
    challenge=900,
    freeze_period=6 * HOUR,
    close_grace=13,
    open_windows=3,
    relink_delay=HOUR,
    timelock_delay=2 * HOUR,
    unbond_delay=9 * HOUR,
)
PRODUCTION = Timing(
    window=DAY,
    challenge=6 * HOUR,
    freeze_period=7 * DAY,
    close_grace=16,
    open_windows=3,
    relink_delay=DAY,
    timelock_delay=2 * DAY,
    unbond_delay=10 * DAY,
)


def changed(**fields: int | None) -> Timing:
    """The production times with other values, checked as a file's are."""
    return Timing.model_validate(PRODUCTION.model_dump() | fields)


@pytest.mark.parametrize("timing", [LOCAL, TESTNET, PRODUCTION])
def test_the_three_tables_hold(timing: Timing) -> None:
    check_timing(timing)


@pytest.mark.parametrize(
    ("field", "last_good", "first_bad"),
    [
        ("challenge", DAY - 1, DAY),
        ("close_grace", 15, 14),
        ("timelock_delay", 2 * DAY, 2 * DAY + 1),
        ("unbond_delay", 9 * DAY + 1, 9 * DAY),
    ],
)
def test_each_bound_is_sharp(field: str, last_good: int, first_bad: int) -> None:
    check_timing(changed(**{field: last_good}))
    with pytest.raises(TimingError, match=f"^{field}: "):
        check_timing(changed(**{field: first_bad}))


def test_an_unattested_close_waits_for_more_than_two_freezes() -> None:
    # 16 windows of a day: 8 days are exactly two freezes' worth.
    check_timing(changed(freeze_period=8 * DAY - 1, unbond_delay=20 * DAY))
    with pytest.raises(TimingError, match=r"close_grace: .* two freezes"):
        check_timing(changed(freeze_period=8 * DAY, unbond_delay=20 * DAY))


def test_an_unattested_close_waits_for_what_a_report_can_settle() -> None:
    check_timing(changed(open_windows=8))
    with pytest.raises(TimingError, match=r"close_grace: .* open_windows \+ 8, 17 windows"):
        check_timing(changed(open_windows=9))


def test_a_timelock_is_shorter_than_six_sevenths_of_a_freeze() -> None:
    short = {"window": 10 * DAY, "freeze_period": 7 * DAY, "unbond_delay": 20 * DAY}
    check_timing(changed(**short, timelock_delay=6 * DAY - 1))
    with pytest.raises(TimingError, match=r"timelock_delay: .* 6/7"):
        check_timing(changed(**short, timelock_delay=6 * DAY))


def test_without_a_timelock_a_bond_outlasts_the_freeze_alone() -> None:
    check_timing(changed(timelock_delay=None, unbond_delay=7 * DAY + 1))
    with pytest.raises(TimingError, match="unbond_delay"):
        check_timing(changed(timelock_delay=None, unbond_delay=7 * DAY))


@pytest.mark.parametrize(
    ("field", "value"), [("window", 0), ("challenge", 0), ("close_grace", 0), ("unbond_delay", 0)]
)
def test_times_are_positive(field: str, value: int) -> None:
    with pytest.raises(ValidationError, match=field):
        changed(**{field: value})
