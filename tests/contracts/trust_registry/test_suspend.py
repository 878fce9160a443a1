"""Suspending until a time."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    EVIDENCE,
    GOOD,
    LICENSE_SUBJECT,
    SUSPENDED,
    System,
    event,
    subject,
)


def test_governor_suspends_until_a_time(system: System) -> None:
    until = evm.env.timestamp + 500

    system.trust.suspend(subject(system.payer), until, 9, EVIDENCE, sender=system.governor)

    assert event(system.trust, "StandingSet") == {
        "subject": subject(system.payer),
        "actor": system.governor,
        "standing": SUSPENDED,
        "until": until,
        "reason": 9,
        "evidence_hash": EVIDENCE,
    }
    assert tuple(system.trust.standing_of(subject(system.payer))) == (SUSPENDED, until, 9, 0)
    system.wait(499)
    assert system.trust.account_standing(system.payer) == SUSPENDED
    system.wait(1)
    assert system.trust.account_standing(system.payer) == GOOD


def test_frozen_subject_is_suspended_and_its_cooldown_goes_on(system: System) -> None:
    system.freeze(system.payer)
    cooldown = evm.env.timestamp + 4 * system.freeze_period

    system.suspend(system.payer)

    standing, _, _, can_freeze_at = system.trust.standing_of(subject(system.payer))
    assert (standing, can_freeze_at) == (SUSPENDED, cooldown)


@pytest.mark.parametrize("seconds", [0, -1])
def test_end_that_is_not_ahead_is_refused(system: System, seconds: int) -> None:
    until = evm.env.timestamp + seconds

    with evm.reverts("trust: until in the past"):
        system.trust.suspend(subject(system.payer), until, 1, EVIDENCE, sender=system.governor)


def test_suspension_for_ever_is_refused(system: System) -> None:
    latest = 2**64 - 2

    with evm.reverts("trust: until too late"):
        system.trust.suspend(subject(system.payer), latest + 1, 1, EVIDENCE, sender=system.governor)
    system.trust.suspend(subject(system.payer), latest, 1, EVIDENCE, sender=system.governor)

    assert system.trust.account_standing(system.payer) == SUSPENDED


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_others_cannot(system: System, role: str) -> None:
    with evm.reverts("ownable: caller is not the owner"):
        system.trust.suspend(
            subject(system.payer), 2**40, 1, EVIDENCE, sender=getattr(system, role)
        )


@pytest.mark.parametrize("zero", [0, LICENSE_SUBJECT])
def test_zero_account_and_zero_license_are_refused(system: System, zero: int) -> None:
    with evm.reverts("trust: zero subject"):
        system.trust.suspend(zero, 2**40, 1, EVIDENCE, sender=system.governor)
