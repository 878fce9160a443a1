"""What the events of the contracts add up to: the one place that turns events into state.

`Books` is the state after some block, `History` the events with the states along the way. Both are
pure: no I/O, no clock. Where a rule of a contract depends on time, the caller names the timestamp
(Unix seconds). Values are immutable; what a book hands out is to be read only.

The rules are those of `contracts/`: placements take effect in the window after theirs, a standing
ends by itself, a report is final once its challenge time is over.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, TypeVar

from workdeed.chain.bindings import (
    committee,
    desk,
    escrow,
    licenses,
    ownership,
    registry,
    tariff,
)
from workdeed.chain.bindings.codec import Event, LoggedEvent
from workdeed.chain.bindings.licenses import ZERO_ADDRESS
from workdeed.chain.errors import ChainError
from workdeed.protocol.figures import UNIT, Pair

K = TypeVar("K")
V = TypeVar("V")


class BooksError(ChainError):
    """The events do not add up, or a state is asked for that was not read or is forgotten."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A spec that a payer set in `window` (0: at the opening); measured from the next window."""

    revision: int
    window: int
    spec_hash: bytes


@dataclass(frozen=True, slots=True)
class JobState:
    """A job.

    Attributes:
        opened_at: the time of its block, Unix seconds.
        revisions: every spec so far, the current one last.
        round: how many placements it had.
        start: its first window, 0 before the first placement.
        end: the first window after it, 0 before the first placement.
        slots: replicas, or shards of a batch job; after a scaling, from the next window on.
        min_slots: licenses that the first placement must bring.
        active: licenses that are placed and not released.
        close_requested: the window in which the payer asked for a close, or 0.
        covered: whether the final report had the job's end at that request.
        completed: whether the result of a batch job was attested.
        attested: whether it was last closed by a report.
        deposited, refunded, paid, fees: base units of the token, up to now.
        forfeited: what blacklisted licenses lost, in base units; the payer's part of it included.

    """

    job_id: int
    payer: str
    kind: int
    class_id: int
    policy_version: int
    price: int
    slots: int
    min_slots: int
    opened_at: int
    revisions: tuple[Revision, ...]
    funded_units: int
    deposited: int
    round: int = 0
    start: int = 0
    end: int = 0
    active: int = 0
    claimed_units: int = 0
    cancelled: bool = False
    completed: bool = False
    closed: bool = False
    attested: bool = False
    close_requested: int = 0
    covered: bool = False
    refunded: int = 0
    paid: int = 0
    fees: int = 0
    forfeited: int = 0

    @property
    def revision(self) -> int:
        """The number of the current spec, from 0."""
        return self.revisions[-1].revision

    @property
    def spec_hash(self) -> bytes:
        """The hash of the current spec."""
        return self.revisions[-1].spec_hash

    @property
    def locked(self) -> int:
        """What is still held for it, in base units of the token."""
        return self.deposited - self.refunded - self.paid - self.fees - self.forfeited

    def gross(self, units: int) -> int:
        """Return what units cost, rounded down to base units of the token."""
        return self.price * units // UNIT

    def measured(self, window: int) -> Revision:
        """Return the spec that service in `window` is measured on."""
        earlier = [item for item in self.revisions if item.window < window]
        return earlier[-1] if earlier else self.revisions[0]

    def is_over(self, window: int) -> bool:
        """Tell whether `window` is past the job's last one."""
        return 0 < self.end <= window


@dataclass(frozen=True, slots=True)
class AssignmentState:
    """The service of a license in a job: windows [first, until) and those of earlier terms.

    Attributes:
        until: `OPEN_END` while it is placed.
        earlier: windows served in earlier terms.
        claimed_units: cumulative units that it was credited.
        past: the earlier terms, [first, until) each, not cut by the job's end.

    """

    job_id: int
    license_id: int
    first: int
    until: int = escrow.OPEN_END
    earlier: int = 0
    claimed_units: int = 0
    past: tuple[tuple[int, int], ...] = ()

    @property
    def placed(self) -> bool:
        """Whether it is placed and not released."""
        return self.until == escrow.OPEN_END

    def in_force(self, window: int, end: int) -> bool:
        """Tell whether it serves in `window` of a job with this `end`."""
        terms = (*self.past, (self.first, self.until))
        return window < end and any(first <= window < until for first, until in terms)

    def windows(self, end: int, reported: int) -> int:
        """Count the windows that it served and that a final report for `reported` covers."""
        stop = min(self.until, end, reported + 1)
        return self.earlier + max(0, stop - self.first)


