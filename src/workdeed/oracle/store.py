"""What an oracle keeps on disk: observations, report data, and leaves recovered by their proofs.

SQLite, synced at every commit: a member has the data of a report on disk before it signs. Unlike
the follower's database this is no mere cache: own observations can't be measured again.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from workdeed.oracle.errors import StoreError
from workdeed.protocol.messages import ProvenLeaf, SignedObservation
from workdeed.protocol.report import Leaf, ReportHeader, data_hash, decode_leaves

SCHEMA_VERSION: Final = 1
_BUSY_SECONDS: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS observations (
    window INTEGER, member TEXT, epoch INTEGER, body BLOB NOT NULL,
    PRIMARY KEY (window, member, epoch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reports (
    window INTEGER, data_hash BLOB PRIMARY KEY, root BLOB NOT NULL,
    header BLOB NOT NULL, leaves BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS reports_window ON reports (window);
CREATE TABLE IF NOT EXISTS recovered (
    window INTEGER, escrow TEXT, job INTEGER, license INTEGER, body BLOB NOT NULL,
    PRIMARY KEY (window, escrow, job, license)
) WITHOUT ROWID;
"""


class StoredReport(NamedTuple):
    """The data of one report; `leaves` is `leaves.bin`."""

    header: ReportHeader
    root: bytes
    leaves: bytes

    def decoded(self) -> list[Leaf]:
        """Return the leaves, ascending."""
        return decode_leaves(self.leaves)


class OracleStore:
    """The database of one oracle; may be used by several threads. `close` it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open the database, and create it if it is new; ":memory:" is one that is not kept.

        Raises:
            StoreError: if it can't be opened, or is of another version.

        """
        try:
            if isinstance(path, Path):
                path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, SCHEMA_VERSION):
                raise StoreError(
                    f"database {path}: its schema has version {version}, this program needs"
                    f" {SCHEMA_VERSION}; use another file"
                )
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"database {path}: it can't be opened ({error})") from error
        return cls(connection)

    def put_observations(
        self, observations: Iterable[SignedObservation], *, replace: bool = False
    ) -> None:
        """Keep observations, in one transaction.

        Args:
            observations: signed and checked.
            replace: whether they replace those known for the same window, member and epoch.

        Raises:
            StoreError: if they can't be written.

        """
        verb = "REPLACE" if replace else "IGNORE"
        rows = [
            (one.window, one.member, one.committee_epoch, one.to_json()) for one in observations
        ]
        statement = f"INSERT OR {verb} INTO observations VALUES (?, ?, ?, ?)"  # noqa: S608 - ours
        self._write(statement, rows)

    def observation(self, window: int, member: str) -> SignedObservation | None:
        """Return what a member observed in `window`, as of the latest epoch; None if unknown."""
        rows = self._read(
            "SELECT body FROM observations WHERE window = ? AND member = ?"
            " ORDER BY epoch DESC LIMIT 1",
            (window, member),
        )
        return SignedObservation.parse(rows[0][0]) if rows else None

    def observations(self, window: int) -> tuple[SignedObservation, ...]:
        """Return all observations of `window`, by member, of the latest epoch of each."""
        rows = self._read(
            "SELECT body, MAX(epoch) FROM observations WHERE window = ? GROUP BY member",
            (window,),
        )
        found = (SignedObservation.parse(row[0]) for row in rows)
        return tuple(sorted(found, key=lambda one: one.member.lower()))

    def put_report(self, header: ReportHeader, root: bytes, leaves: bytes) -> None:
        """Keep the data of a report; `root` is that of its leaves. Raises `StoreError`."""
        row = (header.window, data_hash(header), root, header.to_json(), leaves)
        self._write("INSERT OR IGNORE INTO reports VALUES (?, ?, ?, ?, ?)", [row])

    def report(self, header_hash: bytes) -> StoredReport | None:
        """Return the data of the report with this data hash, None if it is not here."""
        rows = self._read(
            "SELECT header, root, leaves FROM reports WHERE data_hash = ?", (header_hash,)
        )
        if not rows:
            return None
        header, root, leaves = rows[0]
        return StoredReport(ReportHeader.parse(header), root, leaves)

    def put_recovered(self, window: int, leaves: Iterable[ProvenLeaf]) -> None:
        """Keep leaves of the report of `window` that were proven. Raises `StoreError`."""
        rows = [(window, one.escrow, one.job_id, one.license_id, one.to_json()) for one in leaves]
        self._write("INSERT OR REPLACE INTO recovered VALUES (?, ?, ?, ?, ?)", rows)

    def recovered(self, window: int, *, offset: int = 0, limit: int = -1) -> tuple[ProvenLeaf, ...]:
        """Return the recovered leaves of the report of `window`, in a fixed order."""
        rows = self._read(
            "SELECT body FROM recovered WHERE window = ?"
            " ORDER BY escrow, job, license LIMIT ? OFFSET ?",
            (window, limit, offset),
        )
        return tuple(ProvenLeaf.parse(body) for (body,) in rows)

    def prune(self, before: int) -> None:
        """Delete what is of windows below `before`. Raises `StoreError`."""
        for table in ("observations", "reports", "recovered"):
            self._write(f"DELETE FROM {table} WHERE window < ?", [(before,)])  # noqa: S608 - ours

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def _read(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"database: it can't be read ({error})") from error

    def _write(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for all rows in one transaction, synced when this returns."""
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    self._connection.executemany(statement, rows)
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"database: it can't be written ({error})") from error
