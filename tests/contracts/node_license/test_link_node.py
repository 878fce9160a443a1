"""Linking a node key by its own signature."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    FOREVER,
    ORACLE,
    ZERO_ADDRESS,
    System,
    deploy_system,
    event,
    private_key,
)
from workdeed.protocol.signing import CURVE_ORDER, address_of

KEY = private_key("node")
NODE_ADDRESS = address_of(KEY)


@pytest.fixture
def license_id(system: System) -> int:
    """A license of `operators[0]` without a node."""
    return system.issue(system.operators[0])


def link(system: System, license_id: int, signature: bytes, **options: Any) -> None:
    """Send a link of `KEY`, by default as `operators[0]` and without a deadline."""
    sender = options.pop("sender", system.operators[0])
    deadline = options.pop("deadline", FOREVER)
    node = options.pop("node", NODE_ADDRESS)
    system.licenses.link_node(license_id, node, deadline, signature, sender=sender)


def test_owner_links_a_node_that_signed(system: System, license_id: int) -> None:
    link(system, license_id, system.link_signature(license_id, KEY))

    assert event(system.licenses, "NodeLinked") == {
        "license_id": license_id,
        "node": NODE_ADDRESS,
        "owner": system.operators[0],
    }
    assert system.licenses.node_of(license_id) == NODE_ADDRESS
    assert system.licenses.license_of(NODE_ADDRESS) == license_id
    assert system.licenses.link_nonce(NODE_ADDRESS) == 1
    assert system.licenses.eligible(license_id)


def test_node_reads_back_to_its_last_bit(system: System) -> None:
    keys = [private_key(f"node {index}") for index in range(8)]
    assert {int(address_of(key), 16) % 2 for key in keys} == {0, 1}

    for key in keys:
        license_id = system.issue(system.operators[0])
        system.link(license_id, key)
        assert system.licenses.node_of(license_id) == address_of(key)


def test_oracle_license_is_linked_but_never_placed(system: System) -> None:
    license_id = system.issue(system.operators[0], ORACLE)

    link(system, license_id, system.link_signature(license_id, KEY))

    assert system.licenses.node_of(license_id) == NODE_ADDRESS
    assert not system.licenses.eligible(license_id)


def test_payout_and_profile_survive_a_link(system: System, license_id: int) -> None:
    system.licenses.set_payout(license_id, system.stranger, sender=system.operators[0])

    link(system, license_id, system.link_signature(license_id, KEY))

    assert system.licenses.payee_of(license_id)[0] == system.stranger


@pytest.mark.parametrize("role", ["issuer", "governor", "stranger"])
def test_only_the_owner_links(system: System, license_id: int, role: str) -> None:
    sender = getattr(system, role)
    signature = system.link_signature(license_id, KEY, owner=sender)

    with evm.reverts("license: not the owner"):
        link(system, license_id, signature, sender=sender)


def test_approved_account_does_not_link(system: System, license_id: int) -> None:
    system.licenses.approve(system.stranger, license_id, sender=system.operators[0])

    with evm.reverts("license: not the owner"):
        link(system, license_id, system.link_signature(license_id, KEY), sender=system.stranger)


def test_unknown_license_is_refused(system: System) -> None:
    signature = system.link_signature(1_000, KEY, owner=system.operators[0])

    with evm.reverts("erc721: invalid token ID"):
        link(system, 1_000, signature)


def test_second_node_is_refused(system: System, license_id: int) -> None:
    system.link(license_id, KEY)
    other = private_key("another node")

    with evm.reverts("license: already linked"):
        link(system, license_id, system.link_signature(license_id, other), node=address_of(other))


def test_node_of_another_license_is_refused(system: System, license_id: int) -> None:
    system.link(license_id, KEY)
    second = system.issue(system.operators[1])

    with evm.reverts("license: node linked elsewhere"):
        link(system, second, system.link_signature(second, KEY), sender=system.operators[1])


def test_deadline_is_the_last_second(system: System, license_id: int) -> None:
    deadline = evm.env.timestamp + 10
    signature = system.link_signature(license_id, KEY, deadline=deadline)
    system.wait(11)
    with evm.reverts("license: deadline passed"):
        link(system, license_id, signature, deadline=deadline)

    evm.env.timestamp = deadline
    link(system, license_id, signature, deadline=deadline)

    assert system.licenses.node_of(license_id) == NODE_ADDRESS


@pytest.mark.parametrize("length", [0, 64])
def test_signature_of_another_length_is_refused(
    system: System, license_id: int, length: int
) -> None:
    signature = system.link_signature(license_id, KEY)[:length]

    with evm.reverts("license: signature length"):
        link(system, license_id, signature)


def test_twin_with_a_high_s_is_refused(system: System, license_id: int) -> None:
    signature = system.link_signature(license_id, KEY)
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])

    with evm.reverts("signature: high s"):
        link(system, license_id, twin)


def test_signature_that_recovers_nobody_is_refused(system: System, license_id: int) -> None:
    signature = system.link_signature(license_id, KEY)[:64] + bytes([0])

    with evm.reverts("signature: invalid"):
        link(system, license_id, signature)


@pytest.mark.parametrize(
    "wrong",
    [
        {"owner": "0x" + "11" * 20},
        {"nonce": 1},
        {"deadline": FOREVER - 1},
    ],
)
def test_signature_over_other_terms_is_refused(
    system: System, license_id: int, wrong: dict[str, Any]
) -> None:
    signature = system.link_signature(license_id, KEY, **wrong)

    with evm.reverts("license: wrong node signature"):
        link(system, license_id, signature)


def test_signature_for_another_license_is_refused(system: System, license_id: int) -> None:
    second = system.issue(system.operators[0])

    with evm.reverts("license: wrong node signature"):
        link(system, second, system.link_signature(license_id, KEY))


def test_signature_of_another_key_is_refused(system: System, license_id: int) -> None:
    signature = system.link_signature(license_id, private_key("another node"))

    with evm.reverts("license: wrong node signature"):
        link(system, license_id, signature)


def test_zero_node_is_refused(system: System, license_id: int) -> None:
    signature = system.link_signature(license_id, KEY)

    with evm.reverts("license: wrong node signature"):
        link(system, license_id, signature, node=ZERO_ADDRESS)


def test_signature_for_another_contract_is_refused(system: System, license_id: int) -> None:
    other = deploy_system(oracles=1)
    foreign = replace(system, licenses=other.licenses)
    signature = foreign.link_signature(license_id, KEY, owner=system.operators[0], nonce=0)

    with evm.reverts("license: wrong node signature"):
        link(system, license_id, signature)


def test_signature_for_another_chain_is_refused_at_the_same_address() -> None:
    with evm.env.other_chain(1):
        here = deploy_system()
        signature = here.link_signature(here.issue(here.operators[0]), KEY)
    with evm.env.other_chain(2):
        there = deploy_system()
        assert there.licenses.address == here.licenses.address
        license_id = there.issue(there.operators[0])

        with evm.reverts("license: wrong node signature"):
            link(there, license_id, signature)


def test_signature_works_once(system: System, license_id: int) -> None:
    signature = system.link_signature(license_id, KEY)
    link(system, license_id, signature)
    system.licenses.unlink_node(license_id, sender=system.operators[0])

    with evm.reverts("license: wrong node signature"):
        link(system, license_id, signature)


def test_signature_dies_with_a_transfer(system: System, license_id: int) -> None:
    owner, buyer = system.operators[:2]
    link(system, license_id, system.link_signature(license_id, KEY))
    kept = system.link_signature(license_id, KEY, nonce=1)
    system.licenses.transferFrom(owner, buyer, license_id, sender=owner)
    system.licenses.transferFrom(buyer, owner, license_id, sender=buyer)

    with evm.reverts("license: wrong node signature"):
        link(system, license_id, kept)


def test_node_that_links_elsewhere_voids_what_it_signed_before(
    system: System, license_id: int
) -> None:
    kept = system.link_signature(license_id, KEY)
    second = system.issue(system.operators[0])
    system.link(second, KEY)
    system.licenses.unlink_node(second, sender=system.operators[0])

    with evm.reverts("license: wrong node signature"):
        link(system, license_id, kept)


@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_bad_standing_is_refused(system: System, license_id: int, which: str) -> None:
    target: dict[str, int | str] = {
        "license": license_id,
        "owner": system.operators[0],
        "node": NODE_ADDRESS,
    }
    system.suspend(target[which])

    with evm.reverts("license: not in good standing"):
        link(system, license_id, system.link_signature(license_id, KEY))


def test_relink_waits_for_the_delay() -> None:
    system = deploy_system(oracles=1, relink_delay=50)
    license_id = system.issue_node()
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    relink_at = evm.env.timestamp + 50

    assert system.licenses.relink_at(license_id) == relink_at
    system.wait(49)
    with evm.reverts("license: relink delay"):
        system.link(license_id, KEY)
    system.wait(1)
    system.link(license_id, KEY)

    assert system.licenses.node_of(license_id) == NODE_ADDRESS


def test_buyer_waits_for_the_delay_too() -> None:
    system = deploy_system(oracles=1, relink_delay=50)
    license_id = system.issue_node()
    owner, buyer = system.operators[:2]
    system.licenses.transferFrom(owner, buyer, license_id, sender=owner)

    with evm.reverts("license: relink delay"):
        system.link(license_id, KEY)
