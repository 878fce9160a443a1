"""Crash points: places beside every commit, signature and send at which a process kills itself.

They wrap what the keeper is made of, so that the code under test knows nothing of them.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn, TypeVar

from sqlalchemy.orm import Session

from workdeed.chain.keys import Signer
from workdeed.chain.store import Store
from workdeed.keeper.journal import PlacementJournal
from workdeed.oracle.journal import SigningJournal
from workdeed.oracle.store import OracleStore

T = TypeVar("T")

STAGES = ("stored", "signed", "broadcast", "sent", "mined", "settled", "reopened")
POINTS: tuple[str, ...] = (
    *(f"outbox:{stage}" for stage in STAGES),
    *("database:before", "database:written", "database:after"),
    *("journal:before", "journal:torn", "journal:after"),
    *("placements:before", "placements:after"),
    *("oracle:before", "oracle:after"),
    *("signature:before", "signature:after"),
    *("transaction:before", "transaction:after"),
)
"""Every place at which a process can be told to die."""


@dataclass(frozen=True)
class Crash:
    """Where to die: when `point` is passed for the `nth` time, counted from 1.

    With `stalls` the process only stops there, until somebody lets it go on.
    """

    point: str
    nth: int
    stalls: bool = False


def die() -> NoReturn:
    """End this process as a power cut would: nothing is flushed, closed or handed on."""
    os.kill(os.getpid(), signal.SIGKILL)
    while True:  # the signal may take a moment to arrive in a thread
        time.sleep(1)


@dataclass
class CrashPoints:
    """Counts the points that a process passes, and ends it at the one it was told."""

    crash: Crash | None = None
    passed: Counter[str] = field(default_factory=Counter)

    def reach(self, point: str) -> None:
        """Pass a point; does not return from the one at which the process dies."""
        if self.is_due(point):
            die()
        crash = self.crash
        if crash is not None and crash == Crash(point, self.passed[point], stalls=True):
            os.kill(os.getpid(), signal.SIGSTOP)

    def is_due(self, point: str) -> bool:
        """Count a point, and tell whether the process dies there."""
        self.passed[point] += 1
        return self.crash == Crash(point, self.passed[point])

    def outbox(self, stage: str, _: str) -> None:
        """Observe the stages of the outbox."""
        self.reach(f"outbox:{stage}")


class WatchedStore(Store):
    """The keeper's database, with points around each transaction."""

    points: ClassVar[CrashPoints]

    def _run(self, work: Callable[[Session], T]) -> T:
        def watched(session: Session) -> T:
            found = work(session)
            session.flush()
            self.points.reach("database:written")
            return found

        self.points.reach("database:before")
        done = super()._run(watched)
        self.points.reach("database:after")
        return done


class WatchedJournal(SigningJournal):
    """A signing journal, with points around each line and one in the middle of it."""

    points: ClassVar[CrashPoints]

    def _append(self, line: bytes) -> None:
        self.points.reach("journal:before")
        if self.points.is_due("journal:torn"):
            os.write(self._handle, line[: len(line) // 2])
            die()
        super()._append(line)
        self.points.reach("journal:after")


class WatchedPlacements(PlacementJournal):
    """The journal of placements, with points around each entry."""

    points: ClassVar[CrashPoints]

    def may_sign(self, job_id: int, round_: int, window: int, digest: bytes) -> bool:
        """Record a placement as the original does."""
        self.points.reach("placements:before")
        allowed = super().may_sign(job_id, round_, window, digest)
        self.points.reach("placements:after")
        return allowed


class WatchedOracleStore(OracleStore):
    """An oracle's database, with points around each transaction."""

    points: ClassVar[CrashPoints]

    def _write(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self.points.reach("oracle:before")
        super()._write(statement, rows)
        self.points.reach("oracle:after")


class WatchedSigner:
    """A signer, with points around each signature."""

    def __init__(self, signer: Signer, points: CrashPoints) -> None:
        self._signer = signer
        self._points = points

    @property
    def address(self) -> str:
        """The account."""
        return self._signer.address

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Sign a transaction."""
        self._points.reach("transaction:before")
        raw = self._signer.sign_transaction(transaction)
        self._points.reach("transaction:after")
        return raw

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a digest."""
        self._points.reach("signature:before")
        signature = self._signer.sign_digest(digest)
        self._points.reach("signature:after")
        return signature


def watch(points: CrashPoints) -> None:
    """Make all parts of this process report to `points`."""
    for kind in (WatchedStore, WatchedJournal, WatchedPlacements, WatchedOracleStore):
        kind.points = points
