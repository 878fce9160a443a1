"""Which jobs are closed, by a report or without one."""

from __future__ import annotations

import pytest
from books_support import CHALLENGE, ESCROW, MEMBERS, PAYER, WINDOW, Chain, leaf

from workdeed.chain.bindings import desk as events
from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.bindings.escrow import JobEscrow
from workdeed.keeper.closes import close_effects, due_closes, unattested_effects
from workdeed.keeper.stagger import Stagger
from workdeed.protocol.figures import UNIT

ALONE = Stagger(MEMBERS[0], pause=5)
CONTRACT = JobEscrow(ESCROW)
DESK = JobDesk(ESCROW)
GRACE = 12


@pytest.fixture
def ended(chain: Chain) -> Chain:
    """Job 1 served in windows 2 to 4; it is window 5."""
    chain.license(1)
    chain.open_job(1, windows=3)
    chain.place(1, [1], windows=3)
    chain.to_window(5)
    return chain


def test_a_job_closes_once_its_end_is_final(ended: Chain) -> None:
    leaves = [leaf(1, 1, 3 * UNIT), leaf(1, 0, 3 * UNIT)]
    data = ended.report(4, leaves)
    assert due_closes(ended.view(), data.leaves, ALONE) == []
    ended.timestamp += CHALLENGE
    due = due_closes(ended.view(), data.leaves, ALONE)
    assert due == [leaf(1, 0, 3 * UNIT)]
    (effect,) = close_effects(CONTRACT, data, due)
    assert not effect.done(ended.books)
    ended.close(1, 3 * UNIT)
    assert effect.done(ended.books)
    assert due_closes(ended.view(), data.leaves, ALONE) == []


def test_a_job_leaf_before_the_end_closes_nothing(ended: Chain) -> None:
    data = ended.report(3, [leaf(1, 0, 2 * UNIT)])
    ended.timestamp += CHALLENGE
    assert due_closes(ended.view(), data.leaves, ALONE) == []


def test_a_later_lower_leaf_closes_again(ended: Chain) -> None:
    ended.close(1, 3 * UNIT)
    data = ended.report(4, [leaf(1, 0, 2 * UNIT)])
    ended.timestamp += CHALLENGE
    assert len(due_closes(ended.view(), data.leaves, ALONE)) == 1
    ended.claim(1, 1, 3 * UNIT)
    assert due_closes(ended.view(), data.leaves, ALONE) == []


def test_leaves_of_unknown_jobs_are_passed_over(ended: Chain) -> None:
    data = ended.report(4, [leaf(9, 0, 0)])
    ended.timestamp += CHALLENGE
    assert due_closes(ended.view(), data.leaves, ALONE) == []


def test_without_a_report_the_payer_asks_waits_and_closes(ended: Chain) -> None:
    (request,) = unattested_effects(ended.view(), DESK, PAYER, GRACE)
    assert request.call.name == "JobDesk.request_close"
    assert unattested_effects(ended.view(), DESK, MEMBERS[0], GRACE) == []
    ended.log(events.CloseRequested(1, 5, False))
    assert request.done(ended.books)
    assert unattested_effects(ended.view(), DESK, PAYER, GRACE) == []
    ended.to_window(5 + GRACE)  # the window of the request had begun and does not count
    assert unattested_effects(ended.view(), DESK, PAYER, GRACE) == []
    ended.to_window(6 + GRACE)
    (close,) = unattested_effects(ended.view(), DESK, PAYER, GRACE)
    assert close.call.name == "JobDesk.close_unattested"
    ended.close(1, 0, attested=False)
    assert close.done(ended.books)
    assert unattested_effects(ended.view(), DESK, PAYER, GRACE) == []


def test_the_payer_asks_anew_when_reports_caught_up(ended: Chain) -> None:
    ended.log(events.CloseRequested(1, 5, False))
    ended.report(4)
    ended.timestamp += WINDOW
    (again,) = unattested_effects(ended.view(), DESK, PAYER, GRACE)
    assert again.call.name == "JobDesk.request_close"
    assert not again.done(ended.books)
    ended.log(events.CloseRequested(1, 6, True))
    assert again.done(ended.books)


def test_a_pending_report_that_covers_the_end_holds_the_close_up(ended: Chain) -> None:
    ended.log(events.CloseRequested(1, 5, False))
    ended.to_window(6 + GRACE)
    ended.report(4)
    assert unattested_effects(ended.view(), DESK, PAYER, GRACE) == []
    ended.timestamp += CHALLENGE
    (again,) = unattested_effects(ended.view(), DESK, PAYER, GRACE)
    assert again.call.name == "JobDesk.request_close"


def test_a_pending_report_does_not_hold_up_what_was_covered_at_the_request(ended: Chain) -> None:
    ended.report(4)
    ended.log(events.CloseRequested(1, 5, True))
    ended.to_window(6 + GRACE)
    ended.report(5 + GRACE)
    (close,) = unattested_effects(ended.view(), DESK, PAYER, GRACE)
    assert close.call.name == "JobDesk.close_unattested"


def test_running_jobs_are_left_alone(ended: Chain) -> None:
    ended.open_job(2)
    ended.place(2, [1])
    assert [one.key for one in unattested_effects(ended.view(), DESK, PAYER, GRACE)] == [
        "request-close:1:5:uncovered"
    ]
