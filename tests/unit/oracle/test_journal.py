"""The signing journal: one root a turn, durably, and what a lost or torn one leads to."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.oracle.errors import EquivocationError, JournalError
from workdeed.oracle.journal import Entry, SigningJournal
from workdeed.protocol.hashing import keccak

from .support import DOMAIN, oracle

MEMBER = oracle(0).address
NOW = 1_000
LATER = 2_000
"""When windows of these tests began: after the journal."""


def opened(path: Path, *, now: int = NOW, member: str = MEMBER) -> SigningJournal:
    return SigningJournal.open(path, member=member, domain=DOMAIN.separator, now=now)


def entry(window: int = 3, turn: int = 0, epoch: int = 1, root: str = "a") -> Entry:
    return Entry(window, turn, epoch, keccak(root.encode()), keccak(b"data " + root.encode()))


def break_disk(patched: pytest.MonkeyPatch, how: str) -> None:
    """Let writes fail, fail after half of a line, or let only the sync fail."""

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    real = os.write
    if how == "half":
        patched.setattr("os.write", lambda handle, data: real(handle, data[: len(data) // 2]))
    else:
        patched.setattr(f"os.{how}", fail)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "signing.journal"


class TestOneRootATurn:
    """O19: an honest member never signs two roots for one window, turn and epoch."""

    def test_another_root_for_the_same_turn_is_refused(self, path: Path) -> None:
        journal = opened(path)
        journal.record(entry(root="a"), window_start=LATER)
        with pytest.raises(EquivocationError, match="window 3, turn 0"):
            journal.record(entry(root="b"), window_start=LATER)
        journal.close()

    @pytest.mark.parametrize("other", [{"window": 4}, {"turn": 1}, {"epoch": 2}])
    def test_another_window_turn_or_epoch_is_not(self, path: Path, other: dict[str, int]) -> None:
        journal = opened(path)
        journal.record(entry(root="a"), window_start=LATER)
        journal.record(entry(root="b", **other), window_start=LATER)
        assert len(journal) == 2
        journal.close()

    def test_the_same_again_writes_nothing(self, path: Path) -> None:
        journal = opened(path)
        journal.record(entry(), window_start=LATER)
        size = path.stat().st_size
        journal.record(entry(), window_start=LATER)
        assert path.stat().st_size == size
        journal.close()

    def test_the_same_root_with_other_data_is_no_offence(self, path: Path) -> None:
        journal = opened(path)
        journal.record(entry(), window_start=LATER)
        journal.record(entry()._replace(data_hash=bytes(32)), window_start=LATER)
        assert len(journal) == 2
        journal.close()


class TestAfterARestart:
    """O19, K29: nor after a restart."""

    def test_it_knows_what_was_signed(self, path: Path) -> None:
        journal = opened(path)
        journal.record(entry(root="a"), window_start=LATER)
        journal.close()
        again = opened(path, now=9_000)
        assert again.root_of(3, 0, 1) == entry(root="a").root
        assert again.has_window(3)
        assert entry() in again
        with pytest.raises(EquivocationError):
            again.record(entry(root="b"), window_start=9_999)
        again.close()

    def test_it_still_began_when_it_began(self, path: Path) -> None:
        opened(path, now=NOW).close()
        again = opened(path, now=9_000)
        assert again.began_at == NOW
        again.record(entry(), window_start=NOW)
        again.close()

    def test_a_new_one_signs_for_no_window_that_began_before_it(self, path: Path) -> None:
        journal = opened(path, now=NOW)
        with pytest.raises(JournalError, match="began before"):
            journal.record(entry(), window_start=NOW - 1)
        journal.record(entry(), window_start=NOW)
        journal.close()

    def test_one_that_lacks_something_begins_anew(self, path: Path) -> None:
        journal = opened(path, now=NOW)
        journal.bar_before(5_000)
        journal.bar_before(4_000)
        with pytest.raises(JournalError, match="began before"):
            journal.record(entry(), window_start=4_999)
        journal.close()
        again = opened(path, now=9_000)
        assert again.began_at == 5_000
        again.close()


class TestDamage:
    def written(self, path: Path, count: int = 3) -> bytes:
        journal = opened(path)
        for turn in range(count):
            journal.record(entry(turn=turn), window_start=LATER)
        journal.close()
        return path.read_bytes()

    def test_a_torn_last_line_is_cut_off_wherever_it_was_torn(self, path: Path) -> None:
        whole = self.written(path)
        start = whole.rstrip(b"\n").rindex(b"\n") + 1
        for end in range(start, len(whole)):
            path.write_bytes(whole[:end])
            journal = opened(path)
            assert len(journal) == 2
            journal.record(entry(turn=2, root="b"), window_start=LATER)
            journal.close()
            again = opened(path)
            assert again.root_of(3, 2, 1) == entry(root="b").root
            again.close()

    def test_a_last_line_of_which_only_the_end_was_written_is_too(self, path: Path) -> None:
        whole = self.written(path)
        start = whole.rstrip(b"\n").rindex(b"\n") + 1
        path.write_bytes(whole[:start] + bytes(20) + whole[start + 20 :])
        journal = opened(path)
        assert len(journal) == 2
        journal.close()
        assert path.read_bytes() == whole[:start]

    def test_a_file_that_grew_by_zeros_is_cut_back(self, path: Path) -> None:
        whole = self.written(path)
        path.write_bytes(whole + bytes(100))
        journal = opened(path)
        assert len(journal) == 3
        journal.close()
        assert path.read_bytes() == whole

    def test_a_torn_first_line_is_no_journal(self, path: Path) -> None:
        whole = self.written(path, 0)
        path.write_bytes(whole[:-5])
        journal = opened(path, now=7_000)
        assert journal.began_at == 7_000
        journal.close()

    @given(data=st.data())
    def test_any_other_damage_stops_it(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("journal") / "signing.journal"
        whole = bytearray(self.written(path))
        at = data.draw(st.integers(0, len(whole) - 2))
        changed = data.draw(st.integers(1, 255).filter(lambda one: one not in (0, 10)))
        if whole[at] in (changed, 10):
            return
        whole[at] = changed
        path.write_bytes(whole)
        with pytest.raises(JournalError):
            opened(path)

    def test_it_is_of_one_member_and_one_committee(self, path: Path) -> None:
        self.written(path)
        with pytest.raises(JournalError, match="another"):
            opened(path, member=oracle(1).address)
        with pytest.raises(JournalError, match="another"):
            SigningJournal.open(path, member=MEMBER, domain=bytes(32), now=NOW)

    def test_two_roots_for_one_turn_stop_it(self, path: Path) -> None:
        """As two processes with one key, each with a journal, would have written them."""
        self.written(path)
        other = path.with_name("other")
        journal = opened(other)
        journal.record(entry(turn=0, root="b"), window_start=LATER)
        journal.close()
        path.write_bytes(path.read_bytes() + other.read_bytes().split(b"\n")[1] + b"\n")
        with pytest.raises(JournalError, match="two roots"):
            opened(path)


class TestWriting:
    def test_the_entry_is_synced_before_the_signature_may_leave(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[str] = []
        monkeypatch.setattr("os.fsync", lambda _: calls.append("fsync"))
        real = os.write

        def write(handle: int, data: bytes) -> int:
            calls.append("write")
            return real(handle, data)

        monkeypatch.setattr("os.write", write)
        journal = opened(path)
        calls.clear()
        journal.record(entry(), window_start=LATER)
        assert calls == ["write", "fsync"]
        journal.close()

    @pytest.mark.parametrize("broken", ["write", "half", "fsync"])
    def test_after_a_failed_write_the_next_window_is_signed_and_this_one_never(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
    ) -> None:
        journal = opened(path)
        journal.record(entry(window=2), window_start=LATER - 1)
        with monkeypatch.context() as patched:
            break_disk(patched, broken)
            for root in ("a", "b"):
                with pytest.raises(JournalError, match=r"can't be written .* make room"):
                    journal.record(entry(root=root), window_start=LATER)
            with pytest.raises(JournalError, match="or restart the keeper"):
                journal.record(entry(window=4), window_start=LATER + 1)
        for turn, root in ((0, "a"), (0, "b"), (1, "a")):
            with pytest.raises(JournalError, match="window: 3 began before"):
                journal.record(entry(turn=turn, root=root), window_start=LATER)
        journal.record(entry(window=4), window_start=LATER + 1)
        journal.close()

        again = opened(path)
        assert (len(again), again.began_at) == (2, LATER + 1)
        assert again.root_of(3, 0, 1) is None
        with pytest.raises(JournalError, match="began before"):
            again.record(entry(root="b"), window_start=LATER)
        with pytest.raises(EquivocationError):
            again.record(entry(window=4, root="b"), window_start=LATER + 1)
        again.close()

    def test_a_bar_that_could_not_be_written_is_owed(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = opened(path)
        with monkeypatch.context() as patched:
            break_disk(patched, "fsync")
            with pytest.raises(JournalError, match="can't be written"):
                journal.bar_before(5_000)
        with pytest.raises(JournalError, match="began before"):
            journal.record(entry(), window_start=4_999)
        journal.close()
        again = opened(path)
        assert again.began_at == 5_000
        again.close()

    @pytest.mark.parametrize("left", [0, 20, 400])
    def test_one_that_can_not_be_read_back_stays_silent(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, left: int
    ) -> None:
        """What is on the disk is less than was signed: nobody knows what else is amiss."""
        journal = opened(path)
        for turn in range(3):
            journal.record(entry(window=2, turn=turn), window_start=LATER)
        with monkeypatch.context() as patched:
            break_disk(patched, "write")
            with pytest.raises(JournalError):
                journal.record(entry(), window_start=LATER + 1)
        os.truncate(path, left)
        for window in (3, 4, 5):
            with pytest.raises(JournalError, match="restart the keeper"):
                journal.record(entry(window=window), window_start=LATER + window)
        journal.close()

    def test_one_that_can_not_be_begun_says_so(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            break_disk(patched, "write")
            with pytest.raises(JournalError, match=r"can't be written .*No space left"):
                opened(path)
        opened(path).close()

    def test_one_process_signs_with_it(self, path: Path) -> None:
        journal = opened(path)
        with pytest.raises(JournalError, match="another process"):
            opened(path)
        journal.close()
        opened(path).close()

    def test_it_is_free_though_a_child_has_not_executed_its_program_yet(self, path: Path) -> None:
        journal = opened(path)
        inherited = os.dup(journal._handle)
        journal.close()
        opened(path).close()
        os.close(inherited)

    def test_the_lock_holds_between_processes_and_ends_with_them(self, path: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from workdeed.oracle.journal import *;"
            "SigningJournal.open(Path(sys.argv[1]), member=sys.argv[2],"
            " domain=bytes.fromhex(sys.argv[3]), now=1000);"
            "print('locked', flush=True); sys.stdin.read()"
        )
        domain = DOMAIN.separator.hex()
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path), MEMBER, domain],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"locked\n"
            with pytest.raises(JournalError, match="another process"):
                opened(path)
            other.kill()
            other.wait()
        opened(path).close()
