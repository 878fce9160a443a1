"""A member signs one placement for a round and window."""

from __future__ import annotations

from pathlib import Path

import pytest
from books_support import MEMBERS
from hypothesis import given
from hypothesis import strategies as st

from workdeed.keeper.journal import JournalError, PlacementJournal
from workdeed.protocol.hashing import keccak

ONE, OTHER = keccak(b"one"), keccak(b"other")


def test_the_first_digest_stands_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "placements.db"
    journal = PlacementJournal(path, MEMBERS[0])
    assert journal.may_sign(1, 0, 5, ONE)
    assert journal.may_sign(1, 0, 5, ONE)
    assert not journal.may_sign(1, 0, 5, OTHER)
    assert journal.may_sign(1, 1, 5, OTHER)
    assert journal.may_sign(1, 0, 6, OTHER)
    journal.close()
    again = PlacementJournal(path, MEMBERS[0])
    assert not again.may_sign(1, 0, 5, OTHER)
    assert PlacementJournal(path, MEMBERS[1]).may_sign(1, 0, 5, OTHER)


def test_each_entry_is_synced_before_it_counts(tmp_path: Path) -> None:
    journal = PlacementJournal(tmp_path / "placements.db", MEMBERS[0])
    ((level,),) = journal._database.execute("PRAGMA synchronous")
    assert level == 2, "FULL"
    journal.close()


def test_past_windows_are_forgotten(tmp_path: Path) -> None:
    journal = PlacementJournal(tmp_path / "placements.db", MEMBERS[0])
    journal.may_sign(1, 0, 5, ONE)
    journal.may_sign(1, 0, 6, ONE)
    journal.forget_before(6)
    assert journal.may_sign(1, 0, 5, OTHER)
    assert not journal.may_sign(1, 0, 6, OTHER)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "placements.db"
    path.write_bytes(b"something else, long enough to be no database" * 30)
    with pytest.raises(JournalError, match="cannot open it"):
        PlacementJournal(path, MEMBERS[0])


@given(
    asked=st.lists(
        st.tuples(st.integers(1, 2), st.integers(0, 1), st.integers(1, 2), st.integers(0, 3))
    )
)
def test_no_round_is_ever_signed_twice(asked: list[tuple[int, int, int, int]]) -> None:
    journal = PlacementJournal(Path(":memory:"), MEMBERS[0])
    signed: dict[tuple[int, int, int], bytes] = {}
    for job_id, round_, window, choice in asked:
        digest = keccak(bytes([choice]))
        key = (job_id, round_, window)
        if journal.may_sign(*key, digest):
            assert signed.setdefault(key, digest) == digest
        else:
            assert signed[key] != digest
