"""The terms word."""

from __future__ import annotations

import boa
import pytest
from boa.contracts.vyper.vyper_contract import VyperContract
from hypothesis import given, settings

from tests.contracts.modules.fields import Fields, Values

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
def test_word_round_trips(words: VyperContract, values: Values) -> None:
    packed = words.terms_pack(tuple(values.values()))

    assert words.terms_unpack(packed)._asdict() == values


def test_highest_values_fit(words: VyperContract) -> None:
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
    words: VyperContract, field: str, value: int, reason: str
) -> None:
    values = WORD.highest() | {field: value}

    with boa.reverts(reason):
        words.terms_pack(tuple(values.values()))
