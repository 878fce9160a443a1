"""What the constructor keeps, and what binding the escrow publishes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    CLASSES,
    POLICY,
    VERIFIED,
    ZERO_ADDRESS,
    PolicyTerms,
    System,
    deployer,
    event,
    events,
)


def deploy(system: System, **changes: Any) -> tuple[evm.Contract, evm.Contract]:
    """Deploy a tariff, with `changes` to its arguments, and the escrow that will sell under it."""
    arguments = {"trust": system.trust, "classes": list(CLASSES), "policy": POLICY} | changes
    tariff = deployer("Tariff").deploy(*arguments.values(), sender=system.deployer)
    escrow = deployer("JobEscrow").deploy(
        system.trust, system.licenses, system.committee, tariff, system.desk
    )
    return tariff, escrow


def test_nothing_is_published_before_the_escrow_is_bound(system: System) -> None:
    tariff, _ = deploy(system)

    assert tariff.TRUST() == system.trust.address
    assert tariff.escrow() == ZERO_ADDRESS
    assert tariff.policy_version() == 0
    assert tuple(tariff.class_of(1)) == (0, 0, 0, 0, False, False)
    with evm.reverts("tariff: unknown policy"):
        tariff.policy_of(1)


def test_first_classes_and_policy_are_announced_and_set(system: System) -> None:
    tariff, escrow = deploy(system)

    tariff.bind_escrow(escrow, sender=system.deployer)

    assert event(tariff, "EscrowBound") == {"escrow": escrow.address}
    assert [entry.class_id for entry in events(tariff, "ClassSet")] == [1, 2]
    assert [entry.policy_version for entry in events(tariff, "PolicyAdded")] == [1]
    assert tariff.escrow() == escrow.address
    assert [tuple(tariff.class_of(class_id))[:4] for class_id in (1, 2)] == list(CLASSES)
    assert tuple(tariff.policy_of(1)) == POLICY
    assert tariff.policy_version() == 1
    assert tuple(escrow.ledger_of(1)) == (0, 0, 0)


def test_classes_may_come_later(system: System) -> None:
    tariff, escrow = deploy(system, classes=[])
    tariff.bind_escrow(escrow, sender=system.deployer)
    with evm.reverts("rates: unknown class"):
        escrow.open_job(bytes(32), 1, 0, 1, 1, 1, 1, sender=system.payer)

    tariff.set_class(1, CLASSES[0], sender=system.governor)

    assert escrow.price_of(1) == CLASSES[0][0]


def test_most_classes_that_the_constructor_takes(system: System) -> None:
    classes = [(index + 1, 1, 1, 1) for index in range(16)]
    tariff, escrow = deploy(system, classes=classes)

    tariff.bind_escrow(escrow, sender=system.deployer)

    assert [escrow.price_of(index + 1) for index in range(16)] == list(range(1, 17))
    with evm.reverts():
        deploy(system, classes=[*classes, (1, 1, 1, 1)])


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (PolicyTerms(5_000, 5_000, 1), "ledger: shares above 100%"),
        (PolicyTerms(sla_floor_bps=10_001), "tariff: floor above 100%"),
        (PolicyTerms(payer_level=2**6), "ledger: level too high"),
        (PolicyTerms(forfeit_payer_bps=5_000, forfeit_burn_bps=5_001), "policy: parts above 100%"),
    ],
)
def test_policy_out_of_bounds_is_refused(system: System, policy: PolicyTerms, reason: str) -> None:
    tariff, escrow = deploy(system, policy=policy)

    with evm.reverts(reason):
        tariff.bind_escrow(escrow, sender=system.deployer)


def test_class_out_of_bounds_is_refused(system: System) -> None:
    tariff, escrow = deploy(system, classes=[(0, 1, 1, 1)])

    with evm.reverts("class: price out of range"):
        tariff.bind_escrow(escrow, sender=system.deployer)


def test_escrow_is_bound_once(system: System) -> None:
    """G26: whoever deployed the tariff has no say from then on."""
    tariff, escrow = deploy(system)
    tariff.bind_escrow(escrow, sender=system.deployer)

    with evm.reverts("tariff: already bound"):
        tariff.bind_escrow(escrow, sender=system.deployer)


def test_zero_escrow_is_refused(system: System) -> None:
    tariff, _ = deploy(system)

    with evm.reverts("tariff: zero escrow"):
        tariff.bind_escrow(ZERO_ADDRESS, sender=system.deployer)


@pytest.mark.parametrize("role", ["governor", "guardian", "payer", "stranger"])
def test_only_the_deployer_binds(system: System, role: str) -> None:
    tariff, escrow = deploy(system)

    with evm.reverts("tariff: not the deployer"):
        tariff.bind_escrow(escrow, sender=getattr(system, role))


def test_escrow_of_another_tariff_is_refused(system: System) -> None:
    tariff, _ = deploy(system)

    with evm.reverts("rates: not the tariff"):
        tariff.bind_escrow(system.escrow, sender=system.deployer)


def test_nothing_is_set_before_the_escrow_is_bound(system: System) -> None:
    tariff, escrow = deploy(system, policy=PolicyTerms(payer_level=VERIFIED))

    with evm.reverts():
        tariff.set_class(1, CLASSES[0], sender=system.governor)
    with evm.reverts():
        tariff.add_policy(POLICY, sender=system.governor)
    tariff.bind_escrow(escrow, sender=system.deployer)

    assert tariff.policy_of(1).payer_level == VERIFIED
