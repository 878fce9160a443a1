"""Collects what a final report proves, for the licenses whose payees this keeper serves.

What a blacklisted license earned is forfeited instead, in part back to the payer.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from workdeed.chain.bindings.escrow import MAX_CLAIMS, ClaimEntry, JobEscrow
from workdeed.chain.bindings.registry import BLACKLISTED, GOOD
from workdeed.chain.books import Books, JobState
from workdeed.keeper.effects import PlannedEffect
from workdeed.keeper.reportdata import ReportData
from workdeed.keeper.stagger import Stagger
from workdeed.keeper.view import View
from workdeed.protocol.figures import UNIT
from workdeed.protocol.hashing import keccak
from workdeed.protocol.report import Leaf

HELD = frozenset({"escrow: payee frozen", "escrow: payee suspended"})
"""Reasons of the escrow that end by themselves."""


@dataclass(frozen=True)
class ClaimRule:
    """For whom, from which amount on, and when a keeper claims.

    Attributes:
        payees: "all", or the payout addresses that it serves.
        min_amount: base units below which a claim waits until its job's end is reported.
        stagger: the order among keepers; those that serve stated payees do not wait.

    """

    payees: Literal["all"] | frozenset[str]
    min_amount: int
    stagger: Stagger


@dataclass(frozen=True)
class DueClaim:
    """A claim that would move `credited` cumulative units to a payee."""

    leaf: Leaf
    payee: str
    credited: int

    @property
    def key(self) -> tuple[int, int]:
        """Job and license."""
        return self.leaf.job_id, self.leaf.license_id


def due_claims(view: View, leaves: Sequence[Leaf], rule: ClaimRule) -> list[DueClaim]:
    """Return the claims that are due under the final report with these leaves.

    Left out is what would move nothing, what is held because license, owner or node is not in good
    standing, and what is another keeper's turn.
    """
    return [claim for leaf in leaves if (claim := _due(view, leaf, rule)) is not None]


def due_forfeits(view: View, leaves: Sequence[Leaf], rule: ClaimRule) -> list[DueClaim]:
    """Return what blacklisted licenses lose under the final report, for keepers that serve all."""
    if rule.payees != "all":
        return []
    return [
        DueClaim(leaf, view.books.licenses[leaf.license_id].payee, units)
        for leaf in leaves
        if (units := _moved(view, leaf))
        and view.books.worst_standing(leaf.license_id, view.timestamp) == BLACKLISTED
        and _is_our_turn(view, leaf, rule.stagger)
    ]


def claim_effects(
    escrow: JobEscrow, data: ReportData, claims: Iterable[DueClaim]
) -> list[PlannedEffect]:
    """Return the transactions for `claims`: one for each payee and `MAX_CLAIMS` of its claims.

    A key names the payee and the first of the claims, not the report: what waits takes over the
    proof of the next one, and what settled is followed by what the next one adds. All that is due
    is in one of the effects each time, so that no claim depends on which key it is under.
    """
    by_payee: dict[str, list[DueClaim]] = defaultdict(list)
    for claim in claims:
        by_payee[claim.payee].append(claim)
    return [
        _effect(escrow, data, payee, part)
        for payee, due in sorted(by_payee.items())
        for part in _parts(sorted(due, key=lambda claim: claim.key))
    ]


def forfeit_effects(
    escrow: JobEscrow, data: ReportData, forfeits: Iterable[DueClaim]
) -> list[PlannedEffect]:
    """Return the transactions for `forfeits`, one each."""
    return [_forfeit(escrow, data, one) for one in forfeits]


def credited(books: Books, job: JobState, leaf: Leaf, reported: int) -> int:
    """Return the cumulative units that a claim of `leaf` would credit, as the escrow clamps it."""
    assignment = books.assignments[leaf.job_id, leaf.license_id]
    left = assignment.claimed_units + job.funded_units - job.claimed_units
    return min(leaf.units, books.cap(leaf.job_id, leaf.license_id, reported), left)


def _due(view: View, leaf: Leaf, rule: ClaimRule) -> DueClaim | None:
    books = view.books
    units = _moved(view, leaf)
    if not units or not _is_worth(view, books.jobs[leaf.job_id], leaf, units, rule):
        return None
    payee = books.licenses[leaf.license_id].payee
    if rule.payees != "all" and payee not in rule.payees:
        return None
    if books.worst_standing(leaf.license_id, view.timestamp) != GOOD:
        return None
    if rule.payees == "all" and not _is_our_turn(view, leaf, rule.stagger):
        return None
    return DueClaim(leaf, payee, units)


def _moved(view: View, leaf: Leaf) -> int:
    """Return the cumulative units that a leaf would credit now, 0 if it moves nothing."""
    books = view.books
    job = books.jobs.get(leaf.job_id)
    assignment = books.assignments.get((leaf.job_id, leaf.license_id))
    if leaf.escrow != books.escrow or job is None or assignment is None:
        return 0
    units = credited(books, job, leaf, view.reported)
    return units if units > assignment.claimed_units else 0


def _is_worth(view: View, job: JobState, leaf: Leaf, units: int, rule: ClaimRule) -> bool:
    claimed = view.books.assignments[leaf.job_id, leaf.license_id].claimed_units
    amount = job.price * units // UNIT - job.price * claimed // UNIT
    is_last = 0 < job.end <= view.reported + 1
    return amount > 0 and (is_last or amount >= rule.min_amount)


def _is_our_turn(view: View, leaf: Leaf, stagger: Stagger) -> bool:
    report = view.final_report
    if report is None:
        return False
    # Payees, not claims, are shared out: claims of one payee go into one transaction.
    payee = view.books.licenses[leaf.license_id].payee
    lot = report.window + int.from_bytes(keccak(payee.encode())[:4], "big")
    return view.timestamp >= report.final_at + stagger.delay(view, lot)


def _effect(
    escrow: JobEscrow, data: ReportData, payee: str, claims: Sequence[DueClaim]
) -> PlannedEffect:
    entries = [ClaimEntry(*claim.leaf[1:], data.proof(claim.leaf)) for claim in claims]
    expected = {claim.key: claim.credited for claim in claims}
    call = escrow.claim(*entries[0]) if len(entries) == 1 else escrow.claim_many(payee, entries)

    def done(books: Books) -> bool:
        return all(books.assignments[key].claimed_units >= units for key, units in expected.items())

    first = claims[0].leaf
    return PlannedEffect(
        key=f"claim:{payee}:{first.job_id}:{first.license_id}",
        call=call,
        done=done,
        transient=HELD,
        renews=True,
    )


def _forfeit(escrow: JobEscrow, data: ReportData, due: DueClaim) -> PlannedEffect:
    call = escrow.forfeit(*due.leaf[1:], data.proof(due.leaf))
    return PlannedEffect(
        key=f"forfeit:{due.leaf.job_id}:{due.leaf.license_id}",
        call=call,
        done=lambda books: books.assignments[due.key].claimed_units >= due.credited,
        renews=True,
    )


def _parts(claims: Sequence[DueClaim]) -> Iterator[Sequence[DueClaim]]:
    for start in range(0, len(claims), MAX_CLAIMS):
        yield claims[start : start + MAX_CLAIMS]
