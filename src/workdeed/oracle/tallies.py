"""Counts probes, and turns the counts of a window into figures and evidence. Pure: no I/O."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from workdeed.protocol.figures import UNKNOWN, Pair, figure
from workdeed.protocol.merkle import root_of

Verdict = Literal["ok", "bad", "unknown"]
"""What a probe says of a pair; "unknown" is not counted."""

HELD_WINDOWS: Final = 32
"""For how many windows a license that does not show a mark is still the one it belongs to."""


class Mark(NamedTuple):
    """Something that no two licenses share: an instance id, an endpoint or a socket address."""

    kind: str
    value: Hashable


@dataclass(slots=True)
class Count:
    """Probes of one pair that count in one window."""

    ok: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class WindowTally:
    """What a member measured in a window.

    Attributes:
        figures: one for each pair, in the order of the pairs it was closed with.
        evidence: 32-byte hashes of the answers that counted as ok, joined.
        doubles: licenses that share a mark with an earlier one, and by which license they earn 0.
        reason: why all figures are unknown, "" if they are not.

    """

    figures: tuple[int, ...]
    evidence: bytes = b""
    doubles: Mapping[int, int] = field(default_factory=dict)
    reason: str = ""

    @property
    def evidence_root(self) -> bytes:
        """The root over the evidence, zero without any; takes 2 s for a million answers."""
        return evidence_root(self.evidence)


@dataclass(slots=True)
class _Window:
    """The counts of one window."""

    counts: dict[Pair, Count] = field(default_factory=dict)
    evidence: bytearray = field(default_factory=bytearray)
    marks: dict[Mark, set[int]] = field(default_factory=lambda: defaultdict(set))
    reason: str = ""


class _Held(NamedTuple):
    """Whose a mark is, and the last window in which that license showed it."""

    license_id: int
    window: int


class Tallies:
    """The counts of the windows that are not closed yet, and who was first with each mark."""

    def __init__(self) -> None:
        self._windows: dict[int, _Window] = defaultdict(_Window)
        self._holders: dict[Mark, _Held] = {}
        self._closed = 0

    def is_open(self, window: int) -> bool:
        """Tell whether `window` can still be counted for."""
        return window > self._closed

    def count(self, window: int, pair: Pair, verdict: Verdict) -> None:
        """Count a probe that was sent in `window`; an "unknown" one is left out.

        What comes after a window was closed is left out too.
        """
        if verdict == "unknown" or not self.is_open(window):
            return
        count = self._windows[window].counts.setdefault(pair, Count())
        count.sent += 1
        count.ok += verdict == "ok"

    def keep(self, window: int, answer_hash: bytes) -> None:
        """Take an answer's hash (32 bytes) as evidence: it was ok for at least one pair."""
        if self.is_open(window):
            self._windows[window].evidence += answer_hash

    def mark(self, window: int, license_id: int, marks: Iterable[Mark]) -> None:
        """Note with which marks a license gave a valid answer."""
        if not self.is_open(window):
            return
        for mark in marks:
            self._windows[window].marks[mark].add(license_id)

    def mark_unknown(self, window: int, reason: str) -> None:
        """Make all figures of `window` unknown; the first reason stays."""
        if self.is_open(window):
            known = self._windows[window]
            known.reason = known.reason or reason

    def counted(self, window: int, pair: Pair) -> Count:
        """Return the counts of a pair so far."""
        known = self._windows[window].counts.get(pair) if window in self._windows else None
        return known or Count()

    def close(self, window: int, pairs: tuple[Pair, ...]) -> WindowTally:
        """Forget the counts up to `window` and return what those of `window` say of `pairs`."""
        closed = self._windows.pop(window, None)
        self._closed = max(self._closed, window)
        for stale in [one for one in self._windows if one < self._closed]:
            del self._windows[stale]
        if closed is None:
            return unmeasured(pairs)
        doubles = self._doubles(window, closed.marks)
        if closed.reason:
            return WindowTally((UNKNOWN,) * len(pairs), b"", doubles, closed.reason)
        figures = tuple(_figure(closed, pair, doubles) for pair in pairs)
        return WindowTally(figures, bytes(closed.evidence), doubles)

    def _doubles(self, window: int, marks: Mapping[Mark, set[int]]) -> dict[int, int]:
        """Return the licenses that share a mark with the one it belongs to.

        A mark belongs to the license that had it first, also while that one does not serve, so that
        nobody can take the pay of another by copying what it shows in public; of several that come
        up with it in one window, to the lowest.
        """
        doubles: dict[int, int] = {}
        for mark, found in marks.items():
            held = self._holders.get(mark) or _Held(min(found), window)
            if held.license_id in found:
                self._holders[mark] = held._replace(window=window)
                doubles |= dict.fromkeys(found - {held.license_id}, held.license_id)
            elif len(found) > 1:
                # Its holder is away: of the others that share it one is paid, and holds nothing.
                doubles |= dict.fromkeys(found - {min(found)}, min(found))
        oldest = window - HELD_WINDOWS
        self._holders = {mark: held for mark, held in self._holders.items() if held.window > oldest}
        return doubles


def unmeasured(pairs: tuple[Pair, ...]) -> WindowTally:
    """Return the tally of a window in which this oracle did not run."""
    return WindowTally((UNKNOWN,) * len(pairs), reason="it was not measured")


def evidence_root(hashes: bytes) -> bytes:
    """Return the root over concatenated 32-byte answer hashes, each counted once; zero of none."""
    return root_of(hashes)


def _figure(closed: _Window, pair: Pair, doubles: Mapping[int, int]) -> int:
    count = closed.counts.get(pair, Count())
    found = figure(count.ok, count.sent)
    return 0 if pair.license_id in doubles and found != UNKNOWN else found
