"""The books of the escrow as a page of arithmetic: what each call must move, from the rules alone.

Written on sets of windows and lists of terms, not on packed words, so that it shares nothing with
the contracts but the rules of money. All amounts are base units, all times windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

UNIT = 10_000
FULL_BPS = 10_000
SERVICE, BATCH = 0, 1


@dataclass(frozen=True)
class PolicyModel:
    """A policy version, as `Tariff.PolicyTerms` orders its terms; parts in basis points."""

    oracle_bps: int
    burn_bps: int
    treasury_bps: int
    sla_floor_bps: int = 5_000
    payer_level: int = 1
    payer_standing: bool = True
    payer_oracle: bool = False
    forfeit_payer_bps: int = 5_000
    forfeit_burn_bps: int = 3_000

    @property
    def fee_bps(self) -> int:
        """What of a claim's gross is a fee."""
        return self.oracle_bps + self.burn_bps + self.treasury_bps


def split(total: int, first: int, second: int, whole: int) -> tuple[int, int]:
    """Split a cumulative amount: the rest is cut off first, what remains is cut in two."""
    if first + second == 0:
        return 0, 0
    both = total * (first + second) // whole
    one = both * first // (first + second)
    return one, both - one


def grown(before: int, after: int, first: int, second: int, whole: int) -> tuple[int, int, int]:
    """Return by how much each of three parts of a cumulative amount grew; the last is the rest."""
    old, new = split(before, first, second, whole), split(after, first, second, whole)
    one, two = new[0] - old[0], new[1] - old[1]
    return one, two, after - before - one - two


@dataclass
class LedgerModel:
    """The fees of a policy version."""

    policy: PolicyModel
    fees: int = 0
    flushed: int = 0

    def flush(self) -> tuple[int, int, int]:
        """Hand the fees on; return the parts of oracles, burn and treasury."""
        policy, before = self.policy, self.flushed
        self.flushed = self.fees
        if before == self.fees:
            return 0, 0, 0
        return grown(before, self.fees, policy.oracle_bps, policy.burn_bps, policy.fee_bps)


@dataclass
class Term:
    """A stay of a license in a job: windows [first, until), open while `until` is None."""

    first: int
    until: int | None = None

    def windows(self, end: int) -> range:
        """Return the windows that the term covers of a job that ends at `end`."""
        return range(self.first, end if self.until is None else min(self.until, end))


