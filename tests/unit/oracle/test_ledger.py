"""What a settlement reads from the books."""

from __future__ import annotations

from workdeed.chain.bindings import escrow
from workdeed.oracle.committee import Committee
from workdeed.oracle.ledger import JobLedger, ledger_of, service_pairs
from workdeed.protocol.figures import UNIT, Pair

from .support import ESCROW, FIRST_NODE, Sim, oracle

NODE = FIRST_NODE


def test_a_job_with_its_claims() -> None:
    sim = Sim(sla_floor_bps=9_000)
    sim.open_job(1, slots=2, windows=4)
    sim.place(1, [NODE, NODE + 1])
    sim.to_window(3)
    sim.claim(1, NODE, 7_000)
    assert ledger_of(sim.books) == {
        (ESCROW, 1): JobLedger(
            end=6,
            sla_floor_bps=9_000,
            funded_units=8 * UNIT,
            claimed_units=7_000,
            closed=False,
            claimed={NODE: 7_000, NODE + 1: 0},
        )
    }


def test_a_job_that_was_never_placed_is_not_in_it() -> None:
    sim = Sim()
    sim.open_job(1)
    assert ledger_of(sim.books) == {}


def test_a_closed_job_stays_in_it() -> None:
    sim = Sim()
    sim.open_job(1)
    sim.place(1, [NODE])
    sim.log(escrow.JobClosed(1, 5, 0))
    assert ledger_of(sim.books)[ESCROW, 1].closed


def test_only_what_a_close_can_change_keeps_a_job_unsettled() -> None:
    open_job = JobLedger(5, 0, 100, 30, False, {})
    assert not open_job.is_settled_at(100)
    closed = JobLedger(5, 0, 100, 30, True, {})
    assert closed.is_settled_at(100)
    assert not closed.is_settled_at(99)
    assert JobLedger(5, 0, 30, 30, True, {}).is_settled_at(0)


def test_pairs_are_those_in_force_in_order() -> None:
    sim = Sim()
    for job in (2, 1):
        sim.open_job(job, slots=2)
        sim.place(job, [NODE + 1, NODE])
    assert service_pairs(sim.books, 1) == ()
    assert service_pairs(sim.books, 2) == tuple(
        Pair(ESCROW, job, license_id) for job in (1, 2) for license_id in (NODE, NODE + 1)
    )


def test_the_committee_is_that_of_the_books() -> None:
    committee = Committee.of(Sim(members=7).books)
    assert committee.members == tuple(oracle(index).address for index in range(7))
    assert (committee.size, committee.quorum, committee.faults, committee.epoch) == (7, 5, 2, 7)
    assert committee.seats == tuple(range(7))
    assert committee.leader(5, 3) == oracle(1).address
    assert committee.rank(oracle(3).address, 5, 3) == 2
