"""The price word."""

from __future__ import annotations

import boa
import pytest
from boa.contracts.vyper.vyper_contract import VyperContract
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None)
@given(
    price=st.one_of(st.integers(1, 2**96 - 1), st.sampled_from((1, 2**96 - 1))),
    on_sale=st.booleans(),
)
def test_word_round_trips(words: VyperContract, price: int, on_sale: bool) -> None:
    packed = words.price_pack(price, on_sale)

    assert (words.price_price(packed), words.price_on_sale(packed)) == (price, on_sale)
    # The tariff keeps a time in the upper half of such a word.
    assert 0 < packed < 2**128


@settings(deadline=None)
@given(upper=st.integers(0, 2**128 - 1))
def test_upper_half_is_not_read(words: VyperContract, upper: int) -> None:
    packed = words.price_pack(7, True) | upper << 128

    assert (words.price_price(packed), words.price_on_sale(packed)) == (7, True)


@pytest.mark.parametrize("price", [0, 2**96, 2**256 - 1])
def test_price_that_does_not_fit_is_refused(words: VyperContract, price: int) -> None:
    with boa.reverts("price: out of range"):
        words.price_pack(price, True)
