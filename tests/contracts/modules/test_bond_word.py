"""The bond word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("bond", 96, int),
        ("unbonding", 96, int),
        ("requested_at", 40, int),
    ),
)
MOST = 2**96 - 1
"""Bond and unbonding together."""


@settings(deadline=None)
@given(values=WORD.values(bond=2**95, unbonding=2**95 - 1))
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.bond_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.bond_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.bond_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


@pytest.mark.parametrize("bond", [0, 1, MOST - 1, MOST])
def test_highest_values_fit(words: Contract, bond: int) -> None:
    values = WORD.highest() | {"bond": bond, "unbonding": MOST - bond}

    assert words.bond_unpack(words.bond_pack(tuple(values.values())))._asdict() == values


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((2**96, 0, 0), "bond: too much"),
        ((0, 2**96, 0), "bond: too much"),
        ((MOST, 1, 0), "bond: too much"),
        ((0, 0, 2**40), "bond: requested too late"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, values: tuple[int, int, int], reason: str
) -> None:
    with evm.reverts(reason):
        words.bond_pack(values)
