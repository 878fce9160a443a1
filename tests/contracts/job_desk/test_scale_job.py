"""Changing how many slots a job pays for, from the next window on."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, net
from tests.contracts.system import (
    BATCH,
    CLASSES,
    PRICE,
    SERVICE,
    UNIT,
    System,
    event,
)

FAR = 2**256 - 1


def scale(system: System, job_id: int, slots: int, release: list[int] | None = None) -> int:
    """Scale as the payer; return the deposit."""
    return int(system.desk.scale_job(job_id, slots, release or [], sender=system.payer))


def test_more_slots_are_paid_from_the_next_window_on(system: System, nodes: list[int]) -> None:
    """Windows 2 to 11, scaled in 4: seven windows are left behind it."""
    job_id = system.start_job(nodes[:2])
    system.to_window(4)
    before = Books.of(system)

    deposit = scale(system, job_id, 5)

    assert event(system.desk, "JobScaled") == {
        "job_id": job_id,
        "window": 4,
        "slots": 5,
        "funded_units": 41 * UNIT,
        "deposit": 21 * PRICE,
        "refund": 0,
        "release": [],
    }
    assert deposit == 21 * PRICE
    assert Books.of(system).since(before) == Books(
        payer=-21 * PRICE,
        operators=(0,) * 4,
        escrow=21 * PRICE,
        liabilities=21 * PRICE,
        fees=0,
    )
    job = system.desk.job(job_id)
    assert (job.slots, job.active, job.start, job.end) == (5, 2, 2, 12)


def test_fewer_slots_are_refunded_from_the_next_window_on(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes)
    system.to_window(4)
    before = Books.of(system)

    deposit = scale(system, job_id, 1, nodes[1:])

    assert event(system.desk, "JobScaled") == {
        "job_id": job_id,
        "window": 4,
        "slots": 1,
        "funded_units": 16 * UNIT,
        "deposit": 0,
        "refund": 14 * PRICE,
        "release": nodes[1:],
    }
    assert deposit == 0
    assert Books.of(system).since(before) == Books(
        payer=14 * PRICE,
        operators=(0,) * 4,
        escrow=-14 * PRICE,
        liabilities=-14 * PRICE,
        fees=0,
    )
    job = system.desk.job(job_id)
    assert (job.slots, job.active) == (1, 1)


def test_exactly_the_named_licenses_stop_with_the_current_window(
    system: System, nodes: list[int]
) -> None:
    """P15: they keep what they served and earn nothing after, whatever is signed."""
    job_id = system.start_job(nodes)
    system.to_window(4)

    scale(system, job_id, 1, [nodes[2], nodes[0]])

    untils = [system.escrow.assignment(job_id, license_id).until for license_id in nodes]
    assert untils == [5, 2**32 - 1, 5]
    system.to_window(12)
    system.report({(job_id, license_id): FAR for license_id in nodes})
    paid = [system.claim(job_id, license_id) for license_id in nodes]
    assert paid == [net(3 * UNIT), net(10 * UNIT), net(3 * UNIT)]
    job = system.desk.job(job_id)
    assert job.claimed_units == job.funded_units == 16 * UNIT


def test_no_license_stops_where_slots_were_free(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:2], slots=5)

    scale(system, job_id, 2)

    job = system.desk.job(job_id)
    assert (job.slots, job.active) == (2, 2)
    with evm.reverts("escrow: too many licenses"):
        system.place(job_id, nodes[2:])


@pytest.mark.parametrize(
    ("slots", "released"),
    [(3, [0]), (4, [0]), (2, []), (2, [0, 1]), (1, [0]), (1, [0, 1, 2])],
)
def test_as_many_stop_as_there_is_no_slot_for(
    system: System, nodes: list[int], slots: int, released: list[int]
) -> None:
    job_id = system.start_job(nodes, slots=5)

    with evm.reverts("desk: wrong release"):
        scale(system, job_id, slots, [nodes[index] for index in released])


def test_only_licenses_in_place_stop(system: System, nodes: list[int]) -> None:
    other = system.open_job()
    system.place(other, nodes[2:])
    job_id = system.start_job(nodes[:2])

    for license_id in (nodes[2], 1, 0, 1_000):
        with evm.reverts("escrow: not placed"):
            scale(system, job_id, 1, [license_id])


def test_no_license_stops_twice(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes)

    with evm.reverts("escrow: not placed"):
        scale(system, job_id, 1, [nodes[0], nodes[0]])


def test_license_placed_in_the_same_window_stops_before_it_served(
    system: System, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:2], slots=3)
    system.place(job_id, nodes[2:])

    scale(system, job_id, 2, nodes[2:])

    assert tuple(system.escrow.assignment(job_id, nodes[2])) == (3, 3, 0, 0)
    system.to_window(12)
    system.report({(job_id, nodes[2]): FAR})
    assert system.claim(job_id, nodes[2]) == 0


def test_most_licenses_that_one_call_releases(system: System) -> None:
    """P13: from 40 to 1 takes two calls."""
    fleet = [system.issue_node(system.operators[0]) for _ in range(40)]
    job_id = system.open_job(slots=40, min_slots=1)
    system.place(job_id, fleet[:32])
    system.place(job_id, fleet[32:])
    system.advance_windows()
    with evm.reverts():
        scale(system, job_id, 7, fleet[:33])

    scale(system, job_id, 8, fleet[:32])
    scale(system, job_id, 1, fleet[32:39])

    job = system.desk.job(job_id)
    assert (job.slots, job.active) == (1, 1)
    assert job.funded_units == (40 + 9) * UNIT


def test_job_that_has_not_started_is_scaled_for_its_whole_term(system: System) -> None:
    before = Books.of(system)
    job_id = system.open_job(slots=4, min_slots=3, windows=10)

    assert scale(system, job_id, 6) == 20 * PRICE
    assert system.desk.job(job_id).funded_units == 60 * UNIT
    scale(system, job_id, 2)

    assert event(system.desk, "JobScaled")["refund"] == 40 * PRICE
    job = system.desk.job(job_id)
    assert (job.slots, job.min_slots, job.funded_units) == (2, 2, 20 * UNIT)
    assert Books.of(system).since(before).liabilities == 20 * PRICE


def test_first_placement_never_has_to_bring_more_than_there_are_slots(
    system: System, nodes: list[int]
) -> None:
    job_id = system.open_job(slots=4, min_slots=3)
    scale(system, job_id, 1)

    system.place(job_id, nodes[:1])

    assert system.desk.job(job_id).active == 1


def test_minimum_of_the_first_placement_does_not_grow_back(system: System) -> None:
    job_id = system.open_job(slots=4, min_slots=3)
    scale(system, job_id, 1)
    scale(system, job_id, 4)

    assert system.desk.job(job_id).min_slots == 1


def test_job_that_has_not_started_releases_nobody(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=4, min_slots=3)

    with evm.reverts("desk: wrong release"):
        scale(system, job_id, 2, nodes[:1])


def test_extension_that_came_before_is_scaled_too(system: System) -> None:
    job_id = system.open_job(windows=10)
    system.desk.extend_job(job_id, 5, sender=system.payer)

    assert scale(system, job_id, 2) == 15 * PRICE


def test_batch_job_gets_more_shards_paid_once(system: System, nodes: list[int]) -> None:
    fresh = system.open_job(kind=BATCH, slots=4, min_slots=1)
    started = system.start_job(nodes[:1], slots=4, kind=BATCH)
    for job_id in (fresh, started):
        assert scale(system, job_id, 7) == 3 * PRICE
        job = system.desk.job(job_id)
        assert (job.slots, job.funded_units) == (7, 7 * UNIT)


def test_batch_job_is_never_scaled_down(system: System, nodes: list[int]) -> None:
    fresh = system.open_job(kind=BATCH, slots=4, min_slots=1)
    started = system.start_job(nodes[:2], slots=4, kind=BATCH)

    for job_id in (fresh, started):
        for release in ([], nodes[:1]):
            with evm.reverts("desk: batch scaled down"):
                scale(system, job_id, 1, release)


@pytest.mark.parametrize("kind", [SERVICE, BATCH])
def test_last_window_is_too_late(system: System, nodes: list[int], kind: int) -> None:
    """What would begin with the next window needs a next window."""
    job_id = system.start_job(nodes[:1], windows=3, kind=kind)
    system.to_window(3)
    assert scale(system, job_id, 2) == PRICE
    system.to_window(4)
    with evm.reverts("desk: job over"):
        scale(system, job_id, 3)
    system.to_window(5)
    with evm.reverts("desk: job over"):
        scale(system, job_id, 3)


@pytest.mark.parametrize(
    ("slots", "reason"),
    [
        (0, "desk: zero slots"),
        (2, "desk: same slots"),
        (2**18, "terms: too many slots"),
        (2**43, "money: too many units"),
    ],
)
def test_slots_out_of_range_are_refused(
    system: System, nodes: list[int], slots: int, reason: str
) -> None:
    job_id = system.start_job(nodes[:2])

    with evm.reverts(reason):
        scale(system, job_id, slots)


def test_dearer_or_retired_class_stops_more_slots_and_not_fewer(
    system: System, nodes: list[int]
) -> None:
    """M9: new money is spent at the job's own price or not at all."""
    job_id = system.start_job(nodes[:2], slots=4)
    system.tariff.set_class(1, (PRICE + 1, *CLASSES[0][1:]), sender=system.governor)
    with evm.reverts("desk: class dearer"):
        scale(system, job_id, 5)
    scale(system, job_id, 3)
    system.tariff.retire_class(1, sender=system.governor)
    with evm.reverts("rates: class retired"):
        scale(system, job_id, 5)

    scale(system, job_id, 2)

    assert system.desk.job(job_id).slots == 2


