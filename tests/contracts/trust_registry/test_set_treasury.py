"""Naming the treasury."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import ZERO_ADDRESS, System, event


def test_governor_names_another(system: System) -> None:
    system.trust.set_treasury(system.stranger, sender=system.governor)

    assert event(system.trust, "TreasurySet") == {"treasury": system.stranger}
    assert system.trust.treasury() == system.stranger


def test_zero_address_is_refused(system: System) -> None:
    with evm.reverts("trust: zero treasury"):
        system.trust.set_treasury(ZERO_ADDRESS, sender=system.governor)


@pytest.mark.parametrize("role", ["guardian", "issuer", "treasury", "deployer", "stranger"])
def test_others_cannot(system: System, role: str) -> None:
    with evm.reverts("ownable: caller is not the owner"):
        system.trust.set_treasury(system.stranger, sender=getattr(system, role))


def test_what_was_booked_before_goes_to_the_new_treasury(system: System) -> None:
    system.token.mint(system.vault, 5)
    system.vault.book(0, 0, 5)
    system.trust.set_treasury(system.stranger, sender=system.governor)

    system.vault.pull_treasury()

    assert system.token.balanceOf(system.stranger) == 5
    assert system.token.balanceOf(system.treasury) == 0
