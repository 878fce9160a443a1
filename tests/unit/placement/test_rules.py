"""Which licenses may be placed on a job, and what keeps the others from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workdeed.chain.bindings import licenses, registry, tariff
from workdeed.placement.errors import PlacementError
from workdeed.placement.profiles import Profiles
from workdeed.placement.rules import ELIGIBLE, free_resources, lost, obstacle, obstacles
from workdeed.protocol.hashing import keccak

from .support import DOMAIN, World, account, key_of, profile_of, sealed, spec_of

L = 7
"""The license in question."""


@pytest.fixture
def world() -> World:
    """A job and one eligible license."""
    world = World()
    world.node(L, tags=["reg:eu"])
    world.job()
    return world


def test_a_good_license_is_eligible(world: World) -> None:
    assert obstacle(world.view(), 1, L) == ELIGIBLE


def set_kind(world: World) -> None:
    world.log(licenses.LicenseIssued(L, account("operator"), licenses.ORACLE))


def unlink(world: World) -> None:
    world.log(licenses.NodeUnlinked(L, account("node", L)))


def freeze_license(world: World) -> None:
    world.stand(registry.license_subject(L), registry.FROZEN)


def suspend_owner(world: World) -> None:
    world.stand(registry.account_subject(account("operator", L)), registry.SUSPENDED)


def blacklist_node(world: World) -> None:
    world.stand(registry.account_subject(account("node", L)), registry.BLACKLISTED)


def take_bond_back(world: World) -> None:
    world.log(licenses.BondedSet(L, False))


def change_profile(world: World) -> None:
    world.log(licenses.ProfileSet(L, keccak(b"unknown profile"), ""))


def demand_verification(world: World) -> None:
    world.books._tables.owner_level = 1


def forget_spec(world: World) -> None:
    world.specs.clear()


def want(**wishes: object) -> Callable[[World], None]:
    """Return a change of what the job wants."""

    def change(world: World) -> None:
        spec = spec_of(**wishes)  # type: ignore[arg-type] # as the tests name them
        world.specs = dict.fromkeys(world.specs, spec)

    return change


def seal_for_others(world: World) -> None:
    world.specs = dict.fromkeys(world.specs, sealed(spec_of(), [L - 1, L + 1]))


def seal_to_another_node(world: World) -> None:
    other = account("stranger")
    world.specs = dict.fromkeys(world.specs, sealed(spec_of(), [L], **{f"node{L}": other}))


def relink(world: World) -> None:
    """Let the operator link another node, which announces itself, after the secrets were sealed."""
    world.specs = dict.fromkeys(world.specs, sealed(spec_of(), [L]))
    node = account("stranger")
    world.log(
        licenses.NodeUnlinked(L, account("node", L)),
        licenses.NodeLinked(L, node, account("operator", L)),
    )
    world.announce(L, key=key_of("stranger"))


def place(world: World) -> None:
    world.place([L])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_kind, "no node license"),
        (unlink, "no node is linked"),
        (freeze_license, "frozen"),
        (suspend_owner, "suspended"),
        (blacklist_node, "blacklisted"),
        (take_bond_back, "bond is below the minimum"),
        (change_profile, "profile on chain is not held"),
        (demand_verification, "not verified"),
        (forget_spec, "spec of the job is not held"),
        (want(runner="car"), "no runner car"),
        (seal_for_others, "not sealed for it"),
        (seal_to_another_node, "sealed to another node"),
        (relink, "sealed to another node"),
        (want(tags=["REG:US"]), "do not meet REG:US"),
        (want(exclude=["REG:*"]), "which is excluded"),
        (want(tags=["REG||"]), "the spec is at fault"),
        (want(prefer=["*REG"]), "the spec is at fault"),
        (
            want(resources={"cpu_milli": 1_001, "memory_mb": 1, "storage_mb": 1}),
            "more than class 1 gives",
        ),
        (place, "placed on this job"),
    ],
)
def test_each_rule_names_itself(world: World, change: Callable[[World], None], reason: str) -> None:
    change(world)
    assert reason in obstacle(world.view(), 1, L)


def test_a_license_that_secrets_are_sealed_for_is_eligible(world: World) -> None:
    world.specs = dict.fromkeys(world.specs, sealed(spec_of(), [L]))
    assert obstacle(world.view(), 1, L) == ELIGIBLE
    world.place([L])
    assert lost(world.view(), 1, L) == ""


def test_a_job_of_several_runners_needs_a_node_that_has_all(world: World) -> None:
    sibling = {
        "name": "cache",
        "runner": "car",
        "source": {"image": {"reference": "registry.test/cache:1"}},
        "resources": {"cpu_milli": 100, "memory_mb": 100, "storage_mb": 100},
    }
    world.specs = dict.fromkeys(world.specs, spec_of(siblings=(sibling,)))
    assert "no runner car" in obstacle(world.view(), 1, L)
    world.place([L])
    assert "no runner car" in lost(world.view(), 1, L)
    world.announce(L, runners=["car", "war"])
    assert lost(world.view(), 1, L) == ""


def test_a_standing_that_is_over_is_good_again(world: World) -> None:
    world.stand(registry.license_subject(L), registry.FROZEN, until=world.timestamp)
    assert obstacle(world.view(), 1, L) == ELIGIBLE


def test_a_verified_owner_is_eligible_while_the_attestation_holds(world: World) -> None:
    demand_verification(world)
    owner = account("operator", L)
    world.log(registry.Attested(owner, account("issuer"), 1, world.timestamp + 1, bytes(32)))
    assert obstacle(world.view(), 1, L) == ELIGIBLE
    assert "not verified" in obstacle(world.view(timestamp=world.timestamp + 1), 1, L)


class TestComingBack:
    def test_only_after_a_final_report_covers_the_release(self, world: World) -> None:
        world.place([L])
        world.window = 3
        world.place(release=[L])  # until = 4
        for reported, eligible in ((2, False), (3, True)):
            world.report(reported)
            found = obstacle(world.view(), 1, L)
            assert (found == ELIGIBLE) is eligible, found

    def test_a_pending_report_covers_nothing(self, world: World) -> None:
        world.place([L])
        world.place(release=[L])
        world.report(2, final_at=world.timestamp + 3)
        assert "no final report" in obstacle(world.view(), 1, L)
        assert obstacle(world.view(timestamp=world.timestamp + 3), 1, L) == ELIGIBLE


class TestResources:
    def offer(self, world: World, slots: int) -> None:
        world.announce(L, cpu=slots * 1_000)

    def test_other_jobs_of_the_node_count_with_what_their_class_gives(self, world: World) -> None:
        self.offer(world, 2)
        for job in (2, 3):
            world.job(job)
            world.place([L], job_id=job)
        assert "0 m CPU" in obstacle(world.view(), 1, L)
        self.offer(world, 3)
        assert obstacle(world.view(), 1, L) == ELIGIBLE

    def test_what_is_over_or_released_is_free_again(self, world: World) -> None:
        self.offer(world, 1)
        world.job(2, windows=3)
        world.place([L], job_id=2)  # serves in windows 2, 3, 4
        assert obstacle(world.view(window=3), 1, L) != ELIGIBLE
        assert obstacle(world.view(window=4), 1, L) == ELIGIBLE
        world.place(release=[L], job_id=2)
        assert obstacle(world.view(), 1, L) == ELIGIBLE

    @pytest.mark.parametrize("short", ["cpu", "memory", "storage"])
    def test_each_resource_counts(self, world: World, short: str) -> None:
        world.announce(L, **{short: 999})
        assert "left" in obstacle(world.view(), 1, L)

    def test_what_is_left(self, world: World) -> None:
        item = world.books.licenses[L]
        world.job(2)
        world.place([L], job_id=2)
        profile = world.profiles.of(world.books.licenses[L])
        assert profile is not None
        left = free_resources(world.view(), item, profile)
        assert left is not None
        assert (left.cpu_milli, left.memory_mb, left.storage_mb) == (3_000, 3_000, 3_000)
        small = profile_of(L, memory=999)
        assert free_resources(world.view(), item, small) is None


class TestProfiles:
    def test_one_that_its_node_did_not_sign_is_refused(self) -> None:
        profile = profile_of(L)
        forged = profile.model_copy(update={"tags": ("gpu",)})
        with pytest.raises(PlacementError, match="not its node's"):
            Profiles(DOMAIN).add(forged)

    def test_one_of_another_chain_is_refused(self) -> None:
        with pytest.raises(PlacementError, match="chain 1"):
            Profiles(DOMAIN).add(profile_of(L, chain_id=1))

    def test_the_profile_of_another_license_or_node_is_none(self, world: World) -> None:
        """Its hash on chain is public, and anyone may announce it."""
        for other in (profile_of(8), profile_of(L, key=key_of("stranger"))):
            world.log(licenses.ProfileSet(L, world.profiles.add(other), ""))
            assert world.profiles.of(world.books.licenses[L]) is None
            assert "not held" in obstacle(world.view(), 1, L)

    def test_what_is_still_to_be_fetched_is_known(self, world: World) -> None:
        item = world.books.licenses[L]
        assert not world.profiles.lacks(item)
        change_profile(world)
        assert world.profiles.lacks(world.books.licenses[L])
        world.log(licenses.ProfileSet(L, bytes(32), ""))
        assert not world.profiles.lacks(world.books.licenses[L])

    def test_profiles_that_left_the_chain_are_dropped(self, world: World) -> None:
        world.profiles.add(profile_of(8))
        world.profiles.keep({world.books.licenses[L].profile_hash})
        assert len(world.profiles) == 1
        assert obstacle(world.view(), 1, L) == ELIGIBLE


class TestLost:
    @pytest.mark.parametrize(
        "change",
        [
            unlink,
            freeze_license,
            suspend_owner,
            blacklist_node,
            take_bond_back,
            demand_verification,
            want(tags=["REG:US"]),
            want(runner="car"),
            seal_for_others,
            seal_to_another_node,
            relink,
        ],
    )
    def test_what_ends_a_placement(self, world: World, change: Callable[[World], None]) -> None:
        world.place([L])
        assert lost(world.view(), 1, L) == ""
        change(world)
        assert lost(world.view(), 1, L)

    @pytest.mark.parametrize(
        "change", [change_profile, forget_spec, want(tags=["||"]), want(prefer=["*x"])]
    )
    def test_what_is_not_known_does_not(
        self, world: World, change: Callable[[World], None]
    ) -> None:
        world.place([L])
        change(world)
        assert lost(world.view(), 1, L) == ""

    def test_a_revision_beyond_its_class_keeps_who_is_placed_and_brings_in_nobody(
        self, world: World
    ) -> None:
        """Those placed refuse it and serve the revision before, which is what is paid for."""
        world.node(L + 1, tags=["reg:eu"])
        world.place([L])
        want(resources={"cpu_milli": 1_001, "memory_mb": 1, "storage_mb": 1})(world)
        assert lost(world.view(), 1, L) == ""
        assert "more than class 1 gives" in obstacle(world.view(), 1, L + 1)

    def test_sealing_counts_without_a_profile(self, world: World) -> None:
        world.place([L])
        seal_for_others(world)
        change_profile(world)
        assert "not sealed for it" in lost(world.view(), 1, L)

    def test_nor_do_full_nodes(self, world: World) -> None:
        world.place([L])
        world.announce(L, tags=["reg:eu"], cpu=1)
        assert lost(world.view(), 1, L) == ""


def test_all_node_licenses_are_told(world: World) -> None:
    world.node(9, tags=["reg:eu"])
    world.log(licenses.LicenseIssued(1, account("oracle"), licenses.ORACLE))
    freeze_license(world)
    found = obstacles(world.view(), 1)
    assert list(found) == [L, 9]
    assert found[9] == ELIGIBLE
    assert "frozen" in found[L]


def test_what_does_not_exist_is_an_error(world: World) -> None:
    with pytest.raises(PlacementError, match="no job 9"):
        obstacle(world.view(), 9, L)
    with pytest.raises(PlacementError, match="no license 99"):
        obstacle(world.view(), 1, 99)


def test_a_slot_takes_what_its_class_gives_whatever_the_spec_wants(world: World) -> None:
    world.log(tariff.ClassSet(2, 1, 9_000, 1, 1, False))
    small = spec_of(resources={"cpu_milli": 1, "memory_mb": 1, "storage_mb": 1})
    world.job(2, class_id=2, spec=small)
    assert "left" in obstacle(world.view(), 2, L)
