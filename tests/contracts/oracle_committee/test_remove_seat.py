"""Seats that end: by the governor, by the transfer of the license."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.oracle_committee.members import NEVER
from tests.contracts.system import ZERO_ADDRESS, System, deploy_system, event
from workdeed.protocol.signing import address_of


def test_governor_removes_a_seat(system: System) -> None:
    """O19."""
    signer = address_of(system.oracle_keys[1])

    system.committee.remove_seat(1, sender=system.governor)

    assert event(system.committee, "SeatRemoved") == {
        "seat": 1,
        "license_id": 2,
        "signer": signer,
        "epoch": 5,
    }
    assert tuple(system.committee.seat(1)) == (0, ZERO_ADDRESS)
    assert system.committee.seat_of_signer(signer) == 0
    assert not system.committee.is_seated(2)
    assert system.committee.seat_count() == 3
    assert system.committee.committee_epoch() == 5


def test_standing_does_not_end_a_seat(system: System) -> None:
    system.blacklist(1)
    system.blacklist(system.oracle_owners[0])
    system.blacklist(address_of(system.oracle_keys[0]))

    assert system.committee.is_seated(1)
    assert system.committee.committee_epoch() == 4


def test_last_seat_stays() -> None:
    system = deploy_system(oracles=1)
    owner = system.oracle_owners[0]

    with evm.reverts("committee: last seat"):
        system.committee.remove_seat(0, sender=system.governor)
    with evm.reverts("committee: last seat"):
        system.licenses.transferFrom(owner, system.operators[0], 1, sender=owner)
    assert system.committee.is_seated(1)


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_only_the_governor_removes(system: System, role: str) -> None:
    with evm.reverts("roles: not the governor"):
        system.committee.remove_seat(0, sender=getattr(system, role))


def test_free_seat_is_not_removed(system: System) -> None:
    with evm.reverts("committee: free seat"):
        system.committee.remove_seat(4, sender=system.governor)


@pytest.mark.parametrize("seat", [32, NEVER])
def test_unknown_seat_is_refused(system: System, seat: int) -> None:
    with evm.reverts("committee: unknown seat"):
        system.committee.remove_seat(seat, sender=system.governor)
    with evm.reverts():
        system.committee.seat(seat)
