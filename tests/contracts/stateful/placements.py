"""Placements and results, right and in every way wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.contracts.stateful.base import Base, subsets
from tests.contracts.stateful.model import BATCH, JobModel
from tests.contracts.system import sign
from workdeed.protocol.eip712 import Domain, result_digest
from workdeed.protocol.hashing import keccak

RESULT_HASH = keccak(b"result")


class PlacementRules(Base):
    """Calls that a quorum signs for a job."""

    def place(self, data: st.DataObject) -> None:
        """P13, P14, P15: change a job's licenses, with every way to get it wrong."""
        job_id = self.job(data, self.can_fill)
        job = self.jobs[job_id]
        active = job.active()
        release = data.draw(subsets(active, 0, 2), label="release") if job.start else []
        free = job.slots - len(active) + len(release)
        fit = [one for one in sorted(set(self.owners) - set(active)) if self._can_join(job, one)]
        assign = data.draw(
            subsets(fit, job.min_slots if not job.start else 1, max(free, 0)), label="assign"
        )
        if self.rarely(data, "any license"):
            others = sorted(set(self.owners) - set(active))
            assign = data.draw(subsets(others, 0, len(others)), label="any")
        wrong = data.draw(st.sampled_from(WRONG_PLACEMENTS), label="wrong")(self, job)
        reason = self._place_reason(job, release, assign, wrong.pop("reason", None))
        arguments = self.system.placement(
            job_id, assign, release, keys=wrong.pop("keys", self.quorum_keys()), **wrong
        )
        self.attempt("place", reason, lambda: self.system.escrow.place(*arguments))
        if reason is None:
            job.place(self.now(), release, assign)

    def _wants_licenses(self, job: JobModel) -> bool:
        if job.cancelled or job.completed:
            return False
        return not job.start or (self.now() + 1 < job.end and len(job.active()) < job.slots)

    def can_fill(self, job: JobModel) -> bool:
        """Say whether a placement of a job would take effect."""
        fit = [one for one in self.owners if self._can_join(job, one) and one not in job.active()]
        return self._wants_licenses(job) and len(fit) >= (1 if job.start else job.min_slots)

    def _can_join(self, job: JobModel, license_id: int) -> bool:
        terms = job.terms.get(license_id, [])
        back = not terms or self.reported() + 1 >= (terms[-1].until or 0)
        return back and self.eligible(license_id)

    def _place_reason(
        self, job: JobModel, release: list[int], assign: list[int], wrong: str | None
    ) -> str | None:
        if job.cancelled or job.completed:
            return "escrow: cancelled" if job.cancelled else "escrow: completed"
        if self.is_paused():
            return "escrow: paused"
        if wrong and wrong.startswith("escrow"):
            return wrong
        if not release and not assign:
            return "escrow: empty placement"
        if wrong:
            return wrong
        return self._assign_reason(job, release, assign)

    def _assign_reason(self, job: JobModel, release: list[int], assign: list[int]) -> str | None:
        if not all(map(self.eligible, assign)):
            return "escrow: license not eligible"
        if job.start == 0 and len(assign) < job.min_slots:
            return "escrow: too few licenses"
        if self.now() + 1 >= (job.end or self.now() + 1 + job.windows):
            return "escrow: job over"
        for one in assign:
            terms = job.terms.get(one, [])
            if terms and self.reported() + 1 < (terms[-1].until or 0):
                return "escrow: release not reported"
        if len(job.active()) + len(assign) - len(release) > job.slots:
            return "escrow: too many licenses"
        return None

    def attest_result(self, data: st.DataObject) -> None:
        """P14: a quorum completes a batch job, once; nothing signed for another job counts."""
        job_id = self.job(data, self.can_complete)
        job = self.jobs[job_id]
        reason = None
        if job.kind != BATCH:
            reason = "desk: not a batch job"
        elif job.completed:
            reason = "desk: completed"
        elif self.now() >= job.end:
            reason = "desk: job over"
        keys = self.quorum_keys()
        if self.rarely(data, "too few"):
            keys = keys[:-1]
            reason = reason or "committee: too few signatures"
        domain = Domain("JobDesk", self.system.chain_id, self.system.desk.address)
        digest = result_digest(domain, job_id, RESULT_HASH, self.system.committee.committee_epoch())
        signatures = sign(digest, keys)
        self.attempt(
            "attest_result",
            reason,
            lambda: self.system.desk.attest_result(job_id, RESULT_HASH, signatures),
        )
        if reason is None:
            job.complete(self.now())

    def can_complete(self, job: JobModel) -> bool:
        """Say whether a result may be attested."""
        return job.kind == BATCH and not job.completed and self.now() < job.end


def _right(_: Base, __: JobModel) -> dict[str, Any]:
    return {}


def _other_window(machine: Base, _: JobModel) -> dict[str, Any]:
    return {"window": machine.now() + 1, "reason": "escrow: wrong window"}


def _other_round(_: Base, job: JobModel) -> dict[str, Any]:
    return {"round": job.round + 1, "reason": "escrow: wrong round"}


def _other_revision(_: Base, job: JobModel) -> dict[str, Any]:
    return {"revision": job.revision + 1, "reason": "escrow: wrong revision"}


def _few_placers(machine: Base, _: JobModel) -> dict[str, Any]:
    return {"keys": machine.quorum_keys()[:-1], "reason": "committee: too few signatures"}


WRONG_PLACEMENTS: list[Callable[[Any, JobModel], dict[str, Any]]] = [_right] * 16 + [
    _other_window,
    _other_round,
    _other_revision,
    _few_placers,
]
