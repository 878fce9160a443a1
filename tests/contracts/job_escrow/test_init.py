"""What the constructor fixes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import CLASSES, CLOSE_GRACE, POLICY, System, deployer, events


def deploy(system: System, **changes: Any) -> Contract:
    """Deploy an escrow beside `system`'s, with `changes` to its arguments."""
    arguments = {
        "token": system.token,
        "trust": system.trust,
        "licenses": system.licenses,
        "committee": system.committee,
        "close_grace": CLOSE_GRACE,
        "classes": list(CLASSES),
        "policy": POLICY,
    } | changes
    return deployer("JobEscrow").deploy(*arguments.values())


def test_calendar_comes_from_the_committee(system: System) -> None:
    system.advance_windows(3)

    escrow = deploy(system)

    assert escrow.GENESIS() == system.committee.GENESIS()
    assert escrow.WINDOW() == system.committee.WINDOW()
    assert escrow.current_window() == system.committee.current_window() == 4


def test_what_it_rests_on_is_public(system: System) -> None:
    escrow = deploy(system)

    assert escrow.TOKEN() == system.token.address
    assert escrow.TRUST() == system.trust.address
    assert escrow.LICENSES() == system.licenses.address
    assert escrow.COMMITTEE() == system.committee.address
    assert desk.CLOSE_GRACE() == CLOSE_GRACE
    assert escrow.job_count() == 0
    assert escrow.liabilities() == 0


def test_first_classes_and_policy_are_announced_and_set(system: System) -> None:
    escrow = deploy(system)

    assert [entry.class_id for entry in events(escrow, "ClassSet")] == [1, 2]
    assert [entry.policy_version for entry in events(escrow, "PolicyAdded")] == [1]
    assert [tuple(tariff.class_of(class_id))[:4] for class_id in (1, 2)] == list(CLASSES)
    assert tuple(tariff.policy_of(1)) == POLICY
    assert tariff.policy_version() == 1
    assert tuple(escrow.ledger_of(1)) == (0, 0)


def test_classes_may_come_later(system: System) -> None:
    escrow = deploy(system, classes=[])

    with evm.reverts("tariff: unknown class"):
        escrow.open_job(bytes(32), 1, 0, 1, 1, 1, 1, sender=system.payer)


def test_domain_is_what_signers_use(system: System) -> None:
    _, name, version, chain_id, contract, _, _ = system.escrow.eip712Domain()

    assert (name, version) == ("JobEscrow", "1")
    assert (chain_id, contract) == (system.chain_id, system.escrow.address)


def test_zero_close_grace_is_refused(system: System) -> None:
    with evm.reverts("escrow: zero close grace"):
        deploy(system, close_grace=0)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ((5_000, 5_000, 1, 0, 0), "ledger: shares above 100%"),
        ((0, 0, 0, 10_001, 0), "tariff: floor above 100%"),
        ((0, 0, 0, 0, 256), "ledger: level too high"),
    ],
)
def test_policy_out_of_bounds_is_refused(
    system: System, policy: tuple[int, ...], reason: str
) -> None:
    with evm.reverts(reason):
        deploy(system, policy=policy)


def test_class_out_of_bounds_is_refused(system: System) -> None:
    with evm.reverts("class: price out of range"):
        deploy(system, classes=[(0, 1, 1, 1)])


def test_committee_over_other_licenses_is_refused(system: System) -> None:
    other = deployer("NodeLicense").deploy(system.trust, 0, 0, [])

    with evm.reverts("escrow: committee of others"):
        deploy(system, licenses=other)
