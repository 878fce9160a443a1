"""Adding and dropping issuers."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import VERIFIED, System, event


def test_governor_adds_one(system: System) -> None:
    system.trust.set_issuer(system.stranger, True, sender=system.governor)

    assert event(system.trust, "IssuerSet") == {"issuer": system.stranger, "active": True}
    assert system.trust.is_issuer(system.stranger)


def test_dropping_one_voids_all_of_its_attestations(system: System) -> None:
    assert system.trust.attested_level(system.payer) == VERIFIED

    system.trust.set_issuer(system.issuer, False, sender=system.governor)

    assert event(system.trust, "IssuerSet") == {"issuer": system.issuer, "active": False}
    assert not system.trust.is_issuer(system.issuer)
    for account in (system.payer, *system.operators):
        assert system.trust.attested_level(account) == 0
    assert system.trust.attestation_of(system.payer)[:2] == (system.issuer, VERIFIED)


def test_attestations_hold_while_their_issuer_is_active(system: System) -> None:
    system.trust.set_issuer(system.issuer, False, sender=system.governor)
    system.trust.set_issuer(system.issuer, True, sender=system.governor)

    assert system.trust.attested_level(system.payer) == VERIFIED


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_others_cannot(system: System, role: str) -> None:
    with evm.reverts("ownable: caller is not the owner"):
        system.trust.set_issuer(system.stranger, True, sender=getattr(system, role))
