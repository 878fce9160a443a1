"""Buying licenses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.license_sale.sales import LIMIT, TIERS, Tier, buy, deploy_sale, price_of
from tests.contracts.system import NODE, System, deploy_system, deployer, event, events

SUPPLY = sum(units for units, _ in TIERS)


def test_buyer_gets_licenses_and_the_treasury_the_price(system: System, sale: Contract) -> None:
    buyer, last = system.operators[0], system.licenses.totalSupply()
    cost = 3 * TIERS[0][1] + 2 * TIERS[1][1]

    first_id = buy(system, sale, 5, max_cost=cost)

    assert event(sale, "LicensesSold") == {
        "buyer": buyer,
        "first_id": last + 1,
        "count": 5,
        "cost": cost,
    }
    issued = [(entry.license_id, entry.kind) for entry in events(sale, "LicenseIssued")]
    assert issued == [(first_id + index, NODE) for index in range(5)]
    assert [system.licenses.ownerOf(first_id + index) for index in range(5)] == [buyer] * 5
    assert system.token.balanceOf(system.treasury) == cost
    assert system.token.balanceOf(buyer) == 10**30 - cost
    assert system.token.balanceOf(sale) == 0
    assert sale.sold() == sale.bought_by(buyer) == 5


def test_price_goes_to_the_treasury_of_the_moment(system: System, sale: Contract) -> None:
    system.trust.set_treasury(system.stranger, sender=system.governor)

    buy(system, sale)

    assert system.token.balanceOf(system.stranger) == TIERS[0][1]


def test_one_base_unit_dearer_than_allowed_is_refused(system: System, sale: Contract) -> None:
    cost = sale.cost_of(4)

    with evm.reverts("sale: dearer than allowed"):
        buy(system, sale, 4, max_cost=cost - 1)


def test_others_who_buy_first_make_nobody_pay_more_than_allowed(
    system: System, sale: Contract
) -> None:
    cost = sale.cost_of(2)
    buy(system, sale, 2, buyer=system.operators[1])

    with evm.reverts("sale: dearer than allowed"):
        buy(system, sale, 2, max_cost=cost)


@pytest.mark.parametrize("count", [0, 17, 2**256 - 1])
def test_count_out_of_its_bounds_is_refused(system: System, sale: Contract, count: int) -> None:
    with evm.reverts("sale: 1 to 16 licenses"):
        buy(system, sale, count)


def test_limit_counts_all_purchases_of_an_account(system: System, sale: Contract) -> None:
    buy(system, sale, 16)
    with evm.reverts("sale: over the limit"):
        buy(system, sale, LIMIT - 15)
    buy(system, sale, LIMIT - 16)

    with evm.reverts("sale: over the limit"):
        buy(system, sale, 1)
    buy(system, sale, 1, buyer=system.operators[1])


def test_moving_licenses_away_frees_no_limit(system: System) -> None:
    sale = deploy_sale(system, limit=1)
    buyer, other = system.operators[:2]
    license_id = buy(system, sale)
    system.licenses.transferFrom(buyer, other, license_id, sender=buyer)

    with evm.reverts("sale: over the limit"):
        buy(system, sale)


def test_unverified_buyer_is_refused(system: System, sale: Contract) -> None:
    with evm.reverts("sale: not verified"):
        buy(system, sale, buyer=system.stranger)


def test_buyer_below_the_level_is_refused(system: System) -> None:
    sale = deploy_sale(system, level=2)

    with evm.reverts("sale: not verified"):
        buy(system, sale)
    system.attest(system.operators[0], level=2)
    buy(system, sale)


def test_unverified_buyer_where_none_is_asked_for(system: System) -> None:
    sale = deploy_sale(system, level=0)

    assert system.licenses.ownerOf(buy(system, sale, buyer=system.stranger)) == system.stranger


@pytest.mark.parametrize("hold", [System.freeze, System.suspend, System.blacklist])
def test_buyer_in_bad_standing_is_refused(
    system: System, sale: Contract, hold: Callable[..., None]
) -> None:
    hold(system, system.operators[0])

    with evm.reverts("sale: not in good standing"):
        buy(system, sale)


def test_last_license_is_sold_and_no_more(system: System, sale: Contract) -> None:
    buy(system, sale, 16)
    buy(system, sale, 10, buyer=system.operators[1])
    with evm.reverts("sale: sold out"):
        buy(system, sale, 3, buyer=system.operators[1])
    buy(system, sale, 2, buyer=system.operators[1])
    assert sale.sold() == SUPPLY == sale.supply()

    with evm.reverts("sale: sold out"):
        buy(system, sale, 1, buyer=system.operators[2])
    with evm.reverts("sale: sold out"):
        sale.cost_of(1)


def test_sale_that_is_no_issuer_sells_nothing(system: System) -> None:
    """How the governor stops a sale: what was sold stays."""
    sale = deploy_sale(system)
    license_id = buy(system, sale)
    system.trust.set_issuer(sale, False, sender=system.governor)

    with evm.reverts("roles: not an issuer"):
        buy(system, sale)

    assert system.licenses.ownerOf(license_id) == system.operators[0]
    assert sale.sold() == 1


def test_buyer_without_allowance_is_refused(system: System, sale: Contract) -> None:
    system.token.mint(system.operators[0], 10**30)

    with evm.reverts("token: allowance too low"):
        sale.buy(1, 2**256 - 1, sender=system.operators[0])


def test_treasury_does_not_buy_from_itself(system: System, sale: Contract) -> None:
    system.attest(system.treasury)

    with evm.reverts("vault: fee on transfer"):
        buy(system, sale, buyer=system.treasury)


def test_free_tier_moves_no_tokens(system: System) -> None:
    sale = deploy_sale(system, [(2, 0)])

    buy(system, sale, 2, max_cost=0)

    assert events(sale, "LicensesSold")[0].cost == 0
    assert system.token.balanceOf(system.treasury) == 0


@settings(deadline=None)
@given(
    tiers=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 10**24)), min_size=1, max_size=16),
    counts=st.lists(st.integers(1, 16), min_size=1, max_size=8),
)
def test_units_and_payments_are_exact_across_tiers(
    deployed_with_sale: tuple[System, Contract], tiers: list[Tier], counts: list[int]
) -> None:
    """L39."""
    system = deployed_with_sale[0]
    supply = sum(units for units, _ in tiers)
    with evm.env.anchor():
        sale = deploy_sale(system, tiers, limit=1_000)
        sold = paid = 0
        before = system.licenses.totalSupply()
        for count in counts:
            if sold + count > supply:
                with evm.reverts("sale: sold out"):
                    buy(system, sale, count)
                continue
            cost = price_of(tiers, sold, count)
            assert sale.cost_of(count) == cost
            assert buy(system, sale, count, max_cost=cost) == before + sold + 1
            sold, paid = sold + count, paid + cost

        assert sale.sold() == sold == system.licenses.totalSupply() - before
        assert system.token.balanceOf(system.treasury) == paid == price_of(tiers, 0, sold)


def deploy_with(name: str) -> tuple[System, Contract]:
    """Deploy a system and its sale whose token is the test double `name`."""
    system = deploy_system(oracles=1, token=deployer(f"testing/{name}").deploy(6))
    return system, deploy_sale(system)


def test_token_that_takes_a_fee_is_refused() -> None:
    system, sale = deploy_with("FeeToken")

    with evm.reverts("vault: fee on transfer"):
        buy(system, sale)
    assert sale.sold() == 0


def test_token_that_returns_false_is_refused() -> None:
    system, sale = deploy_with("FalseToken")
    system.token.set_failing(True)

    with evm.reverts("vault: transfer refused"):
        buy(system, sale)


def test_token_is_not_asked_to_move_nothing() -> None:
    system, _ = deploy_with("FalseToken")
    sale = deploy_sale(system, [(1, 0)])
    system.token.set_failing(True)

    assert system.licenses.ownerOf(buy(system, sale)) == system.operators[0]


def test_token_that_returns_nothing_is_taken() -> None:
    system, sale = deploy_with("NoReturnToken")

    buy(system, sale)

    assert system.token.balanceOf(system.treasury) == TIERS[0][1]


def test_no_purchase_gets_in_during_a_payment() -> None:
    system, sale = deploy_with("HookToken")
    system.token.set_hook(sale.address, sale.buy.prepare_calldata(1, 2**256 - 1))

    buy(system, sale)

    assert system.token.calls() == 1
    assert not system.token.succeeded()
    assert system.token.response() == b""
    assert sale.sold() == 1


def test_license_issued_during_a_payment_takes_no_id_of_the_purchase() -> None:
    """The ids follow each other whatever a token's hook does: they are issued after the payment."""
    system, sale = deploy_with("HookToken")
    system.trust.set_issuer(system.token.address, True, sender=system.governor)
    issuing = system.licenses.issue.prepare_calldata(system.stranger, NODE)
    system.token.set_hook(system.licenses.address, issuing)
    last = system.licenses.totalSupply()

    first_id = buy(system, sale, 3)

    assert system.token.succeeded()
    assert system.licenses.ownerOf(last + 1) == system.stranger
    assert first_id == last + 2
    assert [system.licenses.ownerOf(first_id + index) for index in range(3)] == [
        system.operators[0]
    ] * 3
