"""The terms word."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("payer", 160, str),
        ("slots", 18, int),
        ("seated", 18, int),
        ("start", 32, int),
        ("round", 20, int),
        ("class_id", 8, int),
    ),
)


@settings(deadline=None)
@given(values=WORD.values())
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.terms_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.terms_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.terms_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


def test_highest_values_fit(words: Contract) -> None:
    values = WORD.highest()

    assert words.terms_unpack(words.terms_pack(tuple(values.values())))._asdict() == values


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("slots", 2**18, "terms: too many slots"),
        ("seated", 2**18, "terms: too many licenses"),
        ("start", 2**32, "terms: start too late"),
        ("round", 2**20, "terms: too many rounds"),
        ("class_id", 2**8, "terms: unknown class"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, field: str, value: int, reason: str
) -> None:
    values = WORD.highest() | {field: value}

    with evm.reverts(reason):
        words.terms_pack(tuple(values.values()))


@settings(deadline=None)
@given(values=WORD.values())
@example(values=WORD.highest())
def test_single_fields_read_as_the_whole_word_does(words: Contract, values: Values) -> None:
    packed = words.terms_pack(tuple(values.values()))

    read = dict(
        zip(("slots", "seated", "start", "round"), words.terms_placement(packed), strict=True)
    )
    assert read == {name: values[name] for name in read}
    assert words.terms_payer(packed) == values["payer"]


@settings(deadline=None)
@given(
    values=WORD.values(round=2**20 - 2),
    seated=st.integers(0, 2**18 - 1),
    start=st.integers(0, 2**32 - 1),
)
@example(values=WORD.highest() | {"round": 2**20 - 2}, seated=0, start=0)
@example(
    values=WORD.highest() | {"seated": 0, "start": 0, "round": 0}, seated=2**18 - 1, start=2**32 - 1
)
def test_placement_counts_a_round_and_touches_nothing_else(
    words: Contract, values: Values, seated: int, start: int
) -> None:
    packed = words.terms_with_placement(words.terms_pack(tuple(values.values())), seated, start)

    changes = {"seated": seated, "start": start, "round": values["round"] + 1}
    assert words.terms_unpack(packed)._asdict() == values | changes


def test_last_round_is_the_last(words: Contract) -> None:
    packed = words.terms_pack(tuple(WORD.highest().values()))

    with evm.reverts("terms: too many rounds"):
        words.terms_with_placement(packed, 0, 0)
