"""One machine over all contracts: every call in random order, oracles that sign nonsense, time.

Each rule draws mostly valid arguments, predicts the outcome from `model` or the reason of the
refusal, and the invariants compare chain and model after every step. Their ids are those of
`docs/invariants.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.contracts.stateful.base import CHECKED
from tests.contracts.stateful.claims import ClaimRules
from tests.contracts.stateful.licenses import JUDGING, LicenseRules
from tests.contracts.stateful.model import BATCH, JobModel, Term
from tests.contracts.stateful.payers import MAX_JOBS, PayerRules
from tests.contracts.stateful.placements import PlacementRules
from tests.contracts.stateful.reports import ReportRules
from tests.contracts.stateful.world import WorldRules
from tests.contracts.system import BLACKLISTED, FOREVER, GOOD
from workdeed.protocol.signing import address_of

OPEN_END = 2**32 - 1

MANAGING = ["extend", "scale", "scale", "scale", "revise", "cancel"]
OPERATING = ["transfer", "relink", "payout", "issue", "attest", "bond", "bond"]
GOVERNING = ["judge", "judge", "punish", "slash", "veto", "price", "retire", "policy", "seats"]
GOVERNING += ["pause"]
"""Each example shuffles them once and deals them in turn: drawn by chance, some hardly come."""


class WorkdeedMachine(
    PayerRules, PlacementRules, ReportRules, ClaimRules, LicenseRules, WorldRules
):
    """The system, its model, and every call, the path of the money more often than the rest."""

    def begin(self, data: st.DataObject) -> None:
        """Start with two jobs that run."""
        # Not `permutations`: those of Hypothesis mostly begin alike.
        chance = data.draw(st.randoms(use_true_random=True), label="chance")

        def deal(acts: list[str]) -> Iterator[str]:
            return cycle(chance.sample(acts, len(acts)))

        self.managing, self.operating = deal(MANAGING), deal(OPERATING)
        self.governing, self.judging = deal(GOVERNING), deal(JUDGING)
        for payer in self.payers:
            self.grant_all(payer)
        self.open_job(data, slots=2, windows=3)
        self.open_job(data, slots=2, windows=2, kind=BATCH)
        for _ in self.jobs:
            self.place(data)
        if self.jobs:
            self.serve(data, 2)

    @precondition(lambda self: len(self.jobs) < MAX_JOBS)
    @rule(
        slots=st.integers(1, 3),
        windows=st.sampled_from([1, 2, 2, 3, 6]),
        kind=st.sampled_from([0, 0, BATCH]),
        data=st.data(),
    )
    def open(self, slots: int, windows: int, kind: int, data: st.DataObject) -> None:
        """A payer opens a job, and mostly it is placed at once."""
        self.open_job(data, slots=slots, windows=windows, kind=kind)
        if not self.rarely(data, "unplaced"):
            self.fill_free_slots(data)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def fill(self, data: st.DataObject) -> None:
        """A keeper places licenses, or tries to."""
        if self.rarely(data, "in vain"):
            self.place(data)
        else:
            self.fill_free_slots(data)

    def fill_free_slots(self, data: st.DataObject) -> None:
        """Place licenses where a job wants some and there are any."""
        if any(map(self.can_fill, self.jobs.values())):
            self.place(data)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def manage(self, data: st.DataObject) -> None:
        """The payer or its delegate changes a job, or tries to."""
        act = next(self.managing)
        fit = self.scalable if act == "scale" else self.changeable
        if not any(map(fit, self.jobs.values())) and not self.rarely(data, "in vain"):
            act = "grant"
        {
            "extend": self.extend_job,
            "scale": self.scale_job,
            "revise": self.revise_job,
            "cancel": self.cancel_job,
            "grant": self.grant,
        }[act](data)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), windows=st.sampled_from([2, 1, 3]))
    def serve(self, data: st.DataObject, windows: int) -> None:
        """Windows go by as they should: the last is reported, its challenge time passes."""
        if self.pending():
            self.system.wait(self.system.challenge)
        self.wait_windows(windows)
        self.report(data)
        if self.pending() and self.rarely(data, "veto"):
            self.veto(data)
        if self.pending():
            self.system.wait(self.system.challenge)
        self.collect_any(data)

    @rule(data=st.data())
    def report_now(self, data: st.DataObject) -> None:
        """A report comes when one is due, or out of turn."""
        due = not self.pending() and self.now() - 1 > max(self.latest_window(), self.floor)
        if due or self.rarely(data, "out of turn"):
            self.report(data)

    @precondition(lambda self: any(job.start for job in self.jobs.values()))
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """The windows of the jobs that run go by, are reported, claimed and closed."""
        self.serve(data, 2)
        self.claim(data)
        self.close_job(data)

    @precondition(lambda self: self.final() and self.final().units)
    @rule(data=st.data())
    def collect_any(self, data: st.DataObject) -> None:
        """Somebody claims, or takes what a blacklisted license earned."""
        out = any(self.standing(one) == BLACKLISTED for one in self.owners)
        if out or self.rarely(data, "forfeit of the good"):
            self.forfeit(data)
        data.draw(st.sampled_from([self.claim, self.claim_many]), label="how")(data)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        """A quorum attests a result."""
        can = any(map(self.can_complete, self.jobs.values()))
        if can or self.rarely(data, "in vain"):
            self.attest_result(data)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), act=st.sampled_from(["attested", "request", "request"]))
    def finish(self, data: st.DataObject, act: str) -> None:
        """Somebody closes a job; the payer asks for it, or waits for the grace and leaves."""
        over = any(0 < job.end <= self.reported() + 1 for job in self.jobs.values())
        if over and act == "attested":
            self.close_job(data)
        ended = any(map(self.can_request, self.jobs.values()))
        if ended and act == "request":
            self.request_close(data)
            if not self.rarely(data, "too early"):
                waiting = [job for job in self.jobs.values() if job.request]
                self.wait_windows(min(map(self.grace_of, waiting), default=0) + 1)
            self.close_unattested(data)
        elif self.rarely(data, "unasked"):
            self.close_unattested(data)

    @rule(data=st.data(), act=st.sampled_from(["flush", "flush", "pull"]))
    def hand_on(self, data: st.DataObject, act: str) -> None:
        """Somebody hands fees to the vault, or a pot to its receiver."""
        {"flush": self.flush_fees, "pull": self.pull_pot}[act](data)

    @rule(data=st.data())
    def operate(self, data: st.DataObject) -> None:
        """An operator changes a license, or an issuer what it says of one."""
        {
            "transfer": self.transfer,
            "relink": self.relink,
            "payout": self.set_payout,
            "issue": self.issue,
            "attest": self.attest,
            "bond": self.post_bond,
        }[next(self.operating)](data)

    @rule(data=st.data(), count=st.integers(1, 4))
    def govern(self, data: st.DataObject, count: int) -> None:
        """Governor and guardian act."""
        acts = {
            "judge": self.judge,
            "punish": self.punish,
            "slash": self.slash,
            "veto": self.veto,
            "price": self.reprice,
            "retire": self.retire,
            "policy": self.add_policy,
            "seats": self.change_seats,
            "pause": self.pause,
        }
        for act in islice(self.governing, count):
            acts[act](data)

    def punish(self, data: st.DataObject) -> None:
        """L22: blacklist a license that has earned, take what it earned, and perhaps pardon it."""
        report = self.final()
        earned = {one for _, one in report.units if one in self.owners} if report else set()
        if not earned:
            self.judge(data)
            return
        license_id = data.draw(st.sampled_from(sorted(earned)), label="license")
        self.attempt("blacklist", None, lambda: self.system.blacklist(license_id))
        self.standings[license_id] = (BLACKLISTED, FOREVER)
        self.forfeit(data)
        if data.draw(st.booleans(), label="pardon"):
            self.attempt("reinstate", None, lambda: self.system.reinstate(license_id))
            self.standings[license_id] = (GOOD, FOREVER)

    @rule(data=st.data())
    def disturb(self, data: st.DataObject) -> None:
        """Somebody donates, claims by a report that is not the final one, or oversteps."""
        acts = [self.donate, self.claim_by_another_report, self.guardian_reaches_no_further]
        data.draw(st.sampled_from(acts))(data)

    @rule(windows=st.integers(1, 3))
    def pass_windows(self, windows: int) -> None:
        """Let whole windows pass."""
        self.wait_windows(windows)

    @rule(part=st.integers(1, 100))
    def pass_time(self, part: int) -> None:
        """Let a part of a window pass."""
        self.system.wait(max(1, self.system.window * part // 100))

    # What must always hold.

    @invariant()
    def books_balance(self) -> None:
        """M1, M2, M5, M12: the balance is what the model says, and covers all that is owed."""
        if not hasattr(self, "system"):
            return
        locked = sum(job.locked for job in self.jobs.values())
        unflushed = sum(ledger.fees - ledger.flushed for ledger in self.ledgers.values())
        owed = self.system.escrow.liabilities()
        assert owed == locked + unflushed
        assert self.system.token.balanceOf(self.system.escrow.address) == owed + self.donated
        deposited = sum(job.deposited for job in self.jobs.values())
        refunded = sum(job.refunded for job in self.jobs.values())
        fees = sum(ledger.fees for ledger in self.ledgers.values())
        assert deposited == refunded + self.paid + self.forfeited + fees + locked
        for rule_id in ("M1", "M2", "M5", "M12"):
            CHECKED[rule_id] += 1

    @invariant()
    def vault_holds_what_was_handed_on(self) -> None:
        """M3: every share of a fee is in its pot, or was pulled from it."""
        if not hasattr(self, "system"):
            return
        assert list(self.system.vault.pots()) == self.pots
        held = self.system.token.balanceOf(self.system.vault.address)
        assert held == self.system.vault.owed() == sum(self.pots)

    @invariant()
    def jobs_are_as_modelled(self) -> None:
        """M2, M4, M5, M8, M9, M10: units, end and flags of each job and license."""
        for job_id, job in self.jobs.items():
            chain = self.system.desk.job(job_id)
            assert (chain.payer, chain.kind, chain.slots) == (job.payer, job.kind, job.slots)
            assert (chain.funded_units, chain.claimed_units) == (job.funded, job.claimed)
            assert (chain.price, chain.end, chain.start) == (job.price, job.end, job.start)
            assert (chain.round, chain.revision) == (job.round, job.revision)
            assert (chain.cancelled, chain.closed) == (job.cancelled, job.closed)
            assert (chain.completed, chain.policy_version) == (job.completed, job.version)
            assert chain.active == len(job.active())
            assert job.claimed == sum(job.credited.values()) <= job.funded
            if not job.settled:
                assert job.funded == job.bought()
            self._check_licenses(job_id, job)
            for rule_id in ("M4", "M8", "M9"):
                CHECKED[rule_id] += 1

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
            CHECKED["P15"] += 1

    @invariant()
    def windows_hold_no_more_than_slots(self) -> None:
        """P13: in no window more licenses than slots, none twice."""
        for job in self.jobs.values():
            for window in range(max(1, job.start), min(job.end, self.now() + 2)):
                serving = job.serving(window)
                assert len(serving) == len(set(serving)) <= job.slots_in(window)
                CHECKED["P13"] += 1

    @invariant()
    def delegates_keep_to_their_grants(self) -> None:
        """M8: what a delegate may still spend is what it was granted less every deposit."""
        for (payer, delegate), granted in self.grants.items():
            assert tuple(self.system.desk.grant_of(payer, delegate)) == granted
            CHECKED["M8"] += 1

    @invariant()
    def committee_is_as_modelled(self) -> None:
        """O16, O17: the final report, the seats and the quorum."""
        if not hasattr(self, "system"):
            return
        window, root = self.system.committee.final_report()
        final = self.final()
        assert window == (final.window if final else 0)
        assert root == (final.tree.root if final else bytes(32))
        assert self.system.committee.latest_window() == self.latest_window()
        size = self.system.committee.seat_count()
        assert size == len(self.seats)
        assert 3 * self.system.committee.quorum() > 2 * size
        CHECKED["O16"] += 1
        CHECKED["O17"] += 1

    @invariant()
    def links_are_a_bijection(self) -> None:
        """L21, L22: a node is linked to at most one license, and back; only the good are placed."""
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
