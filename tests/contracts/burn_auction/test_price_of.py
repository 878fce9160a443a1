"""The price: it falls in a line, holds its floor for a second, and starts over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.burn_auction.auctions import (
    AMOUNT,
    BOUND,
    TERMS,
    WAD,
    Sale,
    Terms,
    deploy_sale,
    price_at,
)
from tests.contracts.system import System

START = -(-AMOUNT * TERMS.start_rate // WAD)
FLOOR = -(-AMOUNT * TERMS.floor_rate // WAD)

RATE = st.one_of(st.integers(1, BOUND - 1), st.integers(1, 10**6))
LENGTH = st.one_of(st.integers(1, 10), st.integers(1, 2**32 - 1))


@st.composite
def terms_and_amount(draw: st.DrawFn) -> tuple[Terms, int]:
    """Draw terms and a lot, tiny and huge ones."""
    floor, start = sorted([draw(RATE), draw(RATE)])
    amount = draw(st.one_of(st.integers(1, 10), st.integers(1, BOUND - 1)))
    return Terms(start, floor, draw(LENGTH), 1), amount


@pytest.mark.parametrize(
    ("elapsed", "price"),
    [
        (0, START),
        (TERMS.duration, FLOOR),
        (TERMS.duration + 1, START),
        (2 * TERMS.duration + 1, FLOOR),
        (2 * TERMS.duration + 2, START),
    ],
    ids=["start", "exactly at duration", "a second later", "second floor", "third start"],
)
def test_boundaries(sale: Sale, elapsed: int, price: int) -> None:
    lot_id = sale.kick()
    sale.system.wait(elapsed)

    assert sale.auction.price_of(lot_id) == price


def test_second_before_the_floor_is_dearer(sale: Sale) -> None:
    lot_id = sale.kick()
    sale.system.wait(TERMS.duration - 1)

    assert FLOOR < sale.auction.price_of(lot_id) < START


def test_halfway_costs_the_mean(sale: Sale, system: System) -> None:
    sale.auction.set_terms(Terms(3 * WAD, WAD, 100, 1), sender=system.governor)
    lot_id = sale.kick(7)
    system.wait(50)

    assert sale.auction.price_of(lot_id) == 14


def test_equal_rates_do_not_fall(sale: Sale, system: System) -> None:
    sale.auction.set_terms(Terms(WAD, WAD, 100, 1), sender=system.governor)
    lot_id = sale.kick(7)
    system.wait(99)

    assert sale.auction.price_of(lot_id) == 7


def test_part_of_a_base_unit_costs_a_whole_one(sale: Sale, system: System) -> None:
    sale.auction.set_terms(Terms(1, 1, 1, 1), sender=system.governor)

    assert sale.auction.price_of(sale.kick(1)) == 1


def test_lot_that_is_not_open_has_no_price(sale: Sale) -> None:
    for lot_id in (0, 1):
        with evm.reverts("auction: lot not open"):
            sale.auction.price_of(lot_id)
    first = sale.kick()
    sale.buy(first)

    with evm.reverts("auction: lot not open"):
        sale.auction.price_of(first)
    second = sale.kick()
    with evm.reverts("auction: lot not open"):
        sale.auction.price_of(first)
    assert sale.auction.price_of(second) == START


@given(drawn=terms_and_amount(), data=st.data())
def test_price_is_never_zero_never_above_start_and_only_falls_within_a_round(
    deployed_sale: Sale, drawn: tuple[Terms, int], data: st.DataObject
) -> None:
    (terms, amount), system = drawn, deployed_sale.system
    deployed_sale.auction.set_terms(terms, sender=system.governor)
    lot_id = deployed_sale.kick(amount)
    rounds = data.draw(st.integers(0, 3), label="rounds before")
    system.wait(rounds * (terms.duration + 1))
    position = st.integers(0, terms.duration)
    drawn_positions = data.draw(st.lists(position, max_size=6), label="positions")
    positions = sorted({0, *drawn_positions, terms.duration})
    prices = []
    at = 0
    for moment in positions:
        system.wait(moment - at)
        at = moment
        prices.append(deployed_sale.auction.price_of(lot_id))

    elapsed = [rounds * (terms.duration + 1) + moment for moment in positions]
    assert prices == [price_at(terms, amount, moment) for moment in elapsed]
    assert prices[0] == -(-amount * terms.start_rate // WAD)
    assert prices[-1] == -(-amount * terms.floor_rate // WAD)
    assert prices == sorted(prices, reverse=True)
    assert min(prices) > 0


@given(drawn=terms_and_amount(), elapsed=st.integers(0, 2**34))
def test_rounding_favours_the_burn_by_less_than_a_step(
    deployed_sale: Sale, drawn: tuple[Terms, int], elapsed: int
) -> None:
    """Never below the exact line, never more than one step of the rate and one base unit above."""
    (terms, amount), system = drawn, deployed_sale.system
    deployed_sale.auction.set_terms(terms, sender=system.governor)
    lot_id = deployed_sale.kick(amount)
    system.wait(elapsed)
    position = elapsed % (terms.duration + 1)
    drop = terms.start_rate - terms.floor_rate
    exact = amount * (terms.start_rate * terms.duration - drop * position)

    excess = deployed_sale.auction.price_of(lot_id) * WAD * terms.duration - exact

    assert 0 <= excess < (amount + WAD) * terms.duration


def test_price_of_the_largest_lot_at_the_largest_rate_fits_its_word(system: System) -> None:
    sale = deploy_sale(system, Terms(BOUND - 1, BOUND - 1, 2**32 - 1, 1))
    lot_id = sale.kick(BOUND - 1)
    system.wait(2**32)

    assert sale.auction.price_of(lot_id) == -(-((BOUND - 1) ** 2) // WAD)
