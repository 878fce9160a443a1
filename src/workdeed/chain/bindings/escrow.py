"""JobEscrow: jobs, placements, claims and refunds, price classes and policies.

Amounts are base units of the token, times are windows, an `end` or `until` is exclusive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from workdeed.chain.bindings.codec import (
    Call,
    Contract,
    Event,
    Values,
    integer,
    nothing,
    text,
)

SERVICE: Final = 0
BATCH: Final = 1
OPEN_END: Final = 2**32 - 1
MAX_PLACEMENT: Final = 32
MAX_CLAIMS: Final = 16


@dataclass(frozen=True, slots=True)
class ClassSet(Event):
    """A price class was set; a retired one refuses new money."""

    class_id: int
    price: int
    cpu_milli: int
    memory_mb: int
    storage_mb: int
    retired: bool


@dataclass(frozen=True, slots=True)
class PolicyAdded(Event):
    """A policy version was added; shares and floor in basis points."""

    policy_version: int
    oracle_bps: int
    burn_bps: int
    treasury_bps: int
    sla_floor_bps: int
    payer_level: int


@dataclass(frozen=True, slots=True)
class JobOpened(Event):
    """A job was opened and its deposit taken."""

    job_id: int
    payer: str
    spec_hash: bytes
    kind: int
    class_id: int
    policy_version: int
    price: int
    slots: int
    min_slots: int
    windows: int
    deposit: int


@dataclass(frozen=True, slots=True)
class Placed(Event):
    """The licenses of a job change from `window` + 1 on."""

    job_id: int
    round: int
    window: int
    revision: int
    end: int
    release: tuple[int, ...]
    assign: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claimed(Event):
    """A license was paid `amount`; `units` is all that it was credited in this job so far."""

    job_id: int
    license_id: int
    payee: str
    units: int
    amount: int


@dataclass(frozen=True, slots=True)
class JobExtended(Event):
    """A payer bought more windows; `end` is 0 before the start."""

    job_id: int
    windows: int
    end: int
    funded_units: int
    deposit: int


@dataclass(frozen=True, slots=True)
class JobRevised(Event):
    """A payer replaced the spec in `window`; service is measured on it from the next one."""

    job_id: int
    revision: int
    window: int
    spec_hash: bytes


@dataclass(frozen=True, slots=True)
class JobCancelled(Event):
    """A payer ended a job; `end` is 0 if it had not started."""

    job_id: int
    end: int
    funded_units: int
    refund: int


@dataclass(frozen=True, slots=True)
class CloseRequested(Event):
    """A payer asked for a close without a report; `covered` if the final report has the end."""

    job_id: int
    window: int
    covered: bool


@dataclass(frozen=True, slots=True)
class JobClosed(Event):
    """What a job did not use went back to its payer."""

    job_id: int
    funded_units: int
    refund: int
    attested: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the escrow holds it; `payer` is the zero address if there is none.

    `active` counts the placed licenses, `round` the placements so far. `start` and `end` are 0
    before the first placement, `min_slots` after it. `close_requested` is a window or 0.
    """

    payer: str
    spec_hash: bytes
    revision: int
    kind: int
    class_id: int
    policy_version: int
    price: int
    slots: int
    min_slots: int
    active: int
    round: int
    start: int
    end: int
    funded_units: int
    claimed_units: int
    cancelled: bool
    closed: bool
    close_requested: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """When a license serves a job: windows [first, until), those of earlier terms, units paid.

    `first` is 0 if it never did, `until` is `OPEN_END` while it is placed.
    """

    first: int
    until: int
    earlier: int
    claimed_units: int


class ClassTerms(NamedTuple):
    """What a price class costs for a slot and window, and what a slot gives."""

    price: int
    cpu_milli: int
    memory_mb: int
    storage_mb: int


class PolicyTerms(NamedTuple):
    """The terms of a policy version; shares and floor in basis points."""

    oracle_bps: int
    burn_bps: int
    treasury_bps: int
    sla_floor_bps: int
    payer_level: int


