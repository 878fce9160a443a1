"""What `/status` tells: jobs and reports as this keeper's books have them, amounts as text."""

from typing import Any

from workdeed.chain.bindings.escrow import OPEN_END
from workdeed.chain.books import JobState, ReportState
from workdeed.keeper.view import View
from workdeed.protocol.fields import to_hex

MAX_REPORTS = 100


def status_of(view: View, limit: int) -> dict[str, Any]:
    """Return the state for JSON: the latest `limit` jobs and the last reports, newest first."""
    jobs = sorted(view.books.jobs.values(), key=lambda job: -job.job_id)[:limit]
    reports = list(view.books.reports.values())[-MAX_REPORTS:]
    return {
        "window": view.window,
        "timestamp": view.timestamp,
        "head": view.head.number,
        "block": view.block,
        "reported": view.reported,
        "committee_epoch": view.books.committee_epoch,
        "members": [seat.signer for seat in view.books.members],
        "jobs": [_job(view, job) for job in jobs],
        "reports": [_report(view, report) for report in reversed(reports)],
    }


def state_of(job: JobState, window: int) -> str:
    """Return where a job stands: waiting, running, ended or closed."""
    if job.closed:
        return "closed"
    if job.end == 0:
        return "waiting"
    return "ended" if job.is_over(window) else "running"


def _job(view: View, job: JobState) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "payer": job.payer,
        "state": state_of(job, view.window),
        "revision": job.revision,
        "spec_hash": to_hex(job.spec_hash),
        "slots": job.slots,
        "active": job.active,
        "round": job.round,
        "start": job.start,
        "end": job.end,
        "cancelled": job.cancelled,
        "price": str(job.price),
        "deposited": str(job.deposited),
        "paid": str(job.paid),
        "fees": str(job.fees),
        "refunded": str(job.refunded),
        "forfeited": str(job.forfeited),
        "locked": str(job.locked),
        "funded_units": job.funded_units,
        "claimed_units": job.claimed_units,
        "licenses": [
            {
                "license_id": item.license_id,
                "payee": view.books.licenses[item.license_id].payee,
                "first": item.first,
                "until": None if item.until == OPEN_END else item.until,
                "claimed_units": item.claimed_units,
            }
            for item in view.books.assignments_of(job.job_id)
        ],
    }


def _report(view: View, report: ReportState) -> dict[str, Any]:
    return {
        "window": report.window,
        "turn": report.turn,
        "root": to_hex(report.root),
        "data_hash": to_hex(report.data_hash),
        "signers": report.signers.bit_count(),
        "submitter": report.submitter,
        "final_at": report.final_at,
        "final": not report.vetoed and report.final_at <= view.timestamp,
        "vetoed": report.vetoed,
    }
