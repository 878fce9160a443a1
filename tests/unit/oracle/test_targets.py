"""Whom to probe in a window follows from the chain."""

from __future__ import annotations

from workdeed.chain.bindings import desk, licenses
from workdeed.oracle.targets import Target, targets_of
from workdeed.protocol.figures import Pair
from workdeed.protocol.hashing import keccak

from .support import CLOCK, ESCROW, FIRST_NODE, SPEC_HASH, Sim, account

NODE = FIRST_NODE


def targets(sim: Sim, window: int) -> tuple[Target, ...]:
    start = [one for one in sim.blocks if one.timestamp < CLOCK.start(window)][-1]
    return targets_of(sim.history.at(start.number), sim.books, window)


def test_placed_licenses_are_probed_from_the_next_window_on() -> None:
    sim = Sim()
    sim.open_job(1, slots=2)
    sim.place(1, [NODE, NODE + 1])
    sim.to_window(2)
    assert targets(sim, 1) == ()
    first, second = targets(sim, 2)
    assert (first.license_id, first.node) == (NODE, account("node", 0))
    assert first.endpoint == "http://node0.test:9000"
    assert second.license_id == NODE + 1
    (job,) = first.jobs
    assert job.pair == Pair(ESCROW, 1, NODE)
    assert (job.measured, job.term, job.since) == (0, 2, 2)
    assert job.revisions == {0: SPEC_HASH}


def test_one_node_is_probed_once_about_all_of_its_jobs() -> None:
    sim = Sim()
    for job in (1, 2):
        sim.open_job(job)
        sim.place(job, [NODE])
    sim.to_window(2)
    (target,) = targets(sim, 2)
    assert [job.pair.job_id for job in target.jobs] == [1, 2]


def test_a_revision_is_measured_from_the_window_after_its_own() -> None:
    sim = Sim()
    sim.open_job(1)
    sim.place(1, [NODE])
    sim.to_window(3)
    new = keccak(b"new spec")
    sim.log(desk.JobRevised(1, 1, 3, new))
    (now,) = targets(sim, 3)[0].jobs
    assert (now.measured, now.since, now.rolls) == (0, 2, False)
    assert now.revisions == {0: SPEC_HASH, 1: new}
    sim.to_window(4)
    (later,) = targets(sim, 4)[0].jobs
    assert (later.measured, later.since) == (1, 4)
    assert (later.rolls, later.replicas) == (True, 1)


def test_a_license_that_moved_is_asked_where_it_is_now() -> None:
    sim = Sim()
    sim.open_job(1)
    sim.place(1, [NODE])
    sim.to_window(2)
    sim.log(licenses.ProfileSet(NODE, bytes(32), "http://elsewhere.test:9000"))
    sim.log(licenses.NodeUnlinked(NODE, account("node", 0)))
    (target,) = targets(sim, 2)
    assert target.endpoint == "http://elsewhere.test:9000"
    assert target.node is None


def test_a_second_term_has_its_own_beginning() -> None:
    sim = Sim()
    sim.open_job(1, slots=2, windows=10)
    sim.place(1, [NODE, NODE + 1])
    sim.to_window(2)
    sim.place(1, release=[NODE])
    sim.to_window(4)
    sim.place(1, [NODE])
    sim.to_window(5)
    assert [job.term for job in targets(sim, 2)[0].jobs] == [2]
    assert [one.license_id for one in targets(sim, 4)] == [NODE + 1]
    assert [job.term for job in targets(sim, 5)[0].jobs] == [5]


def test_a_license_that_came_after_the_revision_has_nothing_to_roll_out() -> None:
    sim = Sim()
    sim.open_job(1, slots=2, windows=10)
    sim.place(1, [NODE])
    sim.to_window(3)
    sim.log(desk.JobRevised(1, 1, 3, keccak(b"new spec")))
    sim.to_window(4)
    sim.place(1, [NODE + 1])
    sim.to_window(5)
    (old,), (new,) = [one.jobs for one in targets(sim, 5)]
    assert (old.since, old.rolls, old.replicas) == (4, True, 2)
    assert (new.since, new.rolls) == (5, False)
