"""Approvals of one license."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.system import ZERO_ADDRESS, System, event


def test_owner_lets_an_account_transfer_a_license(system: System) -> None:
    license_id = system.issue_node()
    owner, buyer = system.operators[:2]

    system.licenses.approve(system.stranger, license_id, sender=owner)

    assert event(system.licenses, "Approval")["approved"] == system.stranger
    assert system.licenses.getApproved(license_id) == system.stranger
    system.licenses.transferFrom(owner, buyer, license_id, sender=system.stranger)
    assert system.licenses.getApproved(license_id) == ZERO_ADDRESS


def test_operator_of_an_owner_approves(system: System) -> None:
    license_id = system.issue_node()
    owner = system.operators[0]
    system.licenses.setApprovalForAll(system.stranger, True, sender=owner)

    system.licenses.approve(system.operators[1], license_id, sender=system.stranger)

    assert system.licenses.getApproved(license_id) == system.operators[1]


def test_stranger_approves_nothing(system: System) -> None:
    license_id = system.issue_node()

    with evm.reverts("license: not owner or operator"):
        system.licenses.approve(system.stranger, license_id, sender=system.stranger)


def test_ether_sent_along_with_an_approval_does_not_get_stuck(system: System) -> None:
    license_id = system.issue_node()
    owner = system.operators[0]
    evm.env.set_balance(owner, 10)

    with evm.reverts():
        system.licenses.approve(system.stranger, license_id, value=10, sender=owner)

    assert evm.env.get_balance(owner) == 10
