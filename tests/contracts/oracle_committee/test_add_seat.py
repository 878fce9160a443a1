"""Who is seated, on which seat, for which license."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.oracle_committee.members import KEY, SIGNER, add_seat, issue_oracle
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


def test_governor_seats_the_linked_key_of_an_oracle_license(system: System) -> None:
    system.issue(system.operators[0])  # else the license had the number of the epoch
    license_id = issue_oracle(system)

    seat = system.committee.add_seat(license_id, SIGNER, sender=system.governor)

    assert seat == 4
    assert event(system.committee, "SeatAdded") == {
        "seat": 4,
        "license_id": license_id,
        "signer": SIGNER,
        "epoch": 5,
    }
    assert tuple(system.committee.seat(4)) == (license_id, SIGNER)
    assert system.committee.seat_of_signer(SIGNER) == 5
    assert system.committee.is_seated(license_id)
    assert system.committee.seat_count() == 5
    assert system.committee.quorum() == 4
    assert system.committee.committee_epoch() == 5


def test_lowest_free_seat_is_taken_next(system: System) -> None:
    system.committee.remove_seat(2, sender=system.governor)
    system.committee.remove_seat(1, sender=system.governor)

    assert add_seat(system, issue_oracle(system)) == 1


def test_relinking_does_not_change_the_seat(system: System) -> None:
    license_id = issue_oracle(system)
    add_seat(system, license_id)
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    system.link(license_id, private_key("another node"))

    assert tuple(system.committee.seat(4)) == (license_id, SIGNER)
    assert system.committee.committee_epoch() == 5


def test_standing_does_not_keep_from_a_seat(system: System) -> None:
    """O19: who may freeze accounts can't choose who signs."""
    license_id = issue_oracle(system)
    system.freeze(license_id)

    assert add_seat(system, license_id) == 4


def test_committee_is_never_larger_than_its_lanes() -> None:
    system = deploy_system(oracles=32)
    license_id = issue_oracle(system)

    with evm.reverts("committee: no free seat"):
        add_seat(system, license_id)
    system.committee.remove_seat(31, sender=system.governor)

    assert add_seat(system, license_id) == 31


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_only_the_governor_seats(system: System, role: str) -> None:
    license_id = issue_oracle(system)

    with evm.reverts("roles: not the governor"):
        system.committee.add_seat(license_id, SIGNER, sender=getattr(system, role))


def test_node_license_takes_no_seat(system: System) -> None:
    license_id = system.issue_node()
    assert system.licenses.kind_of(license_id) == NODE
    signer = system.node_of(license_id)

    with evm.reverts("committee: not an oracle license"):
        system.committee.add_seat(license_id, signer, sender=system.governor)


def test_unlinked_license_takes_no_seat(system: System) -> None:
    license_id = system.issue(system.operators[0], ORACLE)

    with evm.reverts("committee: not the linked node"):
        add_seat(system, license_id)
    with evm.reverts("committee: zero signer"):
        system.committee.add_seat(license_id, ZERO_ADDRESS, sender=system.governor)


def test_license_that_does_not_exist_takes_no_seat(system: System) -> None:
    with evm.reverts("committee: not the linked node"):
        add_seat(system, 77)
    with evm.reverts("committee: no bond"):
        system.committee.add_seat(77, ZERO_ADDRESS, sender=system.governor)


def test_key_that_was_swapped_while_the_call_waited_takes_no_seat(system: System) -> None:
    license_id = issue_oracle(system)
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    system.link(license_id, private_key("another node"))

    with evm.reverts("committee: not the linked node"):
        add_seat(system, license_id)


def test_license_without_its_bond_takes_no_seat() -> None:
    system = deploy_system(bond_terms=BondTerms(min_oracle_bond=100))
    license_id = issue_oracle(system)
    system.post_bond(license_id, 99)

    with evm.reverts("committee: no bond"):
        add_seat(system, license_id)
    system.post_bond(license_id, 1)

    assert add_seat(system, license_id) == 4


def test_license_that_asks_for_its_bond_takes_no_seat() -> None:
    system = deploy_system(bond_terms=BondTerms(min_oracle_bond=100))
    license_id = issue_oracle(system)
    system.post_bond(license_id, 100)
    system.licenses.request_unbond(license_id, 1, sender=system.operators[0])

    with evm.reverts("committee: no bond"):
        add_seat(system, license_id)


def test_seated_license_takes_no_second_seat(system: System) -> None:
    license_id = issue_oracle(system)
    add_seat(system, license_id)
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    other = private_key("another node")
    system.link(license_id, other)

    with evm.reverts("committee: license seated"):
        add_seat(system, license_id, other)


def test_seated_signer_takes_no_second_seat(system: System) -> None:
    key = system.oracle_keys[0]
    license_id = issue_oracle(system, key)

    with evm.reverts("committee: signer seated"):
        add_seat(system, license_id, key)


def test_signer_that_moved_to_another_license_keeps_its_seat(system: System) -> None:
    """The seat is the first license's: it answers for what the key signs."""
    first = issue_oracle(system)
    add_seat(system, first)
    system.licenses.unlink_node(first, sender=system.operators[0])
    second = issue_oracle(system)

    with evm.reverts("committee: signer seated"):
        add_seat(system, second)
    assert system.committee.member_of(address_of(KEY))[0] == first
