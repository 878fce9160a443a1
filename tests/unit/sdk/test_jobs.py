"""Views of jobs and checks of specs, without a chain."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from workdeed.chain.bindings.desk import Job
from workdeed.chain.bindings.escrow import BATCH
from workdeed.chain.bindings.tariff import Offer
from workdeed.intent import load_spec
from workdeed.protocol.signing import to_checksum
from workdeed.sdk.errors import SdkError
from workdeed.sdk.jobs import JobView, check_fits, gross

JOB = Job(
    payer=to_checksum(b"\xaa" * 20),
    spec_hash=b"\x05" * 32,
    revision=0,
    kind=0,
    class_id=1,
    policy_version=1,
    price=100_003,
    slots=2,
    min_slots=0,
    active=2,
    round=1,
    start=4,
    end=9,
    windows=5,
    funded_units=100_000,
    claimed_units=33_333,
    cancelled=False,
    completed=False,
    closed=False,
    close_requested=0,
)
OFFER = Offer(100_003, 500, 512, 1_024, exists=True, retired=False)


@pytest.mark.parametrize(
    ("changes", "window", "state"),
    [
        ({"end": 0, "start": 0}, 3, "waiting"),
        ({}, 3, "running"),
        ({}, 8, "running"),
        ({}, 9, "ended"),
        ({"closed": True}, 9, "closed"),
    ],
)
def test_states(changes: dict[str, int], window: int, state: str) -> None:
    assert JobView(1, replace(JOB, **changes), window).state == state


@pytest.mark.parametrize(
    ("changes", "window", "left"),
    [
        ({"end": 0, "start": 0}, 3, 5),
        ({}, 3, 5),
        ({}, 4, 4),
        ({}, 8, 0),
        ({}, 20, 0),
        ({"kind": BATCH}, 4, 1),
    ],
)
def test_a_slot_more_is_paid_for_the_windows_after_this_one(
    changes: dict[str, int], window: int, left: int
) -> None:
    assert JobView(1, replace(JOB, **changes), window).windows_left == left


def test_amounts_round_as_the_escrow_does() -> None:
    view = JobView(1, JOB, 5)
    assert gross(100_003, 33_333) == 333_339
    assert view.locked == gross(100_003, 100_000) - 333_339
    shown = json.loads(json.dumps(view.to_json()))
    assert shown["price"] == "100003"
    assert shown["spec_hash"] == "0x" + "05" * 32
    assert shown["locked"] == str(view.locked)


@pytest.mark.parametrize("name", ["cpu_milli", "memory_mb", "storage_mb"])
def test_a_spec_must_fit_its_class(name: str) -> None:
    resources = {"cpu_milli": 500, "memory_mb": 512, "storage_mb": 1_024}
    document = {
        "name": "hello",
        "class_id": 1,
        "runner": "war",
        "source": {"git": {"url": "https://example.org/x", "commit": "0" * 40}},
        "run": ["true"],
        "resources": resources,
    }
    check_fits(load_spec(document), OFFER)
    resources[name] += 1
    with pytest.raises(SdkError, match=rf"resources\.{name}"):
        check_fits(load_spec(document), OFFER)
