from typing import NamedTuple

import pytest

from workdeed.protocol.ordering import ordered_by_key


@ordered_by_key
class Word(NamedTuple):
    text: str

    @property
    def key(self) -> str:
        return self.text.lower()


def test_all_comparisons_go_by_the_key() -> None:
    a, b = Word("a"), Word("B")
    assert ("B",) < ("a",)
    assert a < b
    assert a <= b
    assert b > a
    assert b >= a
    assert not a > b
    assert sorted([b, a]) == [a, b]


def test_another_kind_of_tuple_is_not_comparable() -> None:
    with pytest.raises(TypeError):
        sorted([Word("a"), 3])  # type: ignore[type-var] # what the test is about
