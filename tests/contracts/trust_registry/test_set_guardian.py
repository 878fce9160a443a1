"""Naming the guardian."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import EVIDENCE, ZERO_ADDRESS, System, event, subject


def test_governor_names_another(system: System) -> None:
    system.trust.set_guardian(system.stranger, sender=system.governor)

    assert event(system.trust, "GuardianSet") == {"guardian": system.stranger}
    assert system.trust.guardian() == system.stranger
    with evm.reverts("trust: not the guardian"):
        system.freeze(system.operators[0])


def test_role_can_be_left_empty(system: System) -> None:
    system.trust.set_guardian(ZERO_ADDRESS, sender=system.governor)

    assert system.trust.guardian() == ZERO_ADDRESS


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_others_cannot(system: System, role: str) -> None:
    with evm.reverts("ownable: caller is not the owner"):
        system.trust.set_guardian(system.stranger, sender=getattr(system, role))


def test_new_guardian_freezes(system: System) -> None:
    system.trust.set_guardian(system.stranger, sender=system.governor)

    system.trust.freeze(subject(system.payer), 1, EVIDENCE, sender=system.stranger)

    assert system.trust.account_standing(system.payer) == 1
