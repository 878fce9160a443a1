"""Copies of a journal: what they hold, and that one who starts from one signs nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.oracle.errors import JournalError
from workdeed.oracle.journal import Entry, SigningJournal, journal_path
from workdeed.oracle.journal_copies import Summary, back_up, restore, summary_of
from workdeed.protocol.hashing import keccak

from .support import DOMAIN, oracle

MEMBER = oracle(0).address
NOW, LATER, MUCH_LATER = 1_000, 2_000, 3_000


def opened(path: Path, *, now: int = NOW) -> SigningJournal:
    return SigningJournal.open(path, member=MEMBER, domain=DOMAIN.separator, now=now)


def entry(window: int, root: str = "a") -> Entry:
    return Entry(window, 0, 1, keccak(root.encode()), keccak(b"data " + root.encode()))


def restored(copy: Path, path: Path, now: int = MUCH_LATER, member: str = MEMBER) -> Summary:
    return restore(copy, path, member=member, domain=DOMAIN.separator, now=now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return journal_path(tmp_path / "state", MEMBER)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def test_a_copy_is_made_while_the_oracle_runs(path: Path, copy: Path) -> None:
    journal = opened(path)
    journal.record(entry(3), window_start=LATER)
    journal.record(entry(7), window_start=LATER)

    assert back_up(path, copy) == summary_of(path) == Summary(MEMBER, 2, 7, NOW)
    assert copy.read_bytes() == path.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    journal.close()


def test_a_line_that_is_being_written_is_left_out(path: Path, copy: Path) -> None:
    opened(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole + b"0123456789abcdef {")

    assert back_up(path, copy).roots == 0
    assert copy.read_bytes() == whole


def test_who_starts_from_a_copy_signs_for_later_windows_only(path: Path, copy: Path) -> None:
    """What was signed after the copy was made is not known: as with a new journal."""
    journal = opened(path)
    journal.record(entry(3), window_start=LATER)
    back_up(path, copy)
    journal.record(entry(4), window_start=LATER)
    journal.close()
    path.unlink()

    assert restored(copy, path) == Summary(MEMBER, 1, 3, MUCH_LATER)
    journal = opened(path)
    assert journal.root_of(3, 0, 1) == entry(3).root
    with pytest.raises(JournalError, match="began before this signing journal"):
        journal.record(entry(4, "b"), window_start=MUCH_LATER - 1)
    journal.record(entry(9), window_start=MUCH_LATER)
    journal.close()


def test_a_bar_of_the_copy_is_not_lowered(path: Path, copy: Path) -> None:
    opened(path, now=MUCH_LATER).close()
    back_up(path, copy)
    path.unlink()

    assert restored(copy, path, now=NOW).began_at == MUCH_LATER


def test_nothing_is_overwritten(path: Path, copy: Path) -> None:
    opened(path).close()
    back_up(path, copy)
    before = path.read_bytes()

    with pytest.raises(JournalError, match="exists"):
        restored(copy, path)
    with pytest.raises(JournalError, match="exists"):
        back_up(path, copy)
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name]


def test_a_copy_of_another_member_is_refused(path: Path, copy: Path) -> None:
    opened(path).close()
    back_up(path, copy)
    other = oracle(1).address

    with pytest.raises(JournalError, match="of another"):
        restored(copy, journal_path(path.parent, other), member=other)
    assert not journal_path(path.parent, other).exists()


@pytest.mark.parametrize("content", [b"", b"no journal", b"0123456789abcdef {}\n"])
def test_what_is_no_journal_is_refused(path: Path, copy: Path, content: bytes) -> None:
    copy.write_bytes(content)

    with pytest.raises(JournalError):
        restored(copy, path)
    assert not path.exists()


def test_a_missing_journal_is_named(path: Path, copy: Path) -> None:
    with pytest.raises(JournalError, match=r"No such file"):
        back_up(path, copy)


def test_each_key_has_a_journal_of_its_own(tmp_path: Path) -> None:
    """A member key can be exchanged without touching the old one's journal."""
    paths = {journal_path(tmp_path, oracle(index).address) for index in range(3)}
    assert len(paths) == 3


@given(cut=st.integers(0, 2_000), flip=st.integers(0, 2_000))
def test_no_damage_is_restored(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    path, copy = folder / "journal", folder / "copy"
    journal = opened(path)
    for window in range(1, 6):
        journal.record(entry(window), window_start=LATER)
    journal.close()
    content = bytearray(path.read_bytes())
    if flip < len(content):
        content[flip] ^= 1
    copy.write_bytes(content[: max(0, len(content) - cut)])

    made = folder / "made"
    try:
        found = restored(copy, made)
    except JournalError:
        assert not made.exists()
        return
    journal = opened(made)
    assert len(journal) == found.roots <= 5
    assert all(
        journal.root_of(window, 0, 1) == entry(window).root for window in range(1, found.roots + 1)
    )
    journal.close()
