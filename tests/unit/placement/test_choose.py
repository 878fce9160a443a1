"""The choice of licenses: determined by one block, spread over operators, within the slots."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings import desk, escrow, registry
from workdeed.placement.choose import Placement, candidates, choose, queue, rank, releases
from workdeed.placement.errors import PlacementError
from workdeed.placement.rules import ELIGIBLE, obstacle
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_PLACEMENT

from .support import BLOCK_HASH, World, account, sealed, spec_of


def world_of(nodes: int = 6, *, operators: int = 3, slots: int = 3, min_slots: int = 1) -> World:
    """Return a job and licenses 10, 11, ... of so many operators."""
    world = World()
    for index in range(nodes):
        world.node(10 + index, operator=index % operators)
    world.job(slots=slots, min_slots=min_slots)
    return world


def chosen(world: World, **changes: object) -> Placement:
    found = choose(world.view(**changes), 1)
    assert found is not None
    return found


class TestFirstPlacement:
    def test_it_fills_the_slots(self) -> None:
        found = chosen(world_of())
        assert found.release == ()
        assert len(set(found.assign)) == 3

    def test_it_needs_at_least_min_slots(self) -> None:
        world = world_of(2, slots=4, min_slots=3)
        assert choose(world.view(), 1) is None
        world.node(50)
        assert len(chosen(world).assign) == 3

    def test_it_takes_no_more_than_one_message_holds(self) -> None:
        world = world_of(MAX_PLACEMENT + 5, operators=50, slots=MAX_PLACEMENT + 5)
        assert len(chosen(world).assign) == MAX_PLACEMENT


class TestLaterPlacements:
    def placed(self, slots: int = 3) -> World:
        world = world_of(slots=slots)
        world.place([10, 11, 12])
        world.window = 4
        world.report(3)
        return world

    def test_nothing_is_due_while_all_serve(self) -> None:
        assert choose(self.placed().view(), 1) is None

    def test_free_slots_are_filled_one_by_one_if_need_be(self) -> None:
        found = chosen(self.placed(slots=5))
        assert found.release == ()
        assert len(found.assign) == 2

    @pytest.mark.parametrize(("strikes", "goes"), [(1, False), (2, True), (3, True)])
    def test_one_that_earns_nothing_k_times_is_replaced(self, strikes: int, goes: bool) -> None:
        world = self.placed()
        world.strikes[1, 11] = strikes
        found = choose(world.view(), 1)
        assert (found is not None) is goes
        if found is not None:
            assert found.release == (11,)
            assert len(found.assign) == 1
            assert not {10, 11, 12} & set(found.assign)
            assert "earned nothing" in releases(world.view(), 1)[11]

    def test_a_scaled_job_has_the_slots_that_it_has_now(self) -> None:
        world = world_of(slots=2)
        world.place([10, 11])
        world.log(desk.JobScaled(1, 1, 4, 1, 1, 0, ()))
        assert len(chosen(world).assign) == 2
        world.log(desk.JobScaled(1, 1, 1, 1, 0, 1, (10,)))
        assert choose(world.view(), 1) is None

    def test_one_that_lost_its_standing_goes_at_once(self) -> None:
        world = self.placed()
        world.stand(registry.license_subject(12), registry.FROZEN)
        assert chosen(world).release == (12,)
        assert "frozen" in releases(world.view(), 1)[12]

    def test_it_goes_even_where_nobody_takes_its_place(self) -> None:
        world = world_of(3)
        world.place([10, 11, 12])
        world.strikes[1, 10] = 2
        assert chosen(world) == Placement((10,), ())

    def test_a_released_one_does_not_come_back_before_its_release_is_reported(self) -> None:
        world = world_of(1, slots=1)
        world.place([10])
        world.window = 4
        world.place(release=[10])  # until 5
        world.report(3)
        assert choose(world.view(), 1) is None
        world.report(4)
        assert chosen(world).assign == (10,)

    def test_the_replaced_one_is_not_chosen_in_its_own_place(self) -> None:
        world = world_of(1, slots=1)
        world.place([10])
        world.strikes[1, 10] = 9
        world.report(9)
        assert chosen(world) == Placement((10,), ())

    def test_more_than_a_message_holds_go_in_several(self) -> None:
        count = MAX_PLACEMENT + 3
        world = world_of(count, operators=9, slots=count)
        world.place(list(range(10, 10 + MAX_PLACEMENT)))
        world.place(list(range(10 + MAX_PLACEMENT, 10 + count)))
        world.strikes = {(1, 10 + index): 2 for index in range(count)}
        assert chosen(world).release == tuple(range(10, 10 + MAX_PLACEMENT))


class TestDraining:
    """A license that takes no new work leaves when another takes its place, and not before."""

    def placed(self, nodes: int, slots: int = 3, *, operators: int = 3) -> World:
        world = world_of(nodes, slots=slots, operators=operators)
        world.place([10, 11, 12])
        world.window = 4
        world.report(3)
        return world

    def drain(self, world: World, *licenses: int) -> None:
        for one in licenses:
            world.announce(one, cpu=0, memory=0, storage=0)

    def test_it_is_not_chosen(self) -> None:
        world = world_of(4, slots=4)
        self.drain(world, 12)
        assert set(chosen(world).assign) == {10, 11, 13}
        assert obstacle(world.view(), 1, 12) == "it takes no new work"

    def test_it_is_released_with_its_replacement(self) -> None:
        world = self.placed(4)
        self.drain(world, 11)
        assert chosen(world) == Placement((11,), (13,))

    def test_without_a_replacement_it_stays(self) -> None:
        world = self.placed(3)
        self.drain(world, 11)
        assert choose(world.view(), 1) is None
        assert releases(world.view(), 1) == {}

    def test_one_whose_replacement_cannot_be_reached_stays(self) -> None:
        world = self.placed(4)
        self.drain(world, 11)
        assert choose(world.view(), 1, skipped={13}) is None

    def test_free_slots_come_first(self) -> None:
        world = self.placed(5, slots=4)
        self.drain(world, 10, 11)
        found = chosen(world)
        assert found.release == (10,)
        assert set(found.assign) == {13, 14}

    def test_those_that_must_go_are_replaced_first(self) -> None:
        world = self.placed(4)
        self.drain(world, 10)
        world.strikes[1, 12] = 2
        assert chosen(world) == Placement((12,), (13,))

    def test_one_that_drains_and_earns_nothing_goes_without_a_replacement(self) -> None:
        world = self.placed(3)
        self.drain(world, 11)
        world.strikes[1, 11] = 2
        assert chosen(world) == Placement((11,), ())

    def test_what_it_leaves_does_not_weigh_on_its_operator(self) -> None:
        """Operator 1 has the license that leaves alone, operators 0 and 2 one each that stays."""
        world = self.placed(6)  # 13, 14, 15 of operators 0, 1, 2
        self.drain(world, 11)
        assert chosen(world) == Placement((11,), (14,))

    def test_many_go_in_several_messages(self) -> None:
        count = MAX_PLACEMENT + 3
        world = world_of(2 * count, operators=9, slots=count)
        world.place(list(range(10, 10 + MAX_PLACEMENT)))
        world.place(list(range(10 + MAX_PLACEMENT, 10 + count)))
        self.drain(world, *range(10, 10 + count))
        world.strikes[1, 10 + count - 1] = 2
        found = chosen(world)
        assert len(found.release) == len(found.assign) == MAX_PLACEMENT
        assert 10 + count - 1 in found.release
        assert list(found.release) == sorted(found.release)

    @given(
        nodes=st.integers(3, 8),
        slots=st.integers(3, 6),
        drained=st.sets(st.integers(0, 7)),
        struck=st.sets(st.integers(0, 2)),
    )
    def test_no_slot_is_emptied_for_its_sake(
        self, nodes: int, slots: int, drained: set[int], struck: set[int]
    ) -> None:
        world = self.placed(nodes, slots)
        without = choose(world.view(strikes={(1, 10 + one): 2 for one in struck}), 1)
        self.drain(world, *(10 + one for one in drained if one < nodes))
        found = choose(world.view(strikes={(1, 10 + one): 2 for one in struck}), 1)
        release, assign = found or Placement((), ())
        forced = {10 + one for one in struck}
        assert forced <= set(release)
        assert len(set(release) - forced) <= len(assign)
        active = 3 - len(release) + len(assign)
        assert 3 - len(forced) <= active <= slots
        assert not {10 + one for one in drained} & set(assign)
        if not drained:
            assert found == without


class TestNotPlaceable:
    def test_before_the_end_the_next_window_must_still_be_the_jobs(self) -> None:
        world = world_of(slots=4)
        world.place([10])  # windows 2..11, end 12
        assert choose(world.view(window=10), 1) is not None
        assert choose(world.view(window=11), 1) is None
        assert releases(world.view(window=11), 1) == {}

    def test_a_cancelled_or_closed_job_is_left_alone(self) -> None:
        world = world_of(slots=4)
        world.place([10])
        world.log(desk.JobCancelled(1, 9, 1, 0))
        assert choose(world.view(), 1) is None
        world = world_of(slots=4)
        world.log(desk.JobCancelled(1, 0, 0, 0))
        assert choose(world.view(), 1) is None

    def test_a_batch_job_is_left_alone(self) -> None:
        world = world_of(slots=4)
        shards = escrow.JobOpened(
            2, world.books.jobs[1].payer, bytes(32), escrow.BATCH, 1, 1, 1_000, 90, 1, 5, 90_000
        )
        world.log(shards)
        assert choose(world.view(), 2) is None
        assert releases(world.view(), 2) == {}

    def test_without_the_spec_nobody_is_chosen(self) -> None:
        world = world_of()
        world.specs.clear()
        assert choose(world.view(), 1) is None

    def test_an_unknown_job_is_an_error(self) -> None:
        with pytest.raises(PlacementError):
            choose(world_of().view(), 9)


class TestRanking:
    def test_it_is_the_hash_of_block_job_round_and_license(self) -> None:
        words = b"".join(number.to_bytes(32, "big") for number in (1, 2, 3))
        assert rank(BLOCK_HASH, 1, 2, 3) == keccak(BLOCK_HASH + words)

    def test_within_equal_candidates_the_hash_decides(self) -> None:
        world = world_of(5, operators=5, slots=2)
        ranked = sorted(range(10, 15), key=lambda one: rank(BLOCK_HASH, 1, 0, one))
        assert chosen(world).assign == tuple(ranked[:2])

    def test_another_block_chooses_others(self) -> None:
        world = world_of(20, operators=20, slots=3)
        choices = {chosen(world, block_hash=keccak(b"%d" % index)).assign for index in range(10)}
        assert len(choices) > 5

    def test_better_tiers_come_first(self) -> None:
        world = World()
        for index, tags in enumerate([(), ("gpu",), ("gpu", "reg:eu"), ("reg:eu",), ()]):
            world.node(10 + index, tags=tags)
        world.job(slots=5, spec=spec_of(prefer=["GPU", "REG:EU"]))
        found = chosen(world).assign
        assert found[0] == 12
        assert set(found[1:3]) == {11, 13}
        assert set(found[3:]) == {10, 14}

    def test_preference_comes_before_spread(self) -> None:
        world = World()
        world.node(10, operator=1, tags=["gpu"])
        world.node(11, operator=1, tags=["gpu"])
        world.node(12, operator=2)
        world.job(slots=2, spec=spec_of(prefer=["GPU"]))
        assert set(chosen(world).assign) == {10, 11}

    def test_operators_that_serve_the_job_already_come_last(self) -> None:
        world = World()
        for license_id, operator in ((10, 1), (11, 1), (12, 2)):
            world.node(license_id, operator=operator)
        world.job(slots=2)
        world.place([10])
        assert chosen(world).assign == (12,)

    def test_a_released_license_does_not_count_against_its_operator(self) -> None:
        world = World()
        for license_id, operator in ((10, 1), (11, 1), (12, 2), (13, 2)):
            world.node(license_id, operator=operator)
        world.job(slots=2)
        world.place([10, 12])
        world.strikes[1, 10] = 2
        assert chosen(world) == Placement((10,), (11,))


def test_skipped_candidates_are_passed_over() -> None:
    world = world_of()
    first = chosen(world).assign
    found = choose(world.view(), 1, skipped=first[:1])
    assert found is not None
    assert first[0] not in found.assign
    assert len(found.assign) == 3


# --- Properties -----------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a job with some placed licenses, strikes, standings, tags and full nodes."""
    nodes = draw(st.integers(1, 14))
    slots = draw(st.integers(1, 8))
    world = World()
    for index in range(nodes):
        operator = draw(st.integers(0, 4))
        tags = draw(st.sampled_from([(), ("gpu",), ("reg:eu",), ("gpu", "reg:eu")]))
        cpu = draw(st.sampled_from([4_000, 4_000, 4_000, 500]))
        world.node(10 + index, operator=operator, tags=tags, cpu=cpu)
    wishes = draw(st.sampled_from([{}, {"prefer": ["GPU"]}, {"tags": ["REG:*"]}]))
    world.job(slots=slots, min_slots=draw(st.integers(1, slots)), spec=spec_of(**wishes))
    placed = draw(st.sets(st.integers(10, 9 + nodes), max_size=slots))
    if placed:
        world.place(sorted(placed))
        world.window = draw(st.integers(2, 12))
        world.report(world.window - 1)
        gone = draw(st.sets(st.sampled_from(sorted(placed)), max_size=2))
        if gone and len(gone) < len(placed):
            world.place(release=sorted(gone))
        for one in placed:
            world.strikes[1, one] = draw(st.integers(0, 3))
    for one in draw(st.sets(st.integers(10, 9 + nodes), max_size=3)):
        world.stand(registry.license_subject(one), registry.FROZEN)
    return world


