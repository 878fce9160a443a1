"""Which replica takes the next request."""

from __future__ import annotations

from workdeed.sdk.gateway.pool import OUT_SECONDS, Pool, Target

A, B, C = (Target("replica", port) for port in (1, 2, 3))


def test_nothing_is_chosen_from_nothing() -> None:
    assert Pool("least").choose(0.0) is None


def test_each_has_its_turn() -> None:
    pool = Pool("robin")
    pool.update([A, B, C, A], 0.0)
    assert pool.targets == (A, B, C)
    found = [pool.choose(0.0) for _ in range(6)]
    assert set(found[:3]) == set(found[3:]) == {A, B, C}


def test_the_one_with_the_fewest_requests_is_chosen() -> None:
    pool = Pool("least")
    pool.update([A, B, C], 0.0)
    with pool.using(A), pool.using(B):
        assert {pool.choose(0.0) for _ in range(3)} == {C}
    with pool.using(C):
        assert {pool.choose(0.0) for _ in range(3)} == {A, B}


def test_one_that_was_tried_is_not_tried_again() -> None:
    pool = Pool("least")
    pool.update([A, B], 0.0)
    assert pool.choose(0.0, [A]) == B
    assert pool.choose(0.0, [A, B]) is None


def test_one_that_failed_is_out_until_a_list_that_was_asked_for_later() -> None:
    pool = Pool("least")
    pool.update([A, B], 0.0)
    pool.failed(A, 10.0)
    assert {pool.choose(10.0) for _ in range(3)} == {B}
    pool.update([A, B], 9.9)
    assert {pool.choose(10.1) for _ in range(3)} == {B}
    pool.update([A, B], 10.1)
    assert {pool.choose(10.2) for _ in range(3)} == {A, B}


def test_without_a_list_it_comes_back_after_a_while() -> None:
    pool = Pool("least")
    pool.update([A], 0.0)
    pool.failed(A, 10.0)
    pool.update([A, B], 0.0)
    assert {pool.choose(10.0 + OUT_SECONDS - 0.1) for _ in range(3)} == {B}
    assert {pool.choose(10.0 + OUT_SECONDS) for _ in range(3)} == {A, B}


def test_where_all_failed_one_of_them_is_chosen() -> None:
    pool = Pool("least")
    pool.update([A, B], 0.0)
    pool.failed(A, 10.0)
    assert pool.choose(10.0, [B]) == A
    pool.failed(B, 10.0)
    assert {pool.choose(10.0) for _ in range(3)} == {A, B}
    assert pool.choose(10.0, [A, B]) is None


def test_targets_are_shown_as_in_an_address() -> None:
    assert str(Target("2001:db8::1", 80)) == "[2001:db8::1]:80"
    assert str(A) == "replica:1"
