"""Attestations: who gives them and when they hold."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import EVIDENCE, FOREVER, ZERO_ADDRESS, System, event


@pytest.fixture
def second_issuer(system: System) -> str:
    """Another active issuer."""
    issuer: str = evm.env.generate_address()
    system.trust.set_issuer(issuer, True, sender=system.governor)
    return issuer


def test_issuer_attests_until_the_expiry(system: System) -> None:
    expires_at = evm.env.timestamp + 100

    system.trust.attest(system.stranger, 2, expires_at, EVIDENCE, sender=system.issuer)

    assert event(system.trust, "Attested") == {
        "account": system.stranger,
        "issuer": system.issuer,
        "level": 2,
        "expires_at": expires_at,
        "evidence_hash": EVIDENCE,
    }
    assert tuple(system.trust.attestation_of(system.stranger)) == (system.issuer, 2, expires_at)
    system.wait(99)
    assert system.trust.attested_level(system.stranger) == 2
    system.wait(1)
    assert system.trust.attested_level(system.stranger) == 0
    assert system.trust.attestation_of(system.stranger)[1] == 2


def test_account_without_one_is_not_verified(system: System) -> None:
    assert system.trust.attested_level(system.stranger) == 0
    assert tuple(system.trust.attestation_of(system.stranger)) == (ZERO_ADDRESS, 0, 0)


def test_issuer_renews_and_lowers_its_own(system: System) -> None:
    system.attest(system.stranger, level=3)
    system.attest(system.stranger, level=1)

    assert system.trust.attested_level(system.stranger) == 1


def test_another_issuer_cannot_overwrite_one_that_holds(system: System, second_issuer: str) -> None:
    with evm.reverts("trust: attested by another"):
        system.trust.attest(system.payer, 3, FOREVER, EVIDENCE, sender=second_issuer)


def test_another_issuer_attests_anew_what_expired(system: System, second_issuer: str) -> None:
    system.attest(system.stranger, expires_at=evm.env.timestamp + 10)
    system.wait(10)

    system.trust.attest(system.stranger, 1, FOREVER, EVIDENCE, sender=second_issuer)

    assert system.trust.attestation_of(system.stranger)[0] == second_issuer


def test_another_issuer_attests_anew_what_a_dropped_one_said(
    system: System, second_issuer: str
) -> None:
    system.trust.set_issuer(system.issuer, False, sender=system.governor)

    system.trust.attest(system.payer, 1, FOREVER, EVIDENCE, sender=second_issuer)

    assert system.trust.attestation_of(system.payer)[0] == second_issuer


@pytest.mark.parametrize("role", ["governor", "guardian", "deployer", "stranger"])
def test_others_cannot(system: System, role: str) -> None:
    with evm.reverts("trust: not an issuer"):
        system.trust.attest(system.stranger, 1, FOREVER, EVIDENCE, sender=getattr(system, role))


def test_dropped_issuer_cannot(system: System) -> None:
    system.trust.set_issuer(system.issuer, False, sender=system.governor)

    with evm.reverts("trust: not an issuer"):
        system.attest(system.stranger)


def test_level_zero_is_refused(system: System) -> None:
    with evm.reverts("trust: zero level"):
        system.attest(system.stranger, level=0)


def test_level_that_does_not_fit_is_refused(system: System) -> None:
    with evm.reverts("attestation: level too high"):
        system.attest(system.stranger, level=256)


@pytest.mark.parametrize("seconds", [0, -1])
def test_expiry_that_is_not_ahead_is_refused(system: System, seconds: int) -> None:
    with evm.reverts("trust: already expired"):
        system.attest(system.stranger, expires_at=evm.env.timestamp + seconds)


def test_expiry_that_does_not_fit_is_refused(system: System) -> None:
    with evm.reverts("attestation: expiry too late"):
        system.attest(system.stranger, expires_at=2**64)
