"""What the constructor fixes, and what the views say of it."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.license_sale.sales import LIMIT, TIERS, Tier, deploy_sale
from tests.contracts.system import VERIFIED, System, events


def test_terms_are_fixed(system: System) -> None:
    sale = deploy_sale(system)

    assert [sale.tier(index) for index in range(sale.tier_count())] == list(TIERS)
    assert sale.supply() == sum(units for units, _ in TIERS)
    assert sale.LIMIT() == LIMIT
    assert sale.BUYER_LEVEL() == VERIFIED
    assert sale.LICENSES() == system.licenses.address
    assert sale.TRUST() == system.trust.address
    assert sale.TOKEN() == system.token.address
    assert sale.sold() == sale.bought_by(system.operators[0]) == 0


def test_tiers_are_told_in_their_order(system: System) -> None:
    sale = deploy_sale(system, issuer=False)

    told = [(entry.tier, entry.units, entry.price) for entry in events(sale, "TierSet")]
    assert told == [(index, *tier) for index, tier in enumerate(TIERS)]


def test_sixteen_tiers_are_taken_and_no_more(system: System) -> None:
    assert deploy_sale(system, [(1, 5)] * 16).supply() == 16

    with evm.reverts():
        deploy_sale(system, [(1, 5)] * 17)


@pytest.mark.parametrize(
    ("tiers", "limit", "reason"),
    [
        ([], 1, "sale: no tiers"),
        ([(1, 1), (0, 1)], 1, "sale: empty tier"),
        ([(1, 1)], 0, "sale: zero limit"),
    ],
)
def test_wrong_terms_are_refused(
    system: System, tiers: list[Tier], limit: int, reason: str
) -> None:
    with evm.reverts(reason):
        deploy_sale(system, tiers, limit=limit)


def test_unknown_tier_is_refused(sale: Contract) -> None:
    with evm.reverts("sale: unknown tier"):
        sale.tier(len(TIERS))
