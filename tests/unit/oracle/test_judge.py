"""What a probe counts as: which revision serves, and what is unknown instead of down."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from workdeed.oracle.judge import Judge
from workdeed.oracle.tallies import Verdict
from workdeed.oracle.targets import JobTarget
from workdeed.protocol.figures import Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import State, Workload

from .support import ESCROW

SPECS = {number: keccak(b"spec %d" % number) for number in range(4)}


def target(
    *, measured: int = 0, term: int = 1, since: int | None = None, license_id: int = 101
) -> JobTarget:
    known = {number: SPECS[number] for number in range(measured + 1)}
    return JobTarget(Pair(ESCROW, 1, license_id), measured, known, term, since or term)


def work(
    revision: int = 0,
    *,
    state: State = "running",
    healthy: bool = True,
    job_id: int = 1,
    spec_hash: bytes | None = None,
) -> Workload:
    return Workload(
        escrow=ESCROW,
        job_id=job_id,
        revision=revision,
        spec_hash=spec_hash or SPECS[revision],
        commit="",
        state=state,
        healthy=healthy,
        port=None,
    )


def judged(
    judge: Judge, window: int, job: JobTarget, workloads: Sequence[Workload], answers: bool = True
) -> Verdict:
    """Return the verdict on a probe; `answers` says whether the workload answers the oracle."""
    served = judge.serving(window, job, workloads)
    return judge.verdict(window, job, workloads, served if answers else None)


def test_a_running_and_healthy_workload_is_ok() -> None:
    assert judged(Judge(1), 5, target(), [work()]) == "ok"


@pytest.mark.parametrize(
    "workloads",
    [
        [],
        [work(healthy=False)],
        [work(state="starting")],
        [work(job_id=2)],
        [work(spec_hash=keccak(b"other"))],
        [work(3)],
    ],
)
def test_anything_else_is_not(workloads: list[Workload]) -> None:
    assert judged(Judge(1), 5, target(), workloads) == "bad"


def test_a_workload_that_does_not_answer_the_oracle_is_down() -> None:
    assert judged(Judge(1), 5, target(), [work()], answers=False) == "bad"


class TestFresh:
    def test_it_is_unknown_until_its_first_healthy_answer(self) -> None:
        judge, job = Judge(1), target(term=5)
        assert judged(judge, 5, job, []) == "unknown"
        assert judged(judge, 5, job, [work()]) == "ok"
        assert judged(judge, 5, job, []) == "bad"

    def test_not_for_longer_than_the_grace(self) -> None:
        judge, job = Judge(2), target(term=5)
        assert judged(judge, 6, job, []) == "unknown"
        assert judged(judge, 7, job, []) == "bad"

    def test_without_grace_it_is_down_at_once(self) -> None:
        assert judged(Judge(0), 5, target(term=5), []) == "bad"

    def test_a_later_term_is_fresh_again(self) -> None:
        judge = Judge(1)
        assert judged(judge, 1, target(term=1), [work()]) == "ok"
        assert judged(judge, 5, target(term=5), []) == "unknown"

    def test_what_is_forgotten_is_fresh_again(self) -> None:
        judge, job = Judge(1), target(term=5)
        judged(judge, 5, job, [work()])
        judge.forget([job.pair])
        assert judged(judge, 5, job, []) == "bad"
        judge.forget([])
        assert judged(judge, 5, job, []) == "unknown"


class TestRevisions:
    def test_a_newer_one_counts_too(self) -> None:
        job = JobTarget(Pair(ESCROW, 1, 101), 0, SPECS, 1, 1)
        assert judged(Judge(1), 5, job, [work(1)]) == "ok"

    def test_an_older_one_counts_while_it_is_rolled_out(self) -> None:
        judge, sibling = Judge(1), target(measured=1, since=5, license_id=102)
        assert judged(judge, 5, sibling, [work(1)]) == "ok"
        assert judged(judge, 5, target(measured=1, since=5), [work(0)]) == "ok"
        assert judged(judge, 6, target(measured=1, since=5), [work(0)]) == "bad"

    def test_an_older_one_counts_as_long_as_nobody_runs_the_newer(self) -> None:
        judge = Judge(1)
        assert (
            judged(judge, 9, target(measured=1, since=5), [work(0), work(1, state="failed")])
            == "ok"
        )

    def test_nobody_is_blamed_at_once_for_a_spec_that_does_not_start(self) -> None:
        job = target(measured=1, since=5)
        assert judged(Judge(1), 5, job, [work(1, state="failed")]) == "unknown"

    def test_a_node_that_does_not_even_try_is_down(self) -> None:
        assert judged(Judge(1), 5, target(measured=1, since=5), []) == "bad"
        assert judged(Judge(1), 5, target(measured=1, since=5), [work(0, state="failed")]) == "bad"

    def test_where_another_license_runs_it_the_spec_is_not_at_fault(self) -> None:
        judge = Judge(1)
        judged(judge, 5, target(measured=1, since=5, license_id=102), [work(1)])
        assert judged(judge, 5, target(measured=1, since=5), [work(1, state="failed")]) == "bad"

    def test_a_spec_that_does_not_start_is_no_excuse_for_ever(self) -> None:
        job = target(measured=1, since=5)
        assert judged(Judge(1), 6, job, [work(1, state="failed")]) == "bad"
