"""When a lot starts over, and when the next one may be put up."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings.auction import WAD, AuctionTerms, Lot
from workdeed.sdk.auction import AuctionView

TERMS = AuctionTerms(100 * WAD, WAD, 10, 1_000)


def view(now: int, duration: int = 10, amount: int = 5, kicked_at: int = 1_000) -> AuctionView:
    lot = Lot(amount, kicked_at, TERMS.start_rate, TERMS.floor_rate, duration)
    return AuctionView(1, lot, 3 if amount else None, 7, TERMS, now)


def rate(lot: Lot, now: int) -> int:
    """Return the rate as the contract computes it."""
    position = (now - lot.kicked_at) % (lot.duration + 1)
    return lot.start_rate - (lot.start_rate - lot.floor_rate) * position // lot.duration


@given(duration=st.integers(1, 50), elapsed=st.integers(0, 500))
def test_the_price_falls_until_the_lot_starts_over(duration: int, elapsed: int) -> None:
    seen = view(1_000 + elapsed, duration)
    assert seen.restarts_at is not None
    assert seen.now < seen.restarts_at <= seen.now + duration + 1
    assert rate(seen.lot, seen.restarts_at) == seen.lot.start_rate
    assert rate(seen.lot, seen.restarts_at - 1) == seen.lot.floor_rate
    falling = [rate(seen.lot, at) for at in range(seen.now, seen.restarts_at)]
    assert falling == sorted(falling, reverse=True)


@given(duration=st.integers(1, 50), elapsed=st.integers(0, 500))
def test_a_lot_may_be_replaced_after_one_whole_fall(duration: int, elapsed: int) -> None:
    seen = view(1_000 + elapsed, duration)
    assert (seen.now >= seen.kick_at) == (elapsed > duration)


def test_without_a_lot_the_next_one_may_be_put_up_at_once() -> None:
    seen = view(1_500, amount=0)
    assert (seen.is_open, seen.restarts_at, seen.kick_at) == (False, None, 1_500)
    shown = json.loads(json.dumps(seen.to_json()))
    assert (shown["price"], shown["waiting"], shown["min_lot"]) == (None, "7", "1000")
