"""Seats that come and go: `add_seat`, `remove_seat`, `end_seat_of` and the epoch."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    NODE,
    ORACLE,
    ZERO_ADDRESS,
    BondTerms,
    System,
    deploy_system,
    event,
    private_key,
)
from workdeed.protocol.signing import address_of

KEY = private_key("fifth oracle")


def issue_oracle(system: System, key: bytes = KEY) -> int:
    """Issue an oracle license to an operator and link the key of its signer."""
    license_id = system.issue(system.operators[0], ORACLE)
    system.link(license_id, key)
    return license_id


def post_bond(system: System, license_id: int, amount: int) -> None:
    """Bond a license; a stranger pays."""
    system.token.mint(system.stranger, amount)
    system.token.approve(system.licenses.address, amount, sender=system.stranger)
    system.licenses.post_bond(license_id, amount, sender=system.stranger)


def test_governor_seats_the_linked_key_of_an_oracle_license(system: System) -> None:
    license_id = issue_oracle(system)

    seat = system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)

    assert seat == 4
    assert event(system.committee, "SeatAdded") == {
        "seat": 4,
        "license_id": license_id,
        "signer": address_of(KEY),
        "epoch": 5,
    }
    assert tuple(system.committee.seat(4)) == (license_id, address_of(KEY))
    assert system.committee.seat_of_signer(address_of(KEY)) == 5
    assert system.committee.is_seated(license_id)
    assert system.committee.seat_count() == 5
    assert system.committee.quorum() == 4
    assert system.committee.committee_epoch() == 5


def test_governor_removes_a_seat(system: System) -> None:
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


def test_lowest_free_seat_is_taken_next(system: System) -> None:
    system.committee.remove_seat(2, sender=system.governor)
    system.committee.remove_seat(1, sender=system.governor)

    license_id = issue_oracle(system)

    seat = system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)

    assert seat == 1


def test_relinking_does_not_change_the_seat(system: System) -> None:
    license_id = issue_oracle(system)
    system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    system.link(license_id, private_key("another node"))

    assert tuple(system.committee.seat(4)) == (license_id, address_of(KEY))
    assert system.committee.committee_epoch() == 5


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


def test_committee_is_never_larger_than_its_lanes() -> None:
    system = deploy_system(oracles=32)
    license_id = issue_oracle(system)

    with evm.reverts("committee: no free seat"):
        system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)
    system.committee.remove_seat(31, sender=system.governor)

    seat = system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)

    assert seat == 31


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_only_the_governor_changes_seats(system: System, role: str) -> None:
    license_id = issue_oracle(system)

    with evm.reverts("roles: not the governor"):
        system.committee.add_seat(license_id, address_of(KEY), sender=getattr(system, role))
    with evm.reverts("roles: not the governor"):
        system.committee.remove_seat(0, sender=getattr(system, role))


@pytest.mark.parametrize("role", ["governor", "guardian", "deployer", "stranger"])
def test_only_the_licenses_end_seats(system: System, role: str) -> None:
    with evm.reverts("committee: not the licenses"):
        system.committee.end_seat_of(1, sender=getattr(system, role))


def test_license_contract_ends_no_seat_of_a_license_without_one(system: System) -> None:
    system.committee.end_seat_of(77, sender=system.licenses.address)

    assert system.committee.committee_epoch() == 4


def test_node_license_takes_no_seat(system: System) -> None:
    license_id = system.issue_node()
    assert system.licenses.kind_of(license_id) == NODE
    signer = system.node_of(license_id)

    with evm.reverts("committee: not an oracle license"):
        system.committee.add_seat(license_id, signer, sender=system.governor)


def test_unlinked_license_takes_no_seat(system: System) -> None:
    license_id = system.issue(system.operators[0], ORACLE)

    with evm.reverts("committee: not the linked node"):
        system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)
    with evm.reverts("committee: zero signer"):
        system.committee.add_seat(license_id, ZERO_ADDRESS, sender=system.governor)


def test_key_that_was_swapped_while_the_call_waited_takes_no_seat(system: System) -> None:
    license_id = issue_oracle(system)
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    system.link(license_id, private_key("another node"))

    with evm.reverts("committee: not the linked node"):
        system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)


def test_license_without_its_bond_takes_no_seat() -> None:
    system = deploy_system(bond_terms=BondTerms(min_oracle_bond=100))
    license_id = issue_oracle(system)

    with evm.reverts("committee: no bond"):
        system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)
    post_bond(system, license_id, 100)

    assert system.committee.add_seat(license_id, address_of(KEY), sender=system.governor) == 4


def test_seated_license_takes_no_second_seat(system: System) -> None:
    license_id = issue_oracle(system)
    system.committee.add_seat(license_id, address_of(KEY), sender=system.governor)
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    other = private_key("another node")
    system.link(license_id, other)

    with evm.reverts("committee: license seated"):
        system.committee.add_seat(license_id, address_of(other), sender=system.governor)


def test_seated_signer_takes_no_second_seat(system: System) -> None:
    key = system.oracle_keys[0]
    license_id = issue_oracle(system, key)

    with evm.reverts("committee: signer seated"):
        system.committee.add_seat(license_id, address_of(key), sender=system.governor)


def test_record_of_a_member_outlives_its_seat(system: System) -> None:
    """O19: what it signed in its epochs can be held against it, and against no other license."""
    signer = address_of(system.oracle_keys[1])
    assert tuple(system.committee.member_of(signer)) == (2, 2, 0, 0)
    assert system.committee.seat_ended_at(2) == 2**256 - 1

    system.committee.remove_seat(1, sender=system.governor)
    ended_at = evm.env.timestamp

    assert tuple(system.committee.member_of(signer)) == (2, 2, 4, ended_at)
    assert system.committee.seat_ended_at(2) == ended_at
    assert system.committee.seat_ended_at(77) == 0
    assert tuple(system.committee.member_of(system.stranger)) == (0, 0, 0, 0)


def test_signer_comes_back_for_another_license_once_its_record_expired(system: System) -> None:
    key = system.oracle_keys[1]
    system.committee.remove_seat(1, sender=system.governor)
    license_id = issue_oracle(system, key)
    system.wait(system.committee.UNBOND_DELAY() - 1)

    with evm.reverts("committee: signer on record"):
        system.committee.add_seat(license_id, address_of(key), sender=system.governor)
    system.wait(1)
    system.committee.add_seat(license_id, address_of(key), sender=system.governor)

    assert tuple(system.committee.member_of(address_of(key))) == (license_id, 6, 0, 0)


def test_signer_that_comes_back_for_its_license_continues_its_record(system: System) -> None:
    key = system.oracle_keys[1]
    system.committee.remove_seat(1, sender=system.governor)
    system.link(2, key)

    system.committee.add_seat(2, address_of(key), sender=system.governor)

    assert tuple(system.committee.member_of(address_of(key))) == (2, 2, 0, 0)


def test_free_seat_is_not_removed(system: System) -> None:
    with evm.reverts("committee: free seat"):
        system.committee.remove_seat(4, sender=system.governor)


@pytest.mark.parametrize("seat", [32, 2**256 - 1])
def test_unknown_seat_is_refused(system: System, seat: int) -> None:
    with evm.reverts("committee: unknown seat"):
        system.committee.remove_seat(seat, sender=system.governor)
    with evm.reverts():
        system.committee.seat(seat)
