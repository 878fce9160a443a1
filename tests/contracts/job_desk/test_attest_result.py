"""Completing a batch job as a quorum signs its result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, fee, gross, net
from tests.contracts.system import (
    BATCH,
    JOB_LEAF,
    PRICE,
    RESULT_HASH,
    UNIT,
    System,
    account,
    deploy_system,
    event,
    private_key,
    refuses_signatures,
)
from workdeed.protocol.hashing import keccak

SHARDS = 10


@pytest.fixture
def job_id(system: System, nodes: list[int]) -> int:
    """A batch job of ten shards in its first window, 2; its deadline is 7."""
    return system.start_job(nodes[:2], slots=SHARDS, windows=5, kind=BATCH)


def test_quorum_completes_a_job(system: System, job_id: int) -> None:
    """The current window is its last; no money moves before the close."""
    system.to_window(4)
    before = Books.of(system)

    signatures = system.result_signatures(job_id)
    system.desk.attest_result(job_id, RESULT_HASH, signatures, sender=system.stranger)

    assert event(system.desk, "ResultAttested") == {
        "job_id": job_id,
        "result_hash": RESULT_HASH,
        "end": 5,
    }
    job = system.desk.job(job_id)
    assert (job.completed, job.closed, job.cancelled, job.end) == (True, False, False, 5)
    assert job.funded_units == SHARDS * UNIT
    assert Books.of(system) == before


def test_once(system: System, job_id: int) -> None:
    system.attest_result(job_id)
    for result_hash in (RESULT_HASH, bytes(32)):
        signatures = system.result_signatures(job_id, result_hash)
        with evm.reverts("desk: completed"):
            system.desk.attest_result(job_id, result_hash, signatures)
    system.to_window(8)
    with evm.reverts("desk: completed"):
        system.attest_result(job_id)


def test_until_the_deadline(system: System, nodes: list[int], job_id: int) -> None:
    system.to_window(6)
    with evm.env.anchor():
        system.attest_result(job_id)
        assert system.desk.job(job_id).end == 7
    system.to_window(7)

    with evm.reverts("desk: job over"):
        system.attest_result(job_id)


def test_not_before_the_start(system: System) -> None:
    job_id = system.open_job(kind=BATCH, slots=3, min_slots=1)

    with evm.reverts("desk: job over"):
        system.attest_result(job_id)


def test_service_job_has_no_result(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])

    with evm.reverts("desk: not a batch job"):
        system.attest_result(job_id)


def test_unknown_job_is_refused(system: System) -> None:
    with evm.reverts("desk: unknown job"):
        system.attest_result(1)


def test_payer_does_not_complete_its_own_job(system: System, job_id: int) -> None:
    signatures = system.result_signatures(job_id, keys=[private_key("payer")] * 3)

    with evm.reverts("committee: not a member"):
        system.desk.attest_result(job_id, RESULT_HASH, signatures, sender=system.payer)


def test_fewer_than_a_quorum_are_refused(system: System, job_id: int) -> None:
    for count in (0, 1, 2):
        signatures = system.result_signatures(job_id, keys=system.oracle_keys[:count])
        with evm.reverts("committee: too few signatures"):
            system.desk.attest_result(job_id, RESULT_HASH, signatures)


def test_more_than_a_quorum_are_fine(system: System, job_id: int) -> None:
    signatures = system.result_signatures(job_id, keys=system.oracle_keys)

    system.desk.attest_result(job_id, RESULT_HASH, signatures)

    assert system.desk.job(job_id).completed


def test_every_member_of_the_largest_committee_may_sign() -> None:
    """More signatures than any committee can give are no call at all."""
    system = deploy_system(oracles=32)
    job_id = system.start_job([system.issue_node()], kind=BATCH)
    signatures = system.result_signatures(job_id, keys=system.oracle_keys)
    assert len(signatures) == 32 * 65

    with evm.reverts():
        system.desk.attest_result(job_id, RESULT_HASH, signatures + signatures[:1])
    system.desk.attest_result(job_id, RESULT_HASH, signatures)

    assert system.desk.job(job_id).completed


def test_repeated_signatures_are_refused(system: System, job_id: int) -> None:
    one = system.result_signatures(job_id, keys=system.oracle_keys[:1])

    with evm.reverts("committee: signer order"):
        system.desk.attest_result(job_id, RESULT_HASH, one * 3)


def test_signatures_of_another_job_never_count(
    system: System, nodes: list[int], job_id: int
) -> None:
    other = system.start_job(nodes[2:], slots=SHARDS, kind=BATCH)

    with refuses_signatures():
        system.desk.attest_result(other, RESULT_HASH, system.result_signatures(job_id))


def test_signatures_for_another_result_never_count(system: System, job_id: int) -> None:
    with refuses_signatures():
        system.desk.attest_result(job_id, keccak(b"forged"), system.result_signatures(job_id))


@pytest.mark.parametrize("offset", [-1, 1])
def test_signatures_of_another_epoch_never_count(system: System, job_id: int, offset: int) -> None:
    epoch = system.committee.committee_epoch() + offset

    signatures = system.result_signatures(job_id, epoch=epoch)

    with refuses_signatures():
        system.desk.attest_result(job_id, RESULT_HASH, signatures)


def test_seat_that_is_removed_voids_what_was_signed(system: System, job_id: int) -> None:
    """O19: a removed member stops counting at once, and so does everything of its epoch."""
    signatures = system.result_signatures(job_id)
    system.committee.remove_seat(3, sender=system.governor)

    with refuses_signatures():
        system.desk.attest_result(job_id, RESULT_HASH, signatures)
    system.attest_result(job_id)

    assert system.desk.job(job_id).completed


@pytest.mark.parametrize("foreign", ["chain", "desk", "escrow"])
def test_signatures_for_another_domain_never_count(
    system: System, job_id: int, foreign: str
) -> None:
    """O18: neither another chain's nor another contract's."""
    changes = {
        "chain": {"chain_id": system.chain_id + 1},
        "desk": {"contract": account("another desk")},
        "escrow": {"contract": system.escrow.address},
    }
    domain = replace(system.desk_domain, **changes[foreign])
    signatures = system.result_signatures(job_id, domain=domain)

    with refuses_signatures():
        system.desk.attest_result(job_id, RESULT_HASH, signatures)


def test_signatures_of_one_chain_never_count_on_another_with_the_same_addresses(
    system: System, nodes: list[int], job_id: int
) -> None:
    signatures = system.result_signatures(job_id)
    with evm.env.other_chain(system.chain_id + 1):
        twin = deploy_system()
        licenses = [twin.issue_node(operator) for operator in twin.operators[:2]]
        assert twin.start_job(licenses, slots=SHARDS, windows=5, kind=BATCH) == job_id
        assert twin.desk.address == system.desk.address

        with refuses_signatures():
            twin.desk.attest_result(job_id, RESULT_HASH, signatures)
        twin.attest_result(job_id)


def test_signatures_of_a_placement_never_count(
    system: System, nodes: list[int], job_id: int
) -> None:
    """O18: nothing that is signed for the escrow completes a job."""
    placement = system.placement(job_id, nodes[2:])

    with refuses_signatures():
        system.desk.attest_result(job_id, RESULT_HASH, placement.signatures)


def test_completed_job_is_changed_no_more(system: System, nodes: list[int], job_id: int) -> None:
    """M10: though its last window is not over yet."""
    system.attest_result(job_id)
    desk, payer = system.desk, {"sender": system.payer}

    for call in (
        lambda: desk.extend_job(job_id, 1, **payer),
        lambda: desk.scale_job(job_id, SHARDS + 1, [], **payer),
        lambda: desk.revise_job(job_id, bytes(32), **payer),
        lambda: desk.cancel_job(job_id, **payer),
    ):
        with evm.reverts("desk: completed"):
            call()
    with evm.reverts("escrow: completed"):
        system.place(job_id, nodes[2:])


def test_what_was_served_is_paid_and_the_rest_comes_back(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.to_window(3)
    system.attest_result(job_id)
    system.to_window(4)
    system.report(
        {
            (job_id, nodes[0]): 4 * UNIT,
            (job_id, nodes[1]): 3_333,
            (job_id, JOB_LEAF): 4 * UNIT + 3_333,
        }
    )

    assert system.close(job_id) == SHARDS * PRICE - gross(4 * UNIT + 3_333)
    assert system.claim(job_id, nodes[0]) == net(4 * UNIT)
    assert system.claim(job_id, nodes[1]) == net(3_333)
    assert system.escrow.liabilities() - fee(4 * UNIT) - fee(3_333) in (0, 1)


def test_payer_leaves_a_completed_job_that_nobody_reports(system: System, job_id: int) -> None:
    """M11: as any other that is over."""
    system.attest_result(job_id)
    with evm.reverts("desk: job not over"):
        system.desk.request_close(job_id, sender=system.payer)
    system.to_window(3)
    system.desk.request_close(job_id, sender=system.payer)
    system.to_window(3 + system.close_grace + 1)

    assert system.desk.close_unattested(job_id) == SHARDS * PRICE


def test_cancelled_job_may_still_be_completed_and_nothing_moves(
    system: System, job_id: int
) -> None:
    """A cancel leaves the current window to be served; what was achieved in it may be attested."""
    system.to_window(3)
    system.desk.cancel_job(job_id, sender=system.payer)
    before = Books.of(system)

    system.attest_result(job_id)

    job = system.desk.job(job_id)
    assert (job.cancelled, job.completed, job.end) == (True, True, 4)
    assert Books.of(system) == before


def test_cancelled_job_that_never_started_is_not_completed(system: System) -> None:
    job_id = system.open_job(kind=BATCH, slots=3, min_slots=1)
    system.desk.cancel_job(job_id, sender=system.payer)

    with evm.reverts("desk: job over"):
        system.attest_result(job_id)
