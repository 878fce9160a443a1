"""Pages of jobs, and what a claim would move."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.job_escrow.books import gross
from tests.contracts.system import (
    BATCH,
    FROZEN,
    GOOD,
    JOB_LEAF,
    PRICE,
    UNIT,
    ZERO_ADDRESS,
    System,
    account,
    deployer,
)

WAITING, RUNNING, ENDED, CLOSED = range(1, 5)


@pytest.fixture
def lens(system: System) -> Contract:
    """A lens on the system's escrow."""
    return deployer("JobLens").deploy(system.escrow)


@pytest.fixture
def nodes(system: System) -> list[int]:
    """A linked node license of each of the first three operators."""
    return [system.issue_node(operator) for operator in system.operators[:3]]


def test_lens_finds_everything_by_the_escrow(system: System, lens: Contract) -> None:
    assert lens.ESCROW() == system.escrow.address
    assert lens.DESK() == system.desk.address
    assert lens.COMMITTEE() == system.committee.address
    assert lens.LICENSES() == system.licenses.address


def test_page_tells_the_state_of_each_job(system: System, lens: Contract, nodes: list[int]) -> None:
    ended = system.start_job(nodes[:1], windows=1)
    closed = system.open_job()
    system.desk.cancel_job(closed, sender=system.payer)
    waiting = system.open_job(slots=2, windows=3)
    system.advance_windows()
    running = system.start_job(nodes[1:2], windows=9)

    page = lens.jobs(1, 64)

    states = [(view.job_id, view.state) for view in page]
    assert states == [(ended, ENDED), (closed, CLOSED), (waiting, WAITING), (running, RUNNING)]
    assert [view.unclaimed for view in page] == [PRICE, 0, 6 * PRICE, 9 * PRICE]
    assert all(view.job == system.desk.job(view.job_id) for view in page)


def test_job_has_ended_from_the_first_window_after_it_on(
    system: System, lens: Contract, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1], windows=2)
    states = []
    for _ in range(3):
        states.append(lens.jobs(job_id, 1)[0].state)
        system.advance_windows()

    assert states == [RUNNING, RUNNING, ENDED]


def test_what_was_claimed_is_no_longer_unclaimed(
    system: System, lens: Contract, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1], windows=10)
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT // 3})
    system.claim(job_id, nodes[0])

    (view,) = lens.jobs(job_id, 1)

    assert view.unclaimed == 10 * PRICE - gross(UNIT // 3)


def test_pages_follow_each_other(system: System, lens: Contract) -> None:
    jobs = [system.open_job() for _ in range(5)]

    pages = [[view.job_id for view in lens.jobs(first, 2)] for first in (1, 3, 5, 6)]

    assert pages == [jobs[:2], jobs[2:4], jobs[4:], []]
    assert lens.jobs(1, 0) == []


def test_jobs_of_one_payer(system: System, lens: Contract) -> None:
    other = account("second payer")
    system.attest(other)
    system.fund(other, 10**30)
    jobs = [system.open_job(payer=payer) for payer in (system.payer, other, system.payer)]

    assert lens.jobs_of(system.payer, 1, 64) == [jobs[0], jobs[2]]
    assert lens.jobs_of(other, 1, 64) == [jobs[1]]
    assert lens.jobs_of(other, 3, 64) == []


def test_jobs_of_one_payer_come_in_pages(system: System, lens: Contract) -> None:
    jobs = [system.open_job() for _ in range(3)]

    assert lens.jobs_of(system.payer, 1, 2) == jobs[:2]
    assert lens.jobs_of(system.payer, 3, 2) == jobs[2:]
    assert lens.jobs_of(system.payer, 1, 0) == []


@pytest.mark.parametrize("view", ["jobs", "jobs_of"])
def test_pages_are_bounded(system: System, lens: Contract, view: str) -> None:
    before = (system.payer,) if view == "jobs_of" else ()
    read = getattr(lens, view)

    with evm.reverts("lens: jobs count from 1"):
        read(*before, 0, 1)
    with evm.reverts("lens: page too long"):
        read(*before, 1, 65)


def test_assignments_come_in_the_order_that_was_asked(
    system: System, lens: Contract, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:2])

    page = lens.assignments(job_id, [nodes[1], 77, nodes[0]])

    assert [one.first for one in page] == [2, 0, 2]
    assert page[0] == system.escrow.assignment(job_id, nodes[1])


