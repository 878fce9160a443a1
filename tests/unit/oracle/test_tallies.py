"""Counts, figures, evidence, and licenses that share what no two may share."""

from __future__ import annotations

import pytest

from workdeed.oracle.tallies import HELD_WINDOWS, Mark, Tallies, evidence_root, unmeasured
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import EMPTY_ROOT, MerkleTree

from .support import ESCROW

A, B = Pair(ESCROW, 1, 101), Pair(ESCROW, 1, 102)
INSTANCE = Mark("instance", b"1")


def counted(tallies: Tallies, pair: Pair, ok: int, sent: int, window: int = 1) -> None:
    for index in range(sent):
        tallies.count(window, pair, "ok" if index < ok else "bad")


def test_a_figure_is_the_share_of_good_probes() -> None:
    tallies = Tallies()
    counted(tallies, A, ok=2, sent=3)
    assert tallies.counted(1, A).ok == 2
    assert tallies.close(1, (A, B)).figures == (6_666, UNKNOWN)


def test_unknown_verdicts_are_not_counted() -> None:
    tallies = Tallies()
    tallies.count(1, A, "unknown")
    assert tallies.close(1, (A,)).figures == (UNKNOWN,)
    counted(tallies, A, ok=1, sent=1, window=2)
    tallies.count(2, A, "unknown")
    assert tallies.close(2, (A,)).figures == (UNIT,)


def test_windows_are_counted_apart() -> None:
    tallies = Tallies()
    counted(tallies, A, ok=1, sent=1, window=1)
    counted(tallies, A, ok=0, sent=1, window=2)
    assert tallies.close(1, (A,)).figures == (UNIT,)
    assert tallies.close(2, (A,)).figures == (0,)


def test_an_unknown_window_has_no_figures_and_no_evidence() -> None:
    tallies = Tallies()
    counted(tallies, A, ok=1, sent=1)
    tallies.keep(1, keccak(b"answer"))
    tallies.mark_unknown(1, "restarted")
    tallies.mark_unknown(1, "clock off")
    found = tallies.close(1, (A,))
    assert found.figures == (UNKNOWN,)
    assert found.evidence_root == EMPTY_ROOT
    assert found.reason == "restarted"


def test_a_window_that_was_not_measured_is_unknown() -> None:
    assert Tallies().close(7, (A, B)) == unmeasured((A, B))
    assert unmeasured((A, B)).figures == (UNKNOWN, UNKNOWN)


def test_evidence_is_the_tree_over_the_answers() -> None:
    tallies = Tallies()
    counted(tallies, A, ok=2, sent=2)
    answers = [keccak(b"one"), keccak(b"two")]
    for one in answers:
        tallies.keep(1, one)
    assert tallies.close(1, (A,)).evidence_root == MerkleTree(answers).root
    assert evidence_root(b"") == EMPTY_ROOT
    assert evidence_root(answers[0] * 2) == answers[0]


def test_nothing_is_counted_after_the_close() -> None:
    tallies = Tallies()
    counted(tallies, A, ok=1, sent=1)
    tallies.close(1, (A,))
    assert not tallies.is_open(1)
    counted(tallies, A, ok=1, sent=1)
    tallies.keep(1, keccak(b"late"))
    tallies.mark(1, 101, [INSTANCE])
    tallies.mark_unknown(1, "late")
    assert tallies.counted(1, A).sent == 0
    assert tallies.close(1, (A,)) == unmeasured((A,))


def test_closing_drops_older_windows() -> None:
    tallies = Tallies()
    counted(tallies, A, ok=1, sent=1, window=1)
    tallies.close(2, (A,))
    assert tallies.close(1, (A,)).figures == (UNKNOWN,)


class TestDoubles:
    def test_of_two_that_come_together_the_lower_is_paid(self) -> None:
        tallies = Tallies()
        for pair in (A, B):
            counted(tallies, pair, ok=1, sent=1)
        tallies.mark(1, 102, [INSTANCE])
        tallies.mark(1, 101, [INSTANCE])
        found = tallies.close(1, (A, B))
        assert found.figures == (UNIT, 0)
        assert found.doubles == {102: 101}

    @pytest.mark.parametrize("kind", ["endpoint", "socket"])
    def test_marks_of_one_kind_are_compared(self, kind: str) -> None:
        tallies = Tallies()
        tallies.mark(1, 101, [Mark(kind, ("a", 1))])
        tallies.mark(1, 102, [Mark("instance", ("a", 1))])
        assert tallies.close(1, ()).doubles == {}
        tallies.mark(2, 101, [Mark(kind, ("a", 1))])
        tallies.mark(2, 102, [Mark(kind, ("a", 1))])
        assert tallies.close(2, ()).doubles == {102: 101}

    def test_who_had_it_before_keeps_it(self) -> None:
        """A lower license that copies what another shows in public does not take its pay."""
        tallies = Tallies()
        tallies.mark(1, 102, [INSTANCE])
        tallies.close(1, ())
        tallies.mark(2, 101, [INSTANCE])
        tallies.mark(2, 102, [INSTANCE])
        assert tallies.close(2, ()).doubles == {101: 102}

    def test_who_is_away_for_a_window_does_not_lose_it_to_a_copy(self) -> None:
        """A node that shows the instance of another while that one does not serve gets no claim."""
        tallies = Tallies()
        for window, licenses in ((1, [102]), (2, [101]), (3, [101, 102])):
            for one in licenses:
                tallies.mark(window, one, [INSTANCE])
            found = tallies.close(window, ())
        assert found.doubles == {101: 102}

    def test_of_several_that_copy_it_from_one_who_is_away_one_is_paid(self) -> None:
        tallies = Tallies()
        tallies.mark(1, 103, [INSTANCE])
        tallies.close(1, ())
        tallies.mark(2, 101, [INSTANCE])
        tallies.mark(2, 102, [INSTANCE])
        assert tallies.close(2, ()).doubles == {102: 101}

    def test_who_is_away_for_long_loses_it(self) -> None:
        tallies = Tallies()
        tallies.mark(1, 102, [INSTANCE])
        tallies.close(1, ())
        for window in range(2, HELD_WINDOWS + 3):
            tallies.mark(window, 101, [INSTANCE])
            tallies.close(window, ())
        tallies.mark(40, 101, [INSTANCE])
        tallies.mark(40, 102, [INSTANCE])
        assert tallies.close(40, ()).doubles == {102: 101}

    def test_an_unknown_figure_stays_unknown(self) -> None:
        tallies = Tallies()
        tallies.mark(1, 101, [INSTANCE])
        tallies.mark(1, 102, [INSTANCE])
        assert tallies.close(1, (A, B)).figures == (UNKNOWN, UNKNOWN)
