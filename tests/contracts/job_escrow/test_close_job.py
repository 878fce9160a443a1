"""Closing by the job's own leaf."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, fee, gross, net
from tests.contracts.system import JOB_LEAF, PRICE, UNIT, System, event, events


def finished_job(system: System, nodes: list[int], windows: int = 4) -> int:
    """Start a job of two licenses and travel to its end; window 6 by default."""
    job_id = system.start_job(nodes[:2], windows=windows)
    system.to_window(2 + windows)
    return job_id


def test_what_was_not_served_is_refunded(system: System, nodes: list[int]) -> None:
    """8 window-slots funded; 3.3333 and 4 served."""
    job_id = finished_job(system, nodes)
    total = 33_333 + 40_000
    system.report(
        {(job_id, nodes[0]): 33_333, (job_id, nodes[1]): 40_000, (job_id, JOB_LEAF): total}
    )
    before = Books.of(system)

    refund = system.close(job_id)

    expected = 8 * PRICE - gross(total)
    assert event(system.escrow, "JobClosed") == {
        "job_id": job_id,
        "funded_units": total,
        "refund": expected,
    }
    assert refund == expected == 666_703
    assert Books.of(system).since(before) == Books(
        payer=expected,
        operators=(0,) * 4,
        escrow=-expected,
        liabilities=-expected,
        fees=0,
    )
    job = system.desk.job(job_id)
    assert (job.closed, job.cancelled, job.funded_units) == (True, False, total)


def test_claims_after_the_close_leave_dust_at_most(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    total = 33_333 + 39_999
    system.report(
        {(job_id, nodes[0]): 33_333, (job_id, nodes[1]): 39_999, (job_id, JOB_LEAF): total}
    )
    system.close(job_id)

    assert system.claim(job_id, nodes[0]) == net(33_333)
    assert system.claim(job_id, nodes[1]) == net(39_999)
    dust = gross(total) - gross(33_333) - gross(39_999)
    assert dust == 1
    assert system.escrow.liabilities() == fee(33_333) + fee(39_999) + dust


def test_claims_before_and_after_come_to_the_same(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    units = {(job_id, nodes[0]): 33_333, (job_id, nodes[1]): 39_999, (job_id, JOB_LEAF): 73_332}
    system.report(units)
    with evm.env.anchor():
        system.claim(job_id, nodes[0])
        system.close(job_id)
        system.claim(job_id, nodes[1])
        between = Books.of(system)

    system.claim(job_id, nodes[1])
    system.claim(job_id, nodes[0])
    system.close(job_id)

    assert Books.of(system) == between


def test_anyone_closes_and_the_payer_is_refunded(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    report = system.report({(job_id, JOB_LEAF): 0})
    before = system.token.balanceOf(system.payer)

    system.escrow.close_job(job_id, 0, report.proof(job_id, JOB_LEAF), sender=system.operators[2])

    assert system.token.balanceOf(system.payer) - before == 8 * PRICE
    assert system.token.balanceOf(system.operators[2]) == 0
    assert system.escrow.liabilities() == 0


@pytest.mark.parametrize("total", [8 * UNIT, 8 * UNIT + 1, 2**256 - 1])
def test_full_service_refunds_nothing(system: System, nodes: list[int], total: int) -> None:
    job_id = finished_job(system, nodes)
    system.report({(job_id, JOB_LEAF): total})

    assert system.close(job_id) == 0
    assert event(system.escrow, "JobClosed")["funded_units"] == 8 * UNIT
    assert system.desk.job(job_id).closed


def test_never_below_what_is_claimed(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    system.report({(job_id, nodes[0]): 33_333, (job_id, JOB_LEAF): 5})
    system.claim(job_id, nodes[0])

    assert system.close(job_id) == 8 * PRICE - gross(33_333)
    assert system.desk.job(job_id).funded_units == 33_333
    assert system.escrow.liabilities() == fee(33_333)


def test_claims_are_cut_to_what_a_close_left(system: System, nodes: list[int]) -> None:
    """Leaves of 2 and 4 windows, a total of 3: the first claim is whole, the second is cut."""
    job_id = finished_job(system, nodes)
    system.report(
        {
            (job_id, nodes[0]): 2 * UNIT,
            (job_id, nodes[1]): 4 * UNIT,
            (job_id, JOB_LEAF): 3 * UNIT,
        }
    )
    system.close(job_id)

    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)
    assert system.claim(job_id, nodes[1]) == net(UNIT)
    assert system.escrow.liabilities() == fee(2 * UNIT) + fee(UNIT)


def test_later_leaf_lowers_it_further(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    system.report({(job_id, JOB_LEAF): 60_001})
    first = system.close(job_id)
    system.advance_windows()
    system.report({(job_id, JOB_LEAF): 40_000})

    second = system.close(job_id)

    assert event(system.escrow, "JobClosed") == {
        "job_id": job_id,
        "funded_units": 40_000,
        "refund": gross(60_001) - gross(40_000),
    }
    assert first + second == 8 * PRICE - gross(40_000)


def test_later_leaf_never_raises_it(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    system.report({(job_id, JOB_LEAF): 40_000})
    system.close(job_id)
    system.advance_windows()
    system.report({(job_id, JOB_LEAF): 60_000})
    before = Books.of(system)

    assert system.close(job_id) == 0
    assert events(system.escrow, "JobClosed") == []
    assert Books.of(system) == before
    assert system.desk.job(job_id).funded_units == 40_000


def test_same_leaf_twice_moves_nothing(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    system.report({(job_id, JOB_LEAF): 40_000})
    system.close(job_id)
    before = Books.of(system)

    assert system.close(job_id) == 0
    assert events(system.escrow, "JobClosed") == []
    assert Books.of(system) == before


def test_not_before_the_last_window_is_reported(system: System, nodes: list[int]) -> None:
    """The job's last window is 5."""
    job_id = finished_job(system, nodes)
    system.report({(job_id, JOB_LEAF): 0}, window=4)
    with evm.reverts("escrow: end not reported"):
        system.close(job_id)

    system.report({(job_id, JOB_LEAF): 0}, window=5, final=False)
    with evm.reverts("escrow: end not reported"):
        system.close(job_id)
    system.wait(system.challenge)

    assert system.close(job_id) == 8 * PRICE


