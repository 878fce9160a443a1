"""Transfers: nothing of the old owner stays with the license."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    BOND_TERMS,
    NODE,
    ORACLE,
    ZERO_ADDRESS,
    System,
    deployer,
    event,
    events,
)

Transfer = Callable[[System, str, str, int, str], None]


def plain(system: System, owner: str, to: str, license_id: int, sender: str) -> None:
    """Transfer by `transferFrom`."""
    system.licenses.transferFrom(owner, to, license_id, sender=sender)


def safe(system: System, owner: str, to: str, license_id: int, sender: str) -> None:
    """Transfer by `safeTransferFrom`."""
    system.licenses.safeTransferFrom(owner, to, license_id, sender=sender)


both = pytest.mark.parametrize("transfer", [plain, safe])


@both
def test_license_moves_and_everything_of_the_owner_is_cleared(
    system: System, transfer: Transfer
) -> None:
    license_id = system.issue_node()
    node = system.node_of(license_id)
    owner, buyer = system.operators[:2]
    system.licenses.set_profile(license_id, "http://node:1", bytes([7]) * 32, sender=owner)
    system.licenses.set_payout(license_id, system.stranger, sender=owner)
    system.licenses.approve(system.stranger, license_id, sender=owner)

    transfer(system, owner, buyer, license_id, owner)

    assert event(system.licenses, "Transfer") == {
        "sender": owner,
        "receiver": buyer,
        "token_id": license_id,
    }
    assert event(system.licenses, "NodeUnlinked") == {"license_id": license_id, "node": node}
    assert event(system.licenses, "PayoutSet") == {
        "license_id": license_id,
        "payout": ZERO_ADDRESS,
    }
    assert event(system.licenses, "ProfileSet") == {
        "license_id": license_id,
        "profile_hash": bytes(32),
        "endpoint": "",
    }
    assert system.licenses.ownerOf(license_id) == buyer
    assert system.licenses.getApproved(license_id) == ZERO_ADDRESS
    assert system.licenses.node_of(license_id) == ZERO_ADDRESS
    assert system.licenses.license_of(node) == 0
    assert system.licenses.link_nonce(node) == 2
    assert system.licenses.endpoint_of(license_id) == ""
    assert system.licenses.profile_hash_of(license_id) == bytes(32)
    assert tuple(system.licenses.payee_of(license_id)) == (buyer, 0)
    assert system.licenses.kind_of(license_id) == NODE


@both
def test_unlinked_license_moves_without_an_unlink(system: System, transfer: Transfer) -> None:
    license_id = system.issue(system.operators[0])

    transfer(system, system.operators[0], system.operators[1], license_id, system.operators[0])

    assert events(system.licenses, "NodeUnlinked") == []
    assert system.licenses.relink_at(license_id) == 0
    assert system.licenses.ownerOf(license_id) == system.operators[1]


@both
def test_approved_accounts_transfer(system: System, transfer: Transfer) -> None:
    owner = system.operators[0]
    one, two = system.issue_node(), system.issue_node()
    system.licenses.approve(system.stranger, one, sender=owner)
    system.licenses.setApprovalForAll(system.payer, True, sender=owner)

    transfer(system, owner, system.operators[1], one, system.stranger)
    transfer(system, owner, system.operators[1], two, system.payer)

    assert system.licenses.balanceOf(system.operators[1]) == 2


@both
def test_others_cannot(system: System, transfer: Transfer) -> None:
    license_id = system.issue_node()

    for sender in (system.node_of(license_id), system.issuer, system.governor):
        with evm.reverts("license: not owner or approved"):
            transfer(system, system.operators[0], sender, license_id, sender)


@both
def test_wrong_owner_is_refused(system: System, transfer: Transfer) -> None:
    license_id = system.issue(system.operators[0])

    with evm.reverts("erc721: transfer from incorrect owner"):
        transfer(system, system.operators[1], system.operators[2], license_id, system.operators[0])


@both
@pytest.mark.parametrize("hold", [System.freeze, System.suspend, System.blacklist])
@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_bad_standing_is_not_escaped(
    system: System, transfer: Transfer, hold: Callable[..., None], which: str
) -> None:
    license_id = system.issue_node()
    owner, buyer = system.operators[:2]
    system.licenses.approve(system.stranger, license_id, sender=owner)
    hold(system, system.target(license_id, which))

    for sender in (owner, system.stranger):
        with evm.reverts("license: not in good standing"):
            transfer(system, owner, buyer, license_id, sender)


@both
def test_held_owner_is_not_left_out_by_naming_another(system: System, transfer: Transfer) -> None:
    license_id = system.issue(system.operators[0])
    system.suspend(system.operators[0])

    with evm.reverts("erc721: transfer from incorrect owner"):
        transfer(system, system.operators[1], system.operators[2], license_id, system.operators[0])


@both
def test_receiver_in_bad_standing_is_refused(system: System, transfer: Transfer) -> None:
    license_id = system.issue_node()
    owner, buyer = system.operators[:2]
    system.suspend(buyer)

    with evm.reverts("license: receiver's standing"):
        transfer(system, owner, buyer, license_id, owner)


@both
def test_transfer_to_oneself_unlinks_too(system: System, transfer: Transfer) -> None:
    license_id = system.issue_node()
    owner = system.operators[0]

    transfer(system, owner, owner, license_id, owner)

    assert system.licenses.ownerOf(license_id) == owner
    assert system.licenses.node_of(license_id) == ZERO_ADDRESS


@both
def test_transfer_ends_the_seat_of_an_oracle(system: System, transfer: Transfer) -> None:
    owner, epoch = system.oracle_owners[1], system.committee.committee_epoch()

    transfer(system, owner, system.operators[0], 2, owner)

    assert not system.committee.is_seated(2)
    assert system.committee.seat_count() == 3
    assert system.committee.committee_epoch() == epoch + 1


@both
def test_oracle_license_without_a_seat_moves(system: System, transfer: Transfer) -> None:
    license_id = system.issue(system.operators[0], ORACLE)
    epoch = system.committee.committee_epoch()

    transfer(system, system.operators[0], system.operators[1], license_id, system.operators[0])

    assert system.licenses.ownerOf(license_id) == system.operators[1]
    assert system.committee.committee_epoch() == epoch


@pytest.fixture
def unbound(system: System) -> System:
    """A license contract with one oracle license, of `operators[0]`, and no committee yet."""
    trust = deployer("TrustRegistry").deploy(
        system.governor,
        system.guardian,
        system.treasury,
        [system.issuer],
        1,
        sender=system.deployer,
    )
    system.trust = trust
    system.licenses = deployer("NodeLicense").deploy(
        trust, system.vault, 0, 0, BOND_TERMS, [system.operators[0]], sender=system.deployer
    )
    trust.bind_licenses(system.licenses, sender=system.deployer)
    return system


@both
def test_node_license_moves_before_a_committee_is_bound(
    unbound: System, transfer: Transfer
) -> None:
    owner, buyer = unbound.operators[:2]
    license_id = unbound.issue(owner)

    transfer(unbound, owner, buyer, license_id, owner)

    assert unbound.licenses.ownerOf(license_id) == buyer


@both
def test_oracle_license_moved_before_the_committee_was_bound_kept_its_seat(
    unbound: System, transfer: Transfer
) -> None:
    owner, buyer = unbound.operators[:2]
    second = unbound.issue(owner, ORACLE)
    committee = deployer("OracleCommittee").deploy(
        unbound.trust,
        unbound.licenses,
        evm.env.timestamp,
        unbound.window,
        unbound.challenge,
        [(1, unbound.payer), (second, unbound.stranger)],
    )
    with evm.reverts("license: committee not bound"):
        transfer(unbound, owner, buyer, second, owner)

    unbound.licenses.bind_committee(committee, sender=unbound.deployer)
    transfer(unbound, owner, buyer, second, owner)

    assert not committee.is_seated(second)
    assert unbound.licenses.oracle_licenses_of(owner) == 1
    assert unbound.licenses.oracle_licenses_of(buyer) == 1


def test_receiving_contract_must_accept_a_safe_transfer(system: System) -> None:
    license_id = system.issue_node()
    owner = system.operators[0]

    with evm.reverts():
        safe(system, owner, system.token.address, license_id, owner)

    assert system.licenses.ownerOf(license_id) == owner


def test_receiver_that_accepts_is_told_once_everything_is_settled(system: System) -> None:
    receiver = deployer("testing/Receiver").deploy(True)
    license_id = system.issue_node()
    owner = system.operators[0]

    system.licenses.safeTransferFrom(owner, receiver.address, license_id, b"hello", sender=owner)

    assert receiver.data() == b"hello"
    assert receiver.payee_when_called() == receiver.address
    assert system.licenses.ownerOf(license_id) == receiver.address


def test_receiver_that_refuses_gets_nothing(system: System) -> None:
    receiver = deployer("testing/Receiver").deploy(False)
    license_id = system.issue_node()
    owner = system.operators[0]

    with evm.reverts("erc721: transfer to non-IERC721Receiver implementer"):
        safe(system, owner, receiver.address, license_id, owner)


def test_plain_transfer_asks_no_receiver(system: System) -> None:
    license_id = system.issue_node()
    owner = system.operators[0]

    plain(system, owner, system.token.address, license_id, owner)

    assert system.licenses.ownerOf(license_id) == system.token.address
