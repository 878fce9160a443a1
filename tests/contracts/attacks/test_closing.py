"""Attempts to leave with what others earned, or to keep others from leaving."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import net
from tests.contracts.system import JOB_LEAF, PRICE, SPEC_HASH, UNIT, System, account

OPEN_AND_CANCEL = 1 | 16


def test_unattested_close_against_a_sleeping_operator(system: System, nodes: list[int]) -> None:
    """M10: reports that came after the request give the operator a grace of his own."""
    job_id = system.start_job(nodes[:1], windows=2)
    system.advance_windows(3)
    system.desk.request_close(job_id, sender=system.payer)
    system.advance_windows(system.close_grace)
    system.report({(job_id, nodes[0]): 2 * UNIT, (job_id, JOB_LEAF): 2 * UNIT})
    system.advance_windows(2)

    with evm.reverts("desk: request anew"):
        system.desk.close_unattested(job_id)
    system.close(job_id)

    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)


def test_unattested_close_while_the_covering_report_is_pending(
    system: System, nodes: list[int]
) -> None:
    """M10: a report that is about to be final counts."""
    job_id = system.start_job(nodes[:1], windows=2)
    system.advance_windows(3)
    system.desk.request_close(job_id, sender=system.payer)
    system.advance_windows(system.close_grace + 1)
    system.report({(job_id, nodes[0]): 2 * UNIT}, final=False)

    with evm.reverts("desk: request anew"):
        system.desk.close_unattested(job_id)


def test_quorum_locks_a_deposit_by_a_total_that_is_too_high(
    system: System, nodes: list[int]
) -> None:
    """M11: what nobody can claim comes back, though not soon."""
    job_id = system.start_job(nodes[:1], windows=2)
    system.advance_windows(3)
    system.report({(job_id, JOB_LEAF): 2 * UNIT})
    assert system.close(job_id) == 0
    system.desk.request_close(job_id, sender=system.payer)
    system.advance_windows(system.close_grace + 1)
    with evm.reverts("desk: close grace"):
        system.desk.close_unattested(job_id)
    system.advance_windows(63 * system.close_grace)

    assert system.desk.close_unattested(job_id) == 2 * PRICE


def test_censoring_quorum(system: System, nodes: list[int]) -> None:
    """M11: without a single report the payer leaves with everything, after the grace."""
    job_id = system.start_job(nodes, windows=2)
    system.advance_windows(3)
    system.desk.request_close(job_id, sender=system.payer)
    system.advance_windows(system.close_grace + 1)

    assert system.desk.close_unattested(job_id) == 6 * PRICE


def test_cancel_after_the_end(system: System, nodes: list[int]) -> None:
    """M9, M10: what was served can't be cancelled away."""
    job_id = system.start_job(nodes[:1], windows=2)
    system.advance_windows(2)

    with evm.reverts("desk: job over"):
        system.desk.cancel_job(job_id, sender=system.payer)


def test_cancel_and_extend_to_stretch_a_job_at_an_old_price(
    system: System, nodes: list[int]
) -> None:
    """M9: a cancelled job never opens again."""
    job_id = system.start_job(nodes[:1], windows=5)
    system.desk.cancel_job(job_id, sender=system.payer)

    with evm.reverts("desk: cancelled"):
        system.desk.extend_job(job_id, 5, sender=system.payer)
    with evm.reverts("desk: cancelled"):
        system.desk.scale_job(job_id, 2, [], sender=system.payer)


@pytest.mark.parametrize("when", ["before the start", "while it runs"])
def test_delegate_to_refund(system: System, nodes: list[int], when: str) -> None:
    """M8: a delegate that cancels sends the money back to the payer, and gets no budget for it."""
    delegate = account("delegate")
    system.desk.grant(delegate, OPEN_AND_CANCEL, 4 * PRICE, 2**39, sender=system.payer)
    opening = (SPEC_HASH, 1, 0, 1, 1, 4, PRICE)
    job_id = system.desk.open_job_for(system.payer, opening, sender=delegate)
    if when == "while it runs":
        system.place(job_id, nodes[:1])
        system.advance_windows()
    before = system.token.balanceOf(system.payer)
    refund = system.desk.cancel_job(job_id, sender=delegate)

    assert refund > 0
    assert system.token.balanceOf(system.payer) == before + refund
    assert system.token.balanceOf(delegate) == 0
    with evm.reverts("desk: above the budget"):
        system.desk.open_job_for(system.payer, opening, sender=delegate)


def test_delegate_of_one_payer_acts_for_another(system: System, nodes: list[int]) -> None:
    """M8."""
    delegate, other = account("delegate"), account("second payer")
    system.desk.grant(delegate, 31, 10**30, 2**39, sender=other)
    job_id = system.start_job(nodes[:1])

    with evm.reverts("desk: not granted"):
        system.desk.cancel_job(job_id, sender=delegate)
    with evm.reverts("desk: not granted"):
        system.desk.open_job_for(system.payer, (SPEC_HASH, 1, 0, 1, 1, 1, PRICE), sender=delegate)


def test_revision_swapped_to_earn_free_service(system: System, nodes: list[int]) -> None:
    """M9, P14: one revision a window, and a placement signed for the old one is void."""
    job_id = system.start_job(nodes[:1], slots=2)
    signed = system.placement(job_id, nodes[1:2])
    system.desk.revise_job(job_id, SPEC_HASH, sender=system.payer)

    with evm.reverts("desk: revised this window"):
        system.desk.revise_job(job_id, SPEC_HASH, sender=system.payer)
    with evm.reverts("escrow: wrong revision"):
        system.escrow.place(*signed)
    # What was served on either revision is paid: a revision takes no window back.
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_scaling_down_takes_no_window_that_is_under_way(system: System, nodes: list[int]) -> None:
    """M9, P15: the licenses that go are paid for the current window."""
    job_id = system.start_job(nodes[:2])
    system.desk.scale_job(job_id, 1, nodes[:1], sender=system.payer)
    system.advance_windows(2)
    system.report({(job_id, one): 2**200 for one in nodes[:2]})

    assert system.claim(job_id, nodes[0]) == net(UNIT)
    assert system.claim(job_id, nodes[1]) == net(2 * UNIT)