def test_claimable_is_what_a_claim_pays(system: System, lens: Contract, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:2], windows=10)
    system.advance_windows(2)
    system.report({(job_id, nodes[0]): 7 * UNIT, (job_id, nodes[1]): UNIT // 2})

    over = lens.claimable(job_id, nodes[0], 7 * UNIT)
    under = lens.claimable(job_id, nodes[1], UNIT // 2)

    assert (over.credited, over.gross) == (2 * UNIT, gross(2 * UNIT))
    assert (under.credited, under.gross) == (UNIT // 2, gross(UNIT // 2))
    assert (over.payee, over.standing) == (system.operators[0], GOOD)
    system.claim(job_id, nodes[0])
    again = lens.claimable(job_id, nodes[0], 7 * UNIT)
    assert (again.credited, again.gross) == (2 * UNIT, 0)


def test_claimable_is_what_was_not_claimed_before(
    system: System, lens: Contract, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1], windows=10)
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT // 3})
    system.claim(job_id, nodes[0])
    system.advance_windows()
    system.report({(job_id, nodes[0]): 2 * UNIT - 1})

    more = lens.claimable(job_id, nodes[0], 2 * UNIT - 1)
    less = lens.claimable(job_id, nodes[0], UNIT // 3 - 1)

    assert (more.credited, more.gross) == (2 * UNIT - 1, gross(2 * UNIT - 1) - gross(UNIT // 3))
    assert (less.credited, less.gross) == (UNIT // 3, 0)


def test_claimable_knows_terms_and_deposits(
    system: System, lens: Contract, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1], windows=9)
    system.place(job_id, release=nodes[:1])
    system.advance_windows(2)
    system.report({})
    system.place(job_id, assign=nodes[:1])
    system.advance_windows(2)
    system.report({(job_id, nodes[0]): 9 * UNIT, (job_id, JOB_LEAF): UNIT})

    assert lens.claimable(job_id, nodes[0], 9 * UNIT).credited == 2 * UNIT


def test_claimable_counts_to_the_end_of_the_term_and_of_the_job(
    system: System, lens: Contract, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:2], windows=4)
    system.place(job_id, release=nodes[:1])
    system.advance_windows(7)
    system.report({(job_id, license_id): 9 * UNIT for license_id in nodes[:2]})

    credited = [lens.claimable(job_id, license_id, 9 * UNIT).credited for license_id in nodes[:2]]

    assert credited == [UNIT, 4 * UNIT]


def test_claimable_of_a_batch_is_bounded_by_its_deposit(
    system: System, lens: Contract, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:2], slots=3, kind=BATCH)
    assert lens.claimable(job_id, nodes[0], 9 * UNIT).credited == 0
    system.advance_windows()
    system.report({(job_id, nodes[0]): 9 * UNIT, (job_id, nodes[1]): UNIT})
    assert lens.claimable(job_id, nodes[0], 9 * UNIT).credited == 3 * UNIT

    system.claim(job_id, nodes[1])

    assert lens.claimable(job_id, nodes[0], 9 * UNIT).credited == 2 * UNIT


def test_claimable_says_what_holds_a_payment(
    system: System, lens: Contract, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    system.freeze(nodes[0])

    view = lens.claimable(job_id, nodes[0], UNIT)

    assert (view.standing, view.gross) == (FROZEN, gross(UNIT))
    assert lens.claimable(job_id, 77, UNIT).payee == ZERO_ADDRESS
