"""Amounts are exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.cli.amounts import format_amount, parse_amount
from workdeed.cli.errors import Failure


@given(units=st.integers(0, 10**40), decimals=st.integers(0, 18))
def test_what_is_written_is_read_back(units: int, decimals: int) -> None:
    assert parse_amount(format_amount(units, decimals), decimals, "amount") == units


def test_bug_an_amount_of_more_than_28_digits_is_not_rounded() -> None:
    assert parse_amount(f"{10**28 + 1}", 0, "amount") == 10**28 + 1


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1", 10**6),
        ("0.000001", 1),
        ("1.25", 1_250_000),
        ("1.250000", 1_250_000),
        ("1.", 10**6),
        (".5", 500_000),
    ],
)
def test_amounts(text: str, units: int) -> None:
    assert parse_amount(text, 6, "amount") == units


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "+1", "1e3", "1_000", "NaN", "Infinity", "1,5", ".", "1.2.3", " 1", "٣"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Failure, match=r"amount: .* is no amount"):
        parse_amount(text, 6, "amount")


def test_finer_amounts_than_the_token_has_are_refused() -> None:
    with pytest.raises(Failure, match="more than 6 decimals"):
        parse_amount("0.0000001", 6, "amount")