def test_not_before_the_start(system: System) -> None:
    job_id = system.open_job()
    system.advance_windows()
    system.report({(job_id, JOB_LEAF): 0})

    with evm.reverts("escrow: not started"):
        system.close(job_id)


@pytest.mark.parametrize("job_id", [0, 1, 2**256 - 1])
def test_unknown_job_is_refused(system: System, job_id: int) -> None:
    with evm.reverts("escrow: not started"):
        system.escrow.close_job(job_id, 0, [])


def test_wrong_proof_is_refused(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    report = system.report({(job_id, JOB_LEAF): 40_000, (job_id, nodes[0]): 40_000})
    proof = report.proof(job_id, JOB_LEAF)

    for total, siblings in ((39_999, proof), (40_000, []), (40_000, [*proof, bytes(32)])):
        with evm.reverts("escrow: wrong proof"):
            system.escrow.close_job(job_id, total, siblings)


def test_license_leaf_does_not_close(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    report = system.report({(job_id, JOB_LEAF): 40_000, (job_id, nodes[0]): 1})

    with evm.reverts("escrow: wrong proof"):
        system.escrow.close_job(job_id, 1, report.proof(job_id, nodes[0]))


def test_leaf_of_another_job_does_not_close(system: System, nodes: list[int]) -> None:
    first, second = finished_job(system, nodes), system.open_job()
    report = system.report({(first, JOB_LEAF): 40_000, (second, JOB_LEAF): 0})

    with evm.reverts("escrow: wrong proof"):
        system.escrow.close_job(first, 0, report.proof(second, JOB_LEAF))


def test_standing_of_the_payer_holds_no_refund(system: System, nodes: list[int]) -> None:
    job_id = finished_job(system, nodes)
    system.report({(job_id, JOB_LEAF): 0})
    system.blacklist(system.payer)

    assert system.close(job_id) == 8 * PRICE


def test_one_job_closes_without_touching_another(system: System, nodes: list[int]) -> None:
    first, second = finished_job(system, nodes), system.start_job(nodes[2:], windows=50)
    system.report({(first, JOB_LEAF): 0})
    before = system.desk.job(second)

    system.close(first)

    assert system.desk.job(second) == before
    assert system.escrow.liabilities() == 50 * PRICE


def test_closing_again_and_again_refunds_what_one_close_would(
    system: System, nodes: list[int]
) -> None:
    """M10: leaf after leaf, up and down, with a claim in between: only the lowest counts."""
    job_id = finished_job(system, nodes)
    refunds = 0
    for total, served in ((70_000, 0), (50_001, 20_000), (60_000, 30_000), (33_333, 30_000)):
        system.report({(job_id, nodes[0]): served, (job_id, JOB_LEAF): total})
        refunds += system.close(job_id)
        system.claim(job_id, nodes[0])
        system.advance_windows()

    assert refunds == 8 * PRICE - gross(33_333)
    assert system.desk.job(job_id).funded_units == 33_333
    assert system.escrow.liabilities() == gross(33_333) - net(30_000)


def test_lower_leaf_after_everything_is_claimed_refunds_nothing(
    system: System, nodes: list[int]
) -> None:
    job_id = finished_job(system, nodes)
    system.report({(job_id, nodes[0]): 40_000, (job_id, JOB_LEAF): 40_000})
    system.close(job_id)
    system.claim(job_id, nodes[0])
    system.advance_windows()
    system.report({(job_id, JOB_LEAF): 0})

    assert system.close(job_id) == 0
    assert system.desk.job(job_id).funded_units == 40_000


def test_first_close_is_announced_though_it_refunds_nothing(
    system: System, nodes: list[int]
) -> None:
    job_id = finished_job(system, nodes)
    system.report({(job_id, JOB_LEAF): 8 * UNIT})

    system.close(job_id)
    assert len(events(system.escrow, "JobClosed")) == 1
    system.close(job_id)
    assert events(system.escrow, "JobClosed") == []


def test_scaled_job_is_closed_by_what_its_windows_had(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:2], windows=4)
    system.desk.scale_job(job_id, 1, nodes[1:2], sender=system.payer)
    system.to_window(6)
    system.report({(job_id, nodes[0]): 4 * UNIT, (job_id, JOB_LEAF): 4 * UNIT})

    assert system.close(job_id) == PRICE
    assert system.claim(job_id, nodes[0]) == net(4 * UNIT)


def test_cancelled_job_that_never_started_has_nothing_to_close(system: System) -> None:
    job_id = system.open_job()
    system.desk.cancel_job(job_id, sender=system.payer)
    system.to_window(3)
    system.report({(job_id, JOB_LEAF): 0})

    with evm.reverts("escrow: not started"):
        system.close(job_id)
