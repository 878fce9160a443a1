"""The standing word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("standing", 8, int),
        ("until", 64, int),
        ("cooldown", 64, int),
        ("reason", 32, int),
    ),
)


@settings(deadline=None)
@given(values=WORD.values())
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.standing_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.standing_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.standing_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


def test_highest_values_fit(words: Contract) -> None:
    values = WORD.highest()

    assert words.standing_unpack(words.standing_pack(tuple(values.values())))._asdict() == values


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("standing", 2**8, "standing: unknown"),
        ("until", 2**64, "standing: until too late"),
        ("cooldown", 2**64, "standing: cooldown too late"),
        ("reason", 2**32, "standing: reason too large"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, field: str, value: int, reason: str
) -> None:
    values = WORD.highest() | {field: value}

    with evm.reverts(reason):
        words.standing_pack(tuple(values.values()))


@pytest.mark.parametrize("standing", [1, 2, 3, 255])
@pytest.mark.parametrize(
    ("ahead", "in_force"), [(1, True), (10**6, True), (2**63, True), (0, False), (-1, False)]
)
def test_standing_reads_as_good_from_its_end_on(
    words: Contract, standing: int, ahead: int, in_force: bool
) -> None:
    until = evm.env.timestamp + ahead
    values = WORD.highest() | {"standing": standing, "until": until}

    assert words.standing_current(words.standing_pack(tuple(values.values()))) == (
        standing if in_force else 0
    )
