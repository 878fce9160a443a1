"""Records of members: for which license, in which epochs, until when."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.oracle_committee.members import (
    NEVER,
    add_seat,
    issue_oracle,
    remove_seat,
)
from tests.contracts.system import System, private_key
from workdeed.protocol.signing import address_of


def record(system: System, key: bytes) -> tuple[int, int, int, int]:
    """Return license, first and last epoch and end of a key's membership."""
    license_id, first, last, ended_at = system.committee.member_of(address_of(key))
    return license_id, first, last, ended_at


def test_record_of_a_member_outlives_its_seat(system: System) -> None:
    """O19: what it signed in its epochs can be held against it, and against no other license."""
    key = system.oracle_keys[1]
    assert record(system, key) == (2, 2, 0, 0)

    remove_seat(system, 1)

    assert record(system, key) == (2, 2, 4, evm.env.timestamp)


def test_record_ends_with_the_last_epoch_of_the_seat(system: System) -> None:
    remove_seat(system, 1)
    remove_seat(system, 2)

    assert record(system, system.oracle_keys[1])[2] == 4
    assert record(system, system.oracle_keys[2])[2] == 5


def test_stranger_has_no_record(system: System) -> None:
    assert record(system, private_key("stranger to the committee")) == (0, 0, 0, 0)


def test_signer_that_comes_back_for_its_license_continues_its_record(system: System) -> None:
    """O19: leaving and coming back does not wipe what it signed before."""
    key = system.oracle_keys[1]
    remove_seat(system, 1)
    system.link(2, key)
    system.wait(system.committee.UNBOND_DELAY() - 1)

    add_seat(system, 2, key)
    assert record(system, key) == (2, 2, 0, 0)
    remove_seat(system, 1)

    assert record(system, key) == (2, 2, 6, evm.env.timestamp)


def test_signer_that_comes_back_after_its_record_expired_starts_a_new_one(system: System) -> None:
    key = system.oracle_keys[1]
    remove_seat(system, 1)
    system.link(2, key)
    system.wait(system.committee.UNBOND_DELAY())

    add_seat(system, 2, key)

    assert record(system, key) == (2, 6, 0, 0)


def test_signer_comes_back_for_another_license_once_its_record_expired(system: System) -> None:
    """Else the other license would take over what the first still answers for."""
    key = system.oracle_keys[1]
    remove_seat(system, 1)
    license_id = issue_oracle(system, key)
    system.wait(system.committee.UNBOND_DELAY() - 1)

    with evm.reverts("committee: signer on record"):
        add_seat(system, license_id, key)
    system.wait(1)
    add_seat(system, license_id, key)

    assert record(system, key) == (license_id, 6, 0, 0)


def test_license_counts_its_latest_seat(system: System) -> None:
    """`withdraw_bond` waits for the end of whichever key held the seat last."""
    committee = system.committee
    assert committee.seat_ended_at(2) == NEVER
    assert committee.seat_ended_at(77) == 0
    remove_seat(system, 1)
    assert committee.seat_ended_at(2) == evm.env.timestamp
    system.wait(5)
    other = private_key("another node of license 2")
    system.link(2, other)

    add_seat(system, 2, other)
    assert committee.seat_ended_at(2) == NEVER
    remove_seat(system, 1)

    assert committee.seat_ended_at(2) == evm.env.timestamp