@dataclass(frozen=True, slots=True)
class LicenseState:
    """A license.

    Attributes:
        node: the linked node key, None if there is none.
        linked_at: when it was linked, Unix seconds; 0 if there is none.
        payout: who is paid, None for the owner.
        bonded: whether its bond reaches the minimum of its kind.

    """

    license_id: int
    kind: int
    owner: str
    node: str | None = None
    linked_at: int = 0
    endpoint: str = ""
    profile_hash: bytes = bytes(32)
    payout: str | None = None
    bonded: bool = False

    @property
    def payee(self) -> str:
        """Who is paid for it."""
        return self.payout or self.owner


@dataclass(frozen=True, slots=True)
class StandingState:
    """The last standing that a subject was given; from `until` (Unix seconds) on it is good."""

    standing: int
    until: int
    reason: int
    evidence_hash: bytes

    def at(self, timestamp: int) -> int:
        """Return the standing in force."""
        return self.standing if timestamp < self.until else registry.GOOD


@dataclass(frozen=True, slots=True)
class AttestationState:
    """What an issuer attested, until `expires_at` (Unix seconds)."""

    issuer: str
    level: int
    expires_at: int
    evidence_hash: bytes


@dataclass(frozen=True, slots=True)
class GrantState:
    """What a payer lets a delegate do: bits of `desk.SCOPES`, until a time in Unix seconds."""

    scopes: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of the committee."""

    seat: int
    license_id: int
    signer: str


@dataclass(frozen=True, slots=True)
class ReportState:
    """A report that was accepted.

    Attributes:
        signers: a bit for each seat that signed.
        accepted_at, final_at: Unix seconds; without a veto it is final from `final_at` on.
        epoch: the committee epoch in which it was accepted.
        tx_hash: the transaction that brought it.

    """

    window: int
    turn: int
    root: bytes
    data_hash: bytes
    signers: int
    submitter: str
    accepted_at: int
    final_at: int
    epoch: int
    tx_hash: bytes
    vetoed: bool = False


@dataclass(frozen=True, slots=True)
class PriceClass:
    """What a slot costs a window, in base units of the token, and what it gives."""

    class_id: int
    price: int
    cpu_milli: int
    memory_mb: int
    storage_mb: int
    retired: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """The terms of a policy version, as the tariff has them.

    `flushed` is what of its fees was handed to the vault, in base units of the token.
    """

    policy_version: int
    oracle_bps: int
    burn_bps: int
    treasury_bps: int
    sla_floor_bps: int
    payer_level: int
    payer_standing: bool
    payer_oracle: bool
    forfeit_payer_bps: int
    forfeit_burn_bps: int
    flushed: int = 0


@dataclass(slots=True)
class _Tables:
    """The tables of a book. Values are immutable, so that copying the tables copies the book."""

    jobs: dict[int, JobState] = field(default_factory=dict)
    assignments: dict[tuple[int, int], AssignmentState] = field(default_factory=dict)
    licenses_of_job: dict[int, tuple[int, ...]] = field(default_factory=dict)
    jobs_of_license: dict[int, tuple[int, ...]] = field(default_factory=dict)
    licenses: dict[int, LicenseState] = field(default_factory=dict)
    license_of_node: dict[str, int] = field(default_factory=dict)
    standings: dict[int, StandingState] = field(default_factory=dict)
    attestations: dict[str, AttestationState] = field(default_factory=dict)
    issuers: dict[str, bool] = field(default_factory=dict)
    grants: dict[tuple[str, str], GrantState] = field(default_factory=dict)
    seats: dict[int, Seat] = field(default_factory=dict)
    reports: dict[int, ReportState] = field(default_factory=dict)
    classes: dict[int, PriceClass] = field(default_factory=dict)
    policies: dict[int, Policy] = field(default_factory=dict)
    owner_level: int = 0
    guardian: str = ZERO_ADDRESS
    committee_epoch: int = 0
    veto_floor: int = 0
    paused_until: int = 0

    def copy(self) -> "_Tables":
        """Return tables that change independently."""
        copied = copy(self)
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, dict):
                setattr(copied, name, value.copy())
        return copied


class Books:
    """The state after the events up to some block.

    Args:
        escrow_address: the escrow, which pairs and leaves name.

    """

    def __init__(self, escrow_address: str) -> None:
        self.escrow = escrow_address
        self._tables = _Tables()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Books):
            return NotImplemented
        return self.escrow == other.escrow and self._tables == other._tables

    def copy(self) -> "Books":
        """Return books that change independently."""
        copied = Books(self.escrow)
        copied._tables = self._tables.copy()
        return copied

    def apply(self, logged: LoggedEvent) -> None:
        """Take the next event into account.

        Raises:
            BooksError: if it does not follow from the events before it.

        """
        reducer = _REDUCERS.get(type(logged.event))
        if reducer is None:
            raise BooksError(f"event {type(logged.event).__name__}: not known to the books")
        try:
            reducer(self._tables, logged.event, logged)
        except KeyError as error:
            name = type(logged.event).__name__
            raise BooksError(
                f"block {logged.block}: {name} of {error} without what must precede it; the log has"
                " a gap, delete the database to read it anew"
            ) from error

    @property
    def jobs(self) -> Mapping[int, JobState]:
        """Jobs by id."""
        return MappingProxyType(self._tables.jobs)

    @property
    def assignments(self) -> Mapping[tuple[int, int], AssignmentState]:
        """Assignments by job and license."""
        return MappingProxyType(self._tables.assignments)

    @property
    def licenses(self) -> Mapping[int, LicenseState]:
        """Licenses by id."""
        return MappingProxyType(self._tables.licenses)

    @property
    def standings(self) -> Mapping[int, StandingState]:
        """The last standing of each subject, by the number that the registry has for it."""
        return MappingProxyType(self._tables.standings)

    @property
    def attestations(self) -> Mapping[str, AttestationState]:
        """Attestations that were not revoked, by account."""
        return MappingProxyType(self._tables.attestations)

    @property
    def issuers(self) -> Mapping[str, bool]:
        """Whether each account that ever was an issuer is one."""
        return MappingProxyType(self._tables.issuers)

    @property
    def grants(self) -> Mapping[tuple[str, str], GrantState]:
        """What payers granted and did not take back, by payer and delegate."""
        return MappingProxyType(self._tables.grants)

    @property
    def reports(self) -> Mapping[int, ReportState]:
        """Accepted reports by window, vetoed ones included, in the order of the windows."""
        return MappingProxyType(self._tables.reports)

    @property
    def classes(self) -> Mapping[int, PriceClass]:
        """Price classes by id."""
        return MappingProxyType(self._tables.classes)

    @property
    def policies(self) -> Mapping[int, Policy]:
        """Policies by version."""
        return MappingProxyType(self._tables.policies)

    @property
    def policy_version(self) -> int:
        """The policy version of new jobs; 0 before the first."""
        return max(self._tables.policies, default=0)

    @property
    def members(self) -> tuple[Seat, ...]:
        """The seats that are taken, in their order: what leaders of turns are counted in."""
        return tuple(seat for _, seat in sorted(self._tables.seats.items()))

    @property
    def committee_epoch(self) -> int:
        """The epoch that every message of the committee names."""
        return self._tables.committee_epoch

    @property
    def owner_level(self) -> int:
        """The attested level that the owner of a placed license needs."""
        return self._tables.owner_level

    @property
    def guardian(self) -> str:
        """Who may freeze and veto."""
        return self._tables.guardian

    @property
    def veto_floor(self) -> int:
        """The highest window that a veto used up."""
        return self._tables.veto_floor

    @property
    def paused_until(self) -> int:
        """From when (Unix seconds) jobs can be opened and placed again; 0 without a pause."""
        return self._tables.paused_until

    @property
    def latest_report(self) -> ReportState | None:
        """The latest report that was not vetoed, final or pending."""
        reports = reversed(self._tables.reports.values())
        return next((report for report in reports if not report.vetoed), None)

    def final_report(self, timestamp: int) -> ReportState | None:
        """Return the report that money may rest on at a time, None before the first."""
        for report in reversed(self._tables.reports.values()):
            if not report.vetoed and report.final_at <= timestamp:
                return report
        return None

    def pending_report(self, timestamp: int) -> ReportState | None:
        """Return the report that can still be vetoed at a time."""
        latest = self.latest_report
        return latest if latest is not None and timestamp < latest.final_at else None

    def assignments_of(self, job_id: int) -> tuple[AssignmentState, ...]:
        """Return the service of every license that ever was placed in a job, by license."""
        ids = self._tables.licenses_of_job.get(job_id, ())
        return tuple(self._tables.assignments[job_id, license_id] for license_id in ids)

    def jobs_of(self, license_id: int) -> tuple[AssignmentState, ...]:
        """Return the service of a license in every job that it ever was placed in, by job."""
        ids = self._tables.jobs_of_license.get(license_id, ())
        return tuple(self._tables.assignments[job_id, license_id] for job_id in ids)

    def placed(self, job_id: int) -> tuple[int, ...]:
        """Return the licenses that are placed in a job and not released, ascending."""
        return tuple(item.license_id for item in self.assignments_of(job_id) if item.placed)

    def pairs_in_force(self, window: int) -> tuple[Pair, ...]:
        """Return the pairs (job, license) that serve in `window`, in order."""
        jobs = self._tables.jobs
        return tuple(
            Pair(self.escrow, job_id, license_id)
            for (job_id, license_id), item in sorted(self._tables.assignments.items())
            if item.in_force(window, jobs[job_id].end)
        )

    def cap(self, job_id: int, license_id: int, reported: int) -> int:
        """Return the most units that a license can be paid for by a report for `reported`.

        In a batch job one reported window opens all shards: what was funded is the bound.
        """
        item = self._tables.assignments.get((job_id, license_id))
        job = self._tables.jobs.get(job_id)
        if item is None or job is None:
            return 0
        windows = item.windows(job.end, reported)
        if job.kind == escrow.BATCH:
            return job.funded_units if windows else 0
        return windows * UNIT

    def license_of_node(self, node: str) -> LicenseState | None:
        """Return the license that a node key is linked to."""
        license_id = self._tables.license_of_node.get(node)
        return None if license_id is None else self._tables.licenses[license_id]

    def account_standing(self, account: str, timestamp: int) -> int:
        """Return the standing of an account at a time."""
        return self._standing(registry.account_subject(account), timestamp)

    def worst_standing(self, license_id: int, timestamp: int) -> int:
        """Return the worst standing of a license, its owner and its node at a time.

        Raises:
            BooksError: if there is no such license.

        """
        item = self._tables.licenses.get(license_id)
        if item is None:
            raise BooksError(f"license {license_id}: there is none")
        subjects = [registry.license_subject(license_id), registry.account_subject(item.owner)]
        if item.node is not None:
            subjects.append(registry.account_subject(item.node))
        return max(self._standing(subject, timestamp) for subject in subjects)

    def attested_level(self, account: str, timestamp: int) -> int:
        """Return how much of an account is verified at a time; 0 if no attestation holds."""
        held = self._tables.attestations.get(account)
        if held is None or held.expires_at <= timestamp or not self.issuers.get(held.issuer):
            return 0
        return held.level

    def eligible(self, license_id: int, timestamp: int) -> bool:
        """Tell whether a license can be placed at a time."""
        item = self._tables.licenses.get(license_id)
        if item is None or item.kind != licenses.NODE or item.node is None or not item.bonded:
            return False
        if self.worst_standing(license_id, timestamp) != registry.GOOD:
            return False
        level = self._tables.owner_level
        return level == 0 or self.attested_level(item.owner, timestamp) >= level

    def may_act(self, account: str, job_id: int, scope: int, timestamp: int) -> bool:
        """Tell whether an account may do at a time what `scope` stands for with a job.

        Its payer may, and whoever holds a grant of it; nobody where there is no such job.
        """
        job = self._tables.jobs.get(job_id)
        if job is None:
            return False
        grant = self._tables.grants.get((job.payer, account))
        granted = grant is not None and timestamp < grant.expires_at and grant.scopes & scope
        return account == job.payer or bool(granted)

    def _standing(self, subject: int, timestamp: int) -> int:
        state = self._tables.standings.get(subject)
        return registry.GOOD if state is None else state.at(timestamp)


def _change(table: dict[K, V], key: K, **changes: Any) -> None:
    """Replace a row by one with changes; raises `KeyError` if there is none."""
    table[key] = replace(table[key], **changes)  # type: ignore[type-var] # rows are dataclasses


def _add_to(index: dict[int, tuple[int, ...]], key: int, value: int) -> None:
    known = index.get(key, ())
    if value not in known:
        index[key] = tuple(sorted((*known, value)))


def _ignore(_: _Tables, __: Event, ___: LoggedEvent) -> None:
    """Take note of an event that changes nothing here."""


def _on_class_set(tables: _Tables, event: tariff.ClassSet, _: LoggedEvent) -> None:
    tables.classes[event.class_id] = PriceClass(
        class_id=event.class_id,
        price=event.price,
        cpu_milli=event.cpu_milli,
        memory_mb=event.memory_mb,
        storage_mb=event.storage_mb,
        retired=event.retired,
    )


def _on_policy_added(tables: _Tables, event: tariff.PolicyAdded, _: LoggedEvent) -> None:
    tables.policies[event.policy_version] = Policy(
        policy_version=event.policy_version,
        oracle_bps=event.oracle_bps,
        burn_bps=event.burn_bps,
        treasury_bps=event.treasury_bps,
        sla_floor_bps=event.sla_floor_bps,
        payer_level=event.payer_level,
        payer_standing=event.payer_standing,
        payer_oracle=event.payer_oracle,
        forfeit_payer_bps=event.forfeit_payer_bps,
        forfeit_burn_bps=event.forfeit_burn_bps,
    )


def _on_job_opened(tables: _Tables, event: escrow.JobOpened, at: LoggedEvent) -> None:
    tables.jobs[event.job_id] = JobState(
        job_id=event.job_id,
        payer=event.payer,
        kind=event.kind,
        class_id=event.class_id,
        policy_version=event.policy_version,
        price=event.price,
        slots=event.slots,
        min_slots=event.min_slots,
        opened_at=at.timestamp,
        revisions=(Revision(revision=0, window=0, spec_hash=event.spec_hash),),
        funded_units=event.slots * (1 if event.kind == escrow.BATCH else event.windows) * UNIT,
        deposited=event.deposit,
    )


def _on_placed(tables: _Tables, event: escrow.Placed, _: LoggedEvent) -> None:
    job = tables.jobs[event.job_id]
    window = event.window + 1
    _release(tables, event.job_id, event.release, window)
    for license_id in event.assign:
        _assign(tables, event.job_id, license_id, window, event.end)
    tables.jobs[event.job_id] = replace(
        job,
        round=event.round + 1,
        start=job.start or window,
        end=event.end,
        active=job.active + len(event.assign) - len(event.release),
    )


def _release(tables: _Tables, job_id: int, released: tuple[int, ...], window: int) -> None:
    """End the terms of licenses; `window` is the first that they do not serve."""
    for license_id in released:
        _change(tables.assignments, (job_id, license_id), until=window)


def _assign(tables: _Tables, job_id: int, license_id: int, window: int, end: int) -> None:
    """Begin a term; the windows of the last one, cut by the job's end, add up in `earlier`."""
    known = tables.assignments.get((job_id, license_id))
    if known is None:
        item = AssignmentState(job_id=job_id, license_id=license_id, first=window)
        _add_to(tables.licenses_of_job, job_id, license_id)
        _add_to(tables.jobs_of_license, license_id, job_id)
    else:
        item = replace(
            known,
            first=window,
            until=escrow.OPEN_END,
            earlier=known.windows(end, known.until),
            past=(*known.past, (known.first, known.until)),
        )
    tables.assignments[job_id, license_id] = item