class ClaimEntry(NamedTuple):
    """One claim of `claim_many`: the leaf's cumulative units and its proof."""

    job_id: int
    license_id: int
    units: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A price class as the escrow holds it."""

    price: int
    cpu_milli: int
    memory_mb: int
    storage_mb: int
    exists: bool
    retired: bool


class JobEscrow(Contract):
    """The escrow."""

    NAME = "JobEscrow"
    EVENTS = (
        ClassSet,
        PolicyAdded,
        JobOpened,
        Placed,
        Claimed,
        JobExtended,
        JobRevised,
        JobCancelled,
        CloseRequested,
        JobClosed,
    )

    def job(self, job_id: int) -> Call[Job]:
        """Read a job."""
        return self._call(_job, "job", job_id)

    def assignment(self, job_id: int, license_id: int) -> Call[Assignment]:
        """Read the service of a license in a job."""
        return self._call(_assignment, "assignment", job_id, license_id)

    def job_count(self) -> Call[int]:
        """Read the latest job; ids count from 1."""
        return self._call(integer, "job_count")

    def current_window(self) -> Call[int]:
        """Read the window of the block's timestamp."""
        return self._call(integer, "current_window")

    def class_of(self, class_id: int) -> Call[Offer]:
        """Read a price class."""
        return self._call(_offer, "class_of", class_id)

    def policy_of(self, version: int) -> Call[PolicyTerms]:
        """Read the terms of a policy version; reverts if there is none."""
        return self._call(_policy, "policy_of", version)

    def policy_version(self) -> Call[int]:
        """Read the policy version of new jobs."""
        return self._call(integer, "policy_version")

    def ledger_of(self, version: int) -> Call[tuple[int, int]]:
        """Read the fees taken under a policy version, and what is owed under it."""
        return self._call(_ledger, "ledger_of", version)

    def liabilities(self) -> Call[int]:
        """Read what the escrow owes in all."""
        return self._call(integer, "liabilities")

    def close_grace(self) -> Call[int]:
        """Read the windows between the request and an unattested close."""
        return self._call(integer, "CLOSE_GRACE")

    def token(self) -> Call[str]:
        """Read the address of the settlement token."""
        return self._call(text, "TOKEN")

    def open_job(
        self,
        spec_hash: bytes,
        class_id: int,
        kind: int,
        slots: int,
        min_slots: int,
        windows: int,
        max_price: int,
    ) -> Call[int]:
        """Open a job, whose deposit the sender approved; the result of a simulation is its id."""
        return self._call(
            integer,
            "open_job",
            spec_hash,
            class_id,
            kind,
            slots,
            min_slots,
            windows,
            max_price,
        )

    def place(
        self,
        job_id: int,
        round_: int,
        window: int,
        revision: int,
        release: Sequence[int],
        assign: Sequence[int],
        signatures: bytes,
    ) -> Call[None]:
        """Change the licenses of a job; signatures in strictly ascending signer order."""
        return self._call(
            nothing,
            "place",
            job_id,
            round_,
            window,
            revision,
            list(release),
            list(assign),
            signatures,
        )

    def claim(self, job_id: int, license_id: int, units: int, proof: Sequence[bytes]) -> Call[int]:
        """Claim by a leaf of the final report; the result of a simulation is what is paid."""
        return self._call(integer, "claim", job_id, license_id, units, list(proof))

    def claim_many(self, payee: str, claims: Sequence[ClaimEntry]) -> Call[int]:
        """Claim for several licenses of one payee; the result of a simulation is what is paid."""
        return self._call(integer, "claim_many", payee, [tuple(claim) for claim in claims])

    def extend_job(self, job_id: int, windows: int) -> Call[None]:
        """Buy more windows; for the payer, who approved the deposit."""
        return self._call(nothing, "extend_job", job_id, windows)

    def revise_job(self, job_id: int, spec_hash: bytes) -> Call[None]:
        """Replace the spec; for the payer."""
        return self._call(nothing, "revise_job", job_id, spec_hash)

    def cancel_job(self, job_id: int) -> Call[int]:
        """End a job for good; for the payer. The result of a simulation is the refund."""
        return self._call(integer, "cancel_job", job_id)

    def close_job(self, job_id: int, total_units: int, proof: Sequence[bytes]) -> Call[int]:
        """Close by the job's own leaf; the result of a simulation is the refund."""
        return self._call(integer, "close_job", job_id, total_units, list(proof))

    def request_close(self, job_id: int) -> Call[None]:
        """Start the grace of an unattested close; for the payer."""
        return self._call(nothing, "request_close", job_id)

    def close_unattested(self, job_id: int) -> Call[int]:
        """Close without a report; the result of a simulation is the refund."""
        return self._call(integer, "close_unattested", job_id)

    def set_class(self, class_id: int, terms: ClassTerms) -> Call[None]:
        """Set a price class; for the governor."""
        return self._call(nothing, "set_class", class_id, tuple(terms))

    def retire_class(self, class_id: int) -> Call[None]:
        """Refuse new money in a price class; for the governor."""
        return self._call(nothing, "retire_class", class_id)

    def add_policy(self, policy: PolicyTerms) -> Call[int]:
        """Add a policy version; for the governor."""
        return self._call(integer, "add_policy", tuple(policy))


def _job(values: Values) -> Job:
    return Job(*values[0])


def _assignment(values: Values) -> Assignment:
    return Assignment(*values[0])


def _offer(values: Values) -> Offer:
    return Offer(*values[0])


def _policy(values: Values) -> PolicyTerms:
    return PolicyTerms(*values[0])


def _ledger(values: Values) -> tuple[int, int]:
    return int(values[0]), int(values[1])
