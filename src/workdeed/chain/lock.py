"""A lock between the processes of one machine: one owner of a sender's nonces."""

import fcntl
import os
from pathlib import Path

from workdeed.chain.errors import ChainError


class SenderLockedError(ChainError):
    """Another process sends from the same account."""


class SenderLock:
    """A file that one process holds; the system frees it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._handle is not None

    def acquire(self) -> None:
        """Take the lock; raises `SenderLockedError` if it is taken."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise SenderLockedError(
                f"lock {self._path}: another process sends from this account; stop it first"
            ) from None
        self._handle = handle

    def release(self) -> None:
        """Free the lock. The file stays: removing it could free another process's lock."""
        if self._handle is not None:
            # A child that has not executed its program yet holds the descriptor too.
            fcntl.flock(self._handle, fcntl.LOCK_UN)
            os.close(self._handle)
            self._handle = None