def _on_claimed(tables: _Tables, event: escrow.Claimed, _: LoggedEvent) -> None:
    _credit(tables, event, event.amount)
    job = tables.jobs[event.job_id]
    tables.jobs[event.job_id] = replace(job, paid=job.paid + event.amount)


def _on_forfeited(tables: _Tables, event: escrow.Forfeited, _: LoggedEvent) -> None:
    amount = event.refund + event.burned + event.treasury
    _credit(tables, event, amount)
    job = tables.jobs[event.job_id]
    tables.jobs[event.job_id] = replace(job, forfeited=job.forfeited + amount)


def _credit(tables: _Tables, event: escrow.Claimed | escrow.Forfeited, amount: int) -> None:
    """Credit a license; `amount` is its own share, be it paid or forfeited."""
    key = event.job_id, event.license_id
    job = tables.jobs[event.job_id]
    before = tables.assignments[key].claimed_units
    # Cumulative gross, so that the roundings of single claims add up to nothing.
    gross = job.gross(event.units) - job.gross(before)
    _change(tables.assignments, key, claimed_units=event.units)
    tables.jobs[event.job_id] = replace(
        job,
        claimed_units=job.claimed_units + event.units - before,
        fees=job.fees + gross - amount,
    )


def _on_fees_flushed(tables: _Tables, event: escrow.FeesFlushed, _: LoggedEvent) -> None:
    handed_on = event.oracles + event.burned + event.treasury
    flushed = tables.policies[event.policy_version].flushed + handed_on
    _change(tables.policies, event.policy_version, flushed=flushed)


