"""Ending a job for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, net
from tests.contracts.system import BATCH, PRICE, UNIT, System, event


def test_before_the_start_everything_comes_back(system: System) -> None:
    before = Books.of(system)
    job_id = system.open_job(slots=3, windows=10)

    refund = system.desk.cancel_job(job_id, sender=system.payer)

    assert event(system.desk, "JobCancelled") == {
        "job_id": job_id,
        "end": 0,
        "funded_units": 0,
        "refund": 30 * PRICE,
    }
    assert refund == 30 * PRICE
    assert Books.of(system) == before
    job = system.desk.job(job_id)
    assert (job.cancelled, job.closed, job.end, job.funded_units) == (True, True, 0, 0)


def test_after_the_start_the_current_window_is_the_last(system: System, nodes: list[int]) -> None:
    """10 windows from 2 on, cancelled in 4: 2, 3 and 4 stay, seven come back."""
    job_id = system.start_job(nodes[:2], slots=3)
    system.to_window(4)
    before = Books.of(system)

    refund = system.desk.cancel_job(job_id, sender=system.payer)

    assert event(system.desk, "JobCancelled") == {
        "job_id": job_id,
        "end": 5,
        "funded_units": 9 * UNIT,
        "refund": 21 * PRICE,
    }
    assert refund == 21 * PRICE
    assert Books.of(system).since(before) == Books(
        payer=21 * PRICE,
        operators=(0,) * 4,
        escrow=-21 * PRICE,
        liabilities=-21 * PRICE,
        fees=0,
    )
    job = system.desk.job(job_id)
    assert (job.cancelled, job.closed, job.end, job.funded_units) == (True, False, 5, 9 * UNIT)


def test_in_the_window_of_the_first_placement_nothing_is_kept(
    system: System, nodes: list[int]
) -> None:
    before = Books.of(system)
    job_id = system.open_job()
    system.place(job_id, nodes[:1])

    system.desk.cancel_job(job_id, sender=system.payer)

    assert Books.of(system) == before
    assert (system.desk.job(job_id).start, system.desk.job(job_id).end) == (2, 2)
    system.to_window(9)
    system.report({(job_id, nodes[0]): 2**64})
    assert system.claim(job_id, nodes[0]) == 0


def test_in_the_last_window_nothing_comes_back(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=3)
    system.to_window(4)

    assert system.desk.cancel_job(job_id, sender=system.payer) == 0
    assert system.desk.job(job_id).end == 5


def test_what_was_served_stays_claimable(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.to_window(3)
    system.report({(job_id, nodes[0]): UNIT})
    system.claim(job_id, nodes[0])
    system.to_window(5)
    system.desk.cancel_job(job_id, sender=system.payer)
    system.to_window(6)
    system.report({(job_id, nodes[0]): 4 * UNIT})

    assert system.claim(job_id, nodes[0]) == net(4 * UNIT) - net(UNIT)
    job = system.desk.job(job_id)
    assert job.funded_units == job.claimed_units == 4 * UNIT


def test_extended_job_comes_back_to_the_last_base_unit(system: System, nodes: list[int]) -> None:
    before = Books.of(system)
    job_id = system.start_job(nodes[:1], windows=3)
    system.desk.extend_job(job_id, 7, sender=system.payer)

    system.desk.cancel_job(job_id, sender=system.payer)

    assert Books.of(system).since(before).payer == -PRICE


def test_extended_job_that_never_started_comes_back_whole(system: System) -> None:
    before = Books.of(system)
    job_id = system.open_job(windows=3)
    system.desk.extend_job(job_id, 7, sender=system.payer)

    assert system.desk.cancel_job(job_id, sender=system.payer) == 10 * PRICE
    assert Books.of(system) == before


def test_once(system: System, nodes: list[int]) -> None:
    fresh, started = system.open_job(), system.start_job(nodes[:1])
    for job_id in (fresh, started):
        system.desk.cancel_job(job_id, sender=system.payer)
        with evm.reverts("desk: cancelled"):
            system.desk.cancel_job(job_id, sender=system.payer)


def test_job_that_is_over_is_not_cancelled(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=2)
    system.to_window(4)

    with evm.reverts("desk: job over"):
        system.desk.cancel_job(job_id, sender=system.payer)


def test_only_the_payer_cancels(system: System) -> None:
    job_id = system.open_job()

    for sender in (system.governor, system.guardian, system.operators[0], system.stranger):
        with evm.reverts("desk: not granted"):
            system.desk.cancel_job(job_id, sender=sender)


def test_unknown_job_is_refused(system: System) -> None:
    with evm.reverts("desk: unknown job"):
        system.desk.cancel_job(1, sender=system.payer)


@pytest.mark.parametrize("hold", [System.freeze, System.suspend, System.blacklist])
def test_standing_of_the_payer_holds_no_refund(
    system: System, nodes: list[int], hold: Callable[..., None]
) -> None:
    fresh, started = system.open_job(), system.start_job(nodes[:1])
    hold(system, system.payer)
    system.trust.revoke(system.payer, sender=system.issuer)

    assert system.desk.cancel_job(fresh, sender=system.payer) == 10 * PRICE
    assert system.desk.cancel_job(started, sender=system.payer) == 9 * PRICE


def test_cancelled_job_is_closed_by_its_leaf(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.to_window(4)
    system.desk.cancel_job(job_id, sender=system.payer)
    system.to_window(5)
    system.report({(job_id, nodes[0]): 2 * UNIT, (job_id, 0): 2 * UNIT})

    assert system.close(job_id) == PRICE
    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)


def test_batch_job_that_has_not_started_comes_back_whole(system: System) -> None:
    before = Books.of(system)
    job_id = system.open_job(kind=BATCH, slots=5, min_slots=1)

    assert system.desk.cancel_job(job_id, sender=system.payer) == 5 * PRICE
    assert Books.of(system) == before
    assert system.desk.job(job_id).closed


def test_unserved_shards_of_a_batch_job_come_back_with_its_close(
    system: System, nodes: list[int]
) -> None:
    """Nobody knows yet what the current window brings."""
    job_id = system.start_job(nodes[:1], slots=5, kind=BATCH)
    system.to_window(4)

    assert system.desk.cancel_job(job_id, sender=system.payer) == 0
    assert event(system.desk, "JobCancelled") == {
        "job_id": job_id,
        "end": 5,
        "funded_units": 5 * UNIT,
        "refund": 0,
    }
    assert not system.desk.job(job_id).closed
    system.to_window(5)
    system.report({(job_id, nodes[0]): 2 * UNIT, (job_id, 0): 2 * UNIT})

    assert system.close(job_id) == 3 * PRICE
    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)


def test_completed_job_is_not_cancelled(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], slots=5, kind=BATCH)
    system.attest_result(job_id)

    with evm.reverts("desk: completed"):
        system.desk.cancel_job(job_id, sender=system.payer)


def test_scaled_job_comes_back_to_the_last_base_unit(system: System, nodes: list[int]) -> None:
    """One slot in window 2, three from 3 on; cancelled in 3: four windows of slots stay."""
    before = Books.of(system)
    job_id = system.start_job(nodes[:1])
    system.desk.scale_job(job_id, 3, [], sender=system.payer)
    system.to_window(3)

    system.desk.cancel_job(job_id, sender=system.payer)

    assert Books.of(system).since(before).payer == -4 * PRICE
    assert system.desk.job(job_id).funded_units == 4 * UNIT
