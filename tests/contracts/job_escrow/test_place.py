"""Placing licenses: what a quorum may say, and what it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.system import BATCH, ORACLE, System, deploy_system, event, private_key

OPEN_END = 2**32 - 1


def test_first_placement_starts_the_job_in_the_next_window(
    system: System, nodes: list[int]
) -> None:
    system.to_window(4)
    job_id = system.open_job(slots=3, min_slots=2, windows=10)

    system.escrow.place(*system.placement(job_id, nodes[:2]), sender=system.stranger)

    assert event(system.escrow, "Placed") == {
        "job_id": job_id,
        "round": 0,
        "window": 4,
        "revision": 0,
        "end": 15,
        "release": [],
        "assign": nodes[:2],
    }
    job = system.desk.job(job_id)
    assert (job.start, job.end) == (5, 15)
    assert (job.slots, job.min_slots, job.active, job.round) == (3, 0, 2, 1)
    for license_id in nodes[:2]:
        assert tuple(system.escrow.assignment(job_id, license_id)) == (5, OPEN_END, 0, 0)
    assert tuple(system.escrow.assignment(job_id, nodes[2])) == (0, 0, 0, 0)


def test_free_slots_are_filled_later(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=3, min_slots=1)
    system.place(job_id, nodes[:1])
    system.to_window(5)

    system.place(job_id, nodes[1:])

    job = system.desk.job(job_id)
    assert (job.start, job.end, job.active, job.round) == (2, 12, 3, 2)
    assert system.escrow.assignment(job_id, nodes[0]).first == 2
    assert system.escrow.assignment(job_id, nodes[2]).first == 6


def test_replacement_takes_effect_in_the_next_window(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:2])
    system.to_window(5)

    system.place(job_id, [nodes[2]], [nodes[0]])

    assert event(system.escrow, "Placed")["release"] == [nodes[0]]
    assert tuple(system.escrow.assignment(job_id, nodes[0])) == (2, 6, 0, 0)
    assert tuple(system.escrow.assignment(job_id, nodes[1])) == (2, OPEN_END, 0, 0)
    assert tuple(system.escrow.assignment(job_id, nodes[2])) == (6, OPEN_END, 0, 0)
    assert system.desk.job(job_id).active == 2


def test_license_may_be_released_without_a_successor(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:2])

    system.place(job_id, [], nodes[:2])

    assert system.desk.job(job_id).active == 0
    system.advance_windows()
    system.place(job_id, nodes[2:])
    assert system.desk.job(job_id).active == 1


def test_license_may_serve_several_jobs(system: System, nodes: list[int]) -> None:
    first, second = system.open_job(), system.open_job()
    system.place(first, nodes[:1])
    system.place(second, nodes[:1])

    assert system.escrow.assignment(first, nodes[0]).first == 2
    assert system.escrow.assignment(second, nodes[0]).first == 2


def test_most_licenses_of_one_placement(system: System) -> None:
    nodes = [system.issue_node(system.operators[0]) for _ in range(64)]
    job_id = system.open_job(slots=32)
    system.place(job_id, nodes[:32])
    system.advance_windows()

    system.place(job_id, nodes[32:], nodes[:32])

    assert event(system.escrow, "Placed")["assign"] == nodes[32:]
    assert system.desk.job(job_id).active == 32


@pytest.mark.parametrize("job_id", [0, 2, 2**256 - 1])
def test_unknown_job_is_refused(system: System, nodes: list[int], job_id: int) -> None:
    system.open_job()

    with evm.reverts("escrow: unknown job"):
        system.place(job_id, nodes[:1])


def test_cancelled_job_is_refused(system: System, nodes: list[int]) -> None:
    fresh, started = system.open_job(), system.start_job(nodes[:1])
    for job_id in (fresh, started):
        system.desk.cancel_job(job_id, sender=system.payer)
        with evm.reverts("escrow: cancelled"):
            system.place(job_id, nodes[1:2])


@pytest.mark.parametrize("round_", [0, 2, 2**256 - 1])
def test_other_round_is_refused(system: System, nodes: list[int], round_: int) -> None:
    job_id = system.open_job(slots=2, min_slots=1)
    system.place(job_id, nodes[:1])

    with evm.reverts("escrow: wrong round"):
        system.escrow.place(*system.placement(job_id, nodes[1:2], round=round_))


def test_placement_works_once(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=3, min_slots=1)
    arguments = system.place(job_id, nodes[:1])

    with evm.reverts("escrow: wrong round"):
        system.escrow.place(*arguments)


def test_only_one_of_two_valid_placements_for_a_round_counts(
    system: System, nodes: list[int]
) -> None:
    job_id = system.open_job(slots=3, min_slots=1)
    other = system.placement(job_id, nodes[1:2])
    system.place(job_id, nodes[:1])

    with evm.reverts("escrow: wrong round"):
        system.escrow.place(*other)


@pytest.mark.parametrize("offset", [-1, 1])
def test_other_window_is_refused(system: System, nodes: list[int], offset: int) -> None:
    system.to_window(3)
    job_id = system.open_job()

    with evm.reverts("escrow: wrong window"):
        system.escrow.place(*system.placement(job_id, nodes[:1], window=3 + offset))


def test_placement_expires_with_its_window(system: System, nodes: list[int]) -> None:
    job_id = system.open_job()
    arguments = system.placement(job_id, nodes[:1])
    system.wait(system.window - 1)
    with evm.env.anchor():
        system.escrow.place(*arguments)
    system.wait(1)

    with evm.reverts("escrow: wrong window"):
        system.escrow.place(*arguments)


def test_other_revision_is_refused(system: System, nodes: list[int]) -> None:
    job_id = system.open_job()
    arguments = system.placement(job_id, nodes[:1])
    system.desk.revise_job(job_id, bytes(32), sender=system.payer)

    with evm.reverts("escrow: wrong revision"):
        system.escrow.place(*arguments)
    with evm.reverts("escrow: wrong revision"):
        system.escrow.place(*system.placement(job_id, nodes[:1], revision=2))
    system.place(job_id, nodes[:1])

    assert event(system.escrow, "Placed")["revision"] == 1


def test_empty_placement_is_refused(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])

    with evm.reverts("escrow: empty placement"):
        system.place(job_id)


def test_first_placement_brings_at_least_min_slots(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=3, min_slots=2)

    with evm.reverts("escrow: too few licenses"):
        system.place(job_id, nodes[:1])
    system.place(job_id, nodes)

    assert system.desk.job(job_id).active == 3


def test_never_more_licenses_than_slots(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=2, min_slots=1)
    with evm.reverts("escrow: too many licenses"):
        system.place(job_id, nodes)
    system.place(job_id, nodes[:2])

    with evm.reverts("escrow: too many licenses"):
        system.place(job_id, nodes[2:])


def test_license_is_placed_once_at_a_time(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=3, min_slots=1)
    with evm.reverts("escrow: already placed"):
        system.place(job_id, [nodes[0], nodes[0]])
    system.place(job_id, nodes[:1])

    with evm.reverts("escrow: already placed"):
        system.place(job_id, nodes[:1])


def test_license_that_is_not_placed_is_not_released(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=3, min_slots=1)
    with evm.reverts("escrow: not placed"):
        system.place(job_id, nodes[:1], nodes[1:2])
    system.place(job_id, nodes[:2])

    with evm.reverts("escrow: not placed"):
        system.place(job_id, [], nodes[2:])
    with evm.reverts("escrow: not placed"):
        system.place(job_id, [], [nodes[0], nodes[0]])
    system.place(job_id, [], nodes[:1])
    with evm.reverts("escrow: not placed"):
        system.place(job_id, [], nodes[:1])


def test_license_is_not_released_and_assigned_at_once(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows(2)
    system.report()

    with evm.reverts("escrow: release not reported"):
        system.place(job_id, nodes[:1], nodes[:1])


def test_takes_effect_before_the_end_or_not_at_all(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=3)
    assert system.desk.job(job_id).end == 5
    system.to_window(4)

    with evm.reverts("escrow: job over"):
        system.place(job_id, nodes[1:2], nodes[:1])
    system.to_window(5)
    with evm.reverts("escrow: job over"):
        system.place(job_id, nodes[1:2], nodes[:1])


def test_last_window_can_still_be_served_by_another(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=3)
    system.to_window(3)

    system.place(job_id, nodes[1:2], nodes[:1])

    assert system.escrow.assignment(job_id, nodes[1]).first == 4


def test_job_of_one_window(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=1)

    assert (system.desk.job(job_id).start, system.desk.job(job_id).end) == (2, 3)


def test_end_that_does_not_fit_is_refused() -> None:
    system = deploy_system(oracles=1, window=60, challenge=0)
    node = system.issue_node()
    job_id = system.open_job(windows=10)
    system.to_window(2**32 - 12)

    with evm.reverts("money: end too late"):
        system.place(job_id, [node])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda system, node: system.freeze(node),
        lambda system, node: system.suspend(system.operators[0]),
        lambda system, node: system.blacklist(system.node_of(node)),
        lambda system, node: system.trust.revoke(system.operators[0], sender=system.issuer),
        lambda system, node: system.licenses.unlink_node(node, sender=system.operators[0]),
    ],
    ids=["license frozen", "owner suspended", "node blacklisted", "not verified", "unlinked"],
)
def test_ineligible_license_is_refused(
    system: System, nodes: list[int], spoil: Callable[[System, int], Any]
) -> None:
    job_id = system.open_job(slots=2)
    spoil(system, nodes[0])

    with evm.reverts("escrow: license not eligible"):
        system.place(job_id, [nodes[1], nodes[0]])


def test_oracle_license_and_unknown_license_are_refused(system: System) -> None:
    job_id = system.open_job()
    oracle = system.issue(system.operators[0], ORACLE)
    system.link(oracle, private_key("an oracle's node"))

    for license_id in (0, 1, oracle, 1_000, 2**256 - 1):
        with evm.reverts("escrow: license not eligible"):
            system.place(job_id, [license_id])


def test_license_that_lost_its_eligibility_is_released(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.blacklist(nodes[0])

    system.place(job_id, nodes[1:2], nodes[:1])

    assert system.desk.job(job_id).active == 1


def test_more_licenses_than_a_placement_may_name_are_refused(
    system: System, nodes: list[int]
) -> None:
    job_id = system.open_job(slots=40, min_slots=1)

    with evm.reverts():
        system.place(job_id, [nodes[0]] * 33)


def test_placing_moves_no_money(system: System, nodes: list[int]) -> None:
    job_id = system.open_job()
    balance, owed = system.token.balanceOf(system.escrow.address), system.escrow.liabilities()

    system.place(job_id, nodes[:1])

    assert system.token.balanceOf(system.escrow.address) == balance
    assert system.escrow.liabilities() == owed


def test_batch_job_gets_its_deadline_with_the_first_placement(
    system: System, nodes: list[int]
) -> None:
    system.to_window(4)
    job_id = system.open_job(kind=BATCH, slots=100, min_slots=2, windows=10)
    with evm.reverts("escrow: too few licenses"):
        system.place(job_id, nodes[:1])

    system.place(job_id, nodes[:2])

    job = system.desk.job(job_id)
    assert (job.start, job.end, job.windows, job.active) == (5, 15, 10, 2)


def test_batch_job_never_has_more_licenses_than_shards(system: System, nodes: list[int]) -> None:
    """P13: a license without a shard would wait for nothing."""
    job_id = system.open_job(kind=BATCH, slots=2, min_slots=1)

    with evm.reverts("escrow: too many licenses"):
        system.place(job_id, nodes)


def test_completed_job_is_refused(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], slots=3, kind=BATCH)
    system.attest_result(job_id)

    with evm.reverts("escrow: completed"):
        system.place(job_id, nodes[1:2])
    with evm.reverts("escrow: completed"):
        system.place(job_id, release=nodes[:1])


def test_closed_job_is_refused(system: System, nodes: list[int]) -> None:
    """M10: nothing reopens it."""
    job_id = system.start_job(nodes[:1], windows=1)
    system.to_window(3)
    system.report({(job_id, 0): 0})
    system.close(job_id)

    with evm.reverts("escrow: job over"):
        system.place(job_id, nodes[1:2])


def test_slots_that_were_added_are_filled(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    with evm.reverts("escrow: too many licenses"):
        system.place(job_id, nodes[1:])
    system.desk.scale_job(job_id, 3, [], sender=system.payer)

    system.place(job_id, nodes[1:])

    assert system.desk.job(job_id).active == 3
