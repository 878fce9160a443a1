"""JobLens: jobs in pages, and what a claim would pay. Amounts are base units of the token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workdeed.chain.bindings.codec import Call, Contract, Values
from workdeed.chain.bindings.desk import Job
from workdeed.chain.bindings.escrow import Assignment

MAX_PAGE: Final = 64
"""Entries of a page."""
WAITING: Final = 1
RUNNING: Final = 2
ENDED: Final = 3
CLOSED: Final = 4


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job, its state (one of the module's numbers), and what is funded and unclaimed."""

    job_id: int
    state: int
    unclaimed: int
    job: Job


@dataclass(frozen=True, slots=True)
class ClaimWorth:
    """What a leaf of the final report is worth to a license.

    Attributes:
        credited: the cumulative units that the license would have been paid for.
        gross: what a claim would move now, fees included.
        standing: the worst standing of license, owner and node; a claim pays only in good standing.
        payee: who would be paid.

    """

    credited: int
    gross: int
    standing: int
    payee: str


class JobLens(Contract):
    """The job lens, on which nothing rests."""

    NAME = "JobLens"
    EVENTS = ()

    def jobs(self, first: int, count: int) -> Call[tuple[ListedJob, ...]]:
        """Read at most `MAX_PAGE` jobs from the id `first` on, fewer where there are no more."""
        return self._call(_jobs, "jobs", first, count)

    def jobs_of(self, payer: str, first: int, count: int) -> Call[tuple[int, ...]]:
        """Read which of at most `MAX_PAGE` jobs from the id `first` on are of a payer."""
        return self._call(_ids, "jobs_of", payer, first, count)

    def assignments(self, job_id: int, license_ids: Sequence[int]) -> Call[tuple[Assignment, ...]]:
        """Read the service of at most `MAX_PAGE` licenses in a job, in the same order."""
        return self._call(_assignments, "assignments", job_id, list(license_ids))

    def claimable(self, job_id: int, license_id: int, units: int) -> Call[ClaimWorth]:
        """Read what a claim by a leaf of the final report, with these units, would move."""
        return self._call(_worth, "claimable", job_id, license_id, units)


def _jobs(values: Values) -> tuple[ListedJob, ...]:
    return tuple(
        ListedJob(job_id, state, unclaimed, Job(*job))
        for job_id, state, unclaimed, job in values[0]
    )


def _ids(values: Values) -> tuple[int, ...]:
    return tuple(values[0])


def _assignments(values: Values) -> tuple[Assignment, ...]:
    return tuple(Assignment(*one) for one in values[0])


def _worth(values: Values) -> ClaimWorth:
    return ClaimWorth(*values[0])
