"""Who is paid for a license."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.system import GOOD, NODE, ZERO_ADDRESS, System, event


def test_owner_sets_a_payout_address_and_takes_it_back(system: System) -> None:
    license_id = system.issue_node()
    owner = system.operators[0]
    assert tuple(system.licenses.payee_of(license_id)) == (owner, GOOD)

    system.licenses.set_payout(license_id, system.stranger, sender=owner)

    assert event(system.licenses, "PayoutSet") == {
        "license_id": license_id,
        "payout": system.stranger,
    }
    assert tuple(system.licenses.payee_of(license_id)) == (system.stranger, GOOD)
    assert system.licenses.node_of(license_id) == system.node_of(license_id)
    assert system.licenses.kind_of(license_id) == NODE
    assert system.licenses.eligible(license_id)

    system.licenses.set_payout(license_id, ZERO_ADDRESS, sender=owner)

    assert tuple(system.licenses.payee_of(license_id)) == (owner, GOOD)


def test_only_the_owner_sets_it(system: System) -> None:
    license_id = system.issue_node()
    system.licenses.set_payout(license_id, system.stranger, sender=system.operators[0])

    for sender in (system.node_of(license_id), system.governor, system.stranger):
        with evm.reverts("license: not the owner"):
            system.licenses.set_payout(license_id, sender, sender=sender)
