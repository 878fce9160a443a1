"""Blacklisting until a reinstatement."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import BLACKLISTED, EVIDENCE, LICENSE_SUBJECT, System, event, subject


def test_governor_blacklists_without_an_end(system: System) -> None:
    system.trust.blacklist(subject(system.payer), 3, EVIDENCE, sender=system.governor)

    assert event(system.trust, "StandingSet") == {
        "subject": subject(system.payer),
        "actor": system.governor,
        "standing": BLACKLISTED,
        "until": 2**64 - 1,
        "reason": 3,
        "evidence_hash": EVIDENCE,
    }
    system.wait(10**9)
    assert tuple(system.trust.standing_of(subject(system.payer))) == (
        BLACKLISTED,
        2**64 - 1,
        3,
        0,
    )


def test_license_that_does_not_exist_yet_can_be_named(system: System) -> None:
    system.blacklist(1_000)

    assert system.trust.standing_of(subject(1_000))[0] == BLACKLISTED


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_others_cannot(system: System, role: str) -> None:
    with evm.reverts("ownable: caller is not the owner"):
        system.trust.blacklist(subject(system.payer), 1, EVIDENCE, sender=getattr(system, role))


@pytest.mark.parametrize("zero", [0, LICENSE_SUBJECT])
def test_zero_account_and_zero_license_are_refused(system: System, zero: int) -> None:
    with evm.reverts("trust: zero subject"):
        system.trust.blacklist(zero, 1, EVIDENCE, sender=system.governor)
