"""Roles change by an operation only, and never so that nothing could happen any more."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import System, account, event, events
from tests.contracts.timelock.operations import (
    DELAY,
    MISSING_ROLE,
    Governed,
    deploy_timelock,
    operation,
)

SECOND = account("second proposer")
GIVEN = ("PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE")


def role_of(governed: Governed, name: str) -> bytes:
    """Return a role by its name."""
    return bytes(getattr(governed.timelock, name)())


@pytest.mark.parametrize("name", GIVEN)
def test_operation_grants_and_revokes(governed: Governed, name: str) -> None:
    timelock, role = governed.timelock, role_of(governed, name)

    governed.carry_out(operation(timelock, "grantRole", role, SECOND))
    assert event(timelock, "RoleGranted") == {
        "role": role,
        "account": SECOND,
        "sender": timelock.address,
    }
    assert timelock.hasRole(role, SECOND)
    assert timelock.member_count(role) == 2

    governed.carry_out(operation(timelock, "revokeRole", role, SECOND))
    assert not timelock.hasRole(role, SECOND)
    assert timelock.member_count(role) == 1


@pytest.mark.parametrize("function", ["grantRole", "revokeRole"])
@pytest.mark.parametrize("role", ["governor", "guardian", "deployer", "stranger"])
def test_nobody_changes_roles_at_once(governed: Governed, function: str, role: str) -> None:
    """G26: not even a proposer."""
    sender = getattr(governed.system, role)

    with evm.reverts(MISSING_ROLE):
        getattr(governed.timelock, function)(
            role_of(governed, "PROPOSER_ROLE"), sender, sender=sender
        )


@pytest.mark.parametrize("member", ["stranger", "governor"])
def test_nobody_becomes_an_admin(governed: Governed, member: str) -> None:
    """G26: an admin beside the timelock could change proposers without a delay."""
    admin = role_of(governed, "DEFAULT_ADMIN_ROLE")
    granting = operation(governed.timelock, "grantRole", admin, getattr(governed.system, member))
    governed.schedule(granting)
    governed.system.wait(DELAY)

    with evm.reverts("timelock: no other admin"):
        governed.execute(granting)


@pytest.mark.parametrize("function", ["revokeRole", "renounceRole"])
def test_admin_stays(governed: Governed, function: str) -> None:
    """G26: at least one admin always remains."""
    timelock, admin = governed.timelock, role_of(governed, "DEFAULT_ADMIN_ROLE")
    leaving = operation(timelock, function, admin, timelock.address)
    governed.schedule(leaving)
    governed.system.wait(DELAY)

    with evm.reverts("timelock: last of its role"):
        governed.execute(leaving)
    assert timelock.hasRole(admin, timelock.address)


@pytest.mark.parametrize("name", GIVEN)
def test_last_member_is_not_revoked(system: System, name: str) -> None:
    """Else nothing could be scheduled, executed or stopped ever again."""
    governed = deploy_timelock(system, executors=[system.governor])
    revoking = operation(
        governed.timelock, "revokeRole", role_of(governed, name), governed.proposer
    )
    governed.schedule(revoking)
    system.wait(DELAY)

    with evm.reverts("timelock: last of its role"):
        governed.execute(revoking, sender=system.governor)


@pytest.mark.parametrize("name", GIVEN)
def test_member_renounces_unless_it_is_the_last(system: System, name: str) -> None:
    members = [system.governor, SECOND]
    governed = deploy_timelock(system, proposers=members, executors=members)
    timelock, role = governed.timelock, role_of(governed, name)

    timelock.renounceRole(role, SECOND, sender=SECOND)

    assert event(timelock, "RoleRevoked")["account"] == SECOND
    assert not timelock.hasRole(role, SECOND)
    assert timelock.member_count(role) == 1
    with evm.reverts("timelock: last of its role"):
        timelock.renounceRole(role, system.governor, sender=system.governor)


def test_nobody_renounces_for_another(governed: Governed) -> None:
    with evm.reverts("timelock: not the caller"):
        governed.timelock.renounceRole(
            role_of(governed, "PROPOSER_ROLE"), governed.proposer, sender=governed.system.stranger
        )


def test_role_that_one_does_not_hold_is_given_up_without_effect(governed: Governed) -> None:
    timelock, role = governed.timelock, role_of(governed, "PROPOSER_ROLE")

    timelock.renounceRole(role, governed.system.stranger, sender=governed.system.stranger)

    assert events(timelock, "RoleRevoked") == []
    assert timelock.member_count(role) == 1


def test_grant_of_a_role_that_is_held_counts_once(governed: Governed) -> None:
    timelock, role = governed.timelock, role_of(governed, "PROPOSER_ROLE")

    governed.carry_out(operation(timelock, "grantRole", role, governed.proposer))

    assert timelock.member_count(role) == 1


def test_revoked_proposer_schedules_nothing(governed: Governed) -> None:
    timelock, role = governed.timelock, role_of(governed, "PROPOSER_ROLE")
    governed.carry_out(operation(timelock, "grantRole", role, SECOND))
    governed.carry_out(operation(timelock, "revokeRole", role, governed.proposer))
    minting = operation(governed.system.token, "mint", SECOND, 1)

    with evm.reverts(MISSING_ROLE):
        governed.schedule(minting)
    governed.schedule(minting, sender=SECOND)
