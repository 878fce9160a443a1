"""What OracleCommittee must hold, as plain Python, with the bonds and standings that it rests on.

Written from the rules alone: reports are kept whole, signatures are counted by license, nothing is
packed. All amounts are base units, all times Unix seconds. A `..._reason` says why a call must be
refused, `None` if it must succeed; the method without it does what the call does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

GOOD, FROZEN, SUSPENDED, BLACKLISTED = range(4)
BPS = 10_000
MAX_VETOES = 3
MAX_COUNT = 255
REPORTS_PER_SETTLEMENT = 8
NEVER = 2**256 - 1
NOBODY = "0x" + "00" * 20
NO_ROOT = bytes(32)

Target = int | str
"""What a standing is given to: a license id or an account."""

Evidence = tuple[str, int, int, int]
"""Member, window, turn and epoch of an offence."""


@dataclass(frozen=True)
class Terms:
    """What the deployment fixed."""

    genesis: int
    window: int
    challenge: int
    unbond_delay: int
    slash_cap_bps: int
    min_bond: int


@dataclass
class License:
    """An oracle license."""

    owner: str
    node: str = ""
    bond: int = 0
    unbonding: int = 0
    requested_at: int = 0
    seat_ended_at: int = 0
    reward: int = 0


@dataclass
class Record:
    """What a signer answers for."""

    license_id: int
    first: int
    last: int = 0
    ended_at: int = 0


@dataclass
class Report:
    """An accepted report, and the licenses whose members signed it."""

    window: int
    root: bytes
    accepted_at: int
    signers: set[int]
    vetoed: bool = False
    counted: bool = False


@dataclass
class Books:
    """Seats, records, reports and rewards."""

    terms: Terms
    licenses: dict[int, License]
    seats: dict[int, tuple[int, str]] = field(default_factory=dict)
    epoch: int = 0
    records: dict[str, Record] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    floor: int = 0
    vetoes: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    sent: int = 0
    unassigned: int = 0
    in_vault: int = 0
    evidence: set[Evidence] = field(default_factory=set)
    standings: dict[Target, tuple[int, int]] = field(default_factory=dict)

    # Seats.

    def seat_of(self, signer: str) -> int | None:
        """Return the seat of a signer."""
        return next((seat for seat, (_, one) in self.seats.items() if one == signer), None)

    def seat_of_license(self, license_id: int) -> int | None:
        """Return the seat of a license."""
        return next((seat for seat, (one, _) in self.seats.items() if one == license_id), None)

    def members(self) -> list[str]:
        """Return who signs now, by seat."""
        return [self.seats[seat][1] for seat in sorted(self.seats)]

    def quorum(self) -> int:
        """O16: the least number that is more than two thirds."""
        return next(n for n in range(1, 33) if 3 * n > 2 * len(self.seats))

    def on_record(self, signer: str, now: int) -> bool:
        """Say whether a signer answers for what it signed."""
        record = self.records.get(signer)
        if record is None:
            return False
        return self.seat_of(signer) is not None or now < record.ended_at + self.terms.unbond_delay

    def seat_reason(self, license_id: int, signer: str, now: int) -> str | None:
        """Say why a signer is not seated for a license."""
        if self.licenses[license_id].node != signer:
            return "committee: not the linked node"
        if self.licenses[license_id].bond < self.terms.min_bond:
            return "committee: no bond"
        if self.seat_of(signer) is not None:
            return "committee: signer seated"
        if self.seat_of_license(license_id) is not None:
            return "committee: license seated"
        if self.on_record(signer, now) and self.records[signer].license_id != license_id:
            return "committee: signer on record"
        return None

    def seat(self, license_id: int, signer: str, now: int) -> int:
        """Seat a signer on the lowest free seat; return it."""
        seat = next(seat for seat in range(32) if seat not in self.seats)
        first = self.records[signer].first if self.on_record(signer, now) else self.epoch + 1
        self.epoch += 1
        self.seats[seat] = (license_id, signer)
        self.records[signer] = Record(license_id, first)
        return seat

    def unseat_reason(self, seat: int) -> str | None:
        """Say why a seat is not removed."""
        if seat not in self.seats:
            return "committee: free seat"
        return "committee: last seat" if len(self.seats) == 1 else None

    def unseat(self, seat: int, now: int) -> None:
        """End a seat: what is due is shared before, what is not is lost."""
        self.settle(now)
        license_id, signer = self.seats.pop(seat)
        self.counts.pop(license_id, None)
        if self.reports:
            self.reports[-1].signers.discard(license_id)
        record = self.records[signer]
        record.last, record.ended_at = self.epoch, now
        self.licenses[license_id].seat_ended_at = now
        self.epoch += 1

    # Licenses: links, bonds, standings.

    def license_of(self, node: str) -> int:
        """Return the license that a node key is linked to; 0 for none."""
        return next((one for one, deed in self.licenses.items() if deed.node == node), 0)

    def standing_of(self, target: Target, now: int) -> int:
        """Return the standing of a license or an account."""
        standing, until = self.standings.get(target, (GOOD, NEVER))
        return standing if until > now else GOOD

    def targets(self, license_id: int) -> list[Target]:
        """Return a license, its owner and its node."""
        deed = self.licenses[license_id]
        return [license_id, deed.owner, *([deed.node] if deed.node else [])]

    def standing(self, license_id: int, now: int) -> int:
        """Return the worst standing of a license, its owner and its node."""
        return max(self.standing_of(target, now) for target in self.targets(license_id))

    def move_reason(self, license_id: int, receiver: str, now: int) -> str | None:
        """Say why a license does not move."""
        if self.standing(license_id, now) != GOOD:
            return "license: not in good standing"
        if self.standing_of(receiver, now) != GOOD:
            return "license: receiver's standing"
        seat = self.seat_of_license(license_id)
        return None if seat is None else self.unseat_reason(seat)

    def move(self, license_id: int, receiver: str, now: int) -> None:
        """Move a license: its seat ends, its bond and its reward go with it."""
        deed = self.licenses[license_id]
        deed.owner, deed.node = receiver, ""
        deed.bond += deed.unbonding
        deed.unbonding = deed.requested_at = 0
        seat = self.seat_of_license(license_id)
        if seat is not None:
            self.unseat(seat, now)

    def withdraw_reason(self, license_id: int, now: int) -> str | None:
        """Say why a bond does not leave."""
        deed = self.licenses[license_id]
        if deed.unbonding == 0:
            return "license: nothing requested"
        if self.standing(license_id, now) != GOOD:
            return "license: not in good standing"
        if self.seat_of_license(license_id) is not None:
            return "license: seated"
        since = max(deed.requested_at, deed.seat_ended_at)
        return "license: unbond delay" if now < since + self.terms.unbond_delay else None

    # Reports.

    def window_at(self, now: int) -> int:
        """Return the window that holds a moment."""
        return (now - self.terms.genesis) // self.terms.window + 1

    def is_pending(self, now: int) -> bool:
        """Say whether the last report can be vetoed."""
        if not self.reports or self.reports[-1].vetoed:
            return False
        return now < self.reports[-1].accepted_at + self.terms.challenge

    def standing_reports(self) -> list[Report]:
        """Return the reports that no veto undid."""
        return [report for report in self.reports if not report.vetoed]

    def latest(self) -> tuple[int, bytes]:
        """Return window and root of the latest report."""
        standing = self.standing_reports()
        return (standing[-1].window, standing[-1].root) if standing else (0, NO_ROOT)

    def final(self, now: int) -> tuple[int, bytes]:
        """O17: return window and root that money may rest on."""
        standing = self.standing_reports()[: -1 if self.is_pending(now) else None]
        return (standing[-1].window, standing[-1].root) if standing else (0, NO_ROOT)

    def latest_accepted_at(self) -> int:
        """Return when the latest report was accepted; 0 if a veto restored it."""
        fresh = self.reports and not self.reports[-1].vetoed
        return self.reports[-1].accepted_at if fresh else 0

    def vetoes_in_a_row(self, now: int) -> int:
        """Return the vetoes since a report last became final."""
        stood = self.latest_accepted_at() and not self.is_pending(now)
        return 0 if stood else self.vetoes

    def report_reason(self, window: int, now: int) -> str | None:
        """Say why no report of a window is accepted, whoever signed it."""
        if self.is_pending(now):
            return "committee: report pending"
        if window <= self.latest()[0]:
            return "committee: window not later"
        if window <= self.floor:
            return "committee: window vetoed"
        over_at = self.terms.genesis + window * self.terms.window
        return "committee: window not over" if now < over_at else None

    def report(self, window: int, root: bytes, signers: Iterable[str], now: int) -> None:
        """Accept a report; the one before it has stood."""
        self.count(now)
        if self.latest_accepted_at():
            self.vetoes = 0
        licenses = {self.records[signer].license_id for signer in signers}
        self.reports.append(Report(window, root, now, licenses))

    def veto_reason(self, now: int) -> str | None:
        """Say why there is no veto."""
        if not self.is_pending(now):
            return "committee: nothing pending"
        return "committee: too many vetoes" if self.vetoes >= MAX_VETOES else None

    def veto(self, now: int) -> None:
        """Undo the pending report."""
        self.reports[-1].vetoed = True
        self.vetoes += 1
        self.floor = self.window_at(now)

    # Equivocation.

    def equivocation_reason(self, offence: Evidence, now: int) -> str | None:
        """Say why two roots that one key signed are not held against it."""
        signer, _, _, epoch = offence
        record = self.records.get(signer)
        if record is None:
            return "committee: never a member"
        if not self.on_record(signer, now):
            return "committee: record expired"
        if not record.first <= epoch <= (record.last or self.epoch):
            return "committee: no member then"
        return "license: evidence used" if offence in self.evidence else None

    def punish(self, offence: Evidence, now: int) -> int:
        """O19, L25: end the seat of an offender and slash its license; return what was taken."""
        self.evidence.add(offence)
        seat = self.seat_of(offence[0])
        if seat is not None and len(self.seats) > 1:
            self.unseat(seat, now)
        deed = self.licenses[self.records[offence[0]].license_id]
        slashed = (deed.bond + deed.unbonding) * self.terms.slash_cap_bps // BPS
        requested = min(slashed, deed.unbonding)
        deed.unbonding -= requested
        deed.bond -= slashed - requested
        if not deed.unbonding:
            deed.requested_at = 0
        self.in_vault += slashed
        return slashed

    # Rewards.

    def held(self) -> int:
        """R33: return all rewards that are here."""
        return self.unassigned + sum(deed.reward for deed in self.licenses.values())

    def count(self, now: int) -> None:
        """Count the last report, once, if it stood its challenge."""
        if not self.reports or self.is_pending(now):
            return
        last = self.reports[-1]
        if not last.vetoed and not last.counted:
            last.counted = True
            for license_id in last.signers:
                self.counts[license_id] = min(MAX_COUNT, self.counts[license_id] + 1)

    def settle(self, now: int) -> int:
        """R33: share what is unassigned if enough was signed for it; return how much was shared."""
        self.count(now)
        signed = sum(self.counts.values())
        if signed < REPORTS_PER_SETTLEMENT * len(self.seats) or self.unassigned < signed:
            return 0
        shares = {one: self.unassigned * count // signed for one, count in self.counts.items()}
        for license_id, share in shares.items():
            self.licenses[license_id].reward += share
        self.unassigned -= sum(shares.values())
        self.counts.clear()
        return sum(shares.values())

    def take_reward(self, license_id: int) -> int:
        """Take the reward of a license out of the books."""
        amount, self.licenses[license_id].reward = self.licenses[license_id].reward, 0
        return amount
