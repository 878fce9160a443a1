"""What the tests of the sale repeat."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contracts.evm import Contract
from tests.contracts.system import VERIFIED, System, deployer

Tier = tuple[int, int]
"""(units, price)."""

TIERS: tuple[Tier, ...] = ((3, 1_000_003), (5, 2_000_003), (20, 3_000_017))
"""Primes, so that a price taken from the wrong tier shows."""

LIMIT = 20


def deploy_sale(
    system: System,
    tiers: Sequence[Tier] = TIERS,
    *,
    limit: int = LIMIT,
    level: int = VERIFIED,
    issuer: bool = True,
) -> Contract:
    """Deploy a sale; the governor makes it an issuer unless told not to."""
    sale = deployer("LicenseSale").deploy(
        system.trust, system.licenses, list(tiers), limit, level, sender=system.deployer
    )
    if issuer:
        system.trust.set_issuer(sale, True, sender=system.governor)
    return sale


def buy(
    system: System,
    sale: Contract,
    count: int = 1,
    *,
    buyer: str | None = None,
    max_cost: int = 2**256 - 1,
) -> int:
    """Buy as an operator who has approved all its tokens; return the first license."""
    buyer = buyer or system.operators[0]
    system.token.mint(buyer, 10**30)
    system.token.approve(sale, 2**256 - 1, sender=buyer)
    return int(sale.buy(count, max_cost, sender=buyer))


def price_of(tiers: Sequence[Tier], sold: int, count: int) -> int:
    """Return what the next licenses cost, unit by unit."""
    units = [price for amount, price in tiers for _ in range(amount)]
    return sum(units[sold : sold + count])
