"""Every fact is proven, its proof notices a fault, and what is proven is what runs."""

from __future__ import annotations

import pytest
import z3
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts import evm
from tests.symbolic.facts import FACTS, Fact, decide
from tests.symbolic.vyper_z3 import Integers, Module, Words

facts = pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.id)


@facts
def test_fact_is_proven(fact: Fact) -> None:
    assert decide(fact) == "proven"


@facts
def test_proof_notices_a_fault(fact: Fact) -> None:
    assert decide(fact, faulty=True) == "refuted"


@pytest.fixture(scope="module")
def words() -> evm.Contract:
    """The modules' functions on the chain."""
    return evm.load("testing/WordsMock").deploy()


def value(expression: z3.ExprRef) -> int:
    """Return the number that an expression of constants comes to."""
    return int(z3.simplify(expression).as_long())


@given(word=st.integers(0, 2**256 - 1), end=st.integers(0, 2**32 - 1), at=st.integers(0, 2**32 - 2))
def test_windows_are_translated_as_they_run(
    words: evm.Contract, word: int, end: int, at: int
) -> None:
    theory = Words()
    arguments = [theory.constant(one) for one in (word, end, at)]
    translated = Module("modules/service_word", theory).get("_windows", *arguments)

    assert value(translated) == words.service_windows(word, end, at)


@given(counts=st.integers(0, 2**256 - 1), bitmap=st.integers(0, 2**32 - 1))
def test_lanes_are_translated_as_they_run(words: evm.Contract, counts: int, bitmap: int) -> None:
    theory = Words()
    arguments = [theory.constant(one) for one in (counts, bitmap)]

    translated = Module("modules/lanes", theory).get("_add", *arguments)

    assert value(translated) == words.lanes_add(counts, bitmap)


@given(
    total=st.integers(0, 2**139 - 1),
    weights=st.tuples(*[st.integers(0, 10_000)] * 2, st.integers(1, 10_000)),
)
def test_splits_are_translated_as_they_run(
    words: evm.Contract, total: int, weights: tuple[int, int, int]
) -> None:
    theory = Integers()
    first, second, rest = weights
    arguments = (total, first, second, first + second + rest)

    translated = Module("modules/shares", theory).call("_split", *map(theory.constant, arguments))

    assert [value(one) for one in translated.value] == list(words.shares_split(*arguments))
