"""Whose signatures place: this epoch's quorum, for this placement, on this chain and contract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    System,
    account,
    deploy_system,
    private_key,
    refuses_signatures,
    sign,
)
from workdeed.protocol.eip712 import Domain, report_digest
from workdeed.protocol.signing import CURVE_ORDER, address_of


@pytest.fixture
def job_id(system: System) -> int:
    """A job of three slots that waits for its first placement."""
    return system.open_job(slots=3, min_slots=1)


@pytest.mark.parametrize(
    ("assign", "release"), [(1, 0), (3, 0), (0, 1), (0, 3), (1, 1), (1, 2), (2, 1)]
)
def test_lists_of_every_length_hash_as_the_package_hashes_them(
    system: System, nodes: list[int], assign: int, release: int
) -> None:
    others = [system.issue_node(system.operators[3]) for _ in range(3)]
    job_id = system.open_job(slots=6, min_slots=1)
    system.place(job_id, nodes)

    system.place(job_id, others[:assign], nodes[:release])

    assert system.desk.job(job_id).active == 3 + assign - release


def test_too_few_signatures_are_refused(system: System, nodes: list[int], job_id: int) -> None:
    with evm.reverts("committee: too few signatures"):
        system.escrow.place(*system.placement(job_id, nodes, keys=system.oracle_keys[:2]))
    with evm.reverts("committee: too few signatures"):
        system.escrow.place(*system.placement(job_id, nodes, keys=[]))


def test_more_signatures_than_a_quorum_are_fine(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.escrow.place(*system.placement(job_id, nodes, keys=system.oracle_keys))

    assert system.desk.job(job_id).active == 3


def test_every_member_of_the_largest_committee_may_sign() -> None:
    """More signatures than any committee can give are no call at all."""
    system = deploy_system(oracles=32)
    job_id = system.open_job()
    arguments = system.placement(job_id, [system.issue_node()], keys=system.oracle_keys)
    assert len(arguments.signatures) == 32 * 65

    with evm.reverts():
        system.escrow.place(*arguments._replace(signatures=arguments.signatures + b"0"))
    system.escrow.place(*arguments)

    assert system.desk.job(job_id).active == 1


def test_unsorted_signatures_are_refused(system: System, nodes: list[int], job_id: int) -> None:
    arguments = system.placement(job_id, nodes)
    swapped = arguments.signatures[65:130] + arguments.signatures[:65] + arguments.signatures[130:]

    with evm.reverts("committee: signer order"):
        system.escrow.place(*arguments._replace(signatures=swapped))


def test_repeated_signatures_are_refused(system: System, nodes: list[int], job_id: int) -> None:
    arguments = system.placement(job_id, nodes)

    with evm.reverts("committee: signer order"):
        system.escrow.place(*arguments._replace(signatures=arguments.signatures[:65] * 3))


def test_strangers_signature_is_refused(system: System, nodes: list[int], job_id: int) -> None:
    keys = [*system.oracle_keys[:2], private_key("no member")]

    with evm.reverts("committee: not a member"):
        system.escrow.place(*system.placement(job_id, nodes, keys=keys))


def test_node_keys_do_not_place(system: System, nodes: list[int], job_id: int) -> None:
    keys = [system.node_keys[license_id] for license_id in nodes]

    with evm.reverts("committee: not a member"):
        system.escrow.place(*system.placement(job_id, nodes, keys=keys))


def test_malleated_signature_is_refused(system: System, nodes: list[int], job_id: int) -> None:
    arguments = system.placement(job_id, nodes)
    good = arguments.signatures
    s = CURVE_ORDER - int.from_bytes(good[32:64], "big")
    twin = good[:32] + s.to_bytes(32, "big") + bytes([55 - good[64]])

    with evm.reverts("signature: high s"):
        system.escrow.place(*arguments._replace(signatures=twin + good[65:]))


def test_cut_signatures_are_refused(system: System, nodes: list[int], job_id: int) -> None:
    arguments = system.placement(job_id, nodes)

    with evm.reverts("committee: signatures length"):
        system.escrow.place(*arguments._replace(signatures=arguments.signatures[:-1]))


@pytest.mark.parametrize("epoch", [0, 3, 5])
def test_other_epochs_never_count(
    system: System, nodes: list[int], job_id: int, epoch: int
) -> None:
    with refuses_signatures():
        system.escrow.place(*system.placement(job_id, nodes, epoch=epoch))


def test_seat_removed_in_the_middle_of_a_round_voids_what_was_signed(
    system: System, nodes: list[int], job_id: int
) -> None:
    arguments = system.placement(job_id, nodes)
    system.committee.remove_seat(3, sender=system.governor)

    with refuses_signatures():
        system.escrow.place(*arguments)
    system.place(job_id, nodes)

    assert system.desk.job(job_id).active == 3


def test_seat_added_in_the_middle_of_a_round_voids_what_was_signed(
    system: System, nodes: list[int], job_id: int
) -> None:
    arguments = system.placement(job_id, nodes, keys=system.oracle_keys)
    license_id = system.issue(system.operators[0], kind=2)
    key = private_key("fifth oracle")
    system.link(license_id, key)
    system.committee.add_seat(license_id, address_of(key), sender=system.governor)

    with refuses_signatures():
        system.escrow.place(*arguments)
    with evm.reverts("committee: too few signatures"):
        system.place(job_id, nodes)
    keys = [*system.quorum_keys(), key]
    system.escrow.place(*system.placement(job_id, nodes, keys=keys))

    assert system.desk.job(job_id).active == 3


def test_signatures_for_another_chain_never_count(
    system: System, nodes: list[int], job_id: int
) -> None:
    foreign = replace(system.escrow_domain, chain_id=system.chain_id + 1)

    with refuses_signatures():
        system.escrow.place(*system.placement(job_id, nodes, domain=foreign))


def test_signatures_of_one_chain_never_count_on_another_with_the_same_addresses(
    system: System, nodes: list[int], job_id: int
) -> None:
    """O18: everything but the chain id is the same: contracts, members, epoch, job, licenses."""
    arguments = system.placement(job_id, nodes)
    with evm.env.other_chain(system.chain_id + 1):
        twin = deploy_system()
        twin.open_job(slots=3, min_slots=1)
        assert twin.escrow.address == system.escrow.address
        assert [twin.issue_node(operator) for operator in twin.operators[:3]] == nodes

        with refuses_signatures():
            twin.escrow.place(*arguments)
        twin.place(job_id, nodes)


def test_signatures_for_another_escrow_never_count(
    system: System, nodes: list[int], job_id: int
) -> None:
    foreign = replace(system.escrow_domain, contract=account("another escrow"))

    with refuses_signatures():
        system.escrow.place(*system.placement(job_id, nodes, domain=foreign))


def test_signatures_of_another_type_never_count(
    system: System, nodes: list[int], job_id: int
) -> None:
    domain = Domain("OracleCommittee", system.chain_id, system.escrow.address)
    digest = report_digest(domain, 1, 0, bytes(32), bytes(32), 4)
    arguments = system.placement(job_id, nodes)

    with refuses_signatures():
        system.escrow.place(*arguments._replace(signatures=sign(digest, system.quorum_keys())))


@pytest.mark.parametrize("field", ["job_id", "release", "assign"])
def test_every_field_is_signed(system: System, nodes: list[int], job_id: int, field: str) -> None:
    """Round, window and revision are checked before the signatures."""
    other_job = system.open_job(slots=3, min_slots=1)
    changes: dict[str, Any] = {
        "job_id": other_job,
        "release": nodes[2:],
        "assign": [*nodes[:1], nodes[2]],
    }
    arguments = system.placement(job_id, nodes[:2])

    with refuses_signatures():
        system.escrow.place(*arguments._replace(**{field: changes[field]}))


def test_order_of_the_licenses_is_signed(system: System, nodes: list[int], job_id: int) -> None:
    arguments = system.placement(job_id, nodes)

    with refuses_signatures():
        system.escrow.place(*arguments._replace(assign=nodes[::-1]))
