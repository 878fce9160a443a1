"""A token that calls back in the middle of a bond's transfer: every call that writes is shut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.node_license.bonds import DELAY, MIN_NODE, bonded_node, deploy_with
from tests.contracts.system import EVIDENCE, NODE, System, deployer

SNEKMATES = {"setApprovalForAll", "permit"}
"""Approvals as the library wrote them: they touch neither bonds nor links."""


@pytest.fixture
def system() -> System:
    """A system whose token calls back, with one bonded node; half of its bond may be withdrawn."""
    system = deploy_with("HookToken")
    license_id = bonded_node(system)
    system.licenses.request_unbond(license_id, MIN_NODE // 2, sender=system.operators[0])
    system.wait(DELAY)
    return system


def license_of(system: System) -> int:
    """Return the bonded license."""
    return next(iter(system.node_keys))


def attempts(system: System) -> dict[str, bytes]:
    """Return the data of every call that writes, and of two that read, as an attacker sends it."""
    licenses, license_id = system.licenses, license_of(system)
    owner, node = system.operators[0], system.node_of(license_id)
    return {
        "bind_committee": licenses.bind_committee.prepare_calldata(node),
        "issue": licenses.issue.prepare_calldata(owner, NODE),
        "approve": licenses.approve.prepare_calldata(node, license_id),
        "transferFrom": licenses.transferFrom.prepare_calldata(owner, node, license_id),
        "safeTransferFrom": licenses.safeTransferFrom.prepare_calldata(owner, node, license_id),
        "link_node": licenses.link_node.prepare_calldata(license_id, node, 0, bytes(65)),
        "unlink_node": licenses.unlink_node.prepare_calldata(license_id),
        "set_profile": licenses.set_profile.prepare_calldata(license_id, "", bytes(32)),
        "set_payout": licenses.set_payout.prepare_calldata(license_id, node),
        "post_bond": licenses.post_bond.prepare_calldata(license_id, 0),
        "request_unbond": licenses.request_unbond.prepare_calldata(license_id, 1),
        "cancel_unbond": licenses.cancel_unbond.prepare_calldata(license_id),
        "withdraw_bond": licenses.withdraw_bond.prepare_calldata(license_id),
        "slash": licenses.slash.prepare_calldata(license_id, 1, bytes(32), node),
        "set_slash_split": licenses.set_slash_split.prepare_calldata(0, 0),
        "bond_of": licenses.bond_of.prepare_calldata(license_id),
        "bonds_held": licenses.bonds_held.prepare_calldata(),
    }


def post(system: System) -> None:
    """Make the license contract pull a bond."""
    system.post_bond(license_of(system), 5)


def withdraw(system: System) -> None:
    """Make it pay a bond back."""
    system.licenses.withdraw_bond(license_of(system), sender=system.operators[0])


def slash(system: System) -> None:
    """Make it pay a harmed payer, and the vault."""
    system.licenses.slash(
        license_of(system), MIN_NODE, EVIDENCE, system.payer, sender=system.governor
    )


transfers = pytest.mark.parametrize("transfer", [post, withdraw, slash])


def test_every_call_that_writes_is_tried(system: System) -> None:
    writing = {
        entry["name"]
        for entry in system.licenses.abi
        if entry["type"] == "function" and entry["stateMutability"] != "view"
    }

    assert writing - attempts(system).keys() == SNEKMATES


@transfers
def test_no_call_gets_in_during_a_transfer(
    system: System, transfer: Callable[[System], None]
) -> None:
    for name, data in attempts(system).items():
        licenses, sender = system.licenses.address, system.token.address
        outside = evm.env.probe(licenses, sender=sender, data=data)
        assert outside.succeeded or outside.output, f"{name} is malformed and proves nothing"
        system.token.set_hook(licenses, data)

        with evm.env.anchor():
            transfer(system)

            assert system.token.calls() > 0
            assert not system.token.succeeded(), name
            # The lock gives no reason; whatever gets past it gives one.
            assert system.token.response() == b"", name


@transfers
def test_what_placements_and_claims_wait_for_may_be_read_meanwhile(
    system: System, transfer: Callable[[System], None]
) -> None:
    license_id = license_of(system)
    reading = system.licenses.payee_of.prepare_calldata(license_id)
    system.token.set_hook(system.licenses.address, reading)

    transfer(system)

    assert system.token.succeeded()


@transfers
def test_hook_itself_works(system: System, transfer: Callable[[System], None]) -> None:
    """Else the refusals above would prove nothing: a call to another contract gets through."""
    other = deployer("testing/PlainToken").deploy(6)
    system.token.set_hook(other.address, other.mint.prepare_calldata(system.stranger, 5))

    transfer(system)

    assert system.token.succeeded()
    assert other.balanceOf(system.stranger) >= 5


def test_vault_is_booked_before_anyone_can_book_its_tokens_elsewhere(system: System) -> None:
    """A hook that books the slash's tokens for another pot takes the whole slash down."""
    booking = system.vault.book.prepare_calldata(1, 0, 0)
    system.token.set_hook(system.vault.address, booking)

    with evm.reverts("pots: not sent"):
        slash(system)

    assert system.vault.owed() == 0
    assert not system.licenses.is_slashed(EVIDENCE)
