"""The signing journal and a loss of power, at every point at which one may come.

A disk in between takes note of what was synced. A kill leaves the file as the process wrote it; a
loss of power leaves what was synced, and of the rest whatever it likes.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from workdeed.oracle import journal as module
from workdeed.oracle.errors import EquivocationError, JournalError
from workdeed.oracle.journal import Entry, SigningJournal, format_entry
from workdeed.protocol.hashing import keccak

from .support import DOMAIN, oracle

MEMBER = oracle(0).address
WINDOW = 100
EPOCH = 1
NEVER = 10**6


class ProcessEndedError(BaseException):
    """The process is gone: nothing in it may catch this."""


@dataclass
class Disk:
    """`os` as the journal knows it, over a real file; it notes what is synced.

    Attributes:
        path: the journal.
        lives: how many more steps the process takes before it ends; a write is two of them.
        failing: which calls fail; a write fails after its first half.
        lost: bytes that a failed sync dropped: no later one writes them, though they can be read.
        synced: what of the file is sure to be there, None before the first sync.
        is_linked: whether its name is sure to be in its folder.

    """

    path: Path
    lives: int = NEVER
    failing: str = ""
    lost: set[int] = field(default_factory=set)
    synced: bytes | None = None
    is_linked: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, handle: int, data: bytes) -> int:
        """Write in two halves, between which the process may end."""
        half = len(data) // 2
        self._step()
        os.write(handle, data[:half])
        self._step()
        self._fail_if("write")
        return half + os.write(handle, data[half:])

    def pwrite(self, handle: int, data: bytes, offset: int) -> int:
        """Write anew what a sync may have dropped."""
        self.lost -= set(range(offset, offset + len(data)))
        return os.pwrite(handle, data, offset)

    def ftruncate(self, handle: int, size: int) -> None:
        """Cut the file."""
        self._fail_if("ftruncate")
        os.ftruncate(handle, size)
        self.lost -= set(range(size, max(self.lost, default=0) + 1))

    def fsync(self, handle: int) -> None:
        """Make sure of the file or of its name."""
        self._step()
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self.is_linked = True
        else:
            self._sync(os.pread(handle, os.fstat(handle).st_size, 0))
        self._step()

    def _sync(self, content: bytes) -> None:
        if self.failing in ("fsync", "ftruncate"):
            self.lost |= set(range(len(self.synced or b""), len(content)))
            raise OSError(errno.EIO, "it was not synced")
        self.synced = bytes(0 if at in self.lost else one for at, one in enumerate(content))

    def _fail_if(self, call: str) -> None:
        if self.failing == call:
            raise OSError(errno.ENOSPC, "no room")

    def lose_power(self, keep: int, *, zeros: bool, forget: bool) -> None:
        """Leave what was synced, and so many bytes of the rest.

        Args:
            keep: how much of what was written since is there.
            zeros: whether the file grew all the same, by zeros.
            forget: whether its name is lost if it can be.

        """
        if not self.path.exists():
            return
        written = self.path.read_bytes()
        if forget and not self.is_linked:
            self.path.unlink()
            self.synced = None
            return
        sure = self.synced or b""
        rest = written[len(sure) :]
        kept = rest[:keep]
        self.path.write_bytes(sure + kept + bytes(len(rest) - len(kept)) * zeros)
        # Whatever is there after a start is on the disk.
        self.lost.clear()
        self.synced, self.is_linked = self.path.read_bytes(), True

    def _step(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise ProcessEndedError


def entry(window: int, turn: int, root: str) -> Entry:
    return Entry(window, turn, EPOCH, keccak(root.encode()), keccak(b"data " + root.encode()))


def opened(path: Path, now: int) -> SigningJournal:
    return SigningJournal.open(path, member=MEMBER, domain=DOMAIN.separator, now=now)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk(tmp_path / "signing.journal")
    monkeypatch.setattr(module, "os", found)
    return found


class JournalUnderPower(RuleBasedStateMachine):
    """A member that signs what it is asked to; its process and power end, and its disk fails.

    O19, K29: whatever happens, no two roots leave for one window, turn and epoch.
    """

    @initialize()
    def begin(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="workdeed-journal-"))
        self._disk = Disk(self._folder / "signing.journal")
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(module, "os", self._disk)
        self._journal: SigningJournal | None = None
        self._now = WINDOW
        self._left: dict[tuple[int, int], set[bytes]] = defaultdict(set)

    @precondition(lambda self: self._journal is None)
    @rule(lives=st.one_of(st.just(NEVER), st.integers(0, 8)))
    def start(self, lives: int) -> None:
        self._disk.lives = lives
        try:
            self._journal = opened(self._disk.path, self._now)
        except ProcessEndedError:
            self._journal = None
        self._disk.lives = NEVER

    @precondition(lambda self: self._journal is not None)
    @rule(
        back=st.integers(0, 1),
        turn=st.integers(0, 1),
        root=st.sampled_from("ab"),
        lives=st.one_of(st.just(NEVER), st.integers(0, 4)),
        failing=st.sampled_from(["", "", "write", "fsync", "ftruncate"]),
    )
    def sign(self, back: int, turn: int, root: str, lives: int, failing: str) -> None:
        """Sign for the window under way or the one before."""
        assert self._journal is not None
        window = max(self._now // WINDOW - back, 0)
        wanted = entry(window, turn, root)
        self._disk.lives, self._disk.failing = lives, failing
        try:
            self._journal.record(wanted, window_start=window * WINDOW)
        except ProcessEndedError:
            self._end()
        except (EquivocationError, JournalError):
            pass
        else:
            self._left[window, turn].add(wanted.root)
            assert format_entry(wanted) in (self._disk.synced or b"")
        self._disk.lives, self._disk.failing = NEVER, ""

    @rule()
    def let_a_window_pass(self) -> None:
        self._now += WINDOW

    @precondition(lambda self: self._journal is not None)
    @rule()
    def be_killed(self) -> None:
        self._end()

    @rule(keep=st.integers(0, 400), zeros=st.booleans(), forget=st.booleans())
    def lose_power(self, keep: int, zeros: bool, forget: bool) -> None:
        self._end()
        self._disk.lose_power(keep, zeros=zeros, forget=forget)

    @invariant()
    def no_two_roots_left(self) -> None:
        assert all(len(roots) == 1 for roots in getattr(self, "_left", {}).values())

    def teardown(self) -> None:
        if hasattr(self, "_folder"):
            self._end()
            shutil.rmtree(self._folder)
            self._patch.undo()

    def _end(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None


TestJournalUnderPower = JournalUnderPower.TestCase


STEPS = 4
"""Of one entry: two of its write, two of its sync."""


@pytest.mark.parametrize("lives", range(STEPS + 1))
def test_a_signature_never_leaves_before_its_entry_is_sure(disk: Disk, lives: int) -> None:
    """O19: at every step of a line, a loss of all that was not synced is borne."""
    journal = opened(disk.path, WINDOW)
    has_left, disk.lives = False, lives
    try:
        journal.record(entry(3, 0, "a"), window_start=3 * WINDOW)
        has_left = True
    except ProcessEndedError:
        assert lives < STEPS
    journal.close()
    disk.lives = NEVER
    disk.lose_power(0, zeros=False, forget=True)
    again = opened(disk.path, 5 * WINDOW)
    assert again.root_of(3, 0, EPOCH) == (keccak(b"a") if has_left or lives == 3 else None)
    again.close()
    assert has_left == (lives == STEPS)


def test_a_journal_whose_name_was_lost_signs_nothing_of_before(disk: Disk) -> None:
    """K29: its folder was never synced, and so it begins anew."""
    disk.lives = 4  # its first line is synced, its folder is not
    with pytest.raises(ProcessEndedError):
        opened(disk.path, WINDOW)
    disk.lives = NEVER
    journal = opened(disk.path, WINDOW)
    journal.record(entry(3, 0, "a"), window_start=3 * WINDOW)
    journal.close()
    disk.lose_power(0, zeros=False, forget=True)
    again = opened(disk.path, 5 * WINDOW)
    with pytest.raises(JournalError, match="began before"):
        again.record(entry(3, 0, "b"), window_start=3 * WINDOW)
    again.close()


def test_a_line_that_was_read_but_never_synced_is_synced_before_it_is_relied_on(
    disk: Disk,
) -> None:
    """O19: killed before the sync, started again, signed, and then the power is lost."""
    journal = opened(disk.path, WINDOW)
    disk.lives = 2
    with pytest.raises(ProcessEndedError):
        journal.record(entry(3, 0, "a"), window_start=3 * WINDOW)
    journal.close()
    disk.lives = NEVER
    again = opened(disk.path, 5 * WINDOW)
    again.record(entry(3, 0, "a"), window_start=3 * WINDOW)  # and its signature leaves
    again.close()
    disk.lose_power(0, zeros=False, forget=False)
    last = opened(disk.path, 7 * WINDOW)
    with pytest.raises(EquivocationError):
        last.record(entry(3, 0, "b"), window_start=3 * WINDOW)
    last.close()


@pytest.mark.parametrize("failing", ["write", "fsync", "ftruncate"])
def test_what_a_failed_sync_dropped_is_never_relied_on(disk: Disk, failing: str) -> None:
    """O19: it can be read until the power is lost, and a later sync would not notice."""
    journal = opened(disk.path, WINDOW)
    disk.failing = failing
    with pytest.raises(JournalError, match="can't be written"):
        journal.record(entry(3, 0, "a"), window_start=3 * WINDOW)
    disk.failing = ""
    journal.record(entry(4, 0, "a"), window_start=4 * WINDOW)
    journal.close()
    disk.lose_power(0, zeros=False, forget=False)
    again = opened(disk.path, 9 * WINDOW)
    assert again.root_of(4, 0, EPOCH) == keccak(b"a")
    with pytest.raises(JournalError, match="began before"):
        again.record(entry(3, 0, "b"), window_start=3 * WINDOW)
    again.close()


def test_a_line_whose_sync_failed_before_a_kill_is_written_anew(disk: Disk) -> None:
    """O19: the next process reads it, signs the same again, and then the power is lost."""
    journal = opened(disk.path, WINDOW)
    disk.failing = "fsync"
    with pytest.raises(JournalError):
        journal.record(entry(3, 0, "a"), window_start=3 * WINDOW)
    journal.close()
    disk.failing = ""
    again = opened(disk.path, 5 * WINDOW)
    again.record(entry(3, 0, "a"), window_start=3 * WINDOW)  # and its signature leaves
    again.close()
    disk.lose_power(0, zeros=False, forget=False)
    last = opened(disk.path, 7 * WINDOW)
    with pytest.raises(EquivocationError):
        last.record(entry(3, 0, "b"), window_start=3 * WINDOW)
    last.close()