@given(worlds())
def test_the_contract_would_take_it(world: World) -> None:
    """P13: never more than the slots, none twice, all eligible."""
    view = world.view()
    found = choose(view, 1)
    if found is None:
        return
    job, active = world.books.jobs[1], set(world.books.placed(1))
    assert len(set(found.release)) == len(found.release) <= MAX_PLACEMENT
    assert len(set(found.assign)) == len(found.assign) <= MAX_PLACEMENT
    assert set(found.release) <= active
    assert not set(found.assign) & active
    assert len(active) - len(found.release) + len(found.assign) <= job.slots
    assert job.start or len(found.assign) >= job.min_slots
    assert not job.end or world.window + 1 < job.end
    assert all(obstacle(view, 1, one) == ELIGIBLE for one in found.assign)
    assert found.release or found.assign


@given(worlds(), st.sets(st.integers(10, 23), max_size=3))
def test_the_queue_begins_with_those_that_are_chosen(world: World, skipped: set[int]) -> None:
    view = world.view()
    found = choose(view, 1, skipped=skipped)
    line = queue(view, 1, 99, skipped=skipped)
    assert len(set(line)) == len(line)
    assert not set(line) & skipped
    assert queue(view, 1, 2, skipped=skipped) == line[:2]
    if found is not None:
        assert line[: len(found.assign)] == found.assign


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_in_which_things_were_learned_does_not_matter(
    world: World, chance: random.Random
) -> None:
    expected = choose(world.view(), 1)
    tables = world.books._tables
    for name in ("licenses", "assignments", "jobs"):
        items = list(getattr(tables, name).items())
        chance.shuffle(items)
        setattr(tables, name, dict(items))
    assert choose(world.view(strikes=dict(reversed(world.strikes.items()))), 1) == expected


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 8))
def test_operators_get_as_equal_shares_as_there_are_licenses(
    nodes: int, operators: int, slots: int
) -> None:
    world = world_of(nodes, operators=operators, slots=slots)
    found = chosen(world)
    owners = Counter(world.books.licenses[one].owner for one in found.assign)
    have = Counter(item.owner for item in world.books.licenses.values())
    least = min((owners[owner] for owner in have if owners[owner] < have[owner]), default=None)
    # Nobody has two more than an operator who could have taken one more.
    assert least is None or max(owners.values()) <= least + 1


