"""OracleCommittee: seats, quorum signatures, reports, and the rewards of those who sign them.

Rewards are base units of the settlement token.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

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
MIN_REPORTS: Final = 8
"""Signed final reports for each seat before rewards are shared."""
SEATED: Final = 2**256 - 1
"""When the seat of a license ended that still holds it."""


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
class EquivocationSlashed(Event):
    """A member signed two roots in one turn, and lost its seat and a part of its bond."""

    signer: str
    license_id: int
    window: int
    turn: int
    epoch: int
    evidence_hash: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class RewardsBooked(Event):
    """Tokens that were sent to the committee became rewards to be shared."""

    amount: int


@dataclass(frozen=True, slots=True)
class RewardsSettled(Event):
    """Rewards were shared by the final reports that each seat signed, 8 bits of counts a seat."""

    amount: int
    participation: int


@dataclass(frozen=True, slots=True)
class RewardClaimed(Event):
    """The rewards of a license were paid."""

    license_id: int
    payee: str
    amount: int


@dataclass(frozen=True, slots=True)
class RewardForfeited(Event):
    """The rewards of a blacklisted license went to the treasury's pot."""

    license_id: int
    amount: int


@dataclass(frozen=True, slots=True)
class Membership:
    """What an account signs or signed for.

    Attributes:
        license_id: the license of its seat, 0 if it was never a member.
        first_epoch, last_epoch: between which it was one; `last_epoch` is 0 while it is.
        ended_at: when its seat ended, Unix seconds; 0 while it is held.

    """

    license_id: int
    first_epoch: int
    last_epoch: int
    ended_at: int


class SignedRoot(NamedTuple):
    """What a member signed of a report: the root, the data hash, and its signature."""

    root: bytes
    data_hash: bytes
    signature: bytes


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
    EVENTS = (
        SeatAdded,
        SeatRemoved,
        ReportSubmitted,
        ReportVetoed,
        EquivocationSlashed,
        RewardsBooked,
        RewardsSettled,
        RewardClaimed,
        RewardForfeited,
    )

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

    def seat_ended_at(self, license_id: int) -> Call[int]:
        """Read when (Unix seconds) a license lost its seat; 0: never, `SEATED`: it holds one."""
        return self._call(integer, "seat_ended_at", license_id)

    def member_of(self, signer: str) -> Call[Membership]:
        """Read what an account signs or signed for."""
        return self._call(_membership, "member_of", signer)

    def participation(self) -> Call[int]:
        """Read the signed final reports of each seat, 8 saturating bits a seat."""
        return self._call(integer, "participation")

    def final_report(self) -> Call[tuple[int, bytes]]:
        """Read window and root of the report that money may rest on; window 0 before the first."""
        return self._call(_report, "final_report")

    def latest_report(self) -> Call[LatestReport]:
        """Read the latest report that was not vetoed."""
        return self._call(_latest, "latest_report")

    def latest_window(self) -> Call[int]:
        """Read the window of the latest report that was not vetoed; 0 before the first."""
        return self._call(integer, "latest_window")

    def reward_of(self, license_id: int) -> Call[int]:
        """Read what a license can claim."""
        return self._call(integer, "reward_of", license_id)

    def unassigned(self) -> Call[int]:
        """Read the rewards that were not shared yet."""
        return self._call(integer, "unassigned")

    def rewards_held(self) -> Call[int]:
        """Read all rewards, shared or not, that are here."""
        return self._call(integer, "rewards_held")

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

    def add_seat(self, license_id: int, signer: str) -> Call[int]:
        """Seat the linked node key of a bonded oracle license; for the governor."""
        return self._call(integer, "add_seat", license_id, signer)

    def remove_seat(self, seat: int) -> Call[None]:
        """Free a seat; for the governor."""
        return self._call(nothing, "remove_seat", seat)

    def slash_equivocation(
        self, window: int, turn: int, epoch: int, one: SignedRoot, other: SignedRoot
    ) -> Call[int]:
        """Slash a member by two roots that it signed; a simulation returns what is taken."""
        return self._call(integer, "slash_equivocation", window, turn, epoch, *one, *other)

    def book_rewards(self) -> Call[None]:
        """Take what was sent to the committee as rewards."""
        return self._call(nothing, "book_rewards")

    def settle_rewards(self) -> Call[None]:
        """Share the rewards by the final reports that each seat signed since the last time."""
        return self._call(nothing, "settle_rewards")

    def claim_reward(self, license_id: int) -> Call[int]:
        """Pay the rewards of a license to its payout address; a simulation returns the amount."""
        return self._call(integer, "claim_reward", license_id)

    def forfeit_reward(self, license_id: int) -> Call[int]:
        """Take the rewards of a blacklisted license; a simulation returns the amount."""
        return self._call(integer, "forfeit_reward", license_id)


def _seat(values: Values) -> tuple[int, str]:
    return int(values[0]), str(values[1])


def _report(values: Values) -> tuple[int, bytes]:
    return int(values[0]), bytes(values[1])


def _latest(values: Values) -> LatestReport:
    return LatestReport(*values)


def _membership(values: Values) -> Membership:
    return Membership(*values)
