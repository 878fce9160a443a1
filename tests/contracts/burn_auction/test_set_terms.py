"""Changing the terms of later lots."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.burn_auction.auctions import BOUND, TERMS, Sale, Terms, price_at
from tests.contracts.system import System, event

OTHER = Terms(5 * 10**30, 2 * 10**30, 600, 10)


def test_next_lot_is_sold_under_them(sale: Sale, system: System) -> None:
    sale.auction.set_terms(OTHER, sender=system.governor)

    assert event(sale.auction, "TermsSet") == OTHER._asdict()
    assert tuple(sale.auction.terms()) == OTHER
    assert sale.auction.price_of(sale.kick(10)) == price_at(OTHER, 10, 0)


def test_open_lot_keeps_its_terms(sale: Sale, system: System) -> None:
    """G27, of lots."""
    lot_id = sale.kick()
    price = sale.auction.price_of(lot_id)

    sale.auction.set_terms(OTHER, sender=system.governor)

    assert sale.auction.price_of(lot_id) == price
    system.wait(TERMS.duration)
    assert sale.auction.price_of(lot_id) == price_at(TERMS, sale.auction.lot().amount, 3_607)


@pytest.mark.parametrize("role", ["guardian", "issuer", "treasury", "deployer", "stranger"])
def test_only_the_governor(sale: Sale, system: System, role: str) -> None:
    with evm.reverts("roles: not the governor"):
        sale.auction.set_terms(OTHER, sender=getattr(system, role))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"floor_rate": 0}, "auction: zero floor"),
        ({"floor_rate": TERMS.start_rate + 1}, "auction: floor above start"),
        ({"start_rate": BOUND}, "auction: rate too high"),
        ({"duration": 0}, "auction: zero duration"),
        ({"duration": 2**32}, "auction: duration too long"),
        ({"min_lot": 0}, "auction: zero min lot"),
        ({"min_lot": BOUND}, "auction: min lot too high"),
    ],
)
def test_terms_out_of_bounds_are_refused(
    sale: Sale, system: System, change: dict[str, int], reason: str
) -> None:
    """G27: no terms under which a lot could be free, stuck or beyond a word."""
    with evm.reverts(reason):
        sale.auction.set_terms(TERMS._replace(**change), sender=system.governor)


@pytest.mark.parametrize(
    "terms",
    [Terms(BOUND - 1, BOUND - 1, 2**32 - 1, BOUND - 1), Terms(1, 1, 1, 1)],
    ids=["largest", "smallest"],
)
def test_terms_at_their_bounds_are_taken(sale: Sale, system: System, terms: Terms) -> None:
    sale.auction.set_terms(terms, sender=system.governor)

    assert tuple(sale.auction.terms()) == terms
