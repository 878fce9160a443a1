"""OracleCommittee: seats, quorum signatures and reports."""

from dataclasses import dataclass
from typing import Final

from workdeed.chain.bindings.codec import (
    Call,
    Contract,
    Event,
    Values,
    flag,
    integer,
    nothing,
    text,
)

MAX_SEATS: Final = 32


@dataclass(frozen=True, slots=True)
class SeatAdded(Event):
    """An oracle took a seat, which began a committee epoch."""

    seat: int
    license_id: int
    signer: str
    epoch: int


@dataclass(frozen=True, slots=True)
class SeatRemoved(Event):
    """A seat became free, which began a committee epoch."""

    seat: int
    license_id: int
    signer: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ReportSubmitted(Event):
    """A report was accepted; without a veto it is final from `final_at` (Unix seconds) on.

    `signers` has a bit for each seat that signed.
    """

    window: int
    submitter: str
    turn: int
    root: bytes
    data_hash: bytes
    signers: int
    final_at: int


@dataclass(frozen=True, slots=True)
class ReportVetoed(Event):
    """A pending report was undone; every window up to `floor` is used up."""

    window: int
    guardian: str
    floor: int
    reason: bytes


@dataclass(frozen=True, slots=True)
class LatestReport:
    """The latest report that was not vetoed.

    Attributes:
        window: its window, 0 before the first.
        root: its root.
        accepted_at: when it was accepted, Unix seconds; 0 if a veto restored it.
        floor: the highest window that a veto used up.
        vetoes: vetoes since a report last became final.

    """

    window: int
    root: bytes
    accepted_at: int
    floor: int
    vetoes: int


class OracleCommittee(Contract):
    """The oracle committee."""

    NAME = "OracleCommittee"
    EVENTS = (SeatAdded, SeatRemoved, ReportSubmitted, ReportVetoed)

    def genesis(self) -> Call[int]:
        """Read the Unix time at which window 1 began."""
        return self._call(integer, "GENESIS")

    def window(self) -> Call[int]:
        """Read the length of a window in seconds."""
        return self._call(integer, "WINDOW")

    def challenge(self) -> Call[int]:
        """Read how many seconds a report can be vetoed."""
        return self._call(integer, "CHALLENGE")

    def current_window(self) -> Call[int]:
        """Read the window of the block's timestamp."""
        return self._call(integer, "current_window")

    def committee_epoch(self) -> Call[int]:
        """Read the epoch that every message of the committee names."""
        return self._call(integer, "committee_epoch")

    def seat_count(self) -> Call[int]:
        """Read how many seats are taken."""
        return self._call(integer, "seat_count")

    def quorum(self) -> Call[int]:
        """Read how many members must sign."""
        return self._call(integer, "quorum")

    def seat(self, index: int) -> Call[tuple[int, str]]:
        """Read the license and the signer of a seat; 0 and the zero address if it is free."""
        return self._call(_seat, "seat", index)

    def seat_of_signer(self, signer: str) -> Call[int]:
        """Read the seat of a signer plus 1; 0 for none."""
        return self._call(integer, "seat_of_signer", signer)

    def is_seated(self, license_id: int) -> Call[bool]:
        """Read whether a license holds a seat."""
        return self._call(flag, "is_seated", license_id)

    def participation(self) -> Call[int]:
        """Read the signed final reports of each seat, 8 saturating bits a seat."""
        return self._call(integer, "participation")

    def final_report(self) -> Call[tuple[int, bytes]]:
        """Read window and root of the report that money may rest on; window 0 before the first."""
        return self._call(_report, "final_report")

    def latest_report(self) -> Call[LatestReport]:
        """Read the latest report that was not vetoed."""
        return self._call(_latest, "latest_report")

    def licenses(self) -> Call[str]:
        """Read the address of the license contract."""
        return self._call(text, "LICENSES")

    def verify(self, digest: bytes, signatures: bytes) -> Call[int]:
        """Read the bits of the seats that signed a digest; reverts without a quorum."""
        return self._call(integer, "verify", digest, signatures)

    def submit_report(
        self, window: int, turn: int, root: bytes, data_hash: bytes, signatures: bytes
    ) -> Call[None]:
        """Submit a report; signatures in strictly ascending signer order."""
        return self._call(nothing, "submit_report", window, turn, root, data_hash, signatures)

    def veto_report(self, reason: bytes) -> Call[None]:
        """Undo the pending report; for the guardian."""
        return self._call(nothing, "veto_report", reason)

    def add_seat(self, license_id: int) -> Call[int]:
        """Seat the node key of an oracle license; for the governor."""
        return self._call(integer, "add_seat", license_id)

    def remove_seat(self, seat: int) -> Call[None]:
        """Free a seat; for the governor."""
        return self._call(nothing, "remove_seat", seat)


def _seat(values: Values) -> tuple[int, str]:
    return int(values[0]), str(values[1])


def _report(values: Values) -> tuple[int, bytes]:
    return int(values[0]), bytes(values[1])


def _latest(values: Values) -> LatestReport:
    return LatestReport(*values)
