"""The lock between the processes of one machine."""

import os
from pathlib import Path

import pytest

from workdeed.chain.lock import SenderLock, SenderLockedError


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    one, other = SenderLock(tmp_path / "lock"), SenderLock(tmp_path / "lock")
    one.acquire()
    with pytest.raises(SenderLockedError, match="another process"):
        other.acquire()
    assert (one.held, other.held) == (True, False)
    one.release()
    other.acquire()
    other.release()


def test_it_is_free_though_a_child_has_not_executed_its_program_yet(tmp_path: Path) -> None:
    lock, next_one = SenderLock(tmp_path / "lock"), SenderLock(tmp_path / "lock")
    lock.acquire()
    assert lock._handle is not None
    inherited = os.dup(lock._handle)
    lock.release()
    next_one.acquire()
    next_one.release()
    os.close(inherited)
