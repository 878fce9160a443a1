"""Withdrawing what was requested."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.node_license.bonds import (
    DELAY,
    MIN_NODE,
    MIN_ORACLE,
    SEATED,
    TERMS,
    Bond,
    balance,
    bond_of,
    bonded_node,
    deploy_with,
)
from tests.contracts.system import ORACLE, System, deployer, event


def requested(system: System, amount: int = MIN_NODE) -> int:
    """Request a part of a node's bond; return the license."""
    license_id = bonded_node(system)
    system.licenses.request_unbond(license_id, amount, sender=system.operators[0])
    return license_id


def requested_of_a_seat(system: System) -> str:
    """Request the bond of an oracle that holds a seat; return its owner."""
    owner = system.oracle_owners[SEATED - 1]
    system.post_bond(SEATED, MIN_ORACLE)
    system.licenses.request_unbond(SEATED, MIN_ORACLE, sender=owner)
    return owner


def test_owner_gets_the_request_exactly_at_the_delay(bonded: System) -> None:
    license_id = requested(bonded, 7)
    owner = bonded.operators[0]
    bonded.licenses.set_payout(license_id, bonded.stranger, sender=owner)
    bonded.wait(DELAY - 1)
    with evm.reverts("license: unbond delay"):
        bonded.licenses.withdraw_bond(license_id, sender=owner)
    bonded.wait(1)

    assert bonded.licenses.withdraw_bond(license_id, sender=owner) == 7

    assert event(bonded.licenses, "BondWithdrawn") == {
        "license_id": license_id,
        "owner": owner,
        "amount": 7,
    }
    assert bond_of(bonded, license_id) == Bond(MIN_NODE - 7, 0, 0)
    assert bonded.licenses.bonds_held() == MIN_NODE - 7 == balance(bonded, bonded.licenses)
    assert balance(bonded, owner) == 7
    assert balance(bonded, bonded.stranger) == 0


def test_second_withdrawal_finds_nothing(bonded: System) -> None:
    license_id = requested(bonded)
    bonded.wait(DELAY)
    bonded.licenses.withdraw_bond(license_id, sender=bonded.operators[0])

    with evm.reverts("license: nothing requested"):
        bonded.licenses.withdraw_bond(license_id, sender=bonded.operators[0])


@pytest.mark.parametrize("hold", [System.freeze, System.suspend, System.blacklist])
@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_bad_standing_holds_it(bonded: System, hold: Callable[..., None], which: str) -> None:
    license_id = requested(bonded)
    bonded.wait(DELAY)
    target = bonded.target(license_id, which)
    hold(bonded, target)

    with evm.reverts("license: not in good standing"):
        bonded.licenses.withdraw_bond(license_id, sender=bonded.operators[0])

    bonded.reinstate(target)
    assert bonded.licenses.withdraw_bond(license_id, sender=bonded.operators[0]) == MIN_NODE


def test_freeze_holds_it_until_it_ends(bonded: System) -> None:
    license_id = requested(bonded)
    bonded.wait(DELAY)
    bonded.freeze(license_id)
    bonded.wait(bonded.freeze_period - 1)
    with evm.reverts("license: not in good standing"):
        bonded.licenses.withdraw_bond(license_id, sender=bonded.operators[0])
    bonded.wait(1)

    assert bonded.licenses.withdraw_bond(license_id, sender=bonded.operators[0]) == MIN_NODE


def test_seat_holds_it(bonded: System) -> None:
    owner = requested_of_a_seat(bonded)
    bonded.wait(10 * DELAY)

    with evm.reverts("license: seated"):
        bonded.licenses.withdraw_bond(SEATED, sender=owner)


def test_delay_runs_from_the_end_of_the_seat(bonded: System) -> None:
    owner = requested_of_a_seat(bonded)
    bonded.wait(10 * DELAY)
    bonded.committee.remove_seat(SEATED - 1, sender=bonded.governor)
    bonded.wait(DELAY - 1)
    with evm.reverts("license: unbond delay"):
        bonded.licenses.withdraw_bond(SEATED, sender=owner)
    bonded.wait(1)

    assert bonded.licenses.withdraw_bond(SEATED, sender=owner) == MIN_ORACLE


def test_delay_runs_from_a_request_after_the_seat(bonded: System) -> None:
    owner = bonded.oracle_owners[SEATED - 1]
    bonded.post_bond(SEATED, MIN_ORACLE)
    bonded.committee.remove_seat(SEATED - 1, sender=bonded.governor)
    bonded.wait(DELAY)
    bonded.licenses.request_unbond(SEATED, MIN_ORACLE, sender=owner)
    bonded.wait(DELAY - 1)
    with evm.reverts("license: unbond delay"):
        bonded.licenses.withdraw_bond(SEATED, sender=owner)
    bonded.wait(1)

    assert bonded.licenses.withdraw_bond(SEATED, sender=owner) == MIN_ORACLE


def test_oracle_without_a_seat_waits_for_its_request_only(bonded: System) -> None:
    owner = bonded.operators[0]
    license_id = bonded.issue(owner, ORACLE)
    bonded.post_bond(license_id, 5)
    bonded.licenses.request_unbond(license_id, 5, sender=owner)
    bonded.wait(DELAY)

    assert bonded.licenses.withdraw_bond(license_id, sender=owner) == 5


def test_oracle_waits_for_the_committee_to_be_bound(bonded: System) -> None:
    owner = bonded.operators[0]
    licenses = deployer("NodeLicense").deploy(bonded.trust, bonded.vault, 0, 0, TERMS, [owner])
    bonded.licenses = licenses
    bonded.post_bond(1, 5)
    licenses.request_unbond(1, 5, sender=owner)
    bonded.wait(DELAY)

    with evm.reverts("license: committee not bound"):
        licenses.withdraw_bond(1, sender=owner)


def test_without_a_request_it_is_refused(bonded: System) -> None:
    license_id = bonded_node(bonded)
    bonded.wait(DELAY)

    with evm.reverts("license: nothing requested"):
        bonded.licenses.withdraw_bond(license_id, sender=bonded.operators[0])


@pytest.mark.parametrize("role", ["governor", "guardian", "issuer", "payer", "stranger"])
def test_others_cannot(bonded: System, role: str) -> None:
    license_id = requested(bonded)
    bonded.wait(DELAY)

    with evm.reverts("license: not the owner"):
        bonded.licenses.withdraw_bond(license_id, sender=getattr(bonded, role))


def test_failing_transfer_leaves_the_bond_where_it_is() -> None:
    system = deploy_with("BlocklistToken")
    license_id = requested(system)
    system.wait(DELAY)
    before = bond_of(system, license_id)
    system.token.set_blocked(system.operators[0], True)

    with evm.reverts("token: receiver blocked"):
        system.licenses.withdraw_bond(license_id, sender=system.operators[0])

    assert bond_of(system, license_id) == before
    system.token.set_blocked(system.operators[0], False)
    assert system.licenses.withdraw_bond(license_id, sender=system.operators[0]) == MIN_NODE


def test_token_that_returns_false_moves_no_books() -> None:
    system = deploy_with("FalseToken")
    license_id = requested(system)
    system.wait(DELAY)
    system.token.set_failing(True)

    with evm.reverts("vault: transfer refused"):
        system.licenses.withdraw_bond(license_id, sender=system.operators[0])
    assert system.licenses.bonds_held() == MIN_NODE
