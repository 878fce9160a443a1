"""What payers and their delegates do: open, extend, scale, revise, cancel, and grant."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.stateful.base import Base, subsets
from tests.contracts.stateful.model import BATCH, SERVICE, JobModel
from tests.contracts.system import FOREVER, GOOD, SPEC_HASH

OPEN, EXTEND, SCALE, REVISE, CANCEL = (1 << bit for bit in range(5))
ALL_SCOPES = 31
MAX_JOBS = 8


class PayerRules(Base):
    """Calls of payers and delegates."""

    def open_job(
        self, data: st.DataObject, *, slots: int, windows: int, kind: int = SERVICE
    ) -> None:
        """M1, M2, M8, P13: open a job, as payer or delegate: the deposit is exact."""
        payer = data.draw(st.sampled_from(self.payers), label="payer")
        class_id = data.draw(st.sampled_from([1, 1, 2]), label="class")
        min_slots = data.draw(st.integers(1, slots), label="min slots")
        price = self.prices[class_id]
        limit = price - 1 if self.rarely(data, "too low a maximum") else price
        deposit = price * slots * (windows if kind == SERVICE else 1)
        delegated = self._delegated(data, payer, OPEN, deposit)
        version = max(self.ledgers)
        reason = self._grant_reason(payer, OPEN, deposit) if delegated else None
        if class_id in self.retired:
            # The desk asks for the price before it looks at the budget.
            early = reason in (None, "desk: above the budget")
            reason = "rates: class retired" if early else reason
        reason = reason or self._open_reason(payer, limit < price, version)
        opening = (SPEC_HASH, class_id, kind, slots, min_slots, windows, limit)
        before = self.system.token.balanceOf(payer)
        job_id = self.attempt(
            "open_job_for" if delegated else "open_batch" if kind == BATCH else "open_job",
            reason,
            lambda: (
                self.system.desk.open_job_for(payer, opening, sender=self.delegate)
                if delegated
                else self.system.escrow.open_job(*opening, sender=payer)
            ),
        )
        if job_id is None:
            return
        assert before - self.system.token.balanceOf(payer) == deposit
        if delegated:
            self._spend(payer, deposit)
        self.jobs[job_id] = JobModel(
            payer=payer,
            price=price,
            class_id=class_id,
            version=version,
            ledger=self.ledgers[version],
            kind=kind,
            slots=slots,
            min_slots=min_slots,
            windows=windows,
        )
        assert self.jobs[job_id].deposited == deposit

    def _open_reason(self, payer: str, too_dear: bool, version: int) -> str | None:
        if too_dear:
            return "escrow: price above maximum"
        if self.is_paused():
            return "escrow: paused"
        policy = self.ledgers[version].policy
        if policy.payer_standing and self.standing_of(payer) != GOOD:
            return "escrow: payer's standing"
        if policy.payer_level and payer not in self.verified:
            return "escrow: payer not verified"
        return "escrow: no oracle license" if policy.payer_oracle else None

    # Delegates.

    def grant(self, data: st.DataObject) -> None:
        """M8: let a delegate act, or take it back."""
        payer = data.draw(st.sampled_from(self.payers), label="payer")
        scopes = data.draw(st.sampled_from([ALL_SCOPES, ALL_SCOPES, OPEN, EXTEND | SCALE, 0]))
        most = 20 * max(self.prices.values())
        budget = data.draw(st.one_of(st.just(most), st.integers(0, most)), label="budget")
        expires_at = data.draw(
            st.one_of(
                st.just(FOREVER - 1), st.integers(0, 6 * self.system.window).map(self._from_now)
            ),
            label="expiry",
        )
        self.attempt(
            "grant",
            None,
            lambda: self.system.desk.grant(self.delegate, scopes, budget, expires_at, sender=payer),
        )
        self.grants[payer, self.delegate] = (scopes, budget, expires_at)

    def grant_all(self, payer: str) -> None:
        """Let the delegate do everything for a payer, for ever."""
        granted = (ALL_SCOPES, 10**30, FOREVER - 1)
        self.attempt(
            "grant", None, lambda: self.system.desk.grant(self.delegate, *granted, sender=payer)
        )
        self.grants[payer, self.delegate] = granted

    def _from_now(self, seconds: int) -> int:
        return evm.env.timestamp + seconds

    def _grant_reason(self, payer: str, scope: int, deposit: int = 0) -> str | None:
        scopes, budget, expires_at = self.grants.get((payer, self.delegate), (0, 0, 0))
        if not scopes & scope:
            return "desk: not granted"
        if evm.env.timestamp >= expires_at:
            return "desk: grant expired"
        return "desk: above the budget" if deposit > budget else None

    def _delegated(self, data: st.DataObject, payer: str, scope: int, deposit: int = 0) -> bool:
        """Draw whether the delegate acts: often where it may, rarely where it must fail."""
        if self._grant_reason(payer, scope, deposit):
            return self.rarely(data, "delegated without a grant")
        return data.draw(st.booleans(), label="delegated")

    def _spend(self, payer: str, amount: int) -> None:
        scopes, budget, expires_at = self.grants[payer, self.delegate]
        self.grants[payer, self.delegate] = (scopes, budget - amount, expires_at)

    # Changes.

    def _actor(self, data: st.DataObject, job: JobModel, scope: int) -> str:
        return self.delegate if self._delegated(data, job.payer, scope) else job.payer

    def _change_reason(self, job: JobModel, actor: str, scope: int) -> str | None:
        if actor != job.payer and (reason := self._grant_reason(job.payer, scope)):
            return reason
        if job.cancelled:
            return "desk: cancelled"
        if job.completed:
            return "desk: completed"
        return "desk: job over" if job.end and self.now() >= job.end else None

    def _price_reason(self, job: JobModel) -> str | None:
        if job.class_id in self.retired:
            return "rates: class retired"
        return "desk: class dearer" if self.prices[job.class_id] > job.price else None

    def _budget_reason(self, job: JobModel, actor: str, scope: int, deposit: int) -> str | None:
        return None if actor == job.payer else self._grant_reason(job.payer, scope, deposit)

    def changeable(self, job: JobModel) -> bool:
        """Say whether its payer may still change a job."""
        return self._change_reason(job, job.payer, 0) is None

    def extend_job(self, data: st.DataObject) -> None:
        """M8, M9: extending buys windows at the job's own price, never after the end."""
        job_id = self.job(data, lambda job: self.changeable(job) and not self._price_reason(job))
        job = self.jobs[job_id]
        actor = self._actor(data, job, EXTEND)
        windows = data.draw(st.integers(1, 4), label="windows")
        deposit = job.price * job.slots * windows if job.kind == SERVICE else 0
        reason = (
            self._change_reason(job, actor, EXTEND)
            or self._price_reason(job)
            or self._budget_reason(job, actor, EXTEND, deposit)
        )
        self._change(
            "extend_job",
            job,
            reason,
            lambda: self.system.desk.extend_job(job_id, windows, sender=actor),
            lambda: (job.extend(windows), 0),
            actor,
        )

    def scale_job(self, data: st.DataObject) -> None:
        """M8, M9, P13: scaling buys or returns the windows from the next one on."""
        job_id = self.job(data, self.scalable)
        job = self.jobs[job_id]
        actor = self._actor(data, job, SCALE)
        slots = data.draw(st.sampled_from(self._sizes(job)), label="slots")
        if self.rarely(data, "same slots"):
            slots = job.slots
        surplus = job.surplus(slots)
        release = data.draw(subsets(job.active(), surplus, surplus), label="release")
        if self.rarely(data, "wrong release") and release:
            release = release[1:]
        self._change(
            "scale_up" if slots > job.slots else "scale_down",
            job,
            self._scale_reason(job, actor, slots, len(release)),
            lambda: self.system.desk.scale_job(job_id, slots, release, sender=actor),
            lambda: job.scale(self.now(), slots, release),
            actor,
        )

    def scalable(self, job: JobModel) -> bool:
        """Say whether a job may have other slots from the next window on."""
        return self.changeable(job) and (not job.end or self.now() + 1 < job.end)

    def _sizes(self, job: JobModel) -> list[int]:
        """Return the slots that a job may be scaled to, as far as the model knows."""
        more = [] if self._price_reason(job) else [job.slots + 1, job.slots + 2]
        fewer = list(range(1, job.slots)) if job.kind == SERVICE else []
        return [*more, *fewer, *fewer] or [job.slots + 1]

    def _scale_reason(self, job: JobModel, actor: str, slots: int, released: int) -> str | None:
        if reason := self._change_reason(job, actor, SCALE):
            return reason
        if slots == job.slots:
            return "desk: same slots"
        if job.end and self.now() + 1 >= job.end:
            return "desk: job over"
        if slots > job.slots:
            left = 1
            if job.kind == SERVICE:
                left = job.end - self.now() - 1 if job.end else job.windows
            deposit = job.price * (slots - job.slots) * left
            reason = self._price_reason(job) or self._budget_reason(job, actor, SCALE, deposit)
        elif job.kind == BATCH:
            reason = "desk: batch scaled down"
        if reason is None and released != job.surplus(slots):
            reason = "desk: wrong release"
        return reason

    def revise_job(self, data: st.DataObject) -> None:
        """Revise a job, once a window."""
        job_id = self.job(data, lambda job: self.changeable(job) and job.revised_in != self.now())
        job = self.jobs[job_id]
        actor = self._actor(data, job, REVISE)
        reason = self._change_reason(job, actor, REVISE)
        if reason is None and job.revised_in == self.now():
            reason = "desk: revised this window"
        self.attempt(
            "revise_job",
            reason,
            lambda: self.system.desk.revise_job(job_id, SPEC_HASH, sender=actor),
        )
        if reason is None:
            job.revision += 1
            job.revised_in = self.now()

    def cancel_job(self, data: st.DataObject) -> None:
        """M8: the windows behind the current one come back to the payer."""
        job_id = self.job(data, self.changeable)
        job = self.jobs[job_id]
        actor = self._actor(data, job, CANCEL)
        self._change(
            "cancel_job",
            job,
            self._change_reason(job, actor, CANCEL),
            lambda: self.system.desk.cancel_job(job_id, sender=actor),
            lambda: (0, job.cancel(self.now())),
            actor,
        )

    def _change(
        self, name: str, job: JobModel, reason: str | None, call: Any, model: Any, actor: str
    ) -> None:
        before = self.system.token.balanceOf(job.payer)
        self.attempt(name, reason, call)
        if reason is not None:
            return
        deposit, refund = model()
        assert self.system.token.balanceOf(job.payer) - before == refund - deposit
        if actor != job.payer and deposit:
            self._spend(job.payer, deposit)
