"""The books of an escrow as a page of arithmetic: what each call must move, from the rules alone.

Written on sets of windows and lists of terms, not on packed words, so that it shares nothing with
the contracts but the rules of money. All amounts are base units, all times windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

UNIT = 10_000


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
    """One service job."""

    payer: str
    price: int
    fee_bps: int
    slots: int
    min_slots: int
    funded: int
    deposited: int
    end: int = 0
    start: int = 0
    revision: int = 0
    revised_in: int = 0
    round: int = 0
    claimed: int = 0
    refunded: int = 0
    gross: int = 0
    cancelled: bool = False
    closed: bool = False
    request: tuple[int, bool] | None = None
    terms: dict[int, list[Term]] = field(default_factory=dict)
    credited: dict[int, int] = field(default_factory=dict)

    def cost(self, units: int) -> int:
        """Return what units cost, rounded down."""
        return self.price * units // UNIT

    def fee(self, units: int) -> int:
        """Return the fees on a license's cumulative units, rounded down."""
        return self.cost(units) * self.fee_bps // UNIT

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

    def cap(self, license_id: int, reported: int) -> int:
        """Return the units that a license may have been paid for by the report of a window."""
        served = [
            window
            for term in self.terms.get(license_id, [])
            for window in term.windows(self.end)
            if window <= reported
        ]
        assert len(served) == len(set(served)), "a window counts once"
        return len(served) * UNIT

    def claim(self, license_id: int, units: int, reported: int) -> int:
        """Credit a license; return what the operator must get."""
        before = self.credited.get(license_id, 0)
        left = self.funded - self.claimed
        after = min(units, self.cap(license_id, reported), before + left)
        if after <= before:
            return 0
        gross = self.cost(after) - self.cost(before)
        self.credited[license_id] = after
        self.claimed += after - before
        self.gross += gross
        return gross - (self.fee(after) - self.fee(before))

    def place(self, window: int, release: list[int], assign: list[int]) -> None:
        """Change the licenses from the window after `window` on."""
        if self.start == 0:
            self.start = window + 1
            self.end = self.start + self.funded // (self.slots * UNIT)
        for one in release:
            self.terms[one][-1].until = window + 1
        for one in assign:
            self.terms.setdefault(one, []).append(Term(window + 1))
        self.round += 1

    def extend(self, windows: int) -> int:
        """Buy windows; return the deposit."""
        self.funded += self.slots * windows * UNIT
        if self.end:
            self.end += windows
        deposit = self.price * self.slots * windows
        self.deposited += deposit
        return deposit

    def cancel(self, window: int) -> int:
        """End the job with the current window; return the refund."""
        self.cancelled = True
        if self.end == 0:
            self.closed = True
            return self._keep(0)
        end = min(self.end, window + 1)
        kept = self.funded - self.slots * (self.end - end) * UNIT
        self.end = end
        return self._keep(kept)

    def close(self, total: int) -> int:
        """Close by an attested total; return the refund."""
        self.closed = True
        return self._keep(min(self.funded, max(total, self.claimed)))

    def close_unattested(self) -> int:
        """Close without a report; return the refund."""
        self.closed = True
        return self._keep(self.claimed)

    def _keep(self, units: int) -> int:
        refund = self.cost(self.funded) - self.cost(units)
        self.funded = units
        self.refunded += refund
        return refund
