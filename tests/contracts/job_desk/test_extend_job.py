"""Buying more windows at the job's own price."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, net
from tests.contracts.system import (
    BATCH,
    CLASSES,
    PRICE,
    UNIT,
    PolicyTerms,
    System,
    deploy_system,
    event,
)


def test_started_job_ends_later(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:2], slots=3)
    before = Books.of(system)

    system.desk.extend_job(job_id, 5, sender=system.payer)

    assert event(system.desk, "JobExtended") == {
        "job_id": job_id,
        "windows": 5,
        "end": 17,
        "funded_units": 45 * UNIT,
        "deposit": 15 * PRICE,
    }
    job = system.desk.job(job_id)
    assert (job.start, job.end, job.funded_units) == (2, 17, 45 * UNIT)
    assert Books.of(system).since(before) == Books(
        payer=-15 * PRICE,
        operators=(0,) * 4,
        escrow=15 * PRICE,
        liabilities=15 * PRICE,
        fees=0,
    )


def test_job_that_has_not_started_gets_a_longer_term(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=2, windows=10)

    system.desk.extend_job(job_id, 5, sender=system.payer)

    assert event(system.desk, "JobExtended")["end"] == 0
    assert system.desk.job(job_id).end == 0
    assert system.desk.job(job_id).funded_units == 30 * UNIT
    system.to_window(4)
    system.place(job_id, nodes[:2])
    assert (system.desk.job(job_id).start, system.desk.job(job_id).end) == (5, 20)


def test_added_windows_are_served_and_paid(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=2)
    system.to_window(3)
    system.desk.extend_job(job_id, 3, sender=system.payer)
    system.to_window(20)
    system.report({(job_id, nodes[0]): 2**64})

    assert system.claim(job_id, nodes[0]) == net(5 * UNIT)


def test_last_window_is_the_last_chance(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=2)
    system.to_window(4)

    with evm.reverts("desk: job over"):
        system.desk.extend_job(job_id, 1, sender=system.payer)

    other = system.start_job(nodes[:1], windows=2)
    system.advance_windows()
    assert system.now() == system.desk.job(other).end - 1
    system.desk.extend_job(other, 1, sender=system.payer)


def test_cancelled_job_is_not_extended(system: System, nodes: list[int]) -> None:
    fresh, started = system.open_job(), system.start_job(nodes[:1])
    for job_id in (fresh, started):
        system.desk.cancel_job(job_id, sender=system.payer)
        with evm.reverts("desk: cancelled"):
            system.desk.extend_job(job_id, 1, sender=system.payer)


def test_closed_job_is_not_extended(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=1)
    system.to_window(3)
    system.report({(job_id, 0): 0})
    system.close(job_id)

    with evm.reverts("desk: job over"):
        system.desk.extend_job(job_id, 1, sender=system.payer)


def test_dearer_class_is_refused_and_a_cheaper_one_does_not_reprice(
    system: System, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1])
    system.tariff.set_class(1, (PRICE + 1, *CLASSES[0][1:]), sender=system.governor)
    with evm.reverts("desk: class dearer"):
        system.desk.extend_job(job_id, 1, sender=system.payer)
    system.tariff.set_class(1, (PRICE - 1, *CLASSES[0][1:]), sender=system.governor)

    system.desk.extend_job(job_id, 1, sender=system.payer)

    assert event(system.desk, "JobExtended")["deposit"] == PRICE
    assert system.desk.job(job_id).price == PRICE


def test_retired_class_is_refused(system: System) -> None:
    job_id = system.open_job()
    system.tariff.retire_class(1, sender=system.governor)

    with evm.reverts("rates: class retired"):
        system.desk.extend_job(job_id, 1, sender=system.payer)


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        (0, "desk: zero windows"),
        (2**16 + 1, "desk: too many windows"),
        (2**256 - 1, "desk: too many windows"),
    ],
)
def test_windows_out_of_range_are_refused(system: System, windows: int, reason: str) -> None:
    job_id = system.open_job()

    with evm.reverts(reason):
        system.desk.extend_job(job_id, windows, sender=system.payer)


def test_only_the_payer_extends(system: System) -> None:
    job_id = system.open_job()

    for sender in (system.governor, system.operators[0], system.stranger):
        with evm.reverts("desk: not granted"):
            system.desk.extend_job(job_id, 1, sender=sender)


def test_unknown_job_is_refused(system: System) -> None:
    with evm.reverts("desk: unknown job"):
        system.desk.extend_job(1, 1, sender=system.payer)


def test_policy_of_the_opening_goes_on(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.tariff.add_policy(PolicyTerms(9_000), sender=system.governor)

    system.desk.extend_job(job_id, 1, sender=system.payer)

    assert tuple(system.escrow.ledger_of(1)) == (0, 0, 11 * PRICE)
    assert tuple(system.escrow.ledger_of(2)) == (0, 0, 0)


@pytest.mark.parametrize("hold", [System.freeze, System.suspend])
def test_standing_of_the_payer_stops_new_jobs_only(
    system: System, nodes: list[int], hold: Callable[..., None]
) -> None:
    job_id = system.start_job(nodes[:1])
    hold(system, system.payer)

    system.desk.extend_job(job_id, 1, sender=system.payer)

    assert system.desk.job(job_id).end == 13


def test_end_that_does_not_fit_is_refused() -> None:
    system = deploy_system(oracles=1, window=60, challenge=0)
    system.to_window(2**32 - 20)
    job_id = system.start_job([system.issue_node()], windows=10)
    assert system.desk.job(job_id).end == 2**32 - 9

    with evm.reverts("money: end too late"):
        system.desk.extend_job(job_id, 8, sender=system.payer)
    system.desk.extend_job(job_id, 7, sender=system.payer)

    assert system.desk.job(job_id).end == 2**32 - 2


def test_deadline_of_a_batch_job_moves_without_a_deposit(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], slots=4, windows=3, kind=BATCH)
    system.to_window(4)
    before = Books.of(system)

    assert system.desk.extend_job(job_id, 6, sender=system.payer) == 0

    assert event(system.desk, "JobExtended") == {
        "job_id": job_id,
        "windows": 6,
        "end": 11,
        "funded_units": 4 * UNIT,
        "deposit": 0,
    }
    assert Books.of(system) == before
    assert system.desk.job(job_id).end == 11


def test_deadline_of_a_batch_job_that_has_not_started_moves_too(
    system: System, nodes: list[int]
) -> None:
    job_id = system.open_job(kind=BATCH, slots=4, min_slots=1, windows=3)
    system.desk.extend_job(job_id, 6, sender=system.payer)
    assert system.desk.job(job_id).windows == 9
    system.place(job_id, nodes[:1])

    job = system.desk.job(job_id)
    assert (job.start, job.end, job.funded_units) == (2, 11, 4 * UNIT)


def test_dearer_or_retired_class_stops_a_later_deadline_too(system: System) -> None:
    job_id = system.open_job(kind=BATCH)
    system.tariff.set_class(1, (PRICE + 1, *CLASSES[0][1:]), sender=system.governor)
    with evm.reverts("desk: class dearer"):
        system.desk.extend_job(job_id, 1, sender=system.payer)
    system.tariff.retire_class(1, sender=system.governor)

    with evm.reverts("rates: class retired"):
        system.desk.extend_job(job_id, 1, sender=system.payer)


def test_job_that_has_not_started_is_extended_however_long_it_waits(system: System) -> None:
    """It has no end yet: its windows are counted from the first placement."""
    job_id = system.open_job(windows=1)
    system.to_window(50)

    system.desk.extend_job(job_id, 2, sender=system.payer)

    job = system.desk.job(job_id)
    assert (job.windows, job.end, job.funded_units) == (3, 0, 3 * UNIT)


def test_longest_extension_of_one_call(system: System) -> None:
    job_id = system.open_job(windows=2**16)

    assert system.desk.extend_job(job_id, 2**16, sender=system.payer) == 2**16 * PRICE
    assert system.desk.job(job_id).windows == 2**17


def test_payer_without_allowance_extends_nothing(system: System) -> None:
    job_id = system.open_job()
    before = system.desk.job(job_id)
    system.token.approve(system.escrow, PRICE - 1, sender=system.payer)

    with evm.reverts("token: allowance too low"):
        system.desk.extend_job(job_id, 1, sender=system.payer)
    assert system.desk.job(job_id) == before
