"""Putting up a lot."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.burn_auction.auctions import AMOUNT, BOUND, TERMS, Sale, Terms, price_at
from tests.contracts.system import System, event


def test_anyone_kicks_everything_that_is_here(sale: Sale, system: System) -> None:
    sale.token.mint(sale.auction, AMOUNT)

    assert sale.auction.kick(sender=system.stranger) == 1

    assert event(sale.auction, "LotKicked") == {
        "lot_id": 1,
        "amount": AMOUNT,
        "start_rate": TERMS.start_rate,
        "floor_rate": TERMS.floor_rate,
        "duration": TERMS.duration,
    }
    assert tuple(sale.auction.lot()) == (AMOUNT, evm.env.timestamp, *TERMS[:3])
    assert sale.auction.lot_id() == 1


def test_lot_below_the_least_is_refused(sale: Sale) -> None:
    """MIN_LOT: no dust is put up."""
    sale.token.mint(sale.auction, TERMS.min_lot - 1)

    with evm.reverts("auction: lot too small"):
        sale.auction.kick()
    sale.token.mint(sale.auction, 1)

    sale.auction.kick()
    assert sale.auction.lot().amount == TERMS.min_lot


def test_nothing_is_no_lot(sale: Sale, system: System) -> None:
    sale.auction.set_terms(TERMS._replace(min_lot=1), sender=system.governor)

    with evm.reverts("auction: lot too small"):
        sale.auction.kick()


@pytest.mark.parametrize("elapsed", [0, 1, TERMS.duration - 1, TERMS.duration])
def test_open_lot_is_not_kicked_during_its_first_fall(sale: Sale, elapsed: int) -> None:
    sale.kick()
    sale.system.wait(elapsed)

    with evm.reverts("auction: lot open"):
        sale.kick()


def test_fees_that_arrive_later_join_the_next_lot(sale: Sale) -> None:
    lot_id = sale.kick()
    sale.token.mint(sale.auction, AMOUNT + 5)

    sale.buy(lot_id)

    assert sale.token.balanceOf(sale.buyer) == AMOUNT
    assert sale.auction.kick() == lot_id + 1
    assert sale.auction.lot().amount == AMOUNT + 5


def test_donation_joins_the_next_lot_and_moves_no_price(sale: Sale, system: System) -> None:
    lot_id = sale.kick()
    price = sale.auction.price_of(lot_id)

    sale.token.mint(sale.auction, 10**12)
    sale.fund(sale.auction.address)

    assert sale.auction.price_of(lot_id) == price
    assert sale.auction.lot().amount == AMOUNT
    sale.buy(lot_id)
    assert sale.auction.kick() == lot_id + 1
    assert sale.auction.lot().amount == 10**12


def test_lot_that_nobody_wanted_for_a_whole_fall_is_kicked_anew(sale: Sale, system: System) -> None:
    """Terms that no longer fit the market would hold it, and all that follows it, for ever."""
    stale = sale.kick()
    cheaper = Terms(2 * 10**20, 10**20, 60, 10)
    sale.auction.set_terms(cheaper, sender=system.governor)
    system.wait(TERMS.duration + 1)

    lot_id = sale.kick(9)

    assert lot_id == stale + 1
    assert sale.auction.lot().amount == AMOUNT + 9
    assert sale.auction.price_of(lot_id) == price_at(cheaper, AMOUNT + 9, 0)
    with evm.reverts("auction: lot not open"):
        sale.buy(stale)


def test_kicking_anew_again_and_again_lets_the_price_fall_in_between(sale: Sale) -> None:
    """What the attack gains: nothing. Each kick is followed by a whole fall to the floor."""
    sale.kick()
    for _ in range(3):
        sale.system.wait(TERMS.duration + 1)
        lot_id = sale.auction.kick()
        sale.system.wait(TERMS.duration)
        with evm.reverts("auction: lot open"):
            sale.auction.kick()
        assert sale.auction.price_of(lot_id) == -(-AMOUNT * TERMS.floor_rate // 10**18)
    assert sale.buy(lot_id) == price_at(TERMS, AMOUNT, TERMS.duration)


def test_sold_lot_is_not_waited_for(sale: Sale) -> None:
    sale.buy(sale.kick())

    assert sale.kick() == 2


def test_governor_that_asks_for_more_than_there_is_holds_up_new_lots_only(
    sale: Sale, system: System
) -> None:
    lot_id = sale.kick()
    sale.auction.set_terms(TERMS._replace(min_lot=BOUND - 1), sender=system.governor)

    sale.buy(lot_id)

    with evm.reverts("auction: lot too small"):
        sale.kick()


def test_balance_beyond_the_bound_is_sold_in_parts(sale: Sale) -> None:
    """A lot that no price could be computed for would be stuck."""
    sale.fund(sale.buyer, 10**44)
    lot_id = sale.kick(BOUND + TERMS.min_lot)

    assert sale.auction.lot().amount == BOUND - 1
    assert sale.auction.price_of(lot_id) == price_at(TERMS, BOUND - 1, 0)
