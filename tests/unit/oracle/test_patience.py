"""How long an older revision counts follows from the spec and the chain alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.intent import Spec
from workdeed.oracle.patience import (
    MAX_ROLLOUT_WINDOWS,
    STALL_WINDOWS,
    none,
    patience_of,
    rollout_windows,
)
from workdeed.oracle.targets import JobTarget
from workdeed.protocol.figures import Pair

from .support import ESCROW, SPEC_HASH

DAY = 86_400


def spec(**rollout: Any) -> Spec:
    return Spec.model_validate(
        {
            "name": "hello",
            "class_id": 1,
            "runner": "war",
            "source": {"git": {"url": "https://git.test/hello", "commit": "0" * 40}},
            "run": ("serve",),
            "rollout": rollout,
            "resources": {"cpu_milli": 100, "memory_mb": 100, "storage_mb": 100},
        }
    )


def job(*, rolls: bool = True, replicas: int = 4) -> JobTarget:
    return JobTarget(Pair(ESCROW, 1, 101), 1, {1: SPEC_HASH}, 1, 3, rolls, replicas)


def test_it_is_what_the_rollout_may_take_in_whole_windows() -> None:
    rolling = spec(policy="rolling", drain_ms=0, deadline_ms=590_000, settle_ms=0)
    assert rollout_windows(rolling.rollout, 1, 600) == 1 + STALL_WINDOWS
    assert rollout_windows(rolling.rollout, 2, 600) == 2 + STALL_WINDOWS
    assert rollout_windows(rolling.rollout, 2, 599) == 3 + STALL_WINDOWS


def test_where_nobody_waits_for_others_a_dead_replica_holds_up_none() -> None:
    assert rollout_windows(spec().rollout, 100_000, DAY) == 1


def test_it_has_an_end() -> None:
    slow = spec(policy="rolling", deadline_ms=86_400_000)
    assert rollout_windows(slow.rollout, 1_000, 12) == MAX_ROLLOUT_WINDOWS


@pytest.mark.parametrize("rolls", [True, False])
def test_only_licenses_that_have_an_older_revision_roll_out(rolls: bool) -> None:
    patience = patience_of({SPEC_HASH: spec()}.get, DAY)
    assert patience(job(rolls=rolls)) == int(rolls)


def test_nobody_is_blamed_for_a_policy_that_is_not_known_here() -> None:
    assert patience_of(lambda _: None, DAY)(job()) == math.inf


def test_without_patience_there_is_none() -> None:
    assert none(job()) == 0


@given(
    st.integers(1, 5_000),
    st.integers(1, 100),
    st.integers(0, 86_400_000),
    st.integers(1, 10_000),
    st.integers(1, DAY),
)
def test_more_replicas_or_smaller_batches_never_take_less(
    replicas: int, size: int, wait_ms: int, share_bps: int, window: int
) -> None:
    def windows(count: int, batch: int) -> int:
        policy = spec(policy="canary", max_unavailable=batch, wait_ms=wait_ms, share_bps=share_bps)
        return rollout_windows(policy.rollout, count, window)

    found = windows(replicas, size)
    assert 1 <= found <= MAX_ROLLOUT_WINDOWS
    assert windows(replicas + 1, size) >= found
    assert windows(replicas, size + 1) <= found
