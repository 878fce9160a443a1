"""Posting bonds."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.node_license.bonds import (
    MIN_NODE,
    MINIMUM,
    Bond,
    balance,
    bond_of,
    bonded_node,
    deploy_with,
)
from tests.contracts.system import NODE, ORACLE, System, event, events


def test_owner_posts(bonded: System) -> None:
    license_id = bonded.issue(bonded.operators[0])

    bonded.post_bond(license_id, MIN_NODE)

    assert event(bonded.licenses, "BondPosted") == {
        "license_id": license_id,
        "payer": bonded.operators[0],
        "amount": MIN_NODE,
    }
    assert event(bonded.licenses, "BondedSet") == {"license_id": license_id, "bonded": True}
    assert bond_of(bonded, license_id) == Bond(MIN_NODE, 0, 0)
    assert bonded.licenses.bonds_held() == MIN_NODE == balance(bonded, bonded.licenses)
    assert balance(bonded, bonded.operators[0]) == 0


@pytest.mark.parametrize("kind", [NODE, ORACLE])
def test_bond_counts_from_exactly_the_minimum_of_its_kind(bonded: System, kind: int) -> None:
    license_id = bonded.issue(bonded.operators[0], kind)
    assert events(bonded.licenses, "BondedSet") == []

    bonded.post_bond(license_id, MINIMUM[kind] - 1)
    assert events(bonded.licenses, "BondedSet") == []
    assert not bonded.licenses.is_bonded(license_id)

    bonded.post_bond(license_id, 1)
    assert event(bonded.licenses, "BondedSet") == {"license_id": license_id, "bonded": True}
    assert bonded.licenses.is_bonded(license_id)

    bonded.post_bond(license_id, 1)
    assert events(bonded.licenses, "BondedSet") == []
    assert bonded.licenses.is_bonded(license_id)


def test_license_is_eligible_once_it_is_bonded(bonded: System) -> None:
    license_id = bonded.issue_node()
    bonded.post_bond(license_id, MIN_NODE - 1)
    assert not bonded.licenses.eligible(license_id)
    assert not bonded.licenses.all_eligible([license_id])

    bonded.post_bond(license_id, 1)

    assert bonded.licenses.eligible(license_id)
    assert bonded.licenses.all_eligible([license_id])


def test_anyone_posts_for_the_owner(bonded: System) -> None:
    license_id = bonded.issue(bonded.operators[0])

    bonded.post_bond(license_id, MIN_NODE, sender=bonded.stranger)

    assert event(bonded.licenses, "BondPosted")["payer"] == bonded.stranger
    bonded.licenses.request_unbond(license_id, MIN_NODE, sender=bonded.operators[0])
    with evm.reverts("license: not the owner"):
        bonded.licenses.request_unbond(license_id, 1, sender=bonded.stranger)


def test_posting_leaves_a_request_alone(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.licenses.request_unbond(license_id, 1, sender=bonded.operators[0])
    before = bond_of(bonded, license_id)
    bonded.wait(100)

    bonded.post_bond(license_id, 5)

    assert bond_of(bonded, license_id) == before._replace(bond=before.bond + 5)


def test_bond_of_a_frozen_license_may_grow(bonded: System) -> None:
    license_id = bonded.issue_node()
    bonded.freeze(license_id)

    bonded.post_bond(license_id, MIN_NODE)

    assert bonded.licenses.is_bonded(license_id)
    assert not bonded.licenses.eligible(license_id)


@pytest.mark.parametrize("license_id", [0, 1_000, 2**256 - 1])
def test_unknown_license_is_refused(bonded: System, license_id: int) -> None:
    with evm.reverts("license: unknown license"):
        bonded.post_bond(license_id, 1, sender=bonded.stranger)


def test_nothing_is_refused(bonded: System) -> None:
    with evm.reverts("license: zero amount"):
        bonded.post_bond(bonded.issue(bonded.operators[0]), 0)


def test_more_than_the_word_holds_is_refused(bonded: System) -> None:
    license_id = bonded.issue_node()
    bonded.post_bond(license_id, 2**96 - 1)
    bonded.licenses.request_unbond(license_id, 2**96 - 1, sender=bonded.operators[0])

    with evm.reverts("bond: too much"):
        bonded.post_bond(license_id, 1)

    bonded.licenses.cancel_unbond(license_id, sender=bonded.operators[0])
    assert bond_of(bonded, license_id) == Bond(2**96 - 1, 0, 0)


def test_payer_without_tokens_or_allowance_is_refused(bonded: System) -> None:
    license_id = bonded.issue(bonded.operators[0])

    with evm.reverts("token: allowance too low"):
        bonded.licenses.post_bond(license_id, 1, sender=bonded.stranger)
    bonded.token.approve(bonded.licenses, 1, sender=bonded.stranger)
    with evm.reverts("token: balance too low"):
        bonded.licenses.post_bond(license_id, 1, sender=bonded.stranger)


def test_donation_is_nobodys_bond(bonded: System) -> None:
    license_id = bonded.issue(bonded.operators[0])
    bonded.token.mint(bonded.licenses, 10 * MIN_NODE)

    assert bond_of(bonded, license_id) == Bond(0, 0, 0)
    assert bonded.licenses.bonds_held() == 0
    bonded.post_bond(license_id, 7)
    assert bond_of(bonded, license_id) == Bond(7, 0, 0)
    assert bonded.licenses.bonds_held() == 7


def test_token_that_takes_a_fee_is_refused() -> None:
    system = deploy_with("FeeToken")
    license_id = system.issue_node()

    with evm.reverts("vault: fee on transfer"):
        system.post_bond(license_id, MIN_NODE)
    assert system.licenses.bonds_held() == 0


def test_token_that_returns_false_is_refused() -> None:
    system = deploy_with("FalseToken")
    license_id = system.issue_node()
    system.token.set_failing(True)

    with evm.reverts("vault: transfer refused"):
        system.post_bond(license_id, MIN_NODE)
    assert not system.licenses.is_bonded(license_id)


def test_token_that_returns_nothing_is_taken() -> None:
    system = deploy_with("NoReturnToken")
    license_id = system.issue_node()

    system.post_bond(license_id, MIN_NODE)

    assert system.licenses.is_bonded(license_id)
