"""What a probe counts as: which revision serves, and what is unknown instead of down."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.oracle.judge import Judge
from workdeed.oracle.tallies import Verdict
from workdeed.oracle.targets import JobTarget
from workdeed.protocol.figures import Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import State, Workload

from .support import ESCROW

SPECS = {number: keccak(b"spec %d" % number) for number in range(4)}


def target(
    *,
    measured: int = 0,
    term: int = 1,
    since: int | None = None,
    license_id: int = 101,
    newest: int | None = None,
) -> JobTarget:
    known = {number: SPECS[number] for number in range((newest or measured) + 1)}
    return JobTarget(
        pair=Pair(ESCROW, 1, license_id),
        measured=measured,
        revisions=known,
        term=term,
        since=since or term,
        rolls=measured > 0,
        replicas=4,
    )


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
        assert judged(Judge(1), 5, target(newest=3), [work(1)]) == "ok"

    def test_an_older_one_counts_while_it_is_rolled_out(self) -> None:
        judge, sibling = Judge(1), target(measured=1, since=5, license_id=102)
        assert judged(judge, 5, sibling, [work(1)]) == "ok"
        assert judged(judge, 5, target(measured=1, since=5), [work(0)]) == "ok"
        assert judged(judge, 6, target(measured=1, since=5), [work(0)]) == "bad"

    def test_for_as_long_as_the_policy_allows_beyond_the_grace(self) -> None:
        judge, sibling = Judge(1, lambda _: 2), target(measured=1, since=5, license_id=102)
        for window, verdict in ((5, "ok"), (6, "ok"), (7, "ok"), (8, "bad")):
            assert judged(judge, window, sibling, [work(1)]) == "ok"
            assert judged(judge, window, target(measured=1, since=5), [work(0)]) == verdict

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

    def test_after_a_rollback_the_last_good_one_counts_again(self) -> None:
        """It was remembered for ever that a replica had run the newest revision."""
        judge, job = Judge(1), target(measured=1, since=5)
        sibling = target(measured=1, since=5, license_id=102)
        assert judged(judge, 6, sibling, [work(1)]) == "ok"
        gave_up = [work(0), work(1, state="failed")]
        assert judged(judge, 6, job, gave_up) == "bad"
        assert judged(judge, 7, job, gave_up) == "bad"
        for window in (8, 9, 50):
            assert judged(judge, window, job, gave_up) == "ok"
            assert judged(judge, window, sibling, gave_up) == "ok"

    def test_without_grace_a_window_does_not_begin_as_if_nobody_ran_it(self) -> None:
        judge, sibling = Judge(0), target(measured=1, since=5, license_id=102)
        assert judged(judge, 5, sibling, [work(1)]) == "ok"
        assert judged(judge, 6, target(measured=1, since=5), [work(0)]) == "bad"
        assert judged(judge, 7, target(measured=1, since=5), [work(0)]) == "ok"

    def test_a_switch_within_the_rollout_is_unknown_while_nobody_runs_the_new_one(self) -> None:
        judge, job = Judge(1, lambda _: 2), target(measured=1, since=5)
        switching = [work(0, state="stopped"), work(1, state="starting")]
        assert judged(judge, 7, job, switching) == "unknown"
        assert judged(judge, 8, job, switching) == "bad"


GRACE, PATIENCE, LICENSES = 1, 2, (101, 102, 103)
PROBES = 4
"""Looks of one oracle at each node in a window."""
LAST = 12

Truth = dict[tuple[int, int], list[int]]
"""What revision serves by (window, license), at each of the moments that probes fall into."""


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Draw a rollout to revision 1, measured from window 3: nodes go ahead and back at any time."""
    return {
        (window, license_id): draw(
            st.lists(st.integers(0, 1), min_size=PROBES, max_size=PROBES)
            if window > 1
            else st.just([0] * PROBES)
        )
        for window in range(1, LAST)
        for license_id in LICENSES
    }


def watch(truth: Truth, chance: random.Random, misses: float) -> dict[tuple[int, int, int], str]:
    """Return the verdicts of an oracle that looks now and then, by window, license and moment."""
    judge, verdicts = Judge(GRACE, lambda job: PATIENCE if job.rolls else 0), {}
    for window in range(1, LAST):
        measured = int(window >= 3)
        for moment in range(PROBES):
            for license_id in chance.sample(LICENSES, len(LICENSES)):
                if chance.random() < misses:
                    continue
                job = target(
                    measured=measured, newest=1, since=3 if measured else 1, license_id=license_id
                )
                found = [work(truth[window, license_id][moment])]
                verdicts[window, license_id, moment] = judged(judge, window, job, found)
    return verdicts


def runs(truth: Truth, windows: range, license_ids: Sequence[int] = LICENSES) -> bool:
    """Tell whether anybody serves revision 1 in any of these windows."""
    return any(
        1 in truth[window, license_id]
        for window in windows
        if window >= 1
        for license_id in license_ids
    )


@given(truths(), st.randoms(use_true_random=False), st.randoms(use_true_random=False))
def test_oracles_that_look_at_other_times_come_to_nearly_the_same_verdicts(
    truth: Truth, one: random.Random, two: random.Random
) -> None:
    """They differ only where the new revision was up and down again within the grace."""
    first, second = watch(truth, one, 0.3), watch(truth, two, 0.3)
    for key in first.keys() & second.keys():
        if first[key] != second[key]:
            window, _, moment = key
            assert window >= 3 + GRACE + PATIENCE
            assert truth[key[:2]][moment] == 0
            assert runs(truth, range(window - GRACE, window + 1))


@given(truths(), st.randoms(use_true_random=False))
def test_service_of_a_revision_that_some_node_must_run_is_never_bad_for_the_spec(
    truth: Truth, chance: random.Random
) -> None:
    """What serves is paid: the new one always, the old one while or unless others run the new."""
    for (window, license_id, moment), verdict in watch(truth, chance, 0.0).items():
        is_new = truth[window, license_id][moment] == 1
        rolls_out = window < 3 + GRACE + PATIENCE
        if is_new or rolls_out or not runs(truth, range(window - GRACE, window + 1)):
            assert verdict == "ok"
        elif runs(truth, range(window - GRACE, window)):
            assert verdict == "bad"


@given(st.lists(st.booleans(), min_size=LAST, max_size=LAST), st.integers(0, 3))
def test_whoever_never_follows_is_not_paid_for_ever(ups: list[bool], grace: int) -> None:
    """While another license runs the new revision, the old one earns up to the rollout's end."""
    judge = Judge(grace, lambda _: PATIENCE)
    lazy, diligent = target(measured=1, since=3), target(measured=1, since=3, license_id=102)
    for window in range(3, LAST):
        up = ups[window]
        if up:
            judged(judge, window, diligent, [work(1)])
        verdict = judged(judge, window, lazy, [work(0)])
        if window < 3 + grace + PATIENCE:
            assert verdict == "ok"
        elif up:
            assert verdict == "bad"
