"""The seat of a license that moves."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.oracle_committee.members import add_seat
from tests.contracts.system import System, event, private_key
from workdeed.protocol.signing import address_of


def test_transfer_of_the_license_ends_the_seat(system: System) -> None:
    owner = system.oracle_owners[3]

    system.licenses.transferFrom(owner, system.operators[0], 4, sender=owner)

    assert event(system.licenses, "SeatRemoved") == {
        "seat": 3,
        "license_id": 4,
        "signer": address_of(system.oracle_keys[3]),
        "epoch": 5,
    }
    assert not system.committee.is_seated(4)
    assert system.committee.seat_ended_at(4) == evm.env.timestamp


def test_new_owner_is_seated_with_a_key_of_its_own(system: System) -> None:
    """O19: the old key answers on for its epochs; it does not sign for the new owner."""
    owner, buyer, key = system.oracle_owners[3], system.operators[0], private_key("buyer's node")
    system.licenses.transferFrom(owner, buyer, 4, sender=owner)
    ended_at = evm.env.timestamp
    system.wait(1)
    system.link(4, key)

    add_seat(system, 4, key)

    committee = system.committee
    assert tuple(committee.member_of(address_of(key))) == (4, 6, 0, 0)
    assert tuple(committee.member_of(address_of(system.oracle_keys[3]))) == (4, 4, 4, ended_at)


@pytest.mark.parametrize("role", ["governor", "guardian", "deployer", "stranger"])
def test_only_the_licenses_end_seats(system: System, role: str) -> None:
    with evm.reverts("committee: not the licenses"):
        system.committee.end_seat_of(1, sender=getattr(system, role))


def test_license_without_a_seat_has_none_to_end(system: System) -> None:
    system.committee.end_seat_of(77, sender=system.licenses.address)

    assert system.committee.committee_epoch() == 4
