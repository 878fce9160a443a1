"""Leaving without a report: `request_close`, the grace, `close_unattested`."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, fee, gross, net
from tests.contracts.system import BATCH, CLOSE_GRACE, JOB_LEAF, PRICE, UNIT, System, event

END = 6
"""The job of these tests serves windows 2 to 5."""

CLOSED_AFTER = CLOSE_GRACE + 1
"""The window of the request had begun and does not count."""

DUE = END + CLOSED_AFTER
"""The first window in which a close requested at the end goes through."""

ABANDON_FACTOR = 64
"""By how much longer the payer waits for what an attested close left to operators."""


@pytest.fixture
def job_id(system: System, nodes: list[int]) -> int:
    """A job of one license, at its end."""
    job_id = system.start_job(nodes[:1], windows=4)
    system.to_window(END)
    return job_id


def request(system: System, job_id: int) -> None:
    """Request the close as the payer."""
    system.desk.request_close(job_id, sender=system.payer)


def test_payer_leaves_without_any_report(system: System, job_id: int) -> None:
    request(system, job_id)
    assert event(system.desk, "CloseRequested") == {
        "job_id": job_id,
        "window": END,
        "covered": False,
    }
    assert system.desk.job(job_id).close_requested == END
    system.to_window(DUE)
    before = Books.of(system)

    refund = system.desk.close_unattested(job_id, sender=system.stranger)

    assert event(system.desk, "JobClosedUnattested") == {
        "job_id": job_id,
        "funded_units": 0,
        "refund": 4 * PRICE,
    }
    assert refund == 4 * PRICE
    assert Books.of(system).since(before).payer == 4 * PRICE
    assert system.escrow.liabilities() == 0
    job = system.desk.job(job_id)
    assert (job.closed, job.funded_units) == (True, 0)


def test_what_is_claimed_stays_paid(system: System, nodes: list[int], job_id: int) -> None:
    system.report({(job_id, nodes[0]): 12_345}, window=4)
    system.claim(job_id, nodes[0])
    request(system, job_id)
    system.to_window(DUE)

    refund = system.desk.close_unattested(job_id)

    assert refund == 4 * PRICE - gross(12_345)
    assert system.desk.job(job_id).funded_units == 12_345
    assert system.escrow.liabilities() == fee(12_345)
    with evm.env.anchor():
        system.report({(job_id, nodes[0]): 40_000}, window=END)
        assert system.claim(job_id, nodes[0]) == 0


def test_grace_runs_in_whole_windows(system: System, job_id: int) -> None:
    request(system, job_id)
    system.to_window(DUE - 1)
    system.wait(system.window - 1)
    with evm.reverts("desk: close grace"):
        system.desk.close_unattested(job_id)
    system.wait(1)

    assert system.desk.close_unattested(job_id) == 4 * PRICE


def test_last_report_can_be_claimed_during_the_grace(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.report({(job_id, nodes[0]): 2 * UNIT}, window=4)
    request(system, job_id)
    system.to_window(DUE)

    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)
    assert system.desk.close_unattested(job_id) == 2 * PRICE


def test_covered_job_closes_after_the_grace(system: System, nodes: list[int], job_id: int) -> None:
    """A report covers the end but nobody signed a job leaf."""
    system.report({(job_id, nodes[0]): UNIT}, window=END - 1)
    request(system, job_id)
    assert event(system.desk, "CloseRequested")["covered"]
    system.to_window(DUE)

    assert system.claim(job_id, nodes[0]) == net(UNIT)
    assert system.desk.close_unattested(job_id) == 3 * PRICE


def test_request_is_renewed_where_reports_caught_up(
    system: System, nodes: list[int], job_id: int
) -> None:
    """Operators get a grace of their own, in which an attested close keeps what they earned."""
    request(system, job_id)
    system.to_window(DUE)
    system.report({(job_id, nodes[0]): 3 * UNIT})

    with evm.reverts("desk: request anew"):
        system.desk.close_unattested(job_id)
    request(system, job_id)
    assert event(system.desk, "CloseRequested") == {
        "job_id": job_id,
        "window": DUE,
        "covered": True,
    }
    with evm.reverts("desk: close grace"):
        system.desk.close_unattested(job_id)
    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)
    system.to_window(DUE + CLOSED_AFTER)

    assert system.desk.close_unattested(job_id) == PRICE


def test_report_short_of_the_end_does_not_reset_the_grace(
    system: System, nodes: list[int], job_id: int
) -> None:
    request(system, job_id)
    system.to_window(DUE)
    system.report({(job_id, nodes[0]): UNIT}, window=END - 2)

    assert system.desk.close_unattested(job_id) == 4 * PRICE


def test_pending_report_does_not_cover(system: System, nodes: list[int], job_id: int) -> None:
    system.report({(job_id, nodes[0]): UNIT}, window=END - 1, final=False)
    request(system, job_id)

    assert not event(system.desk, "CloseRequested")["covered"]


def test_pending_report_that_covers_the_end_resets_the_grace(
    system: System, nodes: list[int], job_id: int
) -> None:
    """M10: what it proves may be paid soon; operators get a grace of their own."""
    request(system, job_id)
    system.to_window(DUE)
    system.report({(job_id, nodes[0]): UNIT}, final=False)
    with evm.reverts("desk: request anew"):
        system.desk.close_unattested(job_id)
    system.wait(system.challenge)

    with evm.reverts("desk: request anew"):
        system.desk.close_unattested(job_id)


def test_pending_report_short_of_the_end_does_not_reset_the_grace(
    system: System, nodes: list[int], job_id: int
) -> None:
    request(system, job_id)
    system.to_window(DUE)
    system.report({(job_id, nodes[0]): UNIT}, window=END - 2, final=False)

    assert system.desk.close_unattested(job_id) == 4 * PRICE


def test_vetoed_report_resets_nothing(system: System, nodes: list[int], job_id: int) -> None:
    """M11: a report that proves nothing holds no payer."""
    request(system, job_id)
    system.to_window(DUE)
    system.report({(job_id, nodes[0]): UNIT}, final=False)
    with evm.reverts("desk: request anew"):
        system.desk.close_unattested(job_id)
    system.committee.veto_report(bytes(32), sender=system.guardian)

    assert system.desk.close_unattested(job_id) == 4 * PRICE


def test_report_that_was_final_at_the_request_covers_whatever_comes_after(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.report({(job_id, nodes[0]): UNIT}, window=END - 1)
    request(system, job_id)
    system.to_window(DUE)
    system.report({(job_id, nodes[0]): 2 * UNIT}, final=False)

    assert system.desk.close_unattested(job_id) == 4 * PRICE


def test_request_made_under_a_pending_report_is_renewed_once_it_is_final(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.report({(job_id, nodes[0]): UNIT}, window=END - 1, final=False)
    request(system, job_id)
    system.to_window(DUE)

    with evm.reverts("desk: request anew"):
        system.desk.close_unattested(job_id)
    request(system, job_id)
    system.to_window(DUE + CLOSED_AFTER)

    assert system.desk.close_unattested(job_id) == 4 * PRICE


def test_attested_close_in_between_wins(system: System, nodes: list[int], job_id: int) -> None:
    request(system, job_id)
    system.to_window(DUE)
    system.report({(job_id, nodes[0]): 3 * UNIT, (job_id, JOB_LEAF): 3 * UNIT})
    assert system.close(job_id) == PRICE

    with evm.reverts("desk: close grace"):
        system.desk.close_unattested(job_id)
    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)
    with evm.reverts("desk: closed"):
        system.desk.close_unattested(job_id)


def test_attested_close_of_a_covered_job_wins_too(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.report({(job_id, nodes[0]): 3 * UNIT, (job_id, JOB_LEAF): 3 * UNIT})
    request(system, job_id)
    system.to_window(DUE)

    assert system.close(job_id) == PRICE
    with evm.reverts("desk: close grace"):
        system.desk.close_unattested(job_id)
    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)
    with evm.reverts("desk: closed"):
        system.desk.close_unattested(job_id)


def test_leaf_that_comes_too_late_brings_nothing_back(
    system: System, nodes: list[int], job_id: int
) -> None:
    request(system, job_id)
    system.to_window(DUE)
    system.desk.close_unattested(job_id)
    system.report({(job_id, nodes[0]): 3 * UNIT, (job_id, JOB_LEAF): 3 * UNIT})
    before = Books.of(system)

    assert system.close(job_id) == 0
    assert system.claim(job_id, nodes[0]) == 0
    assert Books.of(system) == before


def test_asking_again_starts_the_grace_anew(system: System, job_id: int) -> None:
    request(system, job_id)
    system.to_window(END + 5)
    request(system, job_id)
    system.to_window(DUE)
    with evm.reverts("desk: close grace"):
        system.desk.close_unattested(job_id)
    system.to_window(DUE + 5)

    assert system.desk.close_unattested(job_id) == 4 * PRICE


def test_cancelled_job_is_left_too(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=10)
    system.to_window(4)
    system.desk.cancel_job(job_id, sender=system.payer)
    with evm.reverts("desk: job not over"):
        request(system, job_id)
    system.to_window(5)
    request(system, job_id)
    system.to_window(5 + CLOSED_AFTER)

    assert system.desk.close_unattested(job_id) == 3 * PRICE


def test_not_before_the_end(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=4)
    system.to_window(END - 1)

    with evm.reverts("desk: job not over"):
        request(system, job_id)


def test_not_before_the_start(system: System) -> None:
    job_id = system.open_job()
    system.to_window(50)

    with evm.reverts("desk: not started"):
        request(system, job_id)
    with evm.reverts("desk: close not requested"):
        system.desk.close_unattested(job_id)


def test_only_the_payer_requests(system: System, job_id: int) -> None:
    for sender in (system.governor, system.operators[0], system.stranger):
        with evm.reverts("desk: not the payer"):
            system.desk.request_close(job_id, sender=sender)


def test_unknown_job_is_refused(system: System) -> None:
    with evm.reverts("desk: unknown job"):
        request(system, 1)
    with evm.reverts("desk: unknown job"):
        system.desk.close_unattested(1)


def test_not_without_a_request(system: System, job_id: int) -> None:
    system.to_window(END + 10 * CLOSE_GRACE)

    with evm.reverts("desk: close not requested"):
        system.desk.close_unattested(job_id)


def test_closed_job_is_not_requested(system: System, job_id: int) -> None:
    system.report({(job_id, JOB_LEAF): 0})
    system.close(job_id)

    with evm.reverts("desk: closed"):
        request(system, job_id)


def test_once(system: System, job_id: int) -> None:
    request(system, job_id)
    system.to_window(DUE)
    system.desk.close_unattested(job_id)

    with evm.reverts("desk: closed"):
        system.desk.close_unattested(job_id)
    with evm.reverts("desk: closed"):
        request(system, job_id)


def test_payer_leaves_though_every_role_is_gone(system: System, job_id: int) -> None:
    """No oracle, guardian or governor has to do anything."""
    system.blacklist(system.payer)
    system.trust.set_issuer(system.issuer, False, sender=system.governor)
    request(system, job_id)
    system.to_window(DUE)

    assert system.desk.close_unattested(job_id) == 4 * PRICE


def test_what_an_attested_close_left_and_nobody_claims_comes_back_in_the_end(
    system: System, nodes: list[int], job_id: int
) -> None:
    """M11: a total that is signed too high locks no deposit for ever."""
    system.report({(job_id, nodes[0]): UNIT, (job_id, JOB_LEAF): 4 * UNIT})
    assert system.close(job_id) == 0
    system.claim(job_id, nodes[0])
    request(system, job_id)
    system.to_window(END + ABANDON_FACTOR * CLOSE_GRACE)
    with evm.reverts("desk: close grace"):
        system.desk.close_unattested(job_id)
    system.to_window(END + ABANDON_FACTOR * CLOSE_GRACE + 1)

    assert system.desk.close_unattested(job_id) == 3 * PRICE
    assert event(system.desk, "JobClosedUnattested")["funded_units"] == UNIT
    assert system.escrow.liabilities() == fee(UNIT)
    with evm.reverts("desk: closed"):
        system.desk.close_unattested(job_id)
    with evm.reverts("desk: closed"):
        request(system, job_id)


def test_operator_claims_until_what_it_earned_is_given_up(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.report({(job_id, nodes[0]): 3 * UNIT, (job_id, JOB_LEAF): 3 * UNIT})
    system.close(job_id)
    request(system, job_id)
    system.to_window(END + ABANDON_FACTOR * CLOSE_GRACE)

    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)
    system.advance_windows()
    with evm.reverts("desk: closed"):
        system.desk.close_unattested(job_id)


def test_request_from_before_an_attested_close_gives_nothing_up(
    system: System, nodes: list[int], job_id: int
) -> None:
    """It was made when no report covered the end: the payer asks again and waits from then on."""
    request(system, job_id)
    system.advance_windows()
    system.report({(job_id, nodes[0]): 3 * UNIT, (job_id, JOB_LEAF): 3 * UNIT})
    system.close(job_id)
    system.to_window(END + ABANDON_FACTOR * CLOSE_GRACE + 1)

    with evm.reverts("desk: request anew"):
        system.desk.close_unattested(job_id)
    request(system, job_id)
    with evm.reverts("desk: close grace"):
        system.desk.close_unattested(job_id)
    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)


def test_batch_job_is_left_too(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], slots=5, windows=4, kind=BATCH)
    system.to_window(4)
    system.report({(job_id, nodes[0]): 2 * UNIT})
    system.claim(job_id, nodes[0])
    system.to_window(END)
    request(system, job_id)
    system.to_window(DUE)

    assert system.desk.close_unattested(job_id) == 3 * PRICE
    assert system.desk.job(job_id).funded_units == 2 * UNIT


def test_scaled_and_extended_job_is_left_to_the_last_base_unit(
    system: System, nodes: list[int]
) -> None:
    before = Books.of(system)
    job_id = system.start_job(nodes[:1], windows=3)
    system.desk.scale_job(job_id, 3, [], sender=system.payer)
    system.desk.extend_job(job_id, 1, sender=system.payer)
    system.to_window(END)
    request(system, job_id)
    system.to_window(DUE)

    system.desk.close_unattested(job_id)

    assert Books.of(system) == before


def test_report_of_the_last_window_covers_the_end_and_one_before_does_not(
    system: System, nodes: list[int], job_id: int
) -> None:
    for window, covered in ((END - 2, False), (END - 1, True)):
        system.report({(job_id, nodes[0]): UNIT}, window=window)
        request(system, job_id)
        assert event(system.desk, "CloseRequested")["covered"] == covered
