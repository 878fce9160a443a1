"""Asking for a part of a bond."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.node_license.bonds import (
    DELAY,
    MIN_NODE,
    Bond,
    balance,
    bond_of,
    bonded_node,
)
from tests.contracts.system import System, event, events


def test_owner_asks(bonded: System) -> None:
    license_id = bonded_node(bonded, extra=10)

    bonded.licenses.request_unbond(license_id, 10, sender=bonded.operators[0])

    assert event(bonded.licenses, "UnbondRequested") == {
        "license_id": license_id,
        "owner": bonded.operators[0],
        "amount": 10,
    }
    assert events(bonded.licenses, "BondedSet") == []
    assert bond_of(bonded, license_id) == Bond(MIN_NODE, 10, evm.env.timestamp)
    assert bonded.licenses.bonds_held() == MIN_NODE + 10 == balance(bonded, bonded.licenses)


def test_request_stops_counting_at_once(bonded: System) -> None:
    license_id = bonded_node(bonded)

    bonded.licenses.request_unbond(license_id, 1, sender=bonded.operators[0])

    assert event(bonded.licenses, "BondedSet") == {"license_id": license_id, "bonded": False}
    assert not bonded.licenses.is_bonded(license_id)
    assert not bonded.licenses.eligible(license_id)


def test_request_stays_slashable(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.licenses.request_unbond(license_id, MIN_NODE, sender=bonded.operators[0])

    slashed = bonded.licenses.slash(
        license_id, 2**256 - 1, bytes(32), bonded.payer, sender=bonded.governor
    )

    assert slashed == MIN_NODE // 2
    assert bond_of(bonded, license_id).unbonding == MIN_NODE - slashed


def test_later_request_restarts_the_delay_of_all(bonded: System) -> None:
    license_id = bonded_node(bonded)
    owner = bonded.operators[0]
    bonded.licenses.request_unbond(license_id, 5, sender=owner)
    bonded.wait(DELAY - 1)

    bonded.licenses.request_unbond(license_id, 6, sender=owner)

    assert bond_of(bonded, license_id) == Bond(MIN_NODE - 11, 11, evm.env.timestamp)
    bonded.wait(1)
    with evm.reverts("license: unbond delay"):
        bonded.licenses.withdraw_bond(license_id, sender=owner)


def test_seated_and_held_owners_may_ask(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.post_bond(1, 5)
    bonded.freeze(license_id)

    bonded.licenses.request_unbond(1, 5, sender=bonded.oracle_owners[0])
    bonded.licenses.request_unbond(license_id, 5, sender=bonded.operators[0])

    assert bond_of(bonded, 1).unbonding == bond_of(bonded, license_id).unbonding == 5


@pytest.mark.parametrize("amount", [MIN_NODE + 1, 2**256 - 1])
def test_more_than_the_bond_is_refused(bonded: System, amount: int) -> None:
    license_id = bonded_node(bonded)

    with evm.reverts("license: more than the bond"):
        bonded.licenses.request_unbond(license_id, amount, sender=bonded.operators[0])


def test_nothing_is_refused(bonded: System) -> None:
    license_id = bonded_node(bonded)

    with evm.reverts("license: zero amount"):
        bonded.licenses.request_unbond(license_id, 0, sender=bonded.operators[0])


@pytest.mark.parametrize("role", ["governor", "guardian", "issuer", "payer", "stranger"])
def test_others_cannot(bonded: System, role: str) -> None:
    license_id = bonded_node(bonded)

    with evm.reverts("license: not the owner"):
        bonded.licenses.request_unbond(license_id, 1, sender=getattr(bonded, role))


def test_approved_accounts_cannot(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.licenses.setApprovalForAll(bonded.stranger, True, sender=bonded.operators[0])

    with evm.reverts("license: not the owner"):
        bonded.licenses.request_unbond(license_id, 1, sender=bonded.stranger)
