"""What a settlement needs to know of each job at the snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass

from workdeed.chain.bindings.escrow import SERVICE
from workdeed.chain.books import Books
from workdeed.protocol.figures import Pair

JobKey = tuple[str, int]
"""An escrow's address and a job of it."""


@dataclass(frozen=True, slots=True)
class JobLedger:
    """A job at the snapshot.

    Attributes:
        end: the first window after it, 0 before its first placement.
        sla_floor_bps: the figure below which a window earns nothing, of its policy version.
        funded_units, claimed_units: of the whole job.
        closed: whether it was closed.
        claimed: claimed units of every license that ever was placed in it.

    """

    end: int
    sla_floor_bps: int
    funded_units: int
    claimed_units: int
    closed: bool
    claimed: Mapping[int, int]

    @property
    def has_left(self) -> bool:
        """Whether any of its units can still be claimed."""
        return self.funded_units > self.claimed_units

    def is_settled_at(self, total: int) -> bool:
        """Tell whether closing it with a leaf of `total` units would change nothing any more."""
        return self.closed and self.funded_units <= max(total, self.claimed_units)


Ledger = Mapping[JobKey, JobLedger]


def ledger_of(books: Books) -> Ledger:
    """Return the ledger of every service job that ever had a placement."""
    claimed: dict[int, dict[int, int]] = {}
    for (job_id, license_id), service in books.assignments.items():
        claimed.setdefault(job_id, {})[license_id] = service.claimed_units
    ledger: dict[JobKey, JobLedger] = {}
    for job_id, licenses in claimed.items():
        job = books.jobs[job_id]
        if job.kind == SERVICE:
            ledger[books.escrow, job_id] = JobLedger(
                end=job.end,
                sla_floor_bps=books.policies[job.policy_version].sla_floor_bps,
                funded_units=job.funded_units,
                claimed_units=job.claimed_units,
                closed=job.closed,
                claimed=licenses,
            )
    return ledger


def service_pairs(books: Books, window: int) -> tuple[Pair, ...]:
    """Return the pairs of service jobs in force in `window`, in order."""
    pairs = books.pairs_in_force(window)
    return tuple(pair for pair in pairs if books.jobs[pair.job_id].kind == SERVICE)
