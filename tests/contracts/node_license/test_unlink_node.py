"""Unlinking a node key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.system import ZERO_ADDRESS, System, event, private_key


def test_owner_unlinks(system: System) -> None:
    license_id = system.issue_node()
    node = system.node_of(license_id)

    system.licenses.unlink_node(license_id, sender=system.operators[0])

    assert event(system.licenses, "NodeUnlinked") == {"license_id": license_id, "node": node}
    assert system.licenses.node_of(license_id) == ZERO_ADDRESS
    assert system.licenses.license_of(node) == 0
    assert system.licenses.link_nonce(node) == 2
    assert system.licenses.relink_at(license_id) == evm.env.timestamp
    assert not system.licenses.eligible(license_id)


def test_kind_payout_and_profile_survive(system: System) -> None:
    license_id = system.issue_node()
    owner = system.operators[0]
    system.licenses.set_payout(license_id, system.stranger, sender=owner)
    system.licenses.set_profile(license_id, "http://node:1", bytes([7]) * 32, sender=owner)

    system.licenses.unlink_node(license_id, sender=owner)

    assert system.licenses.kind_of(license_id) == 1
    assert system.licenses.payee_of(license_id)[0] == system.stranger
    assert system.licenses.endpoint_of(license_id) == "http://node:1"


def test_freed_node_goes_to_another_license(system: System) -> None:
    license_id = system.issue_node()
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    second = system.issue(system.operators[1])

    system.link(second, private_key(f"node of license {license_id}"))

    assert system.licenses.license_of(system.node_of(license_id)) == second


def test_only_the_owner_unlinks(system: System) -> None:
    license_id = system.issue_node()

    for sender in (system.node_of(license_id), system.governor, system.stranger):
        with evm.reverts("license: not the owner"):
            system.licenses.unlink_node(license_id, sender=sender)


def test_nothing_to_unlink(system: System) -> None:
    license_id = system.issue(system.operators[0])

    with evm.reverts("license: not linked"):
        system.licenses.unlink_node(license_id, sender=system.operators[0])


@pytest.mark.parametrize("hold", [System.freeze, System.suspend, System.blacklist])
@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_bad_standing_is_not_escaped(system: System, hold: Callable[..., None], which: str) -> None:
    license_id = system.issue_node()
    hold(system, system.target(license_id, which))

    with evm.reverts("license: not in good standing"):
        system.licenses.unlink_node(license_id, sender=system.operators[0])
