"""Remembers every placement that this member signed, so that it never signs two for one round.

Two valid placements of one round do no harm, since the escrow takes one of them; but a member that
contradicts itself helps nobody. What is signed is on the disk before the signature leaves.
"""

import sqlite3
from pathlib import Path

from workdeed.keeper.errors import KeeperError

_TABLE = """
CREATE TABLE IF NOT EXISTS placements (
    member TEXT, job_id INTEGER, round INTEGER, window INTEGER, digest BLOB NOT NULL,
    PRIMARY KEY (member, job_id, round, window)
)
"""


class JournalError(KeeperError):
    """The journal cannot be opened."""


class PlacementJournal:
    """The placements that one member signed.

    Args:
        path: the SQLite file; `:memory:` only in tests.
        member: the signer.

    """

    def __init__(self, path: Path, member: str) -> None:
        self._member = member
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(_TABLE)
        except sqlite3.Error as error:
            raise JournalError(f"journal {path}: cannot open it ({error})") from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def may_sign(self, job_id: int, round_: int, window: int, digest: bytes) -> bool:
        """Record that `digest` is signed for a round and window.

        Returns whether it may be: it is the first, or the same as before.
        """
        key = (self._member, job_id, round_, window)
        self._database.execute(
            "INSERT OR IGNORE INTO placements VALUES (?, ?, ?, ?, ?)", (*key, digest)
        )
        ((held,),) = self._database.execute(
            "SELECT digest FROM placements WHERE (member, job_id, round, window) = (?, ?, ?, ?)",
            key,
        )
        return bytes(held) == digest

    def forget_before(self, window: int) -> None:
        """Drop what was signed for windows before `window`, in which it counts no more."""
        self._database.execute("DELETE FROM placements WHERE window < ?", (window,))
