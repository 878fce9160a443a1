"""What a follower signs: the choice that it computes itself, with few or confirmed skips."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from workdeed.chain.bindings import registry
from workdeed.placement.choose import choose
from workdeed.placement.errors import PlacementError, PlacementRefusedError
from workdeed.placement.proposals import check_proposal, relevant_skips
from workdeed.protocol.messages import PlacementProposal

from .support import BLOCK_HASH, ESCROW, World, account


@pytest.fixture
def world() -> World:
    """A job of two slots, and six licenses of as many operators."""
    world = World()
    for license_id in range(10, 16):
        world.node(license_id)
    world.job(slots=2)
    return world


def proposal(world: World, skipped: Collection[int] = (), **changes: Any) -> PlacementProposal:
    """Return what a leader proposes that skips these."""
    found = choose(world.view(), 1, skipped=skipped)
    assert found is not None
    content: dict[str, Any] = {
        "escrow": ESCROW,
        "job_id": 1,
        "round": 0,
        "window": world.window,
        "revision": 0,
        "release": found.release,
        "assign": found.assign,
        "committee_epoch": 1,
        "block_hash": BLOCK_HASH,
        "skipped": tuple(sorted(skipped)),
        "member": account("oracle"),
    }
    return PlacementProposal(**(content | changes))


def refused_field(
    world: World, found: PlacementProposal, *, faults: int = 1, down: Collection[int] = ()
) -> str:
    """Return the field at fault, "" if the proposal is accepted."""
    try:
        check_proposal(
            world.view(), found, faults=faults, unreachable=lambda license_id: license_id in down
        )
    except PlacementRefusedError as error:
        return error.field
    return ""


def test_the_same_choice_is_accepted(world: World) -> None:
    assert refused_field(world, proposal(world)) == ""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"escrow": account("another")}, "escrow"),
        ({"block_hash": bytes(32)}, "block_hash"),
        ({"window": 2}, "window"),
        ({"round": 1}, "round"),
        ({"revision": 1}, "revision"),
        ({"assign": (10,)}, "assign"),
        ({"assign": (10, 99)}, "assign"),
        ({"release": (10,)}, "release"),
    ],
)
def test_another_is_refused(world: World, change: dict[str, Any], field: str) -> None:
    assert refused_field(world, proposal(world, **change)) == field


def test_the_same_licenses_in_another_order_are_another_message(world: World) -> None:
    found = proposal(world)
    assert refused_field(world, proposal(world, assign=found.assign[::-1])) == "assign"


def test_where_nothing_is_due_nothing_is_signed(world: World) -> None:
    found = proposal(world)
    world.place(found.assign)
    later = found.model_copy(update={"round": 1})
    assert refused_field(world, later) == "job_id"


def test_an_unknown_job_is_an_error(world: World) -> None:
    with pytest.raises(PlacementError, match="no job 9"):
        refused_field(world, proposal(world, job_id=9))


class TestSkips:
    def test_as_many_as_may_be_faulty_are_taken_on_trust(self, world: World) -> None:
        first = proposal(world).assign
        assert refused_field(world, proposal(world, skipped=first[:1])) == ""
        assert refused_field(world, proposal(world, skipped=first), faults=2) == ""

    def test_more_must_be_out_of_reach_here_too(self, world: World) -> None:
        first = proposal(world).assign
        found = proposal(world, skipped=first)
        assert refused_field(world, found) == "skipped"
        assert refused_field(world, found, down=first[:1]) == "skipped"
        assert refused_field(world, found, down=first) == ""

    def test_few_skips_ask_nobody(self, world: World) -> None:
        def asked(_: int) -> bool:
            raise AssertionError("asked")

        found = proposal(world, skipped=proposal(world).assign[:1])
        check_proposal(world.view(), found, faults=1, unreachable=asked)

    def test_those_that_may_not_be_placed_do_not_count(self, world: World) -> None:
        for license_id in (10, 11):
            world.stand(registry.license_subject(license_id), registry.FROZEN)
        assert relevant_skips(world.view(), 1, [99, 12, 11, 10]) == (12,)
        found = proposal(world, skipped=[10, 11, 12])
        assert refused_field(world, found) == ""

    def test_a_skip_that_is_not_made_use_of_is_refused(self, world: World) -> None:
        plain = proposal(world)
        lying = plain.model_copy(update={"skipped": plain.assign[:1]})
        assert refused_field(world, lying) == "assign"
