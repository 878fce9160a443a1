"""Handing over the governor role in two steps."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.system import ZERO_ADDRESS, System, event


def test_new_governor_accepts(system: System) -> None:
    system.trust.transfer_ownership(system.stranger, sender=system.governor)

    assert system.trust.governor() == system.governor
    assert system.trust.pending_owner() == system.stranger

    system.trust.accept_ownership(sender=system.stranger)

    assert event(system.trust, "OwnershipTransferred") == {
        "previous_owner": system.governor,
        "new_owner": system.stranger,
    }
    assert system.trust.governor() == system.stranger
    assert system.trust.pending_owner() == ZERO_ADDRESS
    with evm.reverts("ownable: caller is not the owner"):
        system.trust.set_guardian(system.governor, sender=system.governor)


def test_every_contract_follows_the_new_governor(system: System) -> None:
    system.trust.transfer_ownership(system.stranger, sender=system.governor)
    system.trust.accept_ownership(sender=system.stranger)

    system.tariff.retire_class(1, sender=system.stranger)

    with evm.reverts("roles: not the governor"):
        system.tariff.retire_class(2, sender=system.governor)


def test_only_the_governor_offers(system: System) -> None:
    with evm.reverts("ownable: caller is not the owner"):
        system.trust.transfer_ownership(system.guardian, sender=system.guardian)


def test_only_the_offered_account_accepts(system: System) -> None:
    system.trust.transfer_ownership(system.stranger, sender=system.governor)

    with evm.reverts("ownable_2step: caller is not the new owner"):
        system.trust.accept_ownership(sender=system.guardian)


def test_offer_to_nobody_leaves_the_governor(system: System) -> None:
    system.trust.transfer_ownership(ZERO_ADDRESS, sender=system.governor)

    assert system.trust.governor() == system.governor
