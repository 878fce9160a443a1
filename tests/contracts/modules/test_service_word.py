"""The service word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("first", 32, int),
        ("until", 32, int),
        ("earlier", 32, int),
        ("claimed", 56, int),
    ),
)

WINDOWS = st.integers(0, 40)
OPEN_END = 2**32 - 1


@settings(deadline=None)
@given(values=WORD.values())
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.service_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.service_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.service_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


def test_highest_values_fit(words: Contract) -> None:
    values = WORD.highest()

    assert words.service_unpack(words.service_pack(tuple(values.values())))._asdict() == values


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("first", 2**32, "service: window too late"),
        ("until", 2**32, "service: window too late"),
        ("earlier", 2**32, "service: too many windows"),
        ("claimed", 2**56, "service: too many units"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, field: str, value: int, reason: str
) -> None:
    values = WORD.highest() | {field: value}

    with evm.reverts(reason):
        words.service_pack(tuple(values.values()))


@pytest.mark.parametrize("base", [0, OPEN_END - 40])
@settings(deadline=None)
@given(
    first=WINDOWS,
    until=st.one_of(WINDOWS, st.none()),
    earlier=WINDOWS,
    end=WINDOWS,
    reported=WINDOWS,
)
def test_windows_are_those_of_the_term_within_the_job_that_are_reported(
    words: Contract,
    base: int,
    first: int,
    until: int | None,
    earlier: int,
    end: int,
    reported: int,
) -> None:
    first, end, reported = base + first, base + end, base + reported
    until = OPEN_END if until is None else base + until
    packed = words.service_pack((first, until, earlier, 2**56 - 1))
    last = min(until - 1, end - 1, reported)

    windows = words.service_windows(packed, end, reported)

    assert windows == earlier + len(range(first, last + 1))


def test_license_that_never_served_has_no_windows(words: Contract) -> None:
    assert words.service_windows(0, 2**32 - 2, 2**32 - 1) == 0


def test_windows_do_not_overflow(words: Contract) -> None:
    packed = words.service_pack((1, 2**32 - 1, 2**32 - 1, 0))

    assert words.service_windows(packed, 2**32 - 2, 2**32 - 1) == 2**32 - 1 + 2**32 - 3


@settings(deadline=None)
@given(window=st.one_of(st.integers(1, 2**32 - 1), st.just(2**32 - 1)))
def test_term_of_a_license_that_never_served_begins(words: Contract, window: int) -> None:
    packed = words.service_begun(window)

    assert tuple(words.service_unpack(packed)) == (window, OPEN_END, 0, 0)
    assert words.service_is_placed(packed)


@settings(deadline=None)
@given(values=WORD.values(), window=st.integers(0, OPEN_END - 1))
def test_release_ends_the_term_and_touches_nothing_else(
    words: Contract, values: Values, window: int
) -> None:
    placed = words.service_pack(tuple((values | {"until": OPEN_END}).values()))

    released = words.service_released(placed, window)

    assert words.service_unpack(released)._asdict() == values | {"until": window}
    assert words.service_is_placed(placed)
    assert not words.service_is_placed(released)


@settings(deadline=None)
@given(values=WORD.values())
def test_license_is_placed_while_its_term_is_open(words: Contract, values: Values) -> None:
    packed = words.service_pack(tuple(values.values()))

    assert words.service_is_placed(packed) == (values["until"] == OPEN_END)


def test_license_that_never_served_is_not_placed(words: Contract) -> None:
    assert not words.service_is_placed(0)
