"""Everybody leaves: from wherever the machine stopped, without oracle, guardian or governor."""

from __future__ import annotations

from tests.contracts.stateful.base import CHECKED
from tests.contracts.stateful.claims import ABANDON_FACTOR
from tests.contracts.stateful.machine import WorkdeedMachine
from tests.contracts.system import BLACKLISTED, GOOD

LONGEST_SUSPENSION = 3
"""Windows; `LicenseRules.judge` draws none longer."""


class DrainMachine(WorkdeedMachine):
    """The machine, at whose end everybody takes what is his."""

    def teardown(self) -> None:
        """M11: after the timeouts only donations and dust remain in the escrow."""
        try:
            if hasattr(self, "system"):
                self._wait_for_standing()
                self._operators_leave()
                self._payers_leave()
                self._fees_leave()
                self._check_what_remains()
        finally:
            super().teardown()

    def _wait_for_standing(self) -> None:
        self.system.wait(self.system.freeze_period + self.system.challenge)
        self.wait_windows(LONGEST_SUSPENSION)
        bad = {self.standing(one) for one in self.owners} - {GOOD, BLACKLISTED}
        assert not bad, "every standing but the last ends by itself"

    def _operators_leave(self) -> None:
        report = self.final()
        if report is None:
            return
        for (job_id, license_id), units in sorted(report.units.items()):
            if license_id not in self.owners or job_id not in self.jobs:
                continue
            job = self.jobs[job_id]
            proof = report.tree.proof(self.leaf(job_id, license_id, units))
            if self.standing(license_id) == GOOD:
                paid = self.system.escrow.claim(job_id, license_id, units, proof)
                assert paid == job.credit(license_id, units, report.window)
                self.paid += paid
            else:
                taken = self.system.escrow.forfeit(job_id, license_id, units, proof)
                parts = job.forfeit(license_id, units, report.window)
                assert taken == sum(parts)
                self.forfeited += taken

    def _payers_leave(self) -> None:
        desk = self.system.desk
        for job_id, job in self.jobs.items():
            if not job.end and not job.cancelled:
                assert desk.cancel_job(job_id, sender=job.payer) == job.cancel(self.now())
        # Reports stop: what is not over ends by the calendar.
        last = max((job.end for job in self.jobs.values()), default=0)
        self.wait_windows(max(0, last - self.now()))
        waiting = [one for one in self.jobs if self.can_request(self.jobs[one])]
        for job_id in waiting:
            desk.request_close(job_id, sender=self.jobs[job_id].payer)
        self.wait_windows(self.system.close_grace * ABANDON_FACTOR + 1)
        for job_id in waiting:
            assert desk.close_unattested(job_id) == self.jobs[job_id].close_unattested()

    def _fees_leave(self) -> None:
        for version, ledger in self.ledgers.items():
            assert self.system.escrow.flush_fees(version) == sum(ledger.flush())
        vault = self.system.vault
        for pull in (vault.pull_oracles, vault.pull_burn, vault.pull_treasury):
            pull()
        assert vault.owed() == 0
        assert self.system.token.balanceOf(vault.address) == 0

    def _check_what_remains(self) -> None:
        dust = sum(len(job.credited) for job in self.jobs.values())
        left = self.system.token.balanceOf(self.system.escrow.address) - self.donated
        assert 0 <= left <= dust, "at most one base unit a license and job"
        assert self.system.escrow.liabilities() == left
        CHECKED["M11"] += 1