@given(worlds())
def test_choosing_changes_nothing(world: World) -> None:
    before = world.books.copy()
    choose(world.view(), 1)
    assert world.books == before


class TestSecrets:
    def world(self, *licenses: int, slots: int = 3) -> World:
        world = world_of(slots=slots)
        world.specs = dict.fromkeys(world.specs, sealed(spec_of(), licenses))
        return world

    def test_only_licenses_that_they_are_sealed_for_are_chosen(self) -> None:
        assert set(chosen(self.world(11, 13, 14)).assign) == {11, 13, 14}
        assert set(chosen(self.world(11, 99)).assign) == {11}

    def test_a_revision_that_leaves_out_a_license_releases_it_and_takes_a_spare(self) -> None:
        world = self.world(10, 11, 12)
        world.place([10, 11, 12])
        world.window = 4
        world.report(3)
        assert choose(world.view(), 1) is None
        world.specs = dict.fromkeys(world.specs, sealed(spec_of(), [10, 11, 13]))
        assert chosen(world) == Placement(release=(12,), assign=(13,))

    def test_without_spares_a_lost_license_has_no_replacement(self) -> None:
        world = self.world(10, 11, 12)
        world.place([10, 11, 12])
        world.window = 4
        world.report(3)
        world.stand(registry.license_subject(11), registry.FROZEN)
        assert chosen(world) == Placement(release=(11,), assign=())


