"""Attempts by or through the settlement token, and around the burn."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import net
from tests.contracts.system import UNIT, System, deploy_system, deployer


def test_reentrant_token() -> None:
    """M1: a token that calls back during a payout finds every door shut."""
    token = deployer("testing/HookToken").deploy(6)
    system = deploy_system(token=token)
    nodes = [system.issue_node(system.operators[0])]
    job_id = system.start_job(nodes)
    system.advance_windows()
    report = system.report({(job_id, nodes[0]): UNIT})
    again = system.escrow.claim.prepare_calldata(
        job_id, nodes[0], UNIT, report.proof(job_id, nodes[0])
    )
    token.set_hook(system.escrow.address, again)

    assert system.claim(job_id, nodes[0]) == net(UNIT)
    assert token.calls() > 0
    assert not token.succeeded()
    assert token.balanceOf(system.operators[0]) == net(UNIT)


def test_token_that_blocks_one_payee_holds_up_no_other() -> None:
    """M7."""
    token = deployer("testing/BlocklistToken").deploy(6)
    system = deploy_system(token=token)
    nodes = [system.issue_node(operator) for operator in system.operators[:2]]
    job_id = system.start_job(nodes)
    system.advance_windows()
    system.report({(job_id, one): UNIT for one in nodes})
    token.set_blocked(system.operators[0], True)

    with evm.reverts():
        system.claim(job_id, nodes[0])
    assert system.claim(job_id, nodes[1]) == net(UNIT)
    token.set_blocked(system.operators[0], False)
    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_sandwich_on_the_burn(system: System) -> None:
    """M3: the price follows from time alone; what a buyer does around the sale moves nothing."""
    auction, protocol = system.burner, system.protocol
    system.token.mint(auction.address, 10**9)
    auction.kick()
    price = auction.price_of(auction.lot_id())
    # The attacker moves whatever could be moved: more fees, more tokens, his own purchases.
    system.token.mint(auction.address, 10**12)
    protocol.mint(system.stranger, 10**24, sender=system.governor)
    assert auction.price_of(auction.lot_id()) == price

    protocol.approve(auction.address, price, sender=system.stranger)
    with evm.reverts("auction: dearer than allowed"):
        auction.buy(auction.lot_id(), price - 1, sender=system.stranger)
    supply = protocol.totalSupply()
    auction.buy(auction.lot_id(), price, sender=system.stranger)

    assert protocol.totalSupply() == supply - price
    assert system.token.balanceOf(system.stranger) == 10**9


@pytest.mark.parametrize("decimals", [2, 18])
def test_conservation_holds_for_any_decimals(decimals: int) -> None:
    """M2, M3."""
    system = deploy_system(decimals=decimals)
    nodes = [system.issue_node(operator) for operator in system.operators[:3]]
    job_id = system.start_job(nodes, windows=2)
    system.advance_windows(2)
    system.report({(job_id, one): 2 * UNIT for one in nodes} | {(job_id, 0): 6 * UNIT})
    paid = sum(system.claim(job_id, one) for one in nodes)
    refund = system.close(job_id)
    handed = system.escrow.flush_fees(1)

    assert paid + refund + handed + system.escrow.liabilities() == 6 * 1_000_003
