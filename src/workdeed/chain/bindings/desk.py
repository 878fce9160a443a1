"""JobDesk: where payers and their delegates change jobs, and where a job ends without a report.

Amounts are base units of the token, times are windows, an `end` is exclusive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
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

OPEN: Final = 1
EXTEND: Final = 2
SCALE: Final = 4
REVISE: Final = 8
CANCEL: Final = 16
SCOPES: Final[Mapping[str, int]] = MappingProxyType(
    {"open": OPEN, "extend": EXTEND, "scale": SCALE, "revise": REVISE, "cancel": CANCEL}
)
"""What a delegate may be allowed to do, a bit each."""

MAX_OPENINGS: Final = 16
MAX_RELEASE: Final = 32
ABANDON_FACTOR: Final = 64
"""How many graces a payer waits for what an attested close left to operators."""


@dataclass(frozen=True, slots=True)
class Granted(Event):
    """A payer let a delegate act for it; `scopes` 0 takes the grant back."""

    payer: str
    delegate: str
    scopes: int
    budget: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Spent(Event):
    """A delegate spent of a payer's budget, of which `budget` is left."""

    payer: str
    delegate: str
    amount: int
    budget: int


@dataclass(frozen=True, slots=True)
class EscrowBound(Event):
    """The desk learned the escrow that holds the money."""

    escrow: str


@dataclass(frozen=True, slots=True)
class JobExtended(Event):
    """More windows were bought; `end` is 0 before the start."""

    job_id: int
    windows: int
    end: int
    funded_units: int
    deposit: int


@dataclass(frozen=True, slots=True)
class JobScaled(Event):
    """A job has other `slots` from `window` + 1 on, and the released licenses stop there."""

    job_id: int
    window: int
    slots: int
    funded_units: int
    deposit: int
    refund: int
    release: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JobRevised(Event):
    """The spec was replaced in `window`; service is measured on it from the next one."""

    job_id: int
    revision: int
    window: int
    spec_hash: bytes


@dataclass(frozen=True, slots=True)
class JobCancelled(Event):
    """A job was ended for good; `end` is 0 if it had not started."""

    job_id: int
    end: int
    funded_units: int
    refund: int


@dataclass(frozen=True, slots=True)
class ResultAttested(Event):
    """A quorum attested the result of a batch job, whose last window is the one before `end`."""

    job_id: int
    result_hash: bytes
    end: int


@dataclass(frozen=True, slots=True)
class CloseRequested(Event):
    """A payer asked for a close without a report; `covered` if the final report has the end."""

    job_id: int
    window: int
    covered: bool


@dataclass(frozen=True, slots=True)
class JobClosedUnattested(Event):
    """What was unclaimed went back to the payer without a report."""

    job_id: int
    funded_units: int
    refund: int


@dataclass(frozen=True, slots=True)
class Job:
    """A job as desk and escrow hold it; `payer` is the zero address if there is none.

    `active` counts the placed licenses, `round` the placements so far. `start` and `end` are 0
    before the first placement, `min_slots` after it. `windows` is how long it runs, or will once it
    starts. `close_requested` is a window or 0.
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
    windows: int
    funded_units: int
    claimed_units: int
    cancelled: bool
    completed: bool
    closed: bool
    close_requested: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a delegate may do for a payer.

    Attributes:
        scopes: bits of `SCOPES`.
        budget: what it may still spend, in base units of the token.
        expires_at: when the grant ends, Unix seconds.

    """

    scopes: int
    budget: int
    expires_at: int


class Opening(NamedTuple):
    """What a job is opened with; `max_price` is the highest price that is accepted."""

    spec_hash: bytes
    class_id: int
    kind: int
    slots: int
    min_slots: int
    windows: int
    max_price: int


class Permit(NamedTuple):
    """An ERC-2612 permit of a payer for the escrow, good until `deadline` (Unix seconds)."""

    value: int
    deadline: int
    v: int
    r: bytes
    s: bytes


