"""Revoking attestations."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import VERIFIED, ZERO_ADDRESS, System, event


@pytest.mark.parametrize("role", ["issuer", "governor"])
def test_issuer_and_governor_revoke(system: System, role: str) -> None:
    system.trust.revoke(system.payer, sender=getattr(system, role))

    assert event(system.trust, "AttestationRevoked") == {
        "account": system.payer,
        "actor": getattr(system, role),
    }
    assert system.trust.attested_level(system.payer) == 0
    assert tuple(system.trust.attestation_of(system.payer)) == (ZERO_ADDRESS, 0, 0)


def test_revoked_account_can_be_attested_anew(system: System) -> None:
    system.trust.revoke(system.payer, sender=system.issuer)

    system.attest(system.payer)

    assert system.trust.attested_level(system.payer) == VERIFIED


@pytest.mark.parametrize("role", ["guardian", "payer", "stranger"])
def test_others_cannot(system: System, role: str) -> None:
    with evm.reverts("trust: not its issuer"):
        system.trust.revoke(system.payer, sender=getattr(system, role))


def test_another_issuer_cannot(system: System) -> None:
    system.trust.set_issuer(system.stranger, True, sender=system.governor)

    with evm.reverts("trust: not its issuer"):
        system.trust.revoke(system.payer, sender=system.stranger)


def test_nothing_to_revoke(system: System) -> None:
    with evm.reverts("trust: not attested"):
        system.trust.revoke(system.stranger, sender=system.governor)