def _on_paused(tables: _Tables, event: escrow.Paused, _: LoggedEvent) -> None:
    tables.paused_until = event.until


def _on_job_extended(tables: _Tables, event: desk.JobExtended, _: LoggedEvent) -> None:
    deposited = tables.jobs[event.job_id].deposited + event.deposit
    _change(
        tables.jobs,
        event.job_id,
        end=event.end,
        funded_units=event.funded_units,
        deposited=deposited,
    )


def _on_job_scaled(tables: _Tables, event: desk.JobScaled, _: LoggedEvent) -> None:
    job = tables.jobs[event.job_id]
    _release(tables, event.job_id, event.release, event.window + 1)
    tables.jobs[event.job_id] = replace(
        job,
        slots=event.slots,
        min_slots=min(job.min_slots, event.slots),
        active=job.active - len(event.release),
        funded_units=event.funded_units,
        deposited=job.deposited + event.deposit,
        refunded=job.refunded + event.refund,
    )


def _on_job_revised(tables: _Tables, event: desk.JobRevised, _: LoggedEvent) -> None:
    known = tables.jobs[event.job_id].revisions
    added = Revision(revision=event.revision, window=event.window, spec_hash=event.spec_hash)
    _change(tables.jobs, event.job_id, revisions=(*known, added))


