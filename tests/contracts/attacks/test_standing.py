"""Attempts to dodge a judgment, or to make one last longer than it may."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import net
from tests.contracts.system import (
    EVIDENCE,
    ORACLE,
    UNIT,
    ZERO_ADDRESS,
    BondTerms,
    System,
    deploy_system,
    private_key,
)
from workdeed.protocol.signing import address_of

BOND = 1_000


def test_griefing_by_freeze(system: System, nodes: list[int]) -> None:
    """L23: a freeze ends by itself, holds the money back and takes none of it."""
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    system.freeze(nodes[0])

    with evm.reverts("escrow: payee frozen"):
        system.claim(job_id, nodes[0])
    system.wait(system.freeze_period)

    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_freeze_chain_on_one_operator(system: System, nodes: list[int]) -> None:
    """L23: license, owner and node share one cooldown of four periods."""
    owner, node = system.operators[0], system.node_of(nodes[0])
    system.freeze(nodes[0])
    system.wait(system.freeze_period)
    for target in (nodes[0], owner, node):
        with evm.reverts("trust: freeze cooldown"):
            system.freeze(target)
    system.wait(3 * system.freeze_period)

    system.freeze(owner)


def test_deed_moved_before_a_suspension_lands(system: System, nodes: list[int]) -> None:
    """L22: the guardian's freeze outlasts the timelock, and a frozen deed does not move."""
    license_id, owner = nodes[0], system.operators[0]
    system.freeze(license_id)

    with evm.reverts("license: not in good standing"):
        system.licenses.transferFrom(owner, system.operators[3], license_id, sender=owner)
    with evm.reverts("license: not in good standing"):
        system.licenses.unlink_node(license_id, sender=owner)
    system.suspend(license_id)
    system.wait(system.freeze_period)

    with evm.reverts("license: not in good standing"):
        system.licenses.transferFrom(owner, system.operators[3], license_id, sender=owner)


def test_blacklisted_owner_hides_behind_a_new_payout_address(
    system: System, nodes: list[int]
) -> None:
    """L22: standing is the owner's, whoever is paid."""
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    report = system.report({(job_id, nodes[0]): UNIT})
    system.blacklist(system.operators[0])
    system.licenses.set_payout(nodes[0], system.stranger, sender=system.operators[0])

    with evm.reverts("escrow: payee blacklisted"):
        system.claim(job_id, nodes[0])
    proof = report.proof(job_id, nodes[0])
    assert system.escrow.forfeit(job_id, nodes[0], UNIT, proof) == net(UNIT)
    assert system.escrow.forfeit(job_id, nodes[0], UNIT, proof) == 0
    system.reinstate(system.operators[0])

    assert system.claim(job_id, nodes[0]) == 0


@pytest.fixture
def bonded(system: System) -> System:
    """A system that asks for bonds, with a license that has one."""
    return deploy_system(bond_terms=BondTerms(min_node_bond=BOND, min_oracle_bond=BOND))


def test_bond_withdrawn_before_the_slash(bonded: System) -> None:
    """L25: requested back, a bond stays slashable for the delay, and a freeze holds it."""
    license_id, owner = bonded.issue_node(), bonded.operators[0]
    bonded.post_bond(license_id, BOND)
    bonded.licenses.request_unbond(license_id, BOND, sender=owner)
    bonded.wait(bonded.licenses.UNBOND_DELAY() - 1)
    bonded.freeze(license_id)
    bonded.wait(1)

    with evm.reverts("license: not in good standing"):
        bonded.licenses.withdraw_bond(license_id, sender=owner)
    slashed = bonded.licenses.slash(
        license_id, BOND, EVIDENCE, ZERO_ADDRESS, sender=bonded.governor
    )

    assert slashed == BOND // 2


def test_resigning_a_seat_to_free_the_bond(bonded: System) -> None:
    """L25, O19: the delay begins with the end of the seat, not with the request."""
    license_id, owner = bonded.issue(bonded.operators[0], ORACLE), bonded.operators[0]
    key = private_key("resigning oracle")
    bonded.link(license_id, key)
    bonded.post_bond(license_id, BOND)
    seat = bonded.committee.add_seat(license_id, address_of(key), sender=bonded.governor)
    bonded.licenses.request_unbond(license_id, BOND, sender=owner)
    bonded.wait(bonded.licenses.UNBOND_DELAY())
    with evm.reverts("license: seated"):
        bonded.licenses.withdraw_bond(license_id, sender=owner)
    bonded.committee.remove_seat(seat, sender=bonded.governor)
    bonded.wait(bonded.licenses.UNBOND_DELAY() - 1)
    with evm.reverts("license: unbond delay"):
        bonded.licenses.withdraw_bond(license_id, sender=owner)
    bonded.wait(1)

    assert bonded.licenses.withdraw_bond(license_id, sender=owner) == BOND


def test_guardian_freezes_the_committee_out(system: System) -> None:
    """L23: standing touches no seat: oracles go on signing."""
    for index, key in enumerate(system.oracle_keys):
        system.freeze(address_of(key))
        assert system.committee.is_seated(index + 1)
    system.advance_windows()

    assert system.report({}).window == 1


def test_hostile_guardian_pauses_for_ever(system: System, nodes: list[int]) -> None:
    """L23, M12: a pause ends by itself, comes back late, and holds no money."""
    job_id = system.start_job(nodes[:1])
    system.escrow.pause(sender=system.guardian)
    with evm.reverts("escrow: pause cooldown"):
        system.escrow.pause(sender=system.guardian)
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})

    assert system.claim(job_id, nodes[0]) == net(UNIT)
    assert system.desk.cancel_job(job_id, sender=system.payer) > 0
    system.wait(system.freeze_period)
    assert system.open_job() > job_id
