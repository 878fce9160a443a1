"""A machine over the auction: every call in any order, beside books of its own.

The model knows what arrived, what was sold and what was paid; the invariants compare it with both
tokens after every step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.contracts import evm
from tests.contracts.burn_auction.auctions import Sale, Terms, deploy_sale, price_at
from tests.contracts.system import System

TRIED: Counter[str] = Counter()
EFFECTIVE: Counter[str] = Counter()
REFUSED: Counter[str] = Counter()

CALLS = {"arrive": 1, "kick": 4, "buy": 3, "set_terms": 1, "burn": 1, "wait": 1}
"""Every call and how often it comes; an example shuffles them once and deals them in turn."""

RATE = st.one_of(st.integers(1, 10), st.integers(1, 4 * 10**30))
ARRIVAL = st.one_of(st.integers(0, 20), st.integers(10**6, 10**13), st.integers(10**6, 10**13))


@st.composite
def lot_terms(draw: st.DrawFn) -> Terms:
    """Draw terms under which a lot is affordable."""
    floor, start = sorted([draw(RATE), draw(RATE)])
    least = draw(st.sampled_from([1, 10, 10**6]))
    return Terms(start, floor, draw(st.integers(1, 100)), least)


class AuctionMachine(RuleBasedStateMachine):
    """The auction and its model.

    Attributes:
        system: whose registry names the governor; set before the machine runs.

    """

    system: System
    sale: Sale

    def __init__(self) -> None:
        super().__init__()
        self.anchor = evm.env.anchor()
        self.anchor.__enter__()
        self.arrived = self.sold = self.paid = self.burned_elsewhere = 0
        self.lot_id = self.amount = self.kicked_at = 0

    def teardown(self) -> None:
        """Forget the example's chain."""
        self.anchor.__exit__(None, None, None)

    def attempt(self, name: str, reason: str | None, call: Callable[[], Any]) -> Any:
        """Make a call that must succeed, or fail for `reason`; count it."""
        TRIED[name] += 1
        if reason is not None:
            with evm.reverts(reason):
                call()
            REFUSED[reason] += 1
            return None
        EFFECTIVE[name] += 1
        return call()

    @property
    def elapsed(self) -> int:
        """For how long the latest lot has stood."""
        return int(evm.env.timestamp - self.kicked_at)

    @property
    def price(self) -> int:
        """What the open lot costs now."""
        return price_at(self.terms, self.amount, self.elapsed)

    @property
    def held(self) -> int:
        """What is in the auction."""
        return self.arrived - self.sold

    @initialize(terms=lot_terms(), data=st.data())
    def deploy(self, terms: Terms, data: st.DataObject) -> None:
        """Deploy with drawn terms."""
        deck = [name for name, times in CALLS.items() for _ in range(times)]
        self.calls = cycle(data.draw(st.permutations(deck), label="calls"))
        self.sale = deploy_sale(self.system, terms)
        self.terms = self.next_terms = terms
        self.minted = self.sale.protocol.totalSupply()

    @rule(data=st.data(), count=st.integers(1, 4))
    def go_on(self, data: st.DataObject, count: int) -> None:
        """Make the next calls."""
        for call in islice(self.calls, count):
            getattr(self, call)(data)

    def arrive(self, data: st.DataObject) -> None:
        """Fees or a donation arrive."""
        amount = data.draw(ARRIVAL, label="amount")
        self.attempt("arrive", None, lambda: self.sale.token.mint(self.sale.auction, amount))
        self.arrived += amount

    def kick(self, data: st.DataObject) -> None:
        """Put everything that is here up; an open lot is waited out, or almost."""
        self.arrive(data)
        patience = data.draw(st.sampled_from([-1, 0, 1]), label="patience")
        if self.amount and patience >= 0:
            self.sale.system.wait(max(0, self.terms.duration + patience - self.elapsed))
        reason = None
        if self.amount and self.elapsed <= self.terms.duration:
            reason = "auction: lot open"
        elif self.held < self.next_terms.min_lot:
            reason = "auction: lot too small"
        stale = self.amount > 0
        lot_id = self.attempt("kick", reason, self.sale.auction.kick)
        if reason is None:
            assert lot_id == self.lot_id + 1
            self.lot_id, self.amount = lot_id, self.held
            self.kicked_at, self.terms = evm.env.timestamp, self.next_terms
            EFFECTIVE["kick of a stale lot"] += stale

    def buy(self, data: st.DataObject) -> None:
        """Buy the latest lot or the one before it: for less than it costs, then for its price."""
        back = data.draw(st.sampled_from([0, 0, 0, 0, 1]), label="lots back") if self.lot_id else 0
        sale, lot_id, price = self.sale, self.lot_id - back, self.price
        reason = "auction: lot not open" if back or not self.amount else None
        cheaper = reason or "auction: dearer than allowed"
        self.attempt("buy", cheaper, lambda: sale.buy(lot_id, max_price=max(0, price - 1)))
        before = sale.token.balanceOf(sale.buyer)
        paid = self.attempt("buy", reason, lambda: sale.buy(lot_id, max_price=price))
        if reason is None:
            assert paid == price > 0
            assert sale.token.balanceOf(sale.buyer) - before == self.amount
            self.sold, self.paid, self.amount = self.sold + self.amount, self.paid + paid, 0

    def set_terms(self, data: st.DataObject) -> None:
        """The governor changes the terms of later lots."""
        governor, terms = self.sale.system.governor, data.draw(lot_terms(), label="terms")
        self.attempt("set_terms", None, lambda: self.sale.auction.set_terms(terms, sender=governor))
        self.next_terms = terms

    def burn(self, data: st.DataObject) -> None:
        """Somebody burns tokens of its own."""
        sale, amount = self.sale, data.draw(st.integers(1, 10**20), label="amount")
        self.attempt("burn", None, lambda: sale.protocol.burn(amount, sender=sale.buyer))
        self.burned_elsewhere += amount

    def wait(self, data: st.DataObject) -> None:
        """Let time pass, often past the end of a fall."""
        seconds = data.draw(st.integers(0, 250), label="seconds")
        self.attempt("wait", None, lambda: self.sale.system.wait(seconds))

    @invariant()
    def sold_and_held_are_what_arrived(self) -> None:
        """Nothing leaves but to buyers; an open lot is covered."""
        if hasattr(self, "sale"):
            assert self.sale.token.balanceOf(self.sale.auction) == self.held
            assert self.sale.auction.lot().amount == self.amount <= self.held

    @invariant()
    def supply_fell_by_what_was_paid(self) -> None:
        """The protocol token's supply falls by exactly what buyers paid."""
        if hasattr(self, "sale"):
            supply = self.sale.protocol.totalSupply()
            assert supply == self.minted - self.paid - self.burned_elsewhere

    @invariant()
    def price_is_as_modelled(self) -> None:
        """The open lot's price: never 0, never above the start's."""
        if hasattr(self, "sale") and self.amount:
            price = self.sale.auction.price_of(self.lot_id)
            assert price == self.price
            assert 0 < price <= price_at(self.terms, self.amount, 0)
