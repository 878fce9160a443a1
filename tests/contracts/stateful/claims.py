"""How money leaves the escrow: claims, forfeits, closes and fees."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.contracts.stateful.base import CHECKED, JOB_LEAF, Accepted, Base
from tests.contracts.stateful.model import JobModel
from tests.contracts.system import BLACKLISTED, GOOD, account

REFUSALS = {
    1: "escrow: payee frozen",
    2: "escrow: payee suspended",
    3: "escrow: payee blacklisted",
}


ABANDON_FACTOR = 64


class ClaimRules(Base):
    """Calls that pay."""

    def claim(self, data: st.DataObject) -> None:
        """M3, M4, M5, M6: a claim pays exactly what the rules say, whatever was signed."""
        report = self.final()
        if report is None or not report.units:
            return
        every = sorted(report.units.items())
        fitting = [item for item in every if item[0][1] in self.owners and item[0][0] in self.jobs]
        (job_id, license_id), units = data.draw(st.sampled_from([*fitting * 4, *every]))
        sender = account(data.draw(st.sampled_from(["stranger", "payer"]), label="sender"))
        proof = report.tree.proof(self.leaf(job_id, license_id, units))
        if license_id not in self.owners:
            self._claim_of_nobody(job_id, license_id, units, proof)
            return
        payee = self.payout(license_id)
        before = self.system.token.balanceOf(payee)
        reason = REFUSALS.get(self.standing(license_id))
        amount = self.attempt(
            "claim",
            reason,
            lambda: self.system.escrow.claim(job_id, license_id, units, proof, sender=sender),
        )
        if reason is None:
            job = self.jobs.get(job_id)
            due = job.credit(license_id, units, report.window) if job else 0
            assert amount == due
            assert self.system.token.balanceOf(payee) - before == due
            self.paid += due
            CHECKED["M3"] += 1
            CHECKED["M6"] += due > 0

    def _claim_of_nobody(
        self, job_id: int, license_id: int, units: int, proof: list[bytes]
    ) -> None:
        """M4: job leaf and licenses that nobody holds are never paid."""
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
        proof = other.tree.proof(self.leaf(job_id, license_id, units))
        self.refuse(
            "claim_by_another_report",
            "escrow: wrong proof",
            lambda: self.system.escrow.claim(job_id, license_id, units, proof),
        )
        CHECKED["O17"] += 1

    def claim_many(self, data: st.DataObject) -> None:
        """M5, M7: a batch pays one payee the sum; what is held or another's is skipped."""
        report = self.final()
        pairs = sorted(pair for pair in report.units if pair[1] in self.owners) if report else []
        if report is None or not pairs:
            return
        payee = self.payout(data.draw(st.sampled_from(pairs))[1])
        chosen = data.draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4))
        entries = [
            (*pair, report.units[pair], report.tree.proof(self.leaf(*pair, report.units[pair])))
            for pair in chosen
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
                due += self.jobs[job_id].credit(license_id, units, report.window)
        assert total == due == self.system.token.balanceOf(payee) - before
        self.paid += due
        CHECKED["M7"] += 1

    def forfeit(self, data: st.DataObject) -> None:
        """L22, M2, M3: a blacklisted license's share goes where its policy says, once."""
        report = self.final()
        pairs = sorted(pair for pair in report.units if pair[1] in self.owners) if report else []
        if report is None or not pairs:
            return
        out = [pair for pair in pairs if self.standing(pair[1]) == BLACKLISTED]
        pair = data.draw(st.sampled_from([*out * 6, *pairs]), label="pair")
        units = report.units[pair]
        proof = report.tree.proof(self.leaf(*pair, units))
        reason = None if pair in out else "escrow: not blacklisted"
        job = self.jobs.get(pair[0])
        balance = self.system.token.balanceOf
        before = balance(job.payer) if job else 0
        amount = self.attempt(
            "forfeit", reason, lambda: self.system.escrow.forfeit(*pair, units, proof)
        )
        if reason is not None or job is None:
            assert not amount
            return
        refund, burned, treasury = job.forfeit(pair[1], units, report.window)
        assert amount == refund + burned + treasury
        assert balance(job.payer) - before == refund
        self.pots[1] += burned
        self.pots[2] += treasury
        self.forfeited += amount
        CHECKED["L22"] += amount > 0

    # Closes.

    def close_job(self, data: st.DataObject) -> None:
        """M2, M8, M10: an attested close refunds the payer what was not served."""
        report = self.final() or Accepted(0, {}, self.system.tree({}), 0)
        job_id = self.job(data, lambda job: 0 < job.end <= report.window + 1)
        job = self.jobs[job_id]
        total = report.units.get((job_id, JOB_LEAF), 0)
        proof = report.tree.proof(self.leaf(job_id, JOB_LEAF, total)) if total else []
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
            CHECKED["M10"] += 1

    def request_close(self, data: st.DataObject) -> None:
        """Ask for an unattested close after the end."""
        job_id = self.job(data, self.can_request)
        job = self.jobs[job_id]
        reason = None
        if job.end == 0:
            reason = "desk: not started"
        elif self.now() < job.end:
            reason = "desk: job not over"
        elif job.closed and job.claimed == job.funded:
            reason = "desk: closed"
        self.attempt(
            "request_close",
            reason,
            lambda: self.system.desk.request_close(job_id, sender=job.payer),
        )
        if reason is None:
            job.request = (self.now(), self.reported() + 1 >= job.end)

    def can_request(self, job: JobModel) -> bool:
        """Say whether the payer may ask for a close without a report."""
        return 0 < job.end <= self.now() and (not job.closed or job.claimed < job.funded)

    def grace_of(self, job: JobModel) -> int:
        """Return for how many windows the payer waits: longer for what an attested close left."""
        return self.system.close_grace * (ABANDON_FACTOR if job.closed else 1)

    def close_unattested(self, data: st.DataObject) -> None:
        """M10, M11: without a report the payer leaves after the grace, never earlier."""
        job_id = self.job(data, lambda job: not self._unattested_reason(job))
        job = self.jobs[job_id]
        reason = self._unattested_reason(job)
        before = self.system.token.balanceOf(job.payer)
        refund = self.attempt(
            "close_unattested", reason, lambda: self.system.desk.close_unattested(job_id)
        )
        if reason is None:
            due = job.close_unattested()
            assert refund == due == self.system.token.balanceOf(job.payer) - before
            CHECKED["M11"] += 1

    def _unattested_reason(self, job: JobModel) -> str | None:
        if job.request is None:
            return "desk: close not requested"
        if job.closed and job.claimed == job.funded:
            return "desk: closed"
        if self.now() <= job.request[0] + self.grace_of(job):
            return "desk: close grace"
        if not job.request[1] and self.latest_window() + 1 >= job.end:
            return "desk: request anew"
        return None

    # Fees.

    def flush_fees(self, data: st.DataObject) -> None:
        """M3, M5: the fees of a version come out the same however often they are handed on."""
        versions = sorted(self.ledgers)
        due = [one for one in versions if self.ledgers[one].fees > self.ledgers[one].flushed]
        version = data.draw(st.sampled_from([*due * 4, *versions]), label="version")
        amount = self.attempt("flush_fees", None, lambda: self.system.escrow.flush_fees(version))
        parts = self.ledgers[version].flush()
        assert amount == sum(parts)
        self.pots = [pot + part for pot, part in zip(self.pots, parts, strict=True)]

    def pull_pot(self, data: st.DataObject) -> None:
        """M3: each pot goes to its receiver, on its own."""
        pot = data.draw(st.integers(0, 2), label="pot")
        system = self.system
        pull, receiver = [
            (system.vault.pull_oracles, system.committee.address),
            (system.vault.pull_burn, system.vault.AUCTION()),
            (system.vault.pull_treasury, system.treasury),
        ][pot]
        before = system.token.balanceOf(receiver)
        amount = self.attempt("pull_pot", None, pull)
        assert amount == self.pots[pot] == system.token.balanceOf(receiver) - before
        self.pulled[pot] += self.pots[pot]
        self.pots[pot] = 0
