"""Buying a lot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.burn_auction.auctions import AMOUNT, MAX, TERMS, Sale, deploy_sale, price_at
from tests.contracts.system import System, deployer, event


def test_lot_goes_to_the_buyer_and_its_price_is_burned(sale: Sale, system: System) -> None:
    lot_id = sale.kick()
    system.wait(1_000)
    held, supply = sale.protocol.balanceOf(sale.buyer), sale.protocol.totalSupply()

    price = sale.buy(lot_id)

    assert event(sale.auction, "LotSold") == {
        "lot_id": lot_id,
        "buyer": sale.buyer,
        "amount": AMOUNT,
        "price": price,
    }
    assert price == price_at(TERMS, AMOUNT, 1_000)
    assert sale.token.balanceOf(sale.buyer) == AMOUNT
    assert held - sale.protocol.balanceOf(sale.buyer) == price
    assert supply - sale.protocol.totalSupply() == price
    assert sale.protocol.balanceOf(sale.auction) == 0


def test_lot_is_sold_once(sale: Sale) -> None:
    lot_id = sale.kick()
    sale.buy(lot_id)

    with evm.reverts("auction: lot not open"):
        sale.buy(lot_id)


@pytest.mark.parametrize("lot_id", [0, 2, MAX])
def test_lot_that_does_not_stand_is_not_sold(sale: Sale, lot_id: int) -> None:
    sale.kick()

    with evm.reverts("auction: lot not open"):
        sale.buy(lot_id)


def test_price_above_the_buyers_bound_is_refused(sale: Sale) -> None:
    """Slippage: a transaction that comes late, after the lot started over, buys nothing."""
    lot_id = sale.kick()
    sale.system.wait(TERMS.duration)
    price = sale.auction.price_of(lot_id)
    sale.system.wait(1)

    with evm.reverts("auction: dearer than allowed"):
        sale.buy(lot_id, max_price=price)

    sale.system.wait(TERMS.duration)
    assert sale.buy(lot_id, max_price=price) == price


def test_bound_of_exactly_the_price_is_enough(sale: Sale) -> None:
    lot_id = sale.kick()
    price = sale.auction.price_of(lot_id)

    with evm.reverts("auction: dearer than allowed"):
        sale.buy(lot_id, max_price=price - 1)
    assert sale.buy(lot_id, max_price=price) == price


def test_buyer_without_tokens_is_refused(sale: Sale, system: System) -> None:
    lot_id = sale.kick()
    sale.protocol.approve(sale.auction, MAX, sender=system.stranger)

    with evm.reverts("erc20: burn amount exceeds balance"):
        sale.buy(lot_id, buyer=system.stranger)


def test_buyer_without_allowance_is_refused(sale: Sale, system: System) -> None:
    lot_id = sale.kick()
    sale.fund(system.stranger)
    sale.protocol.approve(sale.auction, sale.auction.price_of(lot_id) - 1, sender=system.stranger)

    with evm.reverts("erc20: insufficient allowance"):
        sale.buy(lot_id, buyer=system.stranger)
    assert sale.auction.lot().amount == AMOUNT


def test_lot_leaves_no_dust(sale: Sale) -> None:
    sale.buy(sale.kick())

    assert sale.token.balanceOf(sale.auction) == 0


def test_sandwich_around_a_purchase_moves_no_price(sale: Sale, system: System) -> None:
    """Giving, burning and kicking around a victim's purchase: no order of calls moves its price."""
    attacker = system.stranger
    lot_id = sale.kick()
    system.wait(1_000)
    price = sale.auction.price_of(lot_id)
    sale.fund(attacker)

    sale.token.mint(sale.auction, 10**15)
    sale.fund(sale.auction.address)
    sale.protocol.burn(10**20, sender=attacker)
    sale.protocol.transfer(sale.auction, 10**20, sender=attacker)
    with evm.reverts("auction: lot open"):
        sale.auction.kick(sender=attacker)

    assert sale.buy(lot_id, max_price=price) == price
    assert sale.token.balanceOf(sale.buyer) == AMOUNT


def test_front_run_of_a_purchase_costs_the_victim_nothing(sale: Sale, system: System) -> None:
    """The attacker pays the same price and burns it; the victim's transaction reverts unpaid."""
    attacker = system.stranger
    lot_id = sale.kick()
    price = sale.auction.price_of(lot_id)
    sale.fund(attacker)
    held = sale.protocol.balanceOf(sale.buyer)

    assert sale.supply_falls_by(lambda: sale.buy(lot_id, buyer=attacker)) == price
    with evm.reverts("auction: lot not open"):
        sale.buy(lot_id, max_price=price)

    assert sale.protocol.balanceOf(sale.buyer) == held


def test_swap_of_the_lot_under_a_purchase_is_refused(sale: Sale, system: System) -> None:
    """A stale lot kicked anew just before a purchase: what was meant is gone, nothing is paid."""
    lot_id = sale.kick()
    system.wait(TERMS.duration + 1)
    sale.auction.kick(sender=system.stranger)

    with evm.reverts("auction: lot not open"):
        sale.buy(lot_id)


def test_burn_share_of_fees_ends_as_burned_tokens(system: System, sale: Sale) -> None:
    """From the vault's pot through the auction: what was booked is what the buyer gets."""
    vault = deployer("FeeVault").deploy(sale.token, system.trust, sale.auction)
    sale.token.mint(vault, AMOUNT + 1)
    vault.book(1, AMOUNT, 0)

    assert vault.pull_burn() == AMOUNT
    lot_id = sale.auction.kick()
    price = sale.auction.price_of(lot_id)

    assert sale.supply_falls_by(lambda: sale.buy(lot_id)) == price
    assert sale.token.balanceOf(sale.buyer) == AMOUNT
    assert vault.owed() == 1


@given(
    amounts=st.lists(st.integers(TERMS.min_lot, 10**15), min_size=1, max_size=4),
    waits=st.lists(st.integers(0, 3 * TERMS.duration), min_size=4, max_size=4),
)
def test_supply_falls_by_what_was_paid_and_all_that_arrived_is_sold(
    deployed_sale: Sale, amounts: list[int], waits: list[int]
) -> None:
    sale, paid = deployed_sale, 0
    supply = sale.protocol.totalSupply()
    for amount, seconds in zip(amounts, waits, strict=False):
        lot_id = sale.kick(amount)
        sale.system.wait(seconds)
        paid += sale.buy(lot_id)

    assert supply - sale.protocol.totalSupply() == paid
    assert sale.token.balanceOf(sale.buyer) == sum(amounts)
    assert sale.token.balanceOf(sale.auction) == 0


def test_terms_that_round_to_nothing_still_cost_something(system: System) -> None:
    """No lot is free: one base unit of the protocol token at least."""
    sale = deploy_sale(system, TERMS._replace(start_rate=1, floor_rate=1, min_lot=1))

    assert sale.buy(sale.kick(1)) == 1
