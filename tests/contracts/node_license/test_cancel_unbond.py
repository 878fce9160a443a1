"""Taking a request for a bond back."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.node_license.bonds import DELAY, MIN_NODE, Bond, bond_of, bonded_node
from tests.contracts.system import System, event, events


def test_all_that_was_requested_counts_again(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.licenses.request_unbond(license_id, 5, sender=bonded.operators[0])
    bonded.licenses.request_unbond(license_id, 6, sender=bonded.operators[0])

    bonded.licenses.cancel_unbond(license_id, sender=bonded.operators[0])

    assert event(bonded.licenses, "UnbondCancelled") == {"license_id": license_id, "amount": 11}
    assert event(bonded.licenses, "BondedSet") == {"license_id": license_id, "bonded": True}
    assert bond_of(bonded, license_id) == Bond(MIN_NODE, 0, 0)
    assert bonded.licenses.eligible(license_id)
    assert bonded.licenses.bonds_held() == MIN_NODE


def test_delay_starts_anew_after_a_cancel(bonded: System) -> None:
    license_id = bonded_node(bonded)
    owner = bonded.operators[0]
    bonded.licenses.request_unbond(license_id, 5, sender=owner)
    bonded.wait(DELAY)
    bonded.licenses.cancel_unbond(license_id, sender=owner)
    with evm.reverts("license: nothing requested"):
        bonded.licenses.withdraw_bond(license_id, sender=owner)

    bonded.licenses.request_unbond(license_id, 5, sender=owner)

    with evm.reverts("license: unbond delay"):
        bonded.licenses.withdraw_bond(license_id, sender=owner)


def test_without_a_request_it_is_refused(bonded: System) -> None:
    license_id = bonded_node(bonded)

    with evm.reverts("license: nothing requested"):
        bonded.licenses.cancel_unbond(license_id, sender=bonded.operators[0])


@pytest.mark.parametrize("role", ["governor", "guardian", "issuer", "payer", "stranger"])
def test_others_cannot(bonded: System, role: str) -> None:
    license_id = bonded_node(bonded)
    bonded.licenses.request_unbond(license_id, 5, sender=bonded.operators[0])

    with evm.reverts("license: not the owner"):
        bonded.licenses.cancel_unbond(license_id, sender=getattr(bonded, role))


def test_transfer_cancels_a_request(bonded: System) -> None:
    """L25: the bond goes with the license, and the buyer's request starts its own delay."""
    license_id = bonded_node(bonded)
    owner, buyer = bonded.operators[:2]
    bonded.licenses.request_unbond(license_id, MIN_NODE, sender=owner)
    bonded.wait(DELAY)

    bonded.licenses.transferFrom(owner, buyer, license_id, sender=owner)

    assert event(bonded.licenses, "UnbondCancelled") == {
        "license_id": license_id,
        "amount": MIN_NODE,
    }
    assert event(bonded.licenses, "BondedSet") == {"license_id": license_id, "bonded": True}
    assert bond_of(bonded, license_id) == Bond(MIN_NODE, 0, 0)
    with evm.reverts("license: not the owner"):
        bonded.licenses.withdraw_bond(license_id, sender=owner)
    bonded.licenses.request_unbond(license_id, MIN_NODE, sender=buyer)
    with evm.reverts("license: unbond delay"):
        bonded.licenses.withdraw_bond(license_id, sender=buyer)


def test_transfer_without_a_request_leaves_the_bond_alone(bonded: System) -> None:
    license_id = bonded_node(bonded)
    owner, buyer = bonded.operators[:2]

    bonded.licenses.transferFrom(owner, buyer, license_id, sender=owner)

    assert events(bonded.licenses, "UnbondCancelled") == []
    assert events(bonded.licenses, "BondedSet") == []
    assert bond_of(bonded, license_id) == Bond(MIN_NODE, 0, 0)
    assert bonded.licenses.is_bonded(license_id)
