"""JobEscrow: what payers lock for jobs, placements, claims, forfeits, closes and fees.

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
MAX_CLAIMS: Final = 16


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
class Forfeited(Event):
    """A blacklisted license lost what `units`, all that it was credited so far, had earned it.

    The amounts go to the job's payer, to be burned, and to the treasury.
    """

    job_id: int
    license_id: int
    payer: str
    units: int
    refund: int
    burned: int
    treasury: int


@dataclass(frozen=True, slots=True)
class FeesFlushed(Event):
    """Fees of a policy version were handed to the vault, split three ways."""

    policy_version: int
    oracles: int
    burned: int
    treasury: int


@dataclass(frozen=True, slots=True)
class JobClosed(Event):
    """What a job did not use by a final report went back to its payer."""

    job_id: int
    funded_units: int
    refund: int


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """The guardian stopped opening and placing until a time in Unix seconds."""

    guardian: str
    until: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """When a license serves a job: windows [first, until), those of earlier terms, units paid.

    `first` is 0 if it never did, `until` is `OPEN_END` while it is placed.
    """

    first: int
    until: int
    earlier: int
    claimed_units: int


class ClaimEntry(NamedTuple):
    """One claim of `claim_many`: the leaf's cumulative units and its proof."""

    job_id: int
    license_id: int
    units: int
    proof: tuple[bytes, ...]


class PolicyLedger(NamedTuple):
    """The books of a policy version.

    Attributes:
        fees: taken since it was added.
        flushed: what of them was handed to the vault.
        liabilities: what is owed under it: locked deposits, and fees that were not handed on.

    """

    fees: int
    flushed: int
    liabilities: int


class JobEscrow(Contract):
    """The escrow."""

    NAME = "JobEscrow"
    EVENTS = (
        JobOpened,
        Placed,
        Claimed,
        Forfeited,
        FeesFlushed,
        JobClosed,
        Paused,
    )

    def assignment(self, job_id: int, license_id: int) -> Call[Assignment]:
        """Read the service of a license in a job."""
        return self._call(_assignment, "assignment", job_id, license_id)

    def job_count(self) -> Call[int]:
        """Read the latest job; ids count from 1."""
        return self._call(integer, "job_count")

    def current_window(self) -> Call[int]:
        """Read the window of the block's timestamp."""
        return self._call(integer, "current_window")

    def ledger_of(self, version: int) -> Call[PolicyLedger]:
        """Read the books of a policy version."""
        return self._call(_ledger, "ledger_of", version)

    def liabilities(self) -> Call[int]:
        """Read what the escrow owes in all."""
        return self._call(integer, "liabilities")

    def price_of(self, class_id: int) -> Call[int]:
        """Read the price of a class that new money may be spent on; reverts if there is none."""
        return self._call(integer, "price_of", class_id)

    def pause_of(self) -> Call[tuple[int, int]]:
        """Read until when opening and placing are paused, and from when they may be again."""
        return self._call(_pause, "pause_of")

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

    def forfeit(
        self, job_id: int, license_id: int, units: int, proof: Sequence[bytes]
    ) -> Call[int]:
        """Take what a blacklisted license earned; a simulation returns what it loses."""
        return self._call(integer, "forfeit", job_id, license_id, units, list(proof))

    def flush_fees(self, version: int) -> Call[int]:
        """Hand the fees of a policy version to the vault; a simulation returns the amount."""
        return self._call(integer, "flush_fees", version)

    def close_job(self, job_id: int, total_units: int, proof: Sequence[bytes]) -> Call[int]:
        """Close by the job's own leaf; the result of a simulation is the refund."""
        return self._call(integer, "close_job", job_id, total_units, list(proof))

    def pause(self) -> Call[None]:
        """Stop opening and placing for the pause period; for the guardian."""
        return self._call(nothing, "pause")


def _assignment(values: Values) -> Assignment:
    return Assignment(*values[0])


def _ledger(values: Values) -> PolicyLedger:
    return PolicyLedger(*values)


def _pause(values: Values) -> tuple[int, int]:
    return int(values[0]), int(values[1])
