"""What units cost and how amounts are cut: cumulatively, so that no way of cutting moves more."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.evm import Contract
from tests.contracts.system import UNIT

FULL_BPS = 10_000
PRICES = st.one_of(st.integers(1, 30), st.integers(1, 2**96 - 1), st.just(2**96 - 1))
UNITS = st.one_of(st.integers(0, 3 * UNIT), st.integers(0, 2**56 - 1), st.just(2**56 - 1))
TOTALS = st.one_of(st.integers(0, 300), st.integers(0, 2**103), st.just(2**103 - 1))
BPS = st.one_of(st.integers(0, FULL_BPS), st.sampled_from((0, 1, FULL_BPS)))


@st.composite
def weights(draw: st.DrawFn) -> tuple[int, int, int]:
    """Draw the weights of the first two parts and of the whole, as policies have them."""
    whole = draw(st.integers(1, FULL_BPS))
    first = draw(st.integers(0, whole))
    return first, draw(st.integers(0, whole - first)), whole


@settings(deadline=None)
@given(price=PRICES, units=UNITS)
def test_gross_is_the_price_of_the_units_rounded_down(
    words: Contract, price: int, units: int
) -> None:
    assert words.shares_gross(price, units) == price * units // UNIT


@settings(deadline=None)
@given(amount=TOTALS, bps=BPS)
def test_part_is_rounded_down(words: Contract, amount: int, bps: int) -> None:
    assert words.shares_part(amount, bps) == amount * bps // FULL_BPS


@settings(deadline=None)
@given(totals=st.lists(TOTALS, min_size=2, max_size=6).map(sorted), bps=BPS)
def test_part_never_falls_nor_grows_by_more_than_the_amount(
    words: Contract, totals: list[int], bps: int
) -> None:
    """So fees, taken as differences, are never negative and never exceed what a claim moves."""
    rows = [(total, words.shares_part(total, bps)) for total in totals]

    for (before, part_before), (after, part_after) in pairwise(rows):
        assert part_before <= part_after
        assert part_after - part_before <= after - before


@settings(deadline=None)
@given(total=TOTALS, cut=weights())
def test_parts_never_exceed_their_weight_nor_together_the_total(
    words: Contract, total: int, cut: tuple[int, int, int]
) -> None:
    first, second, whole = cut

    one, two = words.shares_split(total, *cut)

    assert one + two <= total
    assert one + two == total * (first + second) // whole
    assert one * whole <= total * first
    assert abs(one * whole - total * first) < 2 * whole
    assert abs(two * whole - total * second) < 2 * whole


@settings(deadline=None)
@given(totals=st.tuples(TOTALS, TOTALS).map(sorted), cut=weights())
def test_no_part_ever_falls_while_the_total_grows(
    words: Contract, totals: list[int], cut: tuple[int, int, int]
) -> None:
    less, more = totals

    before, after = (words.shares_split(total, *cut) for total in (less, more))

    assert before[0] <= after[0]
    assert before[1] <= after[1]
    assert less - sum(before) <= more - sum(after)


@settings(deadline=None)
@given(start=st.integers(0, 2**102), cut=weights(), steps=st.integers(1, 12))
def test_no_part_falls_by_one_more_base_unit(
    words: Contract, start: int, cut: tuple[int, int, int], steps: int
) -> None:
    """Base unit by base unit: where rounding could take back what was paid."""
    rows = [words.shares_split(start + step, *cut) for step in range(steps + 1)]
    parts = [
        (one, two, start + step - one - two) for step, (one, two) in enumerate(map(tuple, rows))
    ]

    for before, after in pairwise(parts):
        moved = [new - old for old, new in zip(before, after, strict=True)]
        assert sorted(moved) == [0, 0, 1]


@pytest.mark.parametrize("total", [0, 1, 2**103 - 1])
def test_rest_gets_all_where_the_first_two_have_no_weight(words: Contract, total: int) -> None:
    assert tuple(words.shares_split(total, 0, 0, FULL_BPS)) == (0, 0)


@pytest.mark.parametrize("total", [0, 1, 2**103 - 1])
def test_part_of_all_the_weight_gets_all(words: Contract, total: int) -> None:
    assert tuple(words.shares_split(total, 7, 0, 7)) == (total, 0)
    assert tuple(words.shares_split(total, 0, 7, 7)) == (0, total)
    assert sum(words.shares_split(total, 3, 4, 7)) == total
