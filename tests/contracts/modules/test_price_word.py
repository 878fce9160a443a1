"""The price word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract


@settings(deadline=None)
@given(
    price=st.one_of(st.integers(1, 2**96 - 1), st.sampled_from((1, 2**96 - 1))),
    on_sale=st.booleans(),
)
def test_word_round_trips(words: Contract, price: int, on_sale: bool) -> None:
    packed = words.price_pack(price, on_sale)

    assert (words.price_price(packed), words.price_on_sale(packed)) == (price, on_sale)
    # The tariff keeps a time in the upper half of such a word.
    assert 0 < packed < 2**128


@settings(deadline=None)
@given(upper=st.integers(0, 2**128 - 1))
def test_upper_half_is_not_read(words: Contract, upper: int) -> None:
    packed = words.price_pack(7, True) | upper << 128

    assert (words.price_price(packed), words.price_on_sale(packed)) == (7, True)


@pytest.mark.parametrize("price", [0, 2**96, 2**256 - 1])
def test_price_that_does_not_fit_is_refused(words: Contract, price: int) -> None:
    with evm.reverts("price: out of range"):
        words.price_pack(price, True)
