"""Replacing the spec."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books
from tests.contracts.system import BATCH, SPEC_HASH, System, event
from workdeed.protocol.hashing import keccak

NEW, NEWER = keccak(b"new spec"), keccak(b"newer spec")


def test_payer_revises(system: System, nodes: list[int]) -> None:
    system.open_job()
    job_id = system.start_job(nodes[:1])
    before = Books.of(system), system.desk.job(job_id)

    system.desk.revise_job(job_id, NEW, sender=system.payer)

    assert event(system.desk, "JobRevised") == {
        "job_id": job_id,
        "revision": 1,
        "window": 2,
        "spec_hash": NEW,
    }
    job = system.desk.job(job_id)
    assert (job.revision, job.spec_hash) == (1, NEW)
    assert job._replace(revision=0, spec_hash=SPEC_HASH) == before[1]
    assert Books.of(system) == before[0]


def test_once_a_window(system: System) -> None:
    job_id = system.open_job()
    system.desk.revise_job(job_id, NEW, sender=system.payer)
    system.wait(system.window - 1)

    with evm.reverts("desk: revised this window"):
        system.desk.revise_job(job_id, NEWER, sender=system.payer)
    system.wait(1)
    system.desk.revise_job(job_id, NEWER, sender=system.payer)

    assert system.desk.job(job_id).revision == 2
    assert system.desk.job(job_id).spec_hash == NEWER


def test_jobs_are_revised_apart(system: System) -> None:
    first, second = system.open_job(), system.open_job()

    system.desk.revise_job(first, NEW, sender=system.payer)
    system.desk.revise_job(second, NEWER, sender=system.payer)

    assert system.desk.job(first).spec_hash == NEW


def test_class_that_is_retired_stops_no_revision(system: System) -> None:
    job_id = system.open_job()
    system.tariff.retire_class(1, sender=system.governor)

    system.desk.revise_job(job_id, NEW, sender=system.payer)

    assert system.desk.job(job_id).revision == 1


def test_cancelled_job_is_refused(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.desk.cancel_job(job_id, sender=system.payer)

    with evm.reverts("desk: cancelled"):
        system.desk.revise_job(job_id, NEW, sender=system.payer)


def test_job_that_is_over_is_refused(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=2)
    system.to_window(3)
    system.desk.revise_job(job_id, NEW, sender=system.payer)
    system.to_window(4)

    with evm.reverts("desk: job over"):
        system.desk.revise_job(job_id, NEWER, sender=system.payer)


def test_only_the_payer_revises(system: System) -> None:
    job_id = system.open_job()

    for sender in (system.governor, system.operators[0], system.stranger):
        with evm.reverts("desk: not granted"):
            system.desk.revise_job(job_id, NEW, sender=sender)


def test_unknown_job_is_refused(system: System) -> None:
    with evm.reverts("desk: unknown job"):
        system.desk.revise_job(7, NEW, sender=system.payer)


def test_close_request_and_revision_stand_apart(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=2)
    system.desk.revise_job(job_id, NEW, sender=system.payer)
    system.to_window(4)
    system.desk.request_close(job_id, sender=system.payer)

    job = system.desk.job(job_id)
    assert (job.revision, job.close_requested) == (1, 4)


def test_completed_job_is_refused(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], kind=BATCH)
    system.attest_result(job_id)

    with evm.reverts("desk: completed"):
        system.desk.revise_job(job_id, NEW, sender=system.payer)