class JobDesk(Contract):
    """The desk."""

    NAME = "JobDesk"
    EVENTS = (
        Granted,
        Spent,
        EscrowBound,
        JobExtended,
        JobScaled,
        JobRevised,
        JobCancelled,
        ResultAttested,
        CloseRequested,
        JobClosedUnattested,
    )

    def job(self, job_id: int) -> Call[Job]:
        """Read a job."""
        return self._call(_job, "job", job_id)

    def grant_of(self, payer: str, delegate: str) -> Call[Grant]:
        """Read what a delegate may do for a payer."""
        return self._call(_grant, "grant_of", payer, delegate)

    def close_grace(self) -> Call[int]:
        """Read the whole windows between the request and an unattested close."""
        return self._call(integer, "CLOSE_GRACE")

    def escrow(self) -> Call[str]:
        """Read the address of the escrow."""
        return self._call(text, "escrow")

    def bind_escrow(self, escrow: str) -> Call[None]:
        """Name the escrow, once; for the deployer."""
        return self._call(nothing, "bind_escrow", escrow)

    def grant(self, delegate: str, scopes: int, budget: int, expires_at: int) -> Call[None]:
        """Let a delegate act for the sender until a time in Unix seconds."""
        return self._call(nothing, "grant", delegate, scopes, budget, expires_at)

    def open_job_for(self, payer: str, opening: Opening) -> Call[int]:
        """Open a job of a payer; for it and its delegates. A simulation returns its id."""
        return self._call(integer, "open_job_for", payer, tuple(opening))

    def open_jobs(self, payer: str, openings: Sequence[Opening]) -> Call[tuple[int, ...]]:
        """Open several jobs of a payer, all or none; a simulation returns their ids."""
        return self._call(_ids, "open_jobs", payer, [tuple(one) for one in openings])

    def open_jobs_with_permit(
        self, payer: str, openings: Sequence[Opening], permit: Permit
    ) -> Call[tuple[int, ...]]:
        """Open several jobs of a payer with its permit instead of an allowance."""
        return self._call(
            _ids,
            "open_jobs_with_permit",
            payer,
            [tuple(one) for one in openings],
            tuple(permit),
        )

    def extend_job(self, job_id: int, windows: int) -> Call[int]:
        """Buy more windows; a simulation returns the deposit."""
        return self._call(integer, "extend_job", job_id, windows)

    def scale_job(self, job_id: int, slots: int, release: Sequence[int]) -> Call[int]:
        """Change the slots, naming the licenses that lose theirs; a simulation returns the deposit.

        There must be as many of them as there is no slot for any more.
        """
        return self._call(integer, "scale_job", job_id, slots, list(release))

    def revise_job(self, job_id: int, spec_hash: bytes) -> Call[None]:
        """Replace the spec."""
        return self._call(nothing, "revise_job", job_id, spec_hash)

    def cancel_job(self, job_id: int) -> Call[int]:
        """End a job for good; a simulation returns the refund."""
        return self._call(integer, "cancel_job", job_id)

    def attest_result(self, job_id: int, result_hash: bytes, signatures: bytes) -> Call[None]:
        """Complete a batch job; signatures in strictly ascending signer order."""
        return self._call(nothing, "attest_result", job_id, result_hash, signatures)

    def request_close(self, job_id: int) -> Call[None]:
        """Start the grace of an unattested close; for the payer."""
        return self._call(nothing, "request_close", job_id)

    def close_unattested(self, job_id: int) -> Call[int]:
        """Close without a report; a simulation returns the refund."""
        return self._call(integer, "close_unattested", job_id)


def _job(values: Values) -> Job:
    return Job(*values[0])


def _grant(values: Values) -> Grant:
    return Grant(*values)


def _ids(values: Values) -> tuple[int, ...]:
    return tuple(values[0])