def _on_job_cancelled(tables: _Tables, event: desk.JobCancelled, _: LoggedEvent) -> None:
    job = tables.jobs[event.job_id]
    tables.jobs[event.job_id] = replace(
        job,
        end=event.end,
        funded_units=event.funded_units,
        cancelled=True,
        closed=job.closed or event.end == 0,
        refunded=job.refunded + event.refund,
    )


def _on_close_requested(tables: _Tables, event: desk.CloseRequested, _: LoggedEvent) -> None:
    _change(tables.jobs, event.job_id, close_requested=event.window, covered=event.covered)


def _on_result_attested(tables: _Tables, event: desk.ResultAttested, _: LoggedEvent) -> None:
    _change(tables.jobs, event.job_id, end=event.end, completed=True)


def _on_job_closed(tables: _Tables, event: escrow.JobClosed, _: LoggedEvent) -> None:
    _close(tables, event, attested=True)


def _on_job_closed_unattested(
    tables: _Tables, event: desk.JobClosedUnattested, _: LoggedEvent
) -> None:
    _close(tables, event, attested=False)


def _close(
    tables: _Tables, event: escrow.JobClosed | desk.JobClosedUnattested, *, attested: bool
) -> None:
    refunded = tables.jobs[event.job_id].refunded + event.refund
    _change(
        tables.jobs,
        event.job_id,
        funded_units=event.funded_units,
        closed=True,
        attested=attested,
        refunded=refunded,
    )


