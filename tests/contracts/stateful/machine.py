"""One machine over all contracts: every call in random order, oracles that sign nonsense, time.

Each rule draws mostly valid arguments, predicts the outcome from `model` or the reason of the
refusal, and the invariants compare chain and model after every step. Their ids are those of
`docs/invariants.md`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boa
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.contracts import fast_deploy
from tests.contracts.stateful.model import UNIT, JobModel, Term
from tests.contracts.system import (
    CLASSES,
    FOREVER,
    GOOD,
    JOB_LEAF,
    SPEC_HASH,
    System,
    account,
    deploy_system,
    private_key,
)
from workdeed.protocol.merkle import MerkleTree, leaf_hash
from workdeed.protocol.quorum import quorum
from workdeed.protocol.signing import address_of

TRIED: Counter[str] = Counter()
EFFECTIVE: Counter[str] = Counter()
CHECKED: Counter[str] = Counter()

OPEN_END = 2**32 - 1
SHARES = st.tuples(*[st.integers(0, 3_000)] * 3)
MAX_LICENSES = 6
MAX_JOBS = 8
fast_deploy.install()


def subsets(items: list[int], least: int) -> st.SearchStrategy[list[int]]:
    """Draw distinct items, at least so many if there are."""
    if not items:
        return st.just([])
    return st.lists(st.sampled_from(items), unique=True, min_size=min(least, len(items)))


@dataclass
class Accepted:
    """A report that the committee accepted."""

    window: int
    units: dict[tuple[int, int], int]
    tree: MerkleTree
    accepted_at: int
    vetoed: bool = False


class WorkdeedMachine(RuleBasedStateMachine):
    """The system, its model, and every call."""

    system: System

    def __init__(self) -> None:
        super().__init__()
        self.anchor = boa.env.anchor()
        self.anchor.__enter__()
        self.jobs: dict[int, JobModel] = {}
        self.accepted: list[Accepted] = []
        self.donated = 0
        self.paid = 0
        self.nodes: dict[int, bytes] = {}
        self.linked: dict[int, str] = {}
        self.owners: dict[int, str] = {}
        self.payouts: dict[int, str] = {}
        self.standings: dict[int | str, tuple[int, int]] = {}
        self.cooldowns: dict[int | str, int] = {}
        self.keys = 0
        self.steps = 0

    def teardown(self) -> None:
        """Forget the example's chain."""
        self.anchor.__exit__(None, None, None)

    # Helpers.

    def attempt(self, name: str, reason: str | None, call: Callable[[], Any]) -> Any:
        """Make a call that must succeed, or fail for `reason`; count it."""
        TRIED[name] += 1
        if reason is None:
            result = call()
            EFFECTIVE[name] += 1
            return result
        note(f"{name} must fail: {reason}")
        with boa.reverts(reason):
            call()
        return None

    def now(self) -> int:
        """Return the current window."""
        return (boa.env.timestamp - self.genesis) // self.system.window + 1

    def final(self) -> Accepted | None:
        """Return the report that money may rest on."""
        standing = [
            report
            for report in self.accepted
            if not report.vetoed and report.accepted_at + self.system.challenge <= boa.env.timestamp
        ]
        return standing[-1] if standing else None

    def reported(self) -> int:
        """Return the window of the final report, 0 before the first."""
        report = self.final()
        return report.window if report else 0

    def latest_window(self) -> int:
        """Return the highest window that no report may be for any more."""
        used = [report.window for report in self.accepted if not report.vetoed]
        return max([self.floor, *used])

    def pending(self) -> Accepted | None:
        """Return the report that can be vetoed."""
        if not self.accepted or self.accepted[-1].vetoed:
            return None
        last = self.accepted[-1]
        over = last.accepted_at + self.system.challenge <= boa.env.timestamp
        return None if over else last

    def standing_of(self, target: int | str) -> int:
        """Return the standing of a license id or an account."""
        standing, until = self.standings.get(target, (GOOD, FOREVER))
        return standing if until > boa.env.timestamp else GOOD

    def targets(self, license_id: int) -> list[int | str]:
        """Return a license, its owner and its node."""
        targets: list[int | str] = [license_id, self.owners[license_id]]
        return [*targets, self.linked[license_id]] if license_id in self.linked else targets

    def standing(self, license_id: int) -> int:
        """Return the worst standing of a license, its owner and its node."""
        return max(map(self.standing_of, self.targets(license_id)))

    def eligible(self, license_id: int) -> bool:
        """Say whether a license can be placed."""
        verified = self.owners[license_id] in self.verified
        return license_id in self.linked and verified and self.standing(license_id) == GOOD

    def payout(self, license_id: int) -> str:
        """Return who is paid for a license."""
        return self.payouts.get(license_id, self.owners[license_id])

    def job(self, data: st.DataObject, fit: Callable[[JobModel], bool] = lambda _: True) -> int:
        """Draw a job, mostly one that a call fits."""
        jobs = sorted(self.jobs)
        fitting = [one for one in jobs if fit(self.jobs[one])]
        weighted = fitting * (1 + 3 * len(jobs) // max(1, len(fitting))) + jobs
        return int(data.draw(st.sampled_from(weighted), label="job"))

    def license(self, data: st.DataObject) -> int:
        """Draw a license."""
        return data.draw(st.sampled_from(sorted(self.owners)), label="license")

    # The start.

    @initialize(
        decimals=st.integers(2, 18),
        price=st.integers(1, 10**24),
        window=st.integers(60, 86_400),
        oracles=st.sampled_from([1, 3, 4, 7]),
        shares=SHARES,
        grace=st.integers(1, 4),
        data=st.data(),
    )
    def deploy(
        self,
        decimals: int,
        price: int,
        window: int,
        oracles: int,
        shares: tuple[int, int, int],
        grace: int,
        data: st.DataObject,
    ) -> None:
        """Deploy with fuzzed parameters and bring the first nodes."""
        self.fee_bps, self.policies = sum(shares), 1
        self.prices = {1: price, 2: CLASSES[1][0]}
        self.system = deploy_system(
            decimals=decimals,
            oracles=oracles,
            window=window,
            challenge=data.draw(st.integers(0, window - 1), label="challenge"),
            close_grace=grace,
            classes=((price, 1, 1, 1), CLASSES[1]),
            policy=(*shares, 5_000, 1),
        )
        self.genesis = int(self.system.committee.GENESIS())
        self.verified = {self.system.payer, *self.system.operators}
        self.floor = 0
        self.vetoes = 0
        self.seats = dict(enumerate(self.system.oracle_keys))
        for operator in self.system.operators[:3]:
            self._issue(operator)
        self.open_job(2, 3, 1, data)
        self.open_job(1, 1, 2, data)
        if self.jobs:
            self.place(data)
            self.place(data)
            self.serve(data, 2)
            self.settle(data)

    def _issue(self, owner: str) -> int:
        license_id = self.system.issue(owner)
        self.owners[license_id] = owner
        self._link(license_id)
        return license_id

    def _link(self, license_id: int) -> None:
        self.keys += 1
        key = private_key(f"machine node {self.keys}")
        self.system.link(license_id, key)
        self.nodes[license_id] = key
        self.linked[license_id] = address_of(key)

    # Jobs.

    @precondition(lambda self: len(self.jobs) < MAX_JOBS)
    @rule(
        slots=st.integers(1, 3),
        windows=st.sampled_from([1, 1, 2, 2, 3, 6]),
        class_id=st.sampled_from([1, 1, 2]),
        data=st.data(),
    )
    def open_job(self, slots: int, windows: int, class_id: int, data: st.DataObject) -> None:
        """Open a job: the deposit is exact."""
        min_slots = data.draw(st.integers(1, slots), label="min_slots")
        price = self.prices[class_id]
        limit = data.draw(st.sampled_from([price, price, price + 1, price - 1]), label="max price")
        reason = "escrow: price above maximum" if limit < price else None
        before = self.system.token.balanceOf(self.system.payer)
        job_id = self.attempt(
            "open_job",
            reason,
            lambda: self.system.open_job(
                slots=slots,
                windows=windows,
                min_slots=min_slots,
                class_id=class_id,
                max_price=limit,
            ),
        )
        if job_id is None:
            return
        deposit = price * slots * windows
        assert before - self.system.token.balanceOf(self.system.payer) == deposit
        self.jobs[job_id] = JobModel(
            payer=self.system.payer,
            price=price,
            fee_bps=self.fee_bps,
            slots=slots,
            min_slots=min_slots,
            funded=slots * windows * UNIT,
            deposited=deposit,
        )

    def _change_reason(self, job: JobModel) -> str | None:
        if job.cancelled:
            return "escrow: cancelled"
        if job.end and self.now() >= job.end:
            return "escrow: job over"
        return None

    def extend_job(self, data: st.DataObject) -> None:
        """M9: extending buys windows at the job's own price, never after the end."""
        job_id = self.job(data)
        job = self.jobs[job_id]
        windows = data.draw(st.integers(1, 4), label="windows")
        reason = self._change_reason(job)
        class_id = int(self.system.desk.job(job_id).class_id)
        if reason is None and self.prices[class_id] > job.price:
            reason = "escrow: class dearer"
        before = self.system.token.balanceOf(job.payer)
        self.attempt(
            "extend_job",
            reason,
            lambda: self.system.desk.extend_job(job_id, windows, sender=job.payer),
        )
        if reason is None:
            assert before - self.system.token.balanceOf(job.payer) == job.extend(windows)

    def revise_job(self, data: st.DataObject) -> None:
        """Revise a job, once a window."""
        job_id = self.job(data)
        job = self.jobs[job_id]
        reason = self._change_reason(job)
        if reason is None and job.revised_in == self.now():
            reason = "escrow: revised this window"
        self.attempt(
            "revise_job",
            reason,
            lambda: self.system.desk.revise_job(job_id, SPEC_HASH, sender=job.payer),
        )
        if reason is None:
            job.revision += 1
            job.revised_in = self.now()

    def cancel_job(self, data: st.DataObject) -> None:
        """Cancel a job: the windows behind the current one come back to the payer."""
        job_id = self.job(data)
        job = self.jobs[job_id]
        reason = self._change_reason(job)
        refund = self.attempt(
            "cancel_job",
            reason,
            lambda: self.system.desk.cancel_job(job_id, sender=job.payer),
        )
        if reason is None:
            assert refund == job.cancel(self.now())

    # Placement.

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def place(self, data: st.DataObject) -> None:
        """P13, P14: change a job's licenses, with every way to get it wrong."""
        job_id = self.job(data, lambda job: not job.start and not job.cancelled)
        job = self.jobs[job_id]
        active = job.active()
        release = data.draw(subsets(active, 0), label="release")
        free = job.slots - len(active) + len(release)
        fit = [one for one in sorted(set(self.owners) - set(active)) if self.eligible(one)]
        assign = data.draw(
            st.one_of(
                subsets(fit[: max(free, 0)], 0 if job.start else job.min_slots),
                subsets(sorted(set(self.owners) - set(active)), 0),
            ),
            label="assign",
        )
        overrides = data.draw(st.sampled_from(WRONG_PLACEMENTS), label="wrong")(self, job)
        wrong = overrides.pop("reason", None)
        reason = wrong or self._place_reason(job, release, assign)
        if wrong == "committee: too few signatures" and not release and not assign:
            reason = "escrow: empty placement"
        arguments = self.system.placement(
            job_id, assign, release, keys=overrides.pop("keys", self.quorum_keys()), **overrides
        )
        self.attempt("place", reason, lambda: self.system.escrow.place(*arguments))
        if reason is None:
            job.place(self.now(), release, assign)

    def _place_reason(self, job: JobModel, release: list[int], assign: list[int]) -> str | None:
        if job.cancelled:
            return "escrow: cancelled"
        if not release and not assign:
            return "escrow: empty placement"
        if not all(map(self.eligible, assign)):
            return "escrow: license not eligible"
        if job.start == 0 and len(assign) < job.min_slots:
            return "escrow: too few licenses"
        if job.start and self.now() + 1 >= job.end:
            return "escrow: job over"
        for one in assign:
            terms = job.terms.get(one, [])
            if terms and self.reported() + 1 < (terms[-1].until or 0):
                return "escrow: release not reported"
        if len(job.active()) + len(assign) - len(release) > job.slots:
            return "escrow: too many licenses"
        return None

    def quorum_keys(self) -> list[bytes]:
        """Return the keys of as many members as a quorum needs."""
        return list(self.seats.values())[: quorum(len(self.seats))]

    # Reports.

    def _units(self, data: st.DataObject) -> dict[tuple[int, int], int]:
        """Draw what a full quorum might sign: honest figures, or anything at all."""
        units: dict[tuple[int, int], int] = {}
        for job_id, job in self.jobs.items():
            total = 0
            for license_id in job.terms:
                cap = job.cap(license_id, self.now() - 1)
                figure = data.draw(
                    st.one_of(st.just(cap), st.integers(0, max(cap, 1)), st.integers(0, 2**256 - 1))
                )
                units[job_id, license_id] = figure
                total += min(figure, cap)
            honest = max(total, job.claimed)
            units[job_id, JOB_LEAF] = data.draw(
                st.one_of(st.just(honest), st.integers(0, job.funded + UNIT))
            )
        stranger = data.draw(st.integers(1, 50), label="never placed")
        units.setdefault((stranger, stranger), 10**9)
        return {pair: figure for pair, figure in units.items() if figure > 0}

    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        """O16, O17: submit a report, with every way to get it wrong."""
        window = self.now() - 1
        units = self._units(data)
        overrides = data.draw(st.sampled_from(WRONG_REPORTS), label="wrong")(self)
        reason = overrides.pop("reason", None)
        tree = self.system.tree(units)
        arguments = self.system.report_arguments(
            tree.root, window=max(window, 0), **{"keys": self.quorum_keys()} | overrides
        )
        if self.pending():
            reason = "committee: report pending"
        elif window <= max([r.window for r in self.accepted if not r.vetoed], default=0):
            reason = "committee: window not later"
        elif window <= self.floor:
            reason = "committee: window vetoed"
        self.attempt("report", reason, lambda: self.system.committee.submit_report(*arguments))
        if reason is None:
            if self.accepted and not self.accepted[-1].vetoed:
                self.vetoes = 0
            self.accepted.append(Accepted(window, units, tree, boa.env.timestamp))

    def veto(self, _: st.DataObject) -> None:
        """O17, O19: a veto restores the report before and uses up every window so far."""
        pending = self.pending()
        reason = None
        if pending is None:
            reason = "committee: nothing pending"
        elif self.vetoes >= 3:
            reason = "committee: too many vetoes"
        self.attempt(
            "veto",
            reason,
            lambda: self.system.committee.veto_report(bytes(32), sender=self.system.guardian),
        )
        if pending is not None and reason is None:
            pending.vetoed = True
            self.vetoes += 1
            self.floor = self.now()

    def change_seats(self, data: st.DataObject) -> None:
        """Remove a member or seat a new one; signatures of the epoch before stop counting."""
        system = self.system
        if len(self.seats) > 1 and data.draw(st.booleans(), label="remove"):
            seat = data.draw(st.sampled_from(sorted(self.seats)))
            self.attempt(
                "remove_seat",
                None,
                lambda: system.committee.remove_seat(seat, sender=system.governor),
            )
            del self.seats[seat]
            return
        owner = account("late oracle")
        license_id = system.issue(owner, 2)
        self.keys += 1
        key = private_key(f"late oracle {self.keys}")
        system.link(license_id, key)
        seat = self.attempt(
            "add_seat", None, lambda: system.committee.add_seat(license_id, sender=system.governor)
        )
        assert seat not in self.seats
        self.seats[seat] = key

    # Claims and closes.

    def _refusal(self, license_id: int) -> str | None:
        reasons = {
            1: "escrow: payee frozen",
            2: "escrow: payee suspended",
            3: "escrow: payee blacklisted",
        }
        return reasons.get(self.standing(license_id))

    @precondition(lambda self: self.final() and self.final().units)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        """M3, M4, M5, M6: a claim pays exactly what the rules say, whatever was signed."""
        report = self.final()
        assert report is not None
        every = sorted(report.units.items())
        fitting = [item for item in every if item[0][1] in self.owners and item[0][0] in self.jobs]
        (job_id, license_id), units = data.draw(st.sampled_from([*fitting * 4, *every]))
        sender = data.draw(st.sampled_from(["stranger", "payer", "operator 0"]), label="sender")
        if license_id not in self.owners:
            self._claim_of_nobody(report, job_id, license_id, units)
            return
        reason = self._refusal(license_id)
        proof = report.tree.proof(self._leaf(job_id, license_id, units))
        payee = self.payout(license_id)
        before = self.system.token.balanceOf(payee)
        amount = self.attempt(
            "claim",
            reason,
            lambda: self.system.escrow.claim(
                job_id, license_id, units, proof, sender=account(sender)
            ),
        )
        if reason is None:
            job = self.jobs.get(job_id)
            due = job.claim(license_id, units, report.window) if job else 0
            assert amount == due
            assert self.system.token.balanceOf(payee) - before == due
            self.paid += due
            CHECKED["claims that paid"] += due > 0

    def _claim_of_nobody(self, report: Accepted, job_id: int, license_id: int, units: int) -> None:
        """M4: job leaf and licenses that nobody holds are never paid."""
        proof = report.tree.proof(self._leaf(job_id, license_id, units))
        amount = self.attempt(
            "claim_of_nobody",
            None,
            lambda: self.system.escrow.claim(job_id, license_id, units, proof),
        )
        assert not amount

    def claim_by_another_report(self, data: st.DataObject) -> None:
        """O17: no root but the final one moves money."""
        if len(self.accepted) < 2:
            return
        other = data.draw(st.sampled_from(self.accepted))
        final = self.final()
        pairs = sorted(pair for pair in other.units if pair[1] in self.owners)
        if not pairs or (final and final.tree.root == other.tree.root):
            return
        job_id, license_id = data.draw(st.sampled_from(pairs))
        if self.standing(license_id) != GOOD:
            return
        units = other.units[job_id, license_id]
        if final and final.units.get((job_id, license_id)) == units and len(final.units) == 1:
            return
        proof = other.tree.proof(self._leaf(job_id, license_id, units))
        self.attempt(
            "claim_by_another_report",
            "escrow: wrong proof",
            lambda: self.system.escrow.claim(job_id, license_id, units, proof),
        )

    @precondition(lambda self: self.final() and self.final().units)
    @rule(data=st.data())
    def claim_many(self, data: st.DataObject) -> None:
        """M5, M7: a batch pays one payee the sum; what is held or another's is skipped."""
        report = self.final()
        assert report is not None
        pairs = sorted(pair for pair in report.units if pair[1] in self.owners)
        if not pairs:
            return
        payee = self.payout(data.draw(st.sampled_from(pairs))[1])
        chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4))
        entries = [
            (
                job_id,
                license_id,
                report.units[job_id, license_id],
                report.tree.proof(self._leaf(job_id, license_id, report.units[job_id, license_id])),
            )
            for job_id, license_id in chosen
        ]
        before = self.system.token.balanceOf(payee)
        total = self.attempt(
            "claim_many", None, lambda: self.system.escrow.claim_many(payee, entries)
        )
        due = 0
        for job_id, license_id in chosen:
            mine = self.payout(license_id) == payee and self.standing(license_id) == GOOD
            if mine and job_id in self.jobs:
                units = report.units[job_id, license_id]
                due += self.jobs[job_id].claim(license_id, units, report.window)
        assert total == due == self.system.token.balanceOf(payee) - before
        self.paid += due

    def close_job(self, data: st.DataObject) -> None:
        """M2, M10: an attested close refunds the payer what was not served."""
        report = self.final() or Accepted(0, {}, self.system.tree({}), 0)
        job_id = self.job(data, lambda job: 0 < job.end <= report.window + 1)
        job = self.jobs[job_id]
        total = report.units.get((job_id, JOB_LEAF), 0)
        proof = report.tree.proof(self._leaf(job_id, JOB_LEAF, total)) if total else []
        reason = None
        if job.end == 0:
            reason = "escrow: not started"
        elif report.window + 1 < job.end:
            reason = "escrow: end not reported"
        elif total == 0:
            reason = "escrow: wrong proof"
        before = self.system.token.balanceOf(job.payer)
        refund = self.attempt(
            "close_job", reason, lambda: self.system.escrow.close_job(job_id, total, proof)
        )
        if reason is None:
            due = job.close(total)
            assert refund == due == self.system.token.balanceOf(job.payer) - before

    def request_close(self, data: st.DataObject) -> None:
        """Ask for an unattested close after the end."""
        job_id = self.job(data, lambda job: 0 < job.end <= self.now() and not job.closed)
        job = self.jobs[job_id]
        reason = None
        if job.end == 0:
            reason = "escrow: not started"
        elif self.now() < job.end:
            reason = "escrow: job not over"
        elif job.closed:
            reason = "escrow: closed"
        self.attempt(
            "request_close",
            reason,
            lambda: self.system.desk.request_close(job_id, sender=job.payer),
        )
        if reason is None:
            job.request = (self.now(), self.reported() + 1 >= job.end)

    def close_unattested(self, data: st.DataObject) -> None:
        """M10, M11: without a report the payer leaves after the grace, never earlier."""
        job_id = self.job(data, lambda job: bool(job.request) and not job.closed)
        job = self.jobs[job_id]
        covered = self.reported() + 1 >= job.end
        reason = None
        if job.request is None:
            reason = "escrow: close not requested"
        elif job.closed:
            reason = "escrow: closed"
        elif self.now() < job.request[0] + self.system.close_grace:
            reason = "escrow: close grace"
        elif covered and not job.request[1]:
            reason = "escrow: request anew"
        refund = self.attempt(
            "close_unattested", reason, lambda: self.system.desk.close_unattested(job_id)
        )
        if reason is None:
            assert refund == job.close_unattested()

    def _leaf(self, job_id: int, license_id: int, units: int) -> bytes:
        return leaf_hash(self.system.escrow.address, job_id, license_id, units)

    # Licenses and trust.

    def issue(self, data: st.DataObject) -> None:
        """Bring another node."""
        owner = data.draw(st.sampled_from(self.system.operators), label="owner")
        if len(self.owners) < MAX_LICENSES and self.standing_of(owner) == GOOD:
            self._issue(owner)

    def transfer(self, data: st.DataObject) -> None:
        """L21, L22: a transfer clears node and payout, and is refused out of good standing."""
        license_id = self.license(data)
        owner = self.owners[license_id]
        receiver = data.draw(st.sampled_from(self.system.operators), label="receiver")
        reason = None
        if self.standing(license_id) != GOOD:
            reason = "license: not in good standing"
        elif self.standing_of(receiver) != GOOD:
            reason = "license: receiver's standing"
        self.attempt(
            "transfer",
            reason,
            lambda: self.system.licenses.transferFrom(owner, receiver, license_id, sender=owner),
        )
        if reason is None:
            self.owners[license_id] = receiver
            self.linked.pop(license_id, None)
            self.payouts.pop(license_id, None)

    def relink(self, data: st.DataObject) -> None:
        """L21: unlink a node, or link a new one; the old link signature never works again."""
        license_id = self.license(data)
        owner = self.owners[license_id]
        good = self.standing(license_id) == GOOD
        if license_id not in self.linked:
            if good:
                self._link(license_id)
            return
        key = self.nodes[license_id]
        used = self.system.link_signature(
            license_id, key, nonce=self.system.licenses.link_nonce(address_of(key)) - 1
        )
        self.attempt(
            "unlink",
            None if good else "license: not in good standing",
            lambda: self.system.licenses.unlink_node(license_id, sender=owner),
        )
        if not good:
            return
        del self.linked[license_id]
        self.attempt(
            "replay_link",
            "license: wrong node signature",
            lambda: self.system.licenses.link_node(
                license_id, address_of(key), FOREVER, used, sender=owner
            ),
        )

    def set_payout(self, data: st.DataObject) -> None:
        """Change who is paid."""
        license_id = self.license(data)
        payout = data.draw(st.sampled_from(["", "payout 0", "payout 1"]), label="payout")
        target = account(payout) if payout else "0x" + "00" * 20
        owner = self.owners[license_id]
        self.attempt(
            "set_payout",
            None,
            lambda: self.system.licenses.set_payout(license_id, target, sender=owner),
        )
        if payout:
            self.payouts[license_id] = target
        else:
            self.payouts.pop(license_id, None)

    def judge(self, data: st.DataObject) -> None:
        """L22, L23: change a standing; license, owner and node share one freeze cooldown."""
        license_id = self.license(data)
        target = data.draw(st.sampled_from(self.targets(license_id)), label="target")
        act = data.draw(
            st.sampled_from(["freeze", "suspend", "blacklist", "reinstate", "reinstate"])
        )
        now, reason, standing = boa.env.timestamp, None, (GOOD, FOREVER)
        if act == "freeze":
            self._freeze(license_id, target)
            return
        if act == "suspend":
            seconds = data.draw(st.integers(1, 3 * self.system.window), label="seconds")
            standing = (2, now + seconds)
            self.attempt(act, reason, lambda: self.system.suspend(target, seconds))
        elif act == "blacklist":
            standing = (3, FOREVER)
            self.attempt(act, reason, lambda: self.system.blacklist(target))
        else:
            self.attempt(act, reason, lambda: self.system.reinstate(target))
        self.standings[target] = standing

    def _freeze(self, license_id: int, target: int | str) -> None:
        now = boa.env.timestamp
        owner_alone = target == self.owners[license_id]
        bound = [target] if owner_alone else self.targets(license_id)
        reason = None
        if self.standing_of(target) != GOOD:
            reason = "trust: not in good standing"
        elif any(self.cooldowns.get(one, 0) > now for one in bound):
            reason = "trust: freeze cooldown"
        self.attempt("freeze", reason, lambda: self.system.freeze(target))
        if reason is None:
            self.standings[target] = (1, now + self.system.freeze_period)
            self.cooldowns |= dict.fromkeys(bound, now + 4 * self.system.freeze_period)

    def attest(self, data: st.DataObject) -> None:
        """L24: an attestation holds unless it is revoked."""
        who = data.draw(st.sampled_from(["payer", "operator 0", "operator 1"]), label="account")
        hold = data.draw(st.booleans(), label="hold")
        target = account(who)
        if hold:
            self.system.attest(target)
            self.verified.add(target)
        elif target in self.verified and who != "payer":
            self.system.trust.revoke(target, sender=self.system.issuer)
            self.verified.discard(target)

    # The rules that Hypothesis draws from: the path of the money more often than what disturbs it.

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), act=st.sampled_from(["extend", "revise", "cancel", "extend"]))
    def manage(self, data: st.DataObject, act: str) -> None:
        """The payer changes a job."""
        {"extend": self.extend_job, "revise": self.revise_job, "cancel": self.cancel_job}[act](data)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), act=st.sampled_from(["attested", "request", "wait"]))
    def finish(self, data: st.DataObject, act: str) -> None:
        """Somebody closes a job; the payer asks for it, or waits for the grace and leaves."""
        if act == "attested":
            self.close_job(data)
            return
        if act == "request":
            self.request_close(data)
        if data.draw(st.booleans(), label="grace"):
            self.system.wait(self.system.close_grace * self.system.window)
        self.close_unattested(data)

    @rule(data=st.data(), act=st.sampled_from(["transfer", "relink", "payout", "issue", "attest"]))
    def operate(self, data: st.DataObject, act: str) -> None:
        """An operator changes a license, or an issuer what it says of one."""
        {
            "transfer": self.transfer,
            "relink": self.relink,
            "payout": self.set_payout,
            "issue": self.issue,
            "attest": self.attest,
        }[act](data)

    @rule(
        data=st.data(), act=st.sampled_from(["judge", "judge", "veto", "price", "policy", "seats"])
    )
    def govern(self, data: st.DataObject, act: str) -> None:
        """Governor and guardian act."""
        {
            "judge": self.judge,
            "veto": self.veto,
            "price": self.reprice,
            "policy": self.add_policy,
            "seats": self.change_seats,
        }[act](data)

    @rule(data=st.data())
    def disturb(self, data: st.DataObject) -> None:
        """Somebody donates, or claims by a report that is not the final one."""
        act = data.draw(st.sampled_from([self.donate, self.claim_by_another_report]))
        act(data)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), windows=st.sampled_from([2, 1, 3]))
    def serve(self, data: st.DataObject, windows: int) -> None:
        """Windows go by as they should: the last is reported, its challenge time passes."""
        if self.pending():
            self.system.wait(self.system.challenge)
        self.system.wait(windows * self.system.window)
        self.report(data)
        if self.pending() and data.draw(st.integers(0, 7), label="veto") == 7:
            self.veto(data)
        if self.pending():
            self.system.wait(self.system.challenge)
        final = self.final()
        if final and final.units:
            data.draw(st.sampled_from([self.claim, self.claim_many]))(data)

    @precondition(lambda self: any(job.start for job in self.jobs.values()))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """The windows of the jobs that run go by, are reported, claimed and closed."""
        self.serve(data, 2)
        final = self.final()
        if final and final.units:
            self.claim(data)
        self.close_job(data)

    # The world outside.

    def donate(self, data: st.DataObject) -> None:
        """M1: a donation changes no entitlement."""
        amount = data.draw(st.integers(1, 10**18), label="amount")
        self.system.token.mint(self.system.escrow.address, amount)
        self.donated += amount

    def reprice(self, data: st.DataObject) -> None:
        """G27: a new price is for new jobs only."""
        price = data.draw(st.integers(1, 10**24), label="price")
        self.attempt(
            "set_class",
            None,
            lambda: self.system.tariff.set_class(1, (price, 1, 1, 1), sender=self.system.governor),
        )
        self.prices[1] = price

    def add_policy(self, data: st.DataObject) -> None:
        """M12, G27: a new policy is for new jobs only."""
        if self.policies == 8:
            return
        shares = data.draw(SHARES, label="shares")
        self.policies += 1
        self.attempt(
            "add_policy",
            None,
            lambda: self.system.tariff.add_policy((*shares, 5_000, 1), sender=self.system.governor),
        )
        self.fee_bps = sum(shares)

    @rule(windows=st.integers(1, 3))
    def pass_windows(self, windows: int) -> None:
        """Let whole windows pass."""
        self.system.wait(windows * self.system.window)

    @rule(part=st.integers(1, 100))
    def pass_time(self, part: int) -> None:
        """Let a part of a window pass."""
        self.system.wait(max(1, self.system.window * part // 100))

    # What must always hold.

    @invariant()
    def books_balance(self) -> None:
        """M1, M2, M12: the balance is what the model says, and covers all that is owed."""
        if not hasattr(self, "system"):
            return
        locked = sum(job.locked for job in self.jobs.values())
        fees = sum(job.fee(units) for job in self.jobs.values() for units in job.credited.values())
        owed = self.system.escrow.liabilities()
        assert owed == locked + fees
        balance = self.system.token.balanceOf(self.system.escrow.address)
        assert balance == owed + self.donated
        deposited = sum(job.deposited for job in self.jobs.values())
        refunded = sum(job.refunded for job in self.jobs.values())
        assert deposited == refunded + self.paid + owed
        CHECKED["M1"] += 1

    @invariant()
    def jobs_are_as_modelled(self) -> None:
        """M2, M4, M5, M9, M10: units, end and flags of each job and license."""
        for job_id, job in self.jobs.items():
            chain = self.system.desk.job(job_id)
            assert (chain.funded_units, chain.claimed_units) == (job.funded, job.claimed)
            assert (chain.price, chain.end, chain.start) == (job.price, job.end, job.start)
            assert (chain.round, chain.revision) == (job.round, job.revision)
            assert (chain.cancelled, chain.closed) == (job.cancelled, job.closed)
            assert chain.active == len(job.active())
            assert job.claimed == sum(job.credited.values()) <= job.funded
            self._check_licenses(job_id, job)
            CHECKED["M4"] += 1

    def _check_licenses(self, job_id: int, job: JobModel) -> None:
        for license_id, terms in job.terms.items():
            chain = self.system.escrow.assignment(job_id, license_id)
            last: Term = terms[-1]
            assert (chain.first, chain.until) == (
                last.first,
                OPEN_END if last.until is None else last.until,
            )
            assert chain.claimed_units == job.credited.get(license_id, 0)
            assert chain.claimed_units <= job.cap(license_id, self.reported())

    @invariant()
    def windows_hold_no_more_than_slots(self) -> None:
        """P13, P15: in no window more licenses than slots, none twice."""
        for job in self.jobs.values():
            for window in range(max(1, job.start), min(job.end, self.now() + 2)):
                serving = job.serving(window)
                assert len(serving) == len(set(serving)) <= job.slots
                CHECKED["P13"] += 1

    @invariant()
    def committee_is_as_modelled(self) -> None:
        """O16, O17: the final report, the seats and the quorum."""
        if not hasattr(self, "system"):
            return
        window, root = self.system.committee.final_report()
        final = self.final()
        assert window == (final.window if final else 0)
        assert root == (final.tree.root if final else bytes(32))
        size = self.system.committee.seat_count()
        assert size == len(self.seats)
        assert 3 * self.system.committee.quorum() > 2 * size
        CHECKED["O17"] += 1

    @invariant()
    def links_are_a_bijection(self) -> None:
        """L21: a node is linked to at most one license, and back."""
        self.steps += 1
        ids = sorted(self.owners)
        if not ids:
            return
        license_id = ids[self.steps % len(ids)]
        licenses, node = self.system.licenses, address_of(self.nodes[license_id])
        if license_id in self.linked:
            assert licenses.node_of(license_id) == node
            assert licenses.license_of(node) == license_id
        else:
            assert licenses.license_of(node) == 0
        assert licenses.ownerOf(license_id) == self.owners[license_id]
        assert licenses.eligible(license_id) == self.eligible(license_id)
        payee, standing = licenses.payee_of(license_id)
        assert (payee, standing) == (self.payout(license_id), self.standing(license_id))
        CHECKED["L21"] += 1
        CHECKED["L22"] += 1


def _right(_: WorkdeedMachine, __: JobModel) -> dict[str, Any]:
    return {}


def _other_window(machine: WorkdeedMachine, job: JobModel) -> dict[str, Any]:
    if job.cancelled:
        return {}
    return {"window": machine.now() + 1, "reason": "escrow: wrong window"}


def _other_round(_: WorkdeedMachine, job: JobModel) -> dict[str, Any]:
    return {} if job.cancelled else {"round": job.round + 1, "reason": "escrow: wrong round"}


def _other_revision(_: WorkdeedMachine, job: JobModel) -> dict[str, Any]:
    if job.cancelled:
        return {}
    return {"revision": job.revision + 1, "reason": "escrow: wrong revision"}


def _few_placers(machine: WorkdeedMachine, job: JobModel) -> dict[str, Any]:
    if job.cancelled:
        return {}
    return {"keys": machine.quorum_keys()[:-1], "reason": "committee: too few signatures"}


WRONG_PLACEMENTS = [_right] * 12 + [_other_window, _other_round, _other_revision, _few_placers]


def _right_report(_: WorkdeedMachine) -> dict[str, Any]:
    return {}


def _few_signers(machine: WorkdeedMachine) -> dict[str, Any]:
    return {"keys": machine.quorum_keys()[:-1], "reason": "committee: too few signatures"}


def _twice(machine: WorkdeedMachine) -> dict[str, Any]:
    keys = machine.quorum_keys()
    if len(keys) < 2:
        return {}
    return {"keys": [keys[0], *keys[:-1]], "reason": "committee: signer order"}


def _foreign(machine: WorkdeedMachine) -> dict[str, Any]:
    keys = [private_key("foreign signer"), *machine.quorum_keys()[1:]]
    return {"keys": keys, "reason": "committee: not a member"}


WRONG_REPORTS: list[Callable[[WorkdeedMachine], dict[str, Any]]] = [_right_report] * 8 + [
    _few_signers,
    _twice,
    _foreign,
]
