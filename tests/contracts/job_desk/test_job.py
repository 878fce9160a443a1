"""What the desk says of a job before its start and from then on."""

from __future__ import annotations

from tests.contracts.system import PRICE, SERVICE, SPEC_HASH, UNIT, System


def test_first_placement_turns_what_was_asked_for_into_what_is_there(
    system: System, nodes: list[int]
) -> None:
    job_id = system.open_job(slots=3, min_slots=2, windows=10)
    waiting = {
        "payer": system.payer,
        "spec_hash": SPEC_HASH,
        "revision": 0,
        "kind": SERVICE,
        "class_id": 1,
        "policy_version": 1,
        "price": PRICE,
        "slots": 3,
        "min_slots": 2,
        "active": 0,
        "round": 0,
        "start": 0,
        "end": 0,
        "windows": 10,
        "funded_units": 30 * UNIT,
        "claimed_units": 0,
        "cancelled": False,
        "completed": False,
        "closed": False,
        "close_requested": 0,
    }
    assert system.desk.job(job_id)._asdict() == waiting
    system.to_window(7)

    system.place(job_id, nodes[:2])

    started = {"min_slots": 0, "active": 2, "round": 1, "start": 8, "end": 18}
    assert system.desk.job(job_id)._asdict() == waiting | started