def _on_granted(tables: _Tables, event: desk.Granted, _: LoggedEvent) -> None:
    key = event.payer, event.delegate
    tables.grants.pop(key, None)
    if event.scopes:
        tables.grants[key] = GrantState(scopes=event.scopes, expires_at=event.expires_at)


def _on_license_issued(tables: _Tables, event: licenses.LicenseIssued, _: LoggedEvent) -> None:
    tables.licenses[event.license_id] = LicenseState(
        license_id=event.license_id, kind=event.kind, owner=event.owner
    )


def _on_license_moved(tables: _Tables, event: licenses.Transfer, _: LoggedEvent) -> None:
    # An issue says so in an event of its own, right after.
    if event.sender != ZERO_ADDRESS:
        _change(tables.licenses, event.token_id, owner=event.receiver)


def _on_node_linked(tables: _Tables, event: licenses.NodeLinked, at: LoggedEvent) -> None:
    _change(tables.licenses, event.license_id, node=event.node, linked_at=at.timestamp)
    tables.license_of_node[event.node] = event.license_id


def _on_node_unlinked(tables: _Tables, event: licenses.NodeUnlinked, _: LoggedEvent) -> None:
    _change(tables.licenses, event.license_id, node=None, linked_at=0)
    del tables.license_of_node[event.node]


