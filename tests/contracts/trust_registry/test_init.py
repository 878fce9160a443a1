"""Roles from the constructor on."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.system import ZERO_ADDRESS, System, account, deployer, event, events


def test_roles_are_handed_over_at_once(system: System) -> None:
    second = evm.env.generate_address()

    trust = deployer("TrustRegistry").deploy(
        system.governor,
        system.guardian,
        system.treasury,
        [system.issuer, second],
        700,
        sender=system.deployer,
    )

    assert event(trust, "GuardianSet") == {"guardian": system.guardian}
    assert event(trust, "TreasurySet") == {"treasury": system.treasury}
    assert [entry.issuer for entry in events(trust, "IssuerSet")] == [system.issuer, second]
    assert all(entry.active for entry in events(trust, "IssuerSet"))
    assert trust.governor() == system.governor
    assert trust.guardian() == system.guardian
    assert trust.treasury() == system.treasury
    assert trust.is_issuer(system.issuer)
    assert trust.is_issuer(second)
    assert trust.FREEZE_PERIOD() == 700
    assert trust.FREEZE_COOLDOWN() == 2_800
    assert trust.licenses() == ZERO_ADDRESS
    assert trust.pending_owner() == ZERO_ADDRESS


def test_most_issuers_that_the_constructor_takes(system: System) -> None:
    issuers = [account(f"issuer {index}") for index in range(9)]
    roles = (system.governor, system.guardian, system.treasury)

    trust = deployer("TrustRegistry").deploy(*roles, issuers[:8], 1)

    assert [trust.is_issuer(one) for one in issuers] == [True] * 8 + [False]
    with evm.reverts():
        deployer("TrustRegistry").deploy(*roles, issuers, 1)


def test_deployer_keeps_no_role(system: System) -> None:
    assert system.trust.governor() != system.deployer
    assert system.trust.guardian() != system.deployer
    assert not system.trust.is_issuer(system.deployer)
    with evm.reverts("ownable: caller is not the owner"):
        system.trust.set_issuer(system.deployer, True, sender=system.deployer)


def test_zero_governor_is_refused(system: System) -> None:
    with evm.reverts("trust: zero governor"):
        deployer("TrustRegistry").deploy(ZERO_ADDRESS, system.guardian, system.treasury, [], 1)


def test_zero_freeze_period_is_refused(system: System) -> None:
    with evm.reverts("trust: zero freeze period"):
        deployer("TrustRegistry").deploy(system.governor, system.guardian, system.treasury, [], 0)


def test_zero_treasury_is_refused(system: System) -> None:
    with evm.reverts("trust: zero treasury"):
        deployer("TrustRegistry").deploy(system.governor, system.guardian, ZERO_ADDRESS, [], 1)


def test_governor_cannot_renounce(system: System) -> None:
    assert not hasattr(system.trust, "renounce_ownership")