def test_cheaper_class_does_not_reprice(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.tariff.set_class(1, (PRICE - 1, *CLASSES[0][1:]), sender=system.governor)

    assert scale(system, job_id, 2) == 9 * PRICE


def test_cancelled_job_is_refused(system: System, nodes: list[int]) -> None:
    for job_id in (system.open_job(), system.start_job(nodes[:1])):
        system.desk.cancel_job(job_id, sender=system.payer)
        with evm.reverts("desk: cancelled"):
            scale(system, job_id, 2)


def test_unknown_job_is_refused(system: System) -> None:
    with evm.reverts("desk: unknown job"):
        scale(system, 1, 2)


def test_only_the_payer_scales(system: System) -> None:
    job_id = system.open_job()

    for sender in (system.governor, system.operators[0], system.stranger):
        with evm.reverts("desk: not granted"):
            system.desk.scale_job(job_id, 2, [], sender=sender)


def test_released_license_comes_back_once_its_release_is_reported(
    system: System, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:2])
    scale(system, job_id, 1, nodes[:1])
    scale(system, job_id, 2)
    with evm.reverts("escrow: release not reported"):
        system.place(job_id, nodes[:1])
    system.advance_windows()
    system.report()

    system.place(job_id, nodes[:1])

    assert tuple(system.escrow.assignment(job_id, nodes[0])) == (4, 2**32 - 1, 1, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["scale", "scale", "extend", "cancel", "wait"]),
        st.integers(1, 6),
        st.integers(0, 3),
    ),
    max_size=10,
)


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, started=st.booleans())
def test_funded_units_are_the_slots_of_every_window_bought(
    system: System, nodes: list[int], steps: list[tuple[str, int, int]], started: bool
) -> None:
    """M2, M9: a ledger of slots by window, kept apart, agrees after every change."""
    with evm.env.anchor():
        before = system.token.balanceOf(system.payer)
        job_id = system.open_job(slots=3, min_slots=1, windows=4)
        if started:
            system.place(job_id, nodes[:1])
        job = system.desk.job(job_id)
        first = job.start or 1
        slots = dict.fromkeys(range(first, first + 4), 3)
        for name, number, windows in steps:
            job, now = system.desk.job(job_id), system.now()
            if name == "wait":
                system.advance_windows(windows)
                continue
            with suppress(evm.Reverted):
                if name == "scale":
                    release = nodes[: max(0, job.active - number)]
                    scale(system, job_id, number, release)
                    changed = [w for w in slots if not started or w > now]
                    slots |= dict.fromkeys(changed, number)
                elif name == "extend":
                    system.desk.extend_job(job_id, windows, sender=system.payer)
                    end = max(slots) + 1
                    slots |= dict.fromkeys(range(end, end + windows), job.slots)
                else:
                    system.desk.cancel_job(job_id, sender=system.payer)
                    slots = {w: n for w, n in slots.items() if started and w <= now}
            funded = system.desk.job(job_id).funded_units
            assert funded == sum(slots.values()) * UNIT
            assert before - system.token.balanceOf(system.payer) == sum(slots.values()) * PRICE
            assert system.escrow.liabilities() == sum(slots.values()) * PRICE