def _on_profile_set(tables: _Tables, event: licenses.ProfileSet, _: LoggedEvent) -> None:
    _change(
        tables.licenses,
        event.license_id,
        endpoint=event.endpoint,
        profile_hash=event.profile_hash,
    )


def _on_payout_set(tables: _Tables, event: licenses.PayoutSet, _: LoggedEvent) -> None:
    payout = None if event.payout == ZERO_ADDRESS else event.payout
    _change(tables.licenses, event.license_id, payout=payout)


def _on_bonded_set(tables: _Tables, event: licenses.BondedSet, _: LoggedEvent) -> None:
    _change(tables.licenses, event.license_id, bonded=event.bonded)


def _on_eligibility_set(tables: _Tables, event: licenses.EligibilitySet, _: LoggedEvent) -> None:
    tables.owner_level = event.owner_level


def _on_guardian_set(tables: _Tables, event: registry.GuardianSet, _: LoggedEvent) -> None:
    tables.guardian = event.guardian


def _on_issuer_set(tables: _Tables, event: registry.IssuerSet, _: LoggedEvent) -> None:
    tables.issuers[event.issuer] = event.active


def _on_standing_set(tables: _Tables, event: registry.StandingSet, _: LoggedEvent) -> None:
    tables.standings[event.subject] = StandingState(
        standing=event.standing,
        until=event.until,
        reason=event.reason,
        evidence_hash=event.evidence_hash,
    )


def _on_attested(tables: _Tables, event: registry.Attested, _: LoggedEvent) -> None:
    tables.attestations[event.account] = AttestationState(
        issuer=event.issuer,
        level=event.level,
        expires_at=event.expires_at,
        evidence_hash=event.evidence_hash,
    )


def _on_revoked(tables: _Tables, event: registry.AttestationRevoked, _: LoggedEvent) -> None:
    del tables.attestations[event.account]


