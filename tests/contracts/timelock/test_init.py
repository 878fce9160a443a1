"""What the constructor fixes, and who holds which role."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import ZERO_ADDRESS, System, account, events
from tests.contracts.timelock.operations import DELAY, Governed, deploy_timelock, operation

ROLES = ("PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE", "DEFAULT_ADMIN_ROLE")


def members(governed: Governed, role: str) -> list[str]:
    """Return who holds a role, of everybody that could."""
    system, timelock = governed.system, governed.timelock
    candidates = [
        system.governor,
        system.guardian,
        system.deployer,
        system.stranger,
        timelock.address,
        ZERO_ADDRESS,
    ]
    name = getattr(timelock, role)()
    return [who for who in candidates if timelock.hasRole(name, who)]


def test_proposers_schedule_and_cancel_and_anyone_executes(governed: Governed) -> None:
    system, timelock = governed.system, governed.timelock

    assert timelock.get_minimum_delay() == DELAY
    assert members(governed, "PROPOSER_ROLE") == [system.governor]
    assert members(governed, "CANCELLER_ROLE") == [system.governor]
    assert members(governed, "EXECUTOR_ROLE") == [ZERO_ADDRESS]


def test_only_admin_is_the_timelock_itself(governed: Governed) -> None:
    """G26: the deployer keeps nothing; every role's admin is the timelock."""
    timelock = governed.timelock

    assert members(governed, "DEFAULT_ADMIN_ROLE") == [timelock.address]
    for role in ROLES:
        assert governed.system.deployer not in members(governed, role)
        assert timelock.getRoleAdmin(getattr(timelock, role)()) == timelock.DEFAULT_ADMIN_ROLE()


def test_members_are_counted(system: System) -> None:
    names = [account(f"proposer {index}") for index in range(3)]
    governed = deploy_timelock(system, proposers=[*names, names[0]], executors=names[:2])
    timelock = governed.timelock

    counts = [timelock.member_count(getattr(timelock, role)()) for role in ROLES]

    assert counts == [3, 2, 3, 1]


def test_eight_members_of_each_role_are_taken(system: System) -> None:
    names = [account(f"member {index}") for index in range(9)]
    timelock = deploy_timelock(system, proposers=names[:8], executors=names[:8]).timelock

    assert timelock.member_count(timelock.PROPOSER_ROLE()) == 8
    with evm.reverts():
        deploy_timelock(system, proposers=names)
    with evm.reverts():
        deploy_timelock(system, executors=names)


def test_delay_of_a_second_is_one(system: System) -> None:
    assert deploy_timelock(system, delay=1).timelock.get_minimum_delay() == 1


def test_delay_is_told(system: System) -> None:
    timelock = deploy_timelock(system).timelock

    (change,) = events(timelock, "MinimumDelayChange")
    assert (change.old_duration, change.new_duration) == (0, DELAY)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"delay": 0}, "timelock: zero delay"),
        ({"proposers": []}, "timelock: no proposers"),
        ({"executors": []}, "timelock: no executors"),
        ({"proposers": [ZERO_ADDRESS]}, "timelock: zero proposer"),
    ],
)
def test_terms_under_which_nothing_or_everything_happens_are_refused(
    system: System, terms: dict[str, object], reason: str
) -> None:
    with evm.reverts(reason):
        deploy_timelock(system, **terms)  # type: ignore[arg-type]


def test_executors_may_be_named(system: System) -> None:
    governed = deploy_timelock(system, executors=[system.guardian])
    one = operation(system.token, "mint", system.payer, 1)
    governed.schedule(one)
    system.wait(DELAY)

    with evm.reverts("access_control: account is missing role"):
        governed.execute(one)
    governed.execute(one, sender=system.guardian)


def test_interfaces_are_told(governed: Governed) -> None:
    """ERC-165 and access control; nothing that takes tokens."""
    told = [
        governed.timelock.supportsInterface(bytes.fromhex(one))
        for one in ("01ffc9a7", "7965db0b", "4e2312e0", "ffffffff")
    ]

    assert told == [True, True, False, False]


def test_delay_and_admins_have_no_functions(governed: Governed) -> None:
    """G26: the delay is fixed, and nobody becomes an admin."""
    functions = {item["name"] for item in governed.timelock.abi if item["type"] == "function"}

    assert not functions & {"update_delay", "set_role_admin", "onERC721Received"}


def test_plain_ether_is_refused(governed: Governed) -> None:
    evm.env.set_balance(governed.proposer, 10)

    with evm.reverts():
        evm.env.call(governed.timelock, sender=governed.proposer, value=1)
