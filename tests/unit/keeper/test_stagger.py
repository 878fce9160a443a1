"""The order among keepers."""

from __future__ import annotations

from books_support import MEMBERS, Chain
from hypothesis import given
from hypothesis import strategies as st

from workdeed.keeper.stagger import Stagger


@given(lot=st.integers(0, 1_000), members=st.integers(1, 4))
def test_every_keeper_has_a_place_of_its_own(lot: int, members: int) -> None:
    chain = Chain()
    chain.found(members)
    view = chain.view()
    delays = [Stagger(member, 2.5).delay(view, lot) for member in (*MEMBERS[:members], None)]
    assert sorted(delays) == [2.5 * place for place in range(members + 1)]
    assert delays[-1] == 2.5 * members


def test_the_lot_moves_the_first_place() -> None:
    chain = Chain()
    chain.found(4)
    first = [
        next(one for one in MEMBERS if Stagger(one, 1).delay(chain.view(), lot) == 0)
        for lot in range(4)
    ]
    assert first == MEMBERS