def _on_seat_added(tables: _Tables, event: committee.SeatAdded, _: LoggedEvent) -> None:
    tables.seats[event.seat] = Seat(
        seat=event.seat, license_id=event.license_id, signer=event.signer
    )
    tables.committee_epoch = event.epoch


def _on_seat_removed(tables: _Tables, event: committee.SeatRemoved, _: LoggedEvent) -> None:
    del tables.seats[event.seat]
    tables.committee_epoch = event.epoch


def _on_report(tables: _Tables, event: committee.ReportSubmitted, at: LoggedEvent) -> None:
    tables.reports[event.window] = ReportState(
        window=event.window,
        turn=event.turn,
        root=event.root,
        data_hash=event.data_hash,
        signers=event.signers,
        submitter=event.submitter,
        accepted_at=at.timestamp,
        final_at=event.final_at,
        epoch=tables.committee_epoch,
        tx_hash=at.tx_hash,
    )


def _on_veto(tables: _Tables, event: committee.ReportVetoed, _: LoggedEvent) -> None:
    _change(tables.reports, event.window, vetoed=True)
    tables.veto_floor = event.floor


_Reducer = Callable[[_Tables, Any, LoggedEvent], None]

_REDUCERS: Final[Mapping[type[Event], _Reducer]] = {
    tariff.ClassSet: _on_class_set,
    tariff.PolicyAdded: _on_policy_added,
    tariff.EscrowBound: _ignore,
    escrow.JobOpened: _on_job_opened,
    escrow.Placed: _on_placed,
    escrow.Claimed: _on_claimed,
    escrow.Forfeited: _on_forfeited,
    escrow.FeesFlushed: _on_fees_flushed,
    escrow.JobClosed: _on_job_closed,
    escrow.Paused: _on_paused,
    desk.JobExtended: _on_job_extended,
    desk.JobScaled: _on_job_scaled,
    desk.JobRevised: _on_job_revised,
    desk.JobCancelled: _on_job_cancelled,
    desk.ResultAttested: _on_result_attested,
    desk.CloseRequested: _on_close_requested,
    desk.JobClosedUnattested: _on_job_closed_unattested,
    desk.Granted: _on_granted,
    desk.Spent: _ignore,
    desk.EscrowBound: _ignore,
    licenses.LicenseIssued: _on_license_issued,
    licenses.Transfer: _on_license_moved,
    licenses.NodeLinked: _on_node_linked,
    licenses.NodeUnlinked: _on_node_unlinked,
    licenses.ProfileSet: _on_profile_set,
    licenses.PayoutSet: _on_payout_set,
    licenses.EligibilitySet: _on_eligibility_set,
    licenses.BondedSet: _on_bonded_set,
    licenses.BondPosted: _ignore,
    licenses.UnbondRequested: _ignore,
    licenses.UnbondCancelled: _ignore,
    licenses.BondWithdrawn: _ignore,
    licenses.Slashed: _ignore,
    licenses.SlashSplitSet: _ignore,
    licenses.CommitteeBound: _ignore,
    licenses.Approval: _ignore,
    licenses.ApprovalForAll: _ignore,
    registry.GuardianSet: _on_guardian_set,
    registry.IssuerSet: _on_issuer_set,
    registry.StandingSet: _on_standing_set,
    registry.Attested: _on_attested,
    registry.AttestationRevoked: _on_revoked,
    registry.LicensesBound: _ignore,
    registry.TreasurySet: _ignore,
    registry.Appealed: _ignore,
    committee.SeatAdded: _on_seat_added,
    committee.SeatRemoved: _on_seat_removed,
    committee.ReportSubmitted: _on_report,
    committee.ReportVetoed: _on_veto,
    committee.EquivocationSlashed: _ignore,
    committee.RewardsBooked: _ignore,
    committee.RewardsSettled: _ignore,
    committee.RewardClaimed: _ignore,
    committee.RewardForfeited: _ignore,
    ownership.OwnershipTransferred: _ignore,
    ownership.OwnershipTransferStarted: _ignore,
    ownership.RoleMinterChanged: _ignore,
}
