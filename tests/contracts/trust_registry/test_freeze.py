"""Freezing, its end, and the cooldown that license, owner and node share."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    EVIDENCE,
    FROZEN,
    GOOD,
    LICENSE_SUBJECT,
    System,
    event,
    private_key,
    subject,
)


def standing(system: System, target: int | str) -> int:
    """Return the standing in force."""
    return int(system.trust.standing_of(subject(target))[0])


@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_guardian_freezes_for_the_period(system: System, which: str) -> None:
    target = system.target(system.issue_node(), which)
    now = evm.env.timestamp

    system.trust.freeze(subject(target), 7, EVIDENCE, sender=system.guardian)

    assert event(system.trust, "StandingSet") == {
        "subject": subject(target),
        "actor": system.guardian,
        "standing": FROZEN,
        "until": now + system.freeze_period,
        "reason": 7,
        "evidence_hash": EVIDENCE,
    }
    assert tuple(system.trust.standing_of(subject(target))) == (
        FROZEN,
        now + system.freeze_period,
        7,
        now + 4 * system.freeze_period,
    )


def test_freeze_ends_by_itself(system: System) -> None:
    system.freeze(system.payer)
    system.wait(system.freeze_period - 1)
    assert standing(system, system.payer) == FROZEN

    system.wait(1)

    assert tuple(system.trust.standing_of(subject(system.payer)))[:3] == (GOOD, 0, 1)
    assert system.trust.account_standing(system.payer) == GOOD


@pytest.mark.parametrize(("first", "second"), permutations(("license", "owner", "node"), 2))
def test_license_owner_and_node_share_one_cooldown(system: System, first: str, second: str) -> None:
    license_id = system.issue_node()
    system.freeze(system.target(license_id, first))

    for seconds in (0, system.freeze_period, 3 * system.freeze_period - 1):
        system.wait(seconds)
        with evm.reverts("trust: freeze cooldown"):
            system.freeze(system.target(license_id, second))

    system.wait(1)
    system.freeze(system.target(license_id, second))

    assert standing(system, system.target(license_id, second)) == FROZEN


def test_two_licenses_of_one_owner_share_the_owners_cooldown(system: System) -> None:
    first, second = system.issue_node(), system.issue_node()
    system.freeze(first)

    with evm.reverts("trust: freeze cooldown"):
        system.freeze(second)


def test_other_operators_are_not_held(system: System) -> None:
    first, second = system.issue_node(), system.issue_node(system.operators[1])
    system.freeze(first)

    system.freeze(second)

    assert standing(system, second) == FROZEN


def test_cooldown_follows_a_transferred_license(system: System) -> None:
    license_id = system.issue_node()
    system.freeze(license_id)
    system.wait(system.freeze_period)
    owner, buyer = system.operators[:2]
    system.licenses.transferFrom(owner, buyer, license_id, sender=owner)

    with evm.reverts("trust: freeze cooldown"):
        system.freeze(license_id)


def test_cooldown_of_a_node_follows_its_license_to_a_buyer(system: System) -> None:
    """It is the license's own by then: the buyer was never frozen, and the node is gone."""
    license_id = system.issue_node()
    again_at = evm.env.timestamp + 4 * system.freeze_period
    system.freeze(system.node_of(license_id))
    system.wait(system.freeze_period)
    owner, buyer = system.operators[:2]
    system.licenses.transferFrom(owner, buyer, license_id, sender=owner)

    assert system.trust.standing_of(subject(license_id))[3] == again_at
    with evm.reverts("trust: freeze cooldown"):
        system.freeze(license_id)


def test_cooldown_follows_a_node_to_another_license(system: System) -> None:
    license_id = system.issue_node()
    node = system.node_of(license_id)
    system.freeze(node)
    system.wait(system.freeze_period)
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    other = system.issue(system.operators[1])
    system.link(other, private_key(f"node of license {license_id}"))

    with evm.reverts("trust: freeze cooldown"):
        system.freeze(node)
    with evm.reverts("trust: freeze cooldown"):
        system.freeze(other)


def test_unlinked_license_and_its_owner_share_the_cooldown(system: System) -> None:
    license_id = system.issue(system.operators[0])
    system.freeze(license_id)

    with evm.reverts("trust: freeze cooldown"):
        system.freeze(system.operators[0])


def test_owner_who_is_its_own_node_is_frozen_once(system: System) -> None:
    key = private_key("operator 0")
    license_id = system.issue(system.operators[0])
    system.link(license_id, key)

    system.freeze(license_id)

    assert standing(system, license_id) == FROZEN
    with evm.reverts("trust: freeze cooldown"):
        system.freeze(system.operators[0])


def test_frozen_subject_is_not_frozen_again(system: System) -> None:
    system.freeze(system.payer)

    with evm.reverts("trust: not in good standing"):
        system.freeze(system.payer)


def test_suspended_and_blacklisted_subjects_are_not_frozen(system: System) -> None:
    system.suspend(system.payer)
    with evm.reverts("trust: not in good standing"):
        system.freeze(system.payer)

    system.blacklist(system.payer)
    with evm.reverts("trust: not in good standing"):
        system.freeze(system.payer)


def test_reinstating_does_not_end_the_cooldown(system: System) -> None:
    system.freeze(system.payer)
    system.reinstate(system.payer)

    with evm.reverts("trust: freeze cooldown"):
        system.freeze(system.payer)


@pytest.mark.parametrize("role", ["governor", "issuer", "deployer", "stranger"])
def test_others_cannot_freeze(system: System, role: str) -> None:
    with evm.reverts("trust: not the guardian"):
        system.trust.freeze(subject(system.payer), 1, EVIDENCE, sender=getattr(system, role))


def test_guardian_cannot_unfreeze(system: System) -> None:
    system.freeze(system.payer)

    with evm.reverts("ownable: caller is not the owner"):
        system.trust.reinstate(subject(system.payer), 1, EVIDENCE, sender=system.guardian)


def test_zero_subject_is_refused(system: System) -> None:
    with evm.reverts("trust: zero subject"):
        system.trust.freeze(0, 1, EVIDENCE, sender=system.guardian)
    with evm.reverts():
        system.trust.freeze(LICENSE_SUBJECT, 1, EVIDENCE, sender=system.guardian)


def test_unknown_license_is_refused(system: System) -> None:
    with evm.reverts("erc721: invalid token ID"):
        system.freeze(1_000)


def test_reason_that_does_not_fit_is_refused(system: System) -> None:
    with evm.reverts("standing: reason too large"):
        system.trust.freeze(subject(system.payer), 2**32, EVIDENCE, sender=system.guardian)


def test_zero_license_is_refused_with_a_reason(system: System) -> None:
    with evm.reverts("trust: zero subject"):
        system.trust.freeze(2**160, 1, EVIDENCE, sender=system.guardian)
