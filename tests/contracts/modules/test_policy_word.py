"""The policy word."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import SINGLE_BITS, Fields, Values

WORD = Fields(
    (
        ("forfeit_payer_bps", 14, int),
        ("forfeit_burn_bps", 14, int),
        ("flushed", 102, int),
    ),
)

POLICIES = WORD.values(forfeit_payer_bps=6_000, forfeit_burn_bps=4_000)


@settings(deadline=None)
@given(values=POLICIES)
def test_word_round_trips(words: Contract, values: Values) -> None:
    packed = words.policy_pack(tuple(values.values()))

    assert packed == WORD.write(values)
    assert words.policy_unpack(packed)._asdict() == values


def test_fields_stand_in_their_order_from_the_lowest_bit(words: Contract) -> None:
    """As the title of the module lists them. Whatever stands above them is not read."""
    for packed in SINGLE_BITS:
        assert words.policy_unpack(packed)._asdict() == WORD.read(packed), hex(packed)


@pytest.mark.parametrize("payer_bps", [0, 1, 9_999, 10_000])
def test_highest_values_fit(words: Contract, payer_bps: int) -> None:
    parts = {"forfeit_payer_bps": payer_bps, "forfeit_burn_bps": 10_000 - payer_bps}
    values = WORD.highest() | parts

    assert words.policy_unpack(words.policy_pack(tuple(values.values())))._asdict() == values


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((10_001, 0, 0), "policy: parts above 100%"),
        ((0, 10_001, 0), "policy: parts above 100%"),
        ((10_000, 1, 0), "policy: parts above 100%"),
        ((0, 0, 2**102), "policy: fees too large"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: Contract, values: tuple[int, int, int], reason: str
) -> None:
    with evm.reverts(reason):
        words.policy_pack(values)


@settings(deadline=None)
@given(values=POLICIES)
@example(values=WORD.highest() | {"forfeit_payer_bps": 0, "forfeit_burn_bps": 0})
def test_single_fields_read_as_the_whole_word_does(words: Contract, values: Values) -> None:
    packed = words.policy_pack(tuple(values.values()))

    assert words.policy_flushed(packed) == values["flushed"]
    assert words.policy_is_fresh(packed) == (values["flushed"] == 0)


@pytest.mark.parametrize(("flushed", "is_fresh"), [(0, True), (1, False)])
def test_policy_of_a_single_base_unit_is_not_fresh(
    words: Contract, flushed: int, is_fresh: bool
) -> None:
    packed = words.policy_pack((0, 10_000, flushed))

    assert words.policy_is_fresh(packed) == is_fresh
