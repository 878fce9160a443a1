"""The head word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.modules.fields import Fields, Values

WORD = Fields(
    (
        ("jobs", 64, int),
        ("policies", 8, int),
        ("paused_until", 40, int),
        ("pause_again_at", 40, int),
    ),
)
TIMES = st.one_of(st.integers(0, 2**40 - 1), st.sampled_from((0, 2**40 - 1)))


def pack(values: Values) -> int:
    """Return the word as its description says: no function packs it whole."""
    packed = shift = 0
    for name, bits, _ in WORD.widths:
        packed |= values[name] << shift
        shift += bits
    return packed


def unpack(words: Contract, packed: int) -> Values:
    """Return what the readers say."""
    readers = (
        words.head_jobs,
        words.head_policies,
        words.head_paused_until,
        words.head_pause_again_at,
    )
    names = [name for name, _, _ in WORD.widths]
    return {name: read(packed) for name, read in zip(names, readers, strict=True)}


@settings(deadline=None)
@given(values=WORD.values())
def test_word_round_trips(words: Contract, values: Values) -> None:
    assert unpack(words, pack(values)) == values


@settings(deadline=None)
@given(values=WORD.values(jobs=2**64 - 2, policies=2**8 - 2))
def test_counting_touches_nothing_else(words: Contract, values: Values) -> None:
    packed = pack(values)

    more_jobs = unpack(words, words.head_with_job(packed))
    more_policies = unpack(words, words.head_with_policy(packed))

    assert more_jobs == values | {"jobs": values["jobs"] + 1}
    assert more_policies == values | {"policies": values["policies"] + 1}


@settings(deadline=None)
@given(values=WORD.values(), until=TIMES, again_at=TIMES)
def test_pause_touches_nothing_else(
    words: Contract, values: Values, until: int, again_at: int
) -> None:
    packed = words.head_with_pause(pack(values), until, again_at)

    changes = {"paused_until": until, "pause_again_at": again_at}
    assert unpack(words, packed) == values | changes


@pytest.mark.parametrize(("until", "again_at"), [(2**40, 0), (0, 2**40), (2**256 - 1, 0)])
def test_time_that_does_not_fit_is_refused(words: Contract, until: int, again_at: int) -> None:
    with evm.reverts("head: time too late"):
        words.head_with_pause(0, until, again_at)
