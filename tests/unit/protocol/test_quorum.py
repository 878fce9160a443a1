import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.protocol.errors import EncodingError
from workdeed.protocol.quorum import faults, quorum

MEMBERS = st.integers(1, 10_000)


@pytest.mark.parametrize(
    ("n", "q", "f"), [(1, 1, 0), (3, 3, 0), (4, 3, 1), (5, 4, 1), (7, 5, 2), (10, 7, 3)]
)
def test_known_committees(n: int, q: int, f: int) -> None:
    assert (quorum(n), faults(n)) == (q, f)


@given(MEMBERS)
def test_a_quorum_is_over_two_thirds_and_reachable_without_the_faulty(n: int) -> None:
    assert 3 * quorum(n) > 2 * n
    assert 3 * (quorum(n) - 1) <= 2 * n
    assert quorum(n) <= n - faults(n)
    assert n >= 3 * faults(n) + 1


@given(MEMBERS)
def test_two_quorums_share_an_honest_member(n: int) -> None:
    assert 2 * quorum(n) - n > faults(n)


@pytest.mark.parametrize("n", [0, -1])
def test_nobody_is_no_committee(n: int) -> None:
    with pytest.raises(EncodingError):
        quorum(n)
    with pytest.raises(EncodingError):
        faults(n)
