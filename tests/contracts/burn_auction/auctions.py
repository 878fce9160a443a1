"""What the tests of the auction repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import System, deployer

WAD = 10**18
MAX = 2**256 - 1
BOUND = 2**128
"""No rate and no lot reaches it."""


class Terms(NamedTuple):
    """How lots are sold, in the order of the contract."""

    start_rate: int = 3 * 10**30 + 1
    floor_rate: int = 10**30 + 1
    duration: int = 3_607
    min_lot: int = 1_000_003


TERMS = Terms()
"""Primes and odd figures, so that no price comes out even."""

AMOUNT = 7_000_003


def price_at(terms: Terms, amount: int, elapsed: int) -> int:
    """Return what a lot costs so many seconds after its kick, as the documents say."""
    position = elapsed % (terms.duration + 1)
    fallen = (terms.start_rate - terms.floor_rate) * position // terms.duration
    return -(-amount * (terms.start_rate - fallen) // WAD)


@dataclass
class Sale:
    """An auction with its tokens, and shorthands for what tests do with it."""

    system: System
    auction: Contract
    token: Contract
    protocol: Contract

    @property
    def buyer(self) -> str:
        """Who buys unless a test says otherwise."""
        return self.system.operators[0]

    def kick(self, amount: int = AMOUNT) -> int:
        """Let fees arrive and kick a lot."""
        self.token.mint(self.auction, amount)
        return int(self.auction.kick(sender=self.system.stranger))

    def fund(self, who: str, amount: int = 10**36) -> None:
        """Give an account protocol tokens, which it lets the auction burn."""
        self.protocol.mint(who, amount, sender=self.system.governor)
        if hasattr(self.protocol, "approve"):
            self.protocol.approve(self.auction, MAX, sender=who)

    def buy(self, lot_id: int, *, buyer: str | None = None, max_price: int = MAX) -> int:
        """Buy a lot; return its price."""
        return int(self.auction.buy(lot_id, max_price, sender=buyer or self.buyer))

    def supply_falls_by(self, call: Callable[[], Any]) -> int:
        """Return by how much a call lets the supply of the protocol token fall."""
        before = self.protocol.totalSupply()
        call()
        return int(before - self.protocol.totalSupply())


def deploy_sale(
    system: System,
    terms: Terms = TERMS,
    *,
    token: Contract | None = None,
    protocol: Contract | None = None,
) -> Sale:
    """Deploy an auction and, unless given, the tokens; the buyer has protocol tokens."""
    with evm.env.sender(system.deployer):
        token = token or deployer("testing/PlainToken").deploy(6)
        protocol = protocol or deployer("ProtocolToken").deploy(
            system.trust, 10**45, 0, system.treasury
        )
        auction = deployer("BurnAuction").deploy(token, protocol, system.trust, terms)
    sale = Sale(system, auction, token, protocol)
    sale.fund(sale.buyer)
    return sale
