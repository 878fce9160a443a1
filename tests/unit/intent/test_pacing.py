"""Batches, canaries and the longest time of a rollout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.intent import Canary, Recreate, Rolling
from workdeed.intent.pacing import REACTION_MS, batch_size, canaries, longest_ms


@pytest.mark.parametrize(
    ("share_bps", "replicas", "count"),
    [(1_000, 10, 1), (1_000, 11, 2), (1, 1, 1), (1, 0, 0), (10_000, 7, 7), (3_333, 3, 1)],
)
def test_the_share_is_rounded_up(share_bps: int, replicas: int, count: int) -> None:
    assert canaries(Canary(policy="canary", share_bps=share_bps), replicas) == count


def test_only_the_canary_policy_has_canaries() -> None:
    assert canaries(Recreate(), 10) == canaries(Rolling(policy="rolling"), 10) == 0


def test_all_are_recreated_at_once() -> None:
    assert batch_size(Recreate(), 10) == 10
    assert batch_size(Recreate(), 0) == 1
    assert batch_size(Rolling(policy="rolling", max_unavailable=3), 10) == 3


def test_each_batch_may_take_its_whole_time() -> None:
    times = {"drain_ms": 10, "deadline_ms": 1_000, "settle_ms": 100}
    each = 1_110 + REACTION_MS
    assert longest_ms(Rolling(policy="rolling", max_unavailable=2, **times), 5) == 3 * each
    canary = Canary(policy="canary", max_unavailable=2, share_bps=6_000, wait_ms=7, **times)
    assert longest_ms(canary, 5) == (2 + 1) * each + 7
    assert longest_ms(Recreate(drain_ms=10, deadline_ms=1_000), 5) == 1_010 + REACTION_MS
    assert longest_ms(Recreate(), 0) == 0


@given(st.integers(0, 1_000), st.integers(1, 10_000), st.integers(1, 50))
def test_canaries_and_the_rest_are_all_replicas(replicas: int, share: int, size: int) -> None:
    canary = Canary(policy="canary", share_bps=share, max_unavailable=size, wait_ms=0)
    rolling = Rolling(policy="rolling", max_unavailable=size)
    first = canaries(canary, replicas)
    assert 0 <= first <= replicas
    assert first * 10_000 >= share * replicas
    assert longest_ms(canary, replicas) >= longest_ms(rolling, replicas)
