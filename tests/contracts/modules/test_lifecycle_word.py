"""The life cycle word."""

from __future__ import annotations

import boa
import pytest
from boa.contracts.vyper.vyper_contract import VyperContract
from hypothesis import given, settings

from tests.contracts.modules.fields import Fields, Values

WORD = Fields(
    (
        ("revised_in", 32, int),
        ("close_requested", 32, int),
        ("covered", 1, bool),
    ),
)


@settings(deadline=None)
@given(values=WORD.values())
def test_word_round_trips(words: VyperContract, values: Values) -> None:
    packed = words.lifecycle_pack(tuple(values.values()))

    assert words.lifecycle_unpack(packed)._asdict() == values


def test_highest_values_fit(words: VyperContract) -> None:
    values = WORD.highest()

    assert words.lifecycle_unpack(words.lifecycle_pack(tuple(values.values())))._asdict() == values


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("revised_in", 2**32, "lifecycle: window too late"),
        ("close_requested", 2**32, "lifecycle: window too late"),
    ],
)
def test_field_that_does_not_fit_is_refused(
    words: VyperContract, field: str, value: int, reason: str
) -> None:
    values = WORD.highest() | {field: value}

    with boa.reverts(reason):
        words.lifecycle_pack(tuple(values.values()))
