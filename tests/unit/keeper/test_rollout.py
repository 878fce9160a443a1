"""The next steps of a rollout, by example and by a machine that does its worst."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rollout_support import NEW, OLD, STALE, SimReplica, status, tell

from workdeed.intent import Canary, Recreate, Rolling
from workdeed.intent.pacing import canaries
from workdeed.keeper.rollout import (
    Decision,
    Replica,
    Step,
    decide,
    replica_of,
    settle_ms_of,
)

SETTLE = 2_000


def rolling(most: int = 1) -> Rolling:
    return Rolling(policy="rolling", max_unavailable=most, settle_ms=SETTLE)


def canary(share_bps: int, most: int = 1, wait_ms: int = 5_000) -> Canary:
    return Canary(
        policy="canary",
        max_unavailable=most,
        settle_ms=SETTLE,
        share_bps=share_bps,
        wait_ms=wait_ms,
    )


def ready(license_id: int, **older: Any) -> Replica:
    """A replica that waits for its turn; `older` describes the revision that serves meanwhile."""
    new = status(NEW, "pending", ready=True)
    return Replica(license_id, new, status(OLD, **{"well": 100, **older}))


def through(license_id: int, well: int = 100) -> Replica:
    return Replica(license_id, status(NEW, well=well), status(OLD, "stopped", draining=True))


def on_its_way(license_id: int) -> Replica:
    return Replica(license_id, status(NEW, "starting"), status(OLD, "stopped", draining=True))


def gave_up(license_id: int, well: int = 100, reason: str = "it crashed") -> Replica:
    return Replica(license_id, status(NEW, "stopped", failed=reason), status(OLD, well=well))


def away(license_id: int) -> Replica:
    return Replica(license_id, unreachable="no answer in time")


def absent(license_id: int) -> Replica:
    """A replica whose node refuses the dispatch."""
    return Replica(license_id, None, status(OLD, well=100))


def alone(license_id: int, **current: Any) -> Replica:
    """A replica that has no older revision."""
    return Replica(license_id, status(NEW, **{"well": 100, **current}))


def taken(decision: Decision) -> list[int]:
    assert {one.action for one in decision.steps} <= {"take"}
    return [one.license_id for one in decision.steps]


class TestForth:
    def test_the_first_licenses_take_their_turn(self) -> None:
        replicas = [ready(one) for one in (5, 3, 9)]
        assert taken(decide(rolling(), replicas)) == [3]
        assert taken(decide(rolling(2), replicas)) == [3, 5]
        assert taken(decide(rolling(9), replicas)) == [3, 5, 9]

    def test_the_next_follows_once_one_is_well_for_long_enough(self) -> None:
        decision = decide(rolling(), [through(1, well=1), ready(2)])
        assert (decision.phase, decision.steps) == ("rolling", ())
        assert decision.reason == "license 1 is settling"
        assert taken(decide(rolling(), [through(1, well=2), ready(2)])) == [2]

    @pytest.mark.parametrize(
        "other",
        [away(9), alone(9, state="unhealthy", well=0), alone(9, state="starting", well=0)],
    )
    def test_whoever_is_unavailable_for_another_reason_counts(self, other: Replica) -> None:
        decision = decide(rolling(), [ready(1), ready(2), other])
        assert decision.steps == ()
        assert decision.reason == "at most 1 may be unavailable, and 9 are"
        assert taken(decide(rolling(2), [ready(1), ready(2), other])) == [1]

    def test_what_is_down_anyway_may_begin(self) -> None:
        """Or a job whose old revision is ill everywhere could never be mended."""
        ill = [ready(one, state="unhealthy", well=0) for one in range(1, 5)]
        assert taken(decide(rolling(2), ill)) == [1, 2]

    def test_what_is_ill_behind_others_may_begin_before_them(self) -> None:
        """It was unavailable all the time, and so held up the revision that mends it."""
        ill = ready(4, state="unhealthy", well=0)
        assert taken(decide(rolling(), [ready(1), ready(2), ready(3), ill])) == [4]
        assert taken(decide(rolling(), [away(1), ready(2), ill])) == [4]
        assert taken(decide(rolling(2), [ready(1), ready(2), ready(3), ill])) == [1, 4]

    def test_no_more_that_are_ill_begin_at_a_time_than_in_turn(self) -> None:
        """All may be ill for a moment, and the revision is not proven."""
        ill = [ready(one, state="unhealthy", well=0) for one in (3, 4, 5)]
        assert taken(decide(rolling(), [ready(1), ready(2), *ill])) == [3]
        assert taken(decide(rolling(), [ready(1), on_its_way(2), *ill])) == []
        assert taken(decide(rolling(), [away(1), through(2), *ill])) == [3]

    def test_what_is_ill_waits_for_the_canaries(self) -> None:
        ill = ready(4, state="unhealthy", well=0)
        assert taken(decide(canary(1_000), [ready(1), ready(2), ill])) == []
        assert taken(decide(canary(1_000), [through(1), ready(2), ill])) == [4]

    def test_one_that_is_not_ready_keeps_its_turn(self) -> None:
        """Another keeper might see it ready: both must not let different ones begin."""
        building = Replica(1, status(NEW, "pending", reason="fetching"), status(OLD, well=100))
        decision = decide(rolling(), [building, ready(2)])
        assert decision.steps == ()
        assert decision.reason == "license 1 is building (fetching)"
        assert taken(decide(rolling(2), [building, ready(2)])) == [2]

    def test_one_that_drains_is_under_way(self) -> None:
        drains = Replica(
            1, status(NEW, "pending", ready=True), status(OLD, well=100, draining=True)
        )
        assert decide(rolling(), [drains, ready(2)]).steps == ()
        assert drains.state(SETTLE) == "draining"

    def test_one_without_an_older_revision_needs_no_turn(self) -> None:
        assert taken(decide(rolling(), [alone(1), ready(2)])) == [2]

    def test_all_are_settled_once_all_are_well(self) -> None:
        decision = decide(rolling(), [through(1), alone(2), through(3)])
        assert decision == Decision("settling", "", (Step(1, "settle"), Step(3, "settle")))
        assert decide(rolling(), [through(1), away(2)]).steps == ()
        assert decide(rolling(), [alone(1), alone(2)]) == Decision("steady")

    @pytest.mark.parametrize(
        ("policy", "well", "left"),
        [
            (Rolling(policy="rolling", settle_ms=500), 1, 1),
            (Rolling(policy="rolling", settle_ms=9_000), 9, 0),
            (canary(1_000), 4, 1),
            (canary(1_000), 5, 0),
        ],
    )
    def test_none_is_settled_while_a_node_may_still_give_up_by_itself(
        self, policy: Rolling | Canary, well: int, left: int
    ) -> None:
        """It would go back alone: the others had nothing left to go back to."""
        decision = decide(policy, [through(1), through(2, well=well), alone(3, well=9)])
        assert decision.phase == "settling"
        if left:
            assert decision.reason == f"license 2 has to stay well for {left} s more"
        assert bool(decision.steps) == (not left)

    def test_without_anything_older_nothing_is_rolled_out(self) -> None:
        decision = decide(rolling(), [alone(1, state="pending", well=0, reason="fetching")])
        assert decision == Decision("starting", "license 1 is building (fetching)")
        assert decide(rolling(), []) == Decision("starting", "no license is placed")


class TestCanary:
    def test_a_share_goes_first_and_is_waited_for(self) -> None:
        rest = [ready(one) for one in range(3, 11)]
        policy = canary(2_000, most=3)
        first = decide(policy, [ready(1), ready(2), *rest])
        assert (first.phase, taken(first)) == ("canary", [1, 2])
        waits = decide(policy, [through(1, well=3), through(2, well=9), *rest])
        assert (waits.phase, waits.steps) == ("canary", ())
        assert waits.reason == "the canaries have to stay well for 2 s more"
        later = decide(policy, [through(1, well=5), through(2, well=9), *rest])
        assert (later.phase, taken(later)) == ("rolling", [3, 4, 5])

    def test_they_take_turns_as_well(self) -> None:
        assert taken(decide(canary(10_000), [ready(1), ready(2)])) == [1]

    def test_a_canary_that_falls_ill_stops_the_others(self) -> None:
        ill = Replica(1, status(NEW, "unhealthy"), status(OLD, "stopped", draining=True))
        assert decide(canary(1_000, most=3), [ill, through(2), ready(3)]).steps == ()


class TestBack:
    def test_all_give_up_what_one_gave_up(self) -> None:
        decision = decide(rolling(2), [through(1), through(2), gave_up(3), ready(4), ready(5)])
        assert decision.phase == "reverting"
        assert decision.reason == "license 3: it crashed"
        reason = "license 3: it crashed"
        assert decision.steps == (Step(5, "abandon", reason), Step(4, "abandon", reason))

    def test_those_that_serve_go_back_in_turns_once_no_other_can_begin(self) -> None:
        replicas = [through(1), through(2), through(3), gave_up(4), gave_up(5)]
        assert [one.license_id for one in decide(rolling(2), replicas).steps] == [3, 2]
        replicas[3] = gave_up(4, well=0)
        assert [one.license_id for one in decide(rolling(2), replicas).steps] == [3]

    @pytest.mark.parametrize("policy", [rolling(2), canary(1_000, most=2)])
    def test_one_that_falls_ill_after_it_was_through_brings_all_back(
        self, policy: Rolling | Canary
    ) -> None:
        """Nodes watch a new revision until it has proven itself, and give it up themselves."""
        ill = Replica(1, status(NEW, "unhealthy"), status(OLD, "stopped", draining=True))
        waits = decide(policy, [ill, through(2), ready(3)])
        assert waits.phase in ("rolling", "canary")
        assert "license 1" in waits.reason or waits.steps
        decision = decide(policy, [gave_up(1, well=0), through(2), ready(3)])
        reason = "license 1: it crashed"
        assert decision == Decision("reverting", reason, (Step(3, "abandon", reason),))
        told = gave_up(3, reason=reason)
        assert decide(policy, [gave_up(1, well=0), through(2), told]).steps == (
            Step(2, "abandon", reason),
        )
        assert decide(policy, [gave_up(1), gave_up(2, reason=reason), told]).phase == "reverted"

    def test_those_under_way_go_back_at_once(self) -> None:
        replicas = [on_its_way(1), gave_up(2, well=0), gave_up(3)]
        assert [one.license_id for one in decide(rolling(2), replicas).steps] == [1]

    def test_one_under_way_waits_until_those_behind_it_know(self) -> None:
        """An older look may still show it under way that serves by now."""
        replicas = [on_its_way(1), gave_up(2, well=0), ready(3)]
        assert [one.license_id for one in decide(rolling(2), replicas).steps] == [3]

    def test_it_is_over_when_all_are_back(self) -> None:
        decision = decide(rolling(), [gave_up(1, reason="it crashed"), gave_up(2), alone(3)])
        assert decision == Decision("reverted", "license 1: it crashed")
        assert decide(rolling(), [gave_up(1), away(2)]).phase == "reverting"

    def test_one_that_never_got_the_revision_keeps_nobody_from_going_back(self) -> None:
        """It has nothing to give up, and stood in front for ever."""
        decision = decide(rolling(), [through(1), gave_up(2), absent(3)])
        assert decision.steps == (Step(1, "abandon", "license 2: it crashed"),)
        assert decide(rolling(), [gave_up(1), gave_up(2), absent(3)]).phase == "reverted"

    def test_one_that_gets_the_revision_after_a_failure_is_told(self) -> None:
        decision = decide(rolling(), [gave_up(1), gave_up(2), ready(3)])
        assert decision.phase == "reverting"
        assert decision.steps == (Step(3, "abandon", "license 1: it crashed"),)

    @pytest.mark.parametrize(
        "news",
        [
            [gave_up(2, well=1), gave_up(4, reason="license 2: it crashed")],
            [away(2), gave_up(4, reason="license 2: it crashed")],
        ],
    )
    def test_those_that_serve_wait_while_one_without_the_revision_may_begin(
        self, news: list[Replica]
    ) -> None:
        """It may have it by now, and begin by a look that is older than the failure."""
        decision = decide(rolling(3), [through(1), absent(3), *news])
        assert (decision.phase, decision.steps) == ("reverting", ())

    def test_a_failure_whose_replica_left_long_ago_is_no_news(self) -> None:
        told = gave_up(4, reason="license 2: it crashed")
        assert decide(rolling(3), [through(1), absent(3), told]).steps == (
            Step(1, "abandon", "license 2: it crashed"),
        )

    def test_the_reason_stays_that_of_the_one_that_failed(self) -> None:
        told = gave_up(1, reason="license 2: it crashed")
        assert decide(rolling(), [told, gave_up(2)]).reason == "license 2: it crashed"

    def test_a_replica_that_has_nothing_to_go_back_to_stops_nobody(self) -> None:
        """A license that came later would otherwise throw all others back."""
        newcomer = alone(1, state="failed", well=0, failed="it crashed")
        assert taken(decide(rolling(2), [newcomer, ready(2), ready(3)])) == [2]
        assert newcomer.state(SETTLE) == "ill"


class TestRecreate:
    def test_the_keeper_only_watches(self) -> None:
        assert decide(Recreate(), [on_its_way(1), ready(2)]) == Decision(
            "recreating", "license 1 is starting"
        )
        assert decide(Recreate(), [through(1), alone(2)]) == Decision("settling")
        assert decide(Recreate(), [alone(1)]) == Decision("steady")
        assert settle_ms_of(Recreate()) == 0

    def test_a_node_that_went_back_is_told_of(self) -> None:
        assert decide(Recreate(), [gave_up(1), on_its_way(2)]).phase == "recreating"
        assert decide(Recreate(), [gave_up(1), through(2)]) == Decision(
            "reverted", "license 1: it crashed"
        )


def test_one_that_claims_a_revision_that_nobody_read_counts_as_unreachable() -> None:
    """It stopped the whole rollout, whatever it claimed."""
    liar = replica_of(7, NEW, [status(NEW), status(10**9)])
    assert liar.unreachable.startswith("it claims revision 1000000000, ")
    assert taken(decide(rolling(2), [ready(1), ready(2), liar])) == [1]
    decision = decide(rolling(), [through(1), liar])
    assert decision.phase == "rolling"
    assert "license 7 is unreachable (it claims revision" in decision.reason


def test_the_newest_revision_below_that_on_chain_is_the_older_one() -> None:
    found = replica_of(7, NEW, [status(NEW), status(OLD - 1), status(OLD)])
    assert (found.current, found.older) == (status(NEW), status(OLD))
    assert replica_of(7, NEW, []) == Replica(7)


def late(how: str) -> dict[str, Any]:
    """Return what makes a simulated replica get the revision `late` or `never`."""
    return {"stage": "absent", "never": how == "never"} if how else {}


NODES = st.sets(st.integers(1, 7))


class Rollouts(RuleBasedStateMachine):
    """Two keepers with old looks roll out to nodes that fail at any time."""

    @initialize(
        count=st.integers(2, 7),
        most=st.integers(1, 3),
        share=st.sampled_from([0, 1_000, 4_000, 10_000]),
        bad=st.sets(st.integers(1, 7), max_size=1),
        data=st.data(),
    )
    def begin(self, count: int, most: int, share: int, bad: set[int], data: st.DataObject) -> None:
        nodes = [
            SimReplica(
                one,
                left=data.draw(st.integers(0, 3)),
                drain=data.draw(st.integers(0, 2)),
                start=data.draw(st.integers(1, 3)),
                patience=data.draw(st.integers(0, 2)),
                is_bad=one in bad,
                **late(data.draw(st.sampled_from(["", "", "", "late", "never"]))),
            )
            for one in range(1, count + 1)
        ]
        self.prepare(nodes, canary(share, most, wait_ms=3_000) if share else rolling(most))

    def prepare(self, nodes: list[SimReplica], policy: Rolling | Canary) -> None:
        self.policy = policy
        self.now = 0
        for one in nodes:
            one.proof = 3 if isinstance(policy, Canary) else 2
        self.nodes = {one.license_id: one for one in nodes}
        self.looks: list[dict[int, tuple[int, Replica]]] = [{}, {}]

    def act(self, keeper: int, anew: Collection[int] = ()) -> Decision:
        """Let a keeper act after looking `anew` at some nodes, and at those it saw too long ago."""
        looks = self.looks[keeper]
        for license_id, node in self.nodes.items():
            known = looks.get(license_id)
            if known is None or license_id in anew or self.now - known[0] > STALE:
                looks[license_id] = (self.now, node.look())
        decision = decide(self.policy, [look for _, look in looks.values()])
        tell(self.nodes, decision.steps)
        return decision

    @rule(keeper=st.integers(0, 1), anew=NODES)
    def keeper_acts(self, keeper: int, anew: set[int]) -> None:
        self.act(keeper, anew)

    @rule(keeper=st.integers(0, 1), some=NODES)
    def keeper_looks(self, keeper: int, some: set[int]) -> None:
        """Let a keeper look at some nodes, and think about it until later."""
        for number in some & self.nodes.keys():
            self.looks[keeper][number] = (self.now, self.nodes[number].look())

    @rule(turns=st.lists(st.tuples(st.integers(0, 1), NODES, NODES), min_size=2, max_size=6))
    def keepers_go_on(self, turns: list[tuple[int, set[int], set[int]]]) -> None:
        """Let one act in each second, while the other looks at some nodes."""
        for keeper, seen, anew in turns:
            self.keeper_looks(1 - keeper, seen)
            self.act(keeper, anew)
            self.no_more_are_taken_down_than_may_be()
            self.time_passes(1)

    @rule(keeper=st.integers(0, 1))
    def keeper_restarts(self, keeper: int) -> None:
        self.looks[keeper] = {}

    @rule(ticks=st.integers(1, 3))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self.now += 1
            for node in self.nodes.values():
                node.tick()

    @rule(node=st.integers(1, 7), cut_off=st.booleans(), ill=st.booleans())
    def fortune_changes(self, node: int, cut_off: bool, ill: bool) -> None:
        if node in self.nodes:
            self.nodes[node].cut_off, self.nodes[node].ill = cut_off, ill

    @precondition(lambda self: hasattr(self, "nodes"))
    @invariant()
    def no_more_are_taken_down_than_may_be(self) -> None:
        down = [one.license_id for one in self.nodes.values() if one.in_way]
        assert len(down) <= self.policy.max_unavailable, down

    @precondition(lambda self: hasattr(self, "nodes"))
    @invariant()
    def only_canaries_begin_until_they_have_proven_themselves(self) -> None:
        first = set(sorted(self.nodes)[: canaries(self.policy, len(self.nodes))])
        others = [one for number, one in self.nodes.items() if number not in first]
        if any(one.stage in ("draining", "starting", "new") for one in others):
            assert all(self.nodes[one].longest >= 3 for one in first)

    @precondition(lambda self: hasattr(self, "nodes"))
    @invariant()
    def what_is_settled_stays(self) -> None:
        if any(one.settled for one in self.nodes.values()):
            assert not any(one.failed for one in self.nodes.values())

    def teardown(self) -> None:
        """Once all faults are over, all nodes that get the revision end up with the same one.

        Or it waits for one that does not get it, and says so.
        """
        if not hasattr(self, "nodes"):
            return
        for node in self.nodes.values():
            node.cut_off = node.ill = False
        for _ in range(40 * len(self.nodes)):
            decisions = [self.act(keeper) for keeper in (0, 1)]
            self.no_more_are_taken_down_than_may_be()
            self.time_passes(1)
            phases = {one.phase for one in decisions}
            if phases <= {"steady", "reverted"}:
                break
        nodes = [one for one in self.nodes.values() if not one.never]
        if any(one.failed for one in nodes):
            assert phases == {"reverted"}
            assert all(one.stage in ("old", "absent") for one in nodes)
            assert all(one.failed for one in nodes if one.stage == "old")
        elif len(nodes) < len(self.nodes):
            self.waits_for_one_that_never_gets_it(decisions)
        else:
            assert phases == {"steady"}
            assert all(one.stage == "new" and one.settled for one in nodes)
            assert not any(one.is_bad for one in nodes)

    def waits_for_one_that_never_gets_it(self, decisions: list[Decision]) -> None:
        """All that could still follow are behind as many of these as may be under way."""
        waiting = [one for _, one in sorted(self.nodes.items()) if one.stage != "new"]
        assert waiting[0].never
        reason = f"license {waiting[0].license_id} is absent"
        assert {one.reason for one in decisions} == {reason}
        share = sorted(self.nodes)[: canaries(self.policy, len(self.nodes))]
        first = [one for one in waiting if one.license_id in share]
        assert all(one.never for one in (first or waiting)[: self.policy.max_unavailable])


def test_one_may_begin_unseen_at_the_moment_in_which_another_fails() -> None:
    """By chance that comes about too seldom to be met."""
    machine = Rollouts()
    first = SimReplica(1, stage="new", left=0)
    fails = SimReplica(2, stage="starting", is_bad=True, in_way=True)
    machine.prepare([first, fails, SimReplica(3, stage="absent")], rolling(2))
    for keeper in (0, 1):
        machine.act(keeper, {1, 2, 3})
    machine.time_passes(1)
    machine.act(0, {3})
    assert machine.nodes[3].in_way
    machine.act(1, {2})
    machine.no_more_are_taken_down_than_may_be()
    machine.teardown()


def gamble(seed: int) -> None:
    """Go through one rollout in which chance decides when keepers look and act, and what fails."""
    chance = random.Random(seed)
    machine = Rollouts()
    count = chance.randint(2, 7)
    most = chance.randint(1, 3)
    share = chance.choice([0, 0, 1_000, 4_000])
    machine.prepare(
        [
            SimReplica(
                one,
                left=chance.randint(0, 12),
                drain=chance.randint(0, 2),
                start=chance.randint(1, 3),
                patience=chance.randint(0, 2),
                is_bad=chance.random() < 0.1,
                **late(chance.choice(["", "", "", "", "late", "never"])),
            )
            for one in range(1, count + 1)
        ],
        canary(share, most, wait_ms=3_000) if share else rolling(most),
    )
    for _ in range(30):
        for keeper in chance.sample((0, 1), 2):
            machine.keeper_looks(keeper, {one for one in machine.nodes if chance.random() < 0.5})
            if chance.random() < 0.7:
                machine.act(keeper)
                machine.no_more_are_taken_down_than_may_be()
                machine.only_canaries_begin_until_they_have_proven_themselves()
        if chance.random() < 0.2:
            node = machine.nodes[chance.randint(1, count)]
            node.cut_off, node.ill = chance.random() < 0.3, chance.random() < 0.3
        machine.time_passes(1)
    machine.teardown()


@given(st.integers(0, 2**32))
@settings(max_examples=400, deadline=None)
def test_whatever_chance_brings_a_rollout_keeps_to_its_bounds_and_ends(seed: int) -> None:
    gamble(seed)


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
