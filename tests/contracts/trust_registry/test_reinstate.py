"""Reinstating."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.system import EVIDENCE, GOOD, System, event, subject

HOLDS: list[Callable[[System, str], None]] = [System.freeze, System.suspend, System.blacklist]


@pytest.mark.parametrize("hold", HOLDS)
def test_governor_reinstates(system: System, hold: Callable[[System, str], None]) -> None:
    hold(system, system.payer)

    system.trust.reinstate(subject(system.payer), 4, EVIDENCE, sender=system.governor)

    assert event(system.trust, "StandingSet") == {
        "subject": subject(system.payer),
        "actor": system.governor,
        "standing": GOOD,
        "until": 0,
        "reason": 4,
        "evidence_hash": EVIDENCE,
    }
    assert tuple(system.trust.standing_of(subject(system.payer)))[:3] == (GOOD, 0, 4)
    assert system.trust.account_standing(system.payer) == GOOD


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "payer"])
def test_others_cannot(system: System, role: str) -> None:
    system.blacklist(system.payer)

    with evm.reverts("ownable: caller is not the owner"):
        system.trust.reinstate(subject(system.payer), 1, EVIDENCE, sender=getattr(system, role))