class TestCandidates:
    def found(self, world: World, count: int = 10, **wishes: object) -> tuple[int, ...]:
        spec = spec_of(**wishes)  # type: ignore[arg-type] # as the tests name them
        return candidates(world.view(), 1, spec, count)

    def test_they_are_those_that_a_job_would_be_placed_on(self) -> None:
        world = world_of(slots=6)
        world.stand(registry.license_subject(12), registry.FROZEN)
        world.announce(13, runners=["car"])
        world.announce(14, cpu=500)
        assert set(self.found(world)) == set(chosen(world).assign) == {10, 11, 15}

    def test_better_tiers_come_first_and_operators_take_turns(self) -> None:
        world = world_of(6, operators=3)
        world.announce(14, tags=["ssd"])
        first, *others = self.found(world, prefer=["ssd"])
        assert first == 14
        owners = {world.books.licenses[one].owner for one in (first, *others[:2])}
        assert len(owners) == 3
        assert len(others) == 5

    def test_no_more_than_asked_for_and_none_that_is_left_out(self) -> None:
        world = world_of(6)
        assert len(self.found(world, 4)) == 4
        spec = spec_of()
        found = candidates(world.view(), 1, spec, 10, without={10, 11, 99})
        assert set(found) == {12, 13, 14, 15}

    def test_nodes_that_are_full_with_other_jobs_are_none(self) -> None:
        world = world_of(2, slots=2)
        for job in range(2, 6):
            world.job(job)
            world.place([10], job_id=job)
        assert self.found(world) == (11,)

    def test_a_spec_that_wants_more_than_its_class_has_none(self) -> None:
        large = {"cpu_milli": 1_001, "memory_mb": 1, "storage_mb": 1}
        assert self.found(world_of(2), resources=large) == ()

    def test_a_sealed_spec_has_those_that_it_is_sealed_for(self) -> None:
        world = world_of(3)
        spec = sealed(spec_of(), [11, 12], node12=account("stranger"))
        assert candidates(world.view(), 1, spec, 10) == (11,)

    def test_a_class_that_is_not_there_is_named(self) -> None:
        with pytest.raises(PlacementError, match="class 9"):
            candidates(world_of().view(), 9, spec_of(), 1)
