"""32 saturating counters in one word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.evm import Contract

BITMAPS = st.integers(0, 2**32 - 1)
COUNTERS = st.lists(
    st.one_of(st.integers(0, 255), st.sampled_from((0, 254, 255))), min_size=32, max_size=32
)


@settings(deadline=None)
@given(bitmap=BITMAPS)
def test_each_bit_moves_to_the_bottom_of_its_lane(words: Contract, bitmap: int) -> None:
    assert words.lanes_spread(bitmap) == sum(
        1 << 8 * lane for lane in range(32) if bitmap >> lane & 1
    )


@pytest.mark.parametrize("lane", range(32))
def test_one_bit_counts_in_one_lane(words: Contract, lane: int) -> None:
    assert words.lanes_add(0, 1 << lane) == 1 << 8 * lane


@settings(deadline=None)
@given(counters=COUNTERS, bitmap=BITMAPS)
def test_counting_adds_one_where_a_bit_is_set_and_never_beyond_255(
    words: Contract, counters: list[int], bitmap: int
) -> None:
    expected = [min(255, count + (bitmap >> lane & 1)) for lane, count in enumerate(counters)]

    added = words.lanes_add(int.from_bytes(bytes(counters), "little"), bitmap)

    assert list(added.to_bytes(32, "little")) == expected


@pytest.mark.parametrize("first", range(0, 256, 32))
def test_every_count_but_the_last_grows(words: Contract, first: int) -> None:
    counters = range(first, first + 32)

    added = words.lanes_add(int.from_bytes(bytes(counters), "little"), 2**32 - 1)

    assert list(added.to_bytes(32, "little")) == [min(255, count + 1) for count in counters]


def test_full_lanes_stay_full(words: Contract) -> None:
    assert words.lanes_add(2**256 - 1, 2**32 - 1) == 2**256 - 1


@settings(deadline=None)
@given(counters=COUNTERS)
def test_sum_counts_every_lane(words: Contract, counters: list[int]) -> None:
    assert words.lanes_sum(int.from_bytes(bytes(counters), "little")) == sum(counters)
