"""Which licenses can be placed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    BLACKLISTED,
    FROZEN,
    ORACLE,
    SUSPENDED,
    System,
    deploy_system,
    private_key,
)

HOLDS = {FROZEN: System.freeze, SUSPENDED: System.suspend, BLACKLISTED: System.blacklist}


def both(system: System, license_id: int) -> bool:
    """Return what the two views say, which must be the same."""
    alone = bool(system.licenses.eligible(license_id))
    alone = bool(system.licenses.eligible(license_id))
    good = system.issue_node(system.operators[3])
    assert bool(system.licenses.all_eligible([good, license_id, good])) == alone
    return alone


def test_linked_node_of_a_verified_owner_in_good_standing(system: System) -> None:
    assert both(system, system.issue_node())


def test_not_without_a_node(system: System) -> None:
    assert not both(system, system.issue(system.operators[0]))


def test_not_an_oracle_license(system: System) -> None:
    license_id = system.issue(system.operators[0], ORACLE)
    system.link(license_id, private_key("oracle's node"))

    assert not both(system, license_id)


@pytest.mark.parametrize("license_id", [0, 1_000, 2**256 - 1])
def test_not_a_license_that_does_not_exist(system: System, license_id: int) -> None:
    assert not both(system, license_id)


@pytest.mark.parametrize("hold", HOLDS.values())
@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_not_in_bad_standing(system: System, hold: Callable[..., None], which: str) -> None:
    license_id = system.issue_node()

    hold(system, system.target(license_id, which))

    assert not both(system, license_id)
    assert system.licenses.payee_of(license_id)[1] in HOLDS


def test_again_once_a_freeze_is_over(system: System) -> None:
    license_id = system.issue_node()
    system.freeze(license_id)
    system.wait(system.freeze_period)

    assert both(system, license_id)


def test_again_after_a_relink_however_late(system: System) -> None:
    """The time of a relink stands beside the flag of the bond: with its highest bit set."""
    system.wait(2**39)
    license_id = system.issue_node()
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    assert system.licenses.relink_at(license_id) > 2**39

    system.link(license_id, private_key("another node"))

    assert both(system, license_id)


def test_not_once_the_owner_is_unverified(system: System) -> None:
    license_id = system.issue_node()
    system.trust.revoke(system.operators[0], sender=system.issuer)

    assert not both(system, license_id)


def test_not_once_the_owners_issuer_is_dropped(system: System) -> None:
    license_id = system.issue_node()
    system.trust.set_issuer(system.issuer, False, sender=system.governor)

    assert not system.licenses.eligible(license_id)


def test_not_once_the_attestation_expired(system: System) -> None:
    owner = system.stranger
    system.attest(owner, expires_at=evm.env.timestamp + 10)
    license_id = system.issue_node(owner)
    assert both(system, license_id)

    system.wait(10)

    assert not both(system, license_id)


@pytest.mark.parametrize(("level", "eligible"), [(0, True), (1, True), (2, False)])
def test_level_is_the_deployments(level: int, eligible: bool) -> None:
    system = deploy_system(oracles=1, owner_level=level)

    assert system.licenses.eligible(system.issue_node()) is eligible


def test_unverified_owner_where_none_is_asked_for() -> None:
    system = deploy_system(oracles=1, owner_level=0)

    assert system.licenses.eligible(system.issue_node(system.stranger))


def test_all_of_none_are_eligible(system: System) -> None:
    assert system.licenses.all_eligible([])


def test_more_than_a_placement_may_name_are_refused(system: System) -> None:
    license_id = system.issue_node()

    assert system.licenses.all_eligible([license_id] * 32)
    with evm.reverts():
        system.licenses.all_eligible([license_id] * 33)
