"""Appeals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.system import EVIDENCE, LICENSE_SUBJECT, System, event, subject

HOLDS: list[Callable[[System, str], None]] = [System.freeze, System.suspend, System.blacklist]


@pytest.mark.parametrize("hold", HOLDS)
def test_account_appeals(system: System, hold: Callable[[System, str], None]) -> None:
    hold(system, system.payer)
    before = tuple(system.trust.standing_of(subject(system.payer)))

    system.trust.appeal(subject(system.payer), EVIDENCE, sender=system.payer)

    assert event(system.trust, "Appealed") == {
        "subject": subject(system.payer),
        "actor": system.payer,
        "appeal_hash": EVIDENCE,
    }
    assert tuple(system.trust.standing_of(subject(system.payer))) == before


def test_owner_appeals_for_its_license(system: System) -> None:
    license_id = system.issue_node()
    system.suspend(license_id)

    system.trust.appeal(subject(license_id), EVIDENCE, sender=system.operators[0])

    assert event(system.trust, "Appealed")["actor"] == system.operators[0]


def test_others_cannot_appeal_for_an_account(system: System) -> None:
    system.suspend(system.payer)

    with evm.reverts("trust: not the subject"):
        system.trust.appeal(subject(system.payer), EVIDENCE, sender=system.stranger)


def test_node_cannot_appeal_for_its_license_nor_the_owner_for_its_node(system: System) -> None:
    license_id = system.issue_node()
    node = system.node_of(license_id)
    system.suspend(license_id)
    system.suspend(node)

    with evm.reverts("trust: not the subject"):
        system.trust.appeal(subject(license_id), EVIDENCE, sender=node)
    with evm.reverts("trust: not the subject"):
        system.trust.appeal(subject(node), EVIDENCE, sender=system.operators[0])


def test_good_standing_leaves_nothing_to_appeal(system: System) -> None:
    with evm.reverts("trust: in good standing"):
        system.trust.appeal(subject(system.payer), EVIDENCE, sender=system.payer)


def test_expired_standing_leaves_nothing_to_appeal(system: System) -> None:
    system.freeze(system.payer)
    system.wait(system.freeze_period)

    with evm.reverts("trust: in good standing"):
        system.trust.appeal(subject(system.payer), EVIDENCE, sender=system.payer)


@pytest.mark.parametrize("nobody", [0, LICENSE_SUBJECT, LICENSE_SUBJECT + 1_000])
def test_nobody_appeals_for_what_does_not_exist(system: System, nobody: int) -> None:
    with evm.reverts():
        system.trust.appeal(nobody, EVIDENCE, sender=system.stranger)
