import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workdeed.protocol.errors import FigureError, SignatureError
from workdeed.protocol.figures import (
    UNIT,
    UNKNOWN,
    Pair,
    decode_figures,
    encode_figures,
    encode_pairs,
    figure,
    figures_hash,
    lower_median,
    pairs_hash,
    settle,
    units,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.quorum import faults
from workdeed.protocol.signing import to_checksum

KNOWN = st.integers(0, UNIT)
FIGURES = KNOWN | st.just(UNKNOWN)
ADDRESS = st.binary(min_size=20, max_size=20).map(to_checksum)
PAIR = st.builds(Pair, ADDRESS, st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_figure_is_the_rounded_down_share(ok: int, sent: int) -> None:
    assume(ok <= sent)
    value = figure(ok, sent)
    if sent == 0:
        assert value == UNKNOWN
    else:
        assert value * sent <= UNIT * ok < (value + 1) * sent
        assert (value == UNIT) == (ok == sent)


@pytest.mark.parametrize(("ok", "sent"), [(2, 1), (-1, 1), (1, 0), (0, -1)])
def test_impossible_counts_are_refused(ok: int, sent: int) -> None:
    with pytest.raises(FigureError):
        figure(ok, sent)


def test_the_median_is_the_lower_of_two() -> None:
    assert lower_median([4, 1, 3, 2]) == 2
    assert lower_median([5, 1, 3]) == 3
    assert lower_median([7]) == 7
    with pytest.raises(FigureError):
        lower_median([])


@given(st.data(), st.integers(1, 32))
def test_a_settled_figure_lies_between_two_honest_ones(data: st.DataObject, n: int) -> None:
    """However the f faulty lie, and whoever is missing or does not know."""
    liars = data.draw(st.integers(0, faults(n)))
    honest = data.draw(st.lists(FIGURES, max_size=n - liars))
    lies = data.draw(st.lists(FIGURES, min_size=liars, max_size=liars))
    settled = settle(data.draw(st.permutations(honest + lies)), n)
    known = [value for value in honest if value != UNKNOWN]
    if settled is not None:
        assert min(known) <= settled <= max(known)


@given(st.data(), st.integers(1, 32))
def test_a_pair_is_open_below_2f_plus_1_known(data: st.DataObject, n: int) -> None:
    figures = data.draw(st.lists(FIGURES, max_size=n))
    known = sum(value != UNKNOWN for value in figures)
    assert (settle(figures, n) is None) == (known < 2 * faults(n) + 1)


def test_settling_examples() -> None:
    assert settle([10_000, 0, 9_000, 8_000], 4) == 8_000
    assert settle([10_000, UNKNOWN, 9_000, 0], 4) == 9_000
    assert settle([10_000, UNKNOWN, UNKNOWN, 0], 4) is None
    assert settle([], 1) is None
    assert settle([5], 1) == 5


def test_more_figures_than_members_are_refused() -> None:
    with pytest.raises(FigureError, match="5 are more than the 4"):
        settle([1] * 5, 4)


@given(KNOWN, KNOWN)
def test_units_are_all_or_nothing_around_the_floor(value: int, floor: int) -> None:
    assert units(value, floor) == (value if value >= floor else 0)


@pytest.mark.parametrize(
    ("value", "floor"), [(UNKNOWN, 0), (UNIT + 1, 0), (-1, 0), (0, -1), (0, 10_001)]
)
def test_units_of_no_figure_are_refused(value: int, floor: int) -> None:
    with pytest.raises(FigureError):
        units(value, floor)


@given(st.lists(FIGURES))
def test_figures_survive_the_round_trip(figures: list[int]) -> None:
    data = encode_figures(figures)
    assert data == b"".join(value.to_bytes(2, "big") for value in figures)
    assert decode_figures(data) == tuple(figures)
    assert figures_hash(figures) == keccak(data)


@pytest.mark.parametrize("value", [UNIT + 1, UNKNOWN - 1, -1, UNKNOWN + 1])
def test_a_value_that_is_no_figure_is_refused(value: int) -> None:
    with pytest.raises(FigureError, match=str(value)):
        encode_figures([0, value])
    with pytest.raises(FigureError):
        settle([value], 4)
    if 0 <= value < 2**16:
        with pytest.raises(FigureError):
            decode_figures(struct.pack(">H", value))


def test_half_a_figure_is_refused() -> None:
    with pytest.raises(FigureError, match="3 bytes"):
        decode_figures(bytes(3))


@given(st.lists(PAIR, unique_by=lambda pair: pair.key))
def test_pairs_are_ordered_as_their_bytes(pairs: list[Pair]) -> None:
    rows = sorted(
        bytes.fromhex(pair.escrow[2:]) + struct.pack(">QQ", pair.job_id, pair.license_id)
        for pair in pairs
    )
    assert encode_pairs(sorted(pairs)) == b"".join(rows)
    assert pairs_hash(sorted(pairs)) == keccak(b"".join(rows))


def test_an_address_is_not_compared_as_text() -> None:
    """As text 'B' comes before 'a', as a hex digit after it."""
    low, high = to_checksum(bytes.fromhex("ab" * 20)), to_checksum(bytes.fromhex("b1" * 20))
    a, b = Pair(low, 1, 1), Pair(high, 1, 1)
    assert low[2] == "a" or high[2] == "b" or low < high
    lower, upper = "0x" + "a" * 40, "0x" + "B" * 40
    assert upper < lower
    assert Pair(lower, 1, 1) < Pair(upper, 1, 1)
    assert a < b <= b > a >= a


@given(PAIR)
def test_repeated_and_unsorted_pairs_are_refused(pair: Pair) -> None:
    with pytest.raises(FigureError, match="ascend"):
        pairs_hash([pair, pair])
    other = pair._replace(job_id=pair.job_id ^ 1)
    with pytest.raises(FigureError, match="ascend"):
        pairs_hash(sorted([pair, other], reverse=True))


@pytest.mark.parametrize(("job", "license_id"), [(2**64, 1), (-1, 1), (1, 2**64), (1, 0), (1, -1)])
def test_pairs_must_fit_and_name_a_license(escrow: str, job: int, license_id: int) -> None:
    with pytest.raises(FigureError):
        encode_pairs([Pair(escrow, job, license_id)])


def test_pairs_must_name_an_escrow() -> None:
    with pytest.raises(SignatureError):
        encode_pairs([Pair("0x12", 1, 1)])