@dataclass
class JobModel:
    """One job."""

    payer: str
    price: int
    class_id: int
    version: int
    ledger: LedgerModel
    kind: int
    slots: int
    min_slots: int
    windows: int
    funded: int = 0
    deposited: int = 0
    end: int = 0
    start: int = 0
    revision: int = 0
    revised_in: int = 0
    round: int = 0
    claimed: int = 0
    refunded: int = 0
    gross: int = 0
    cancelled: bool = False
    completed: bool = False
    closed: bool = False
    settled: bool = False
    request: tuple[int, bool] | None = None
    terms: dict[int, list[Term]] = field(default_factory=dict)
    credited: dict[int, int] = field(default_factory=dict)
    slots_from: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fund(self.slots * UNIT * (self.windows if self.kind == SERVICE else 1))

    def cost(self, units: int) -> int:
        """Return what units cost, rounded down."""
        return self.price * units // UNIT

    def fee(self, units: int) -> int:
        """Return the fees on a license's cumulative units, rounded down."""
        return self.cost(units) * self.ledger.policy.fee_bps // FULL_BPS

    def net(self, units: int) -> int:
        """Return what an operator gets for cumulative units in all."""
        return self.cost(units) - self.fee(units)

    @property
    def locked(self) -> int:
        """What the job still holds, fees that were taken aside."""
        return self.deposited - self.refunded - self.gross

    def active(self) -> list[int]:
        """Return the licenses that are in place from the next window on."""
        return [one for one, terms in self.terms.items() if terms and terms[-1].until is None]

    def serving(self, window: int) -> list[int]:
        """Return the licenses that serve a window, once for each term that covers it."""
        return [
            one
            for one, terms in self.terms.items()
            for term in terms
            if window in term.windows(self.end)
        ]

    def slots_in(self, window: int) -> int:
        """Return the slots that were bought for a window."""
        return [slots for since, slots in self.slots_from if since <= window][-1]

    def bought(self) -> int:
        """Return the units that the job's windows, or shards, come to."""
        if self.kind == BATCH:
            return self.slots * UNIT
        if not self.start:
            return self.slots * self.windows * UNIT
        return sum(self.slots_in(window) for window in range(self.start, self.end)) * UNIT

    def served(self, license_id: int, reported: int) -> int:
        """Return how many windows of a license the report of a window covers."""
        served = [
            window
            for term in self.terms.get(license_id, [])
            for window in term.windows(self.end)
            if window <= reported
        ]
        assert len(served) == len(set(served)), "a window counts once"
        return len(served)

    def cap(self, license_id: int, reported: int) -> int:
        """Return the units that a license may have been paid for by the report of a window."""
        served = self.served(license_id, reported)
        if self.kind == BATCH:
            return self.slots * UNIT if served else 0
        return served * UNIT

    def credit(self, license_id: int, units: int, reported: int) -> int:
        """Credit a license; return what it earned. Its fee is in the ledger."""
        before = self.credited.get(license_id, 0)
        left = self.funded - self.claimed
        after = min(units, self.cap(license_id, reported), before + left)
        if after <= before:
            return 0
        self.credited[license_id] = after
        self.claimed += after - before
        self.gross += self.cost(after) - self.cost(before)
        self.ledger.fees += self.fee(after) - self.fee(before)
        return self.net(after) - self.net(before)

    def forfeit(self, license_id: int, units: int, reported: int) -> tuple[int, int, int]:
        """Take what a license earned; return the parts of payer, burn and treasury."""
        before = self.net(self.credited.get(license_id, 0))
        amount = self.credit(license_id, units, reported)
        policy = self.ledger.policy
        return grown(
            before,
            before + amount,
            policy.forfeit_payer_bps,
            policy.forfeit_burn_bps,
            FULL_BPS,
        )

    def place(self, window: int, release: list[int], assign: list[int]) -> None:
        """Change the licenses from the window after `window` on."""
        if self.start == 0:
            self.start = window + 1
            self.end = self.start + self.windows
            self.slots_from = [(self.start, self.slots)]
        self.release(window, release)
        for one in assign:
            self.terms.setdefault(one, []).append(Term(window + 1))
        self.round += 1

    def release(self, window: int, licenses: list[int]) -> None:
        """End terms with a window."""
        for one in licenses:
            self.terms[one][-1].until = window + 1

    def extend(self, windows: int) -> int:
        """Buy windows; return the deposit."""
        if self.end:
            self.end += windows
        else:
            self.windows += windows
        return self._fund(self.slots * windows * UNIT if self.kind == SERVICE else 0)

    def scale(self, window: int, slots: int, release: list[int]) -> tuple[int, int]:
        """Change the slots from the window after `window` on; return deposit and refund."""
        left = 1
        if self.kind == SERVICE:
            left = self.end - window - 1 if self.start else self.windows
        added = (slots - self.slots) * left * UNIT
        self.slots = slots
        if self.start:
            self.slots_from.append((window + 1, slots))
        else:
            self.min_slots = min(self.min_slots, slots)
        self.release(window, release)
        if added > 0:
            return self._fund(added), 0
        return 0, self._keep(self.funded + added)

    def surplus(self, slots: int) -> int:
        """Return how many licenses in place are too many for so many slots."""
        return max(0, len(self.active()) - slots)

    def cancel(self, window: int) -> int:
        """End the job with the current window; return the refund."""
        self.cancelled = True
        if self.end == 0:
            self.closed = self.settled = True
            return self._keep(0)
        end = min(self.end, window + 1)
        kept = self.funded
        if self.kind == SERVICE:
            kept -= sum(self.slots_in(one) for one in range(end, self.end)) * UNIT
        self.end = end
        return self._keep(kept)

    def complete(self, window: int) -> None:
        """Take a result; the current window is the last."""
        self.completed = True
        self.end = min(self.end, window + 1)

    def close(self, total: int) -> int:
        """Close by an attested total; return the refund."""
        self.closed = self.settled = True
        return self._keep(min(self.funded, max(total, self.claimed)))

    def close_unattested(self) -> int:
        """Close without a report; return the refund."""
        self.closed = self.settled = True
        return self._keep(self.claimed)

    def _fund(self, units: int) -> int:
        deposit = self.cost(units)
        self.funded += units
        self.deposited += deposit
        return deposit

    def _keep(self, units: int) -> int:
        refund = self.cost(self.funded) - self.cost(units)
        self.funded = units
        self.refunded += refund
        return refund
