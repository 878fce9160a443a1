"""The class word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("price", 96, int),
        ("cpu_milli", 32, int),
        ("memory_mb", 32, int),
        ("storage_mb", 32, int),
        ("exists", 1, bool),
        ("retired", 1, bool),
    ),
)


@settings(deadline=None)
@given(values=WORD.values().filter(lambda values: values["price"] > 0))
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.class_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.class_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.class_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


def test_highest_values_fit(words: Contract) -> None:
    values = WORD.highest()

    assert words.class_unpack(words.class_pack(tuple(values.values())))._asdict() == values


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("price", 0, "class: price out of range"),
        ("price", 2**96, "class: price out of range"),
        ("cpu_milli", 2**32, "class: too large"),
        ("memory_mb", 2**32, "class: too large"),
        ("storage_mb", 2**32, "class: too large"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, field: str, value: int, reason: str
) -> None:
    values = WORD.highest() | {field: value}

    with evm.reverts(reason):
        words.class_pack(tuple(values.values()))
