"""Closes jobs whose end is reported, and for the keeper's own payer those that no report covers."""

from collections.abc import Sequence

from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.bindings.escrow import JobEscrow
from workdeed.chain.books import Books, JobState
from workdeed.keeper.effects import PlannedEffect
from workdeed.keeper.reportdata import ReportData
from workdeed.keeper.stagger import Stagger
from workdeed.keeper.view import View
from workdeed.protocol.report import Leaf

JOB_LEAF = 0


def due_closes(view: View, leaves: Sequence[Leaf], stagger: Stagger) -> list[Leaf]:
    """Return the job leaves that would close a job, or lower what stays locked in a closed one."""
    report = view.final_report
    if report is None:
        return []
    return [
        leaf
        for leaf in leaves
        if leaf.license_id == JOB_LEAF
        and leaf.escrow == view.books.escrow
        and leaf.job_id in view.books.jobs
        and _lowers(view.books.jobs[leaf.job_id], leaf.units, view.reported)
        and view.timestamp >= report.final_at + stagger.delay(view, report.window + leaf.job_id)
    ]


def close_effects(
    escrow: JobEscrow, data: ReportData, leaves: Sequence[Leaf]
) -> list[PlannedEffect]:
    """Return the transactions that close jobs by these leaves."""
    return [_close(escrow, data, leaf) for leaf in leaves]


def unattested_effects(view: View, desk: JobDesk, payer: str, grace: int) -> list[PlannedEffect]:
    """Return what leads to a close without a report for the ended jobs of `payer`.

    Args:
        view: the chain.
        desk: the desk.
        payer: the keeper's own sender; others have to ask for themselves.
        grace: the desk's `CLOSE_GRACE`, in windows.

    """
    effects = []
    for job in view.books.jobs.values():
        if job.payer != payer or job.closed or not job.is_over(view.window):
            continue
        covered = view.reported + 1 >= job.end
        if not job.close_requested or (covered and not job.covered):
            effects.append(_request(desk, job, covered))
        elif view.window > job.close_requested + grace and not _caught_up(view.books, job):
            effects.append(_close_unattested(desk, job))
    return effects


def _caught_up(books: Books, job: JobState) -> bool:
    """Tell whether reports have come to the job's end since the request, be they pending.

    The operators then get a grace of their own: the payer asks again once the report is final.
    """
    latest = books.latest_report
    return not job.covered and latest is not None and latest.window + 1 >= job.end


def _lowers(job: JobState, total: int, reported: int) -> bool:
    if job.end == 0 or reported + 1 < job.end:
        return False
    return not job.closed or max(total, job.claimed_units) < job.funded_units


def _close(escrow: JobEscrow, data: ReportData, leaf: Leaf) -> PlannedEffect:
    def done(books: Books) -> bool:
        job = books.jobs[leaf.job_id]
        return job.closed and job.funded_units <= max(leaf.units, job.claimed_units)

    return PlannedEffect(
        key=f"close:{leaf.job_id}:{data.window}",
        call=escrow.close_job(leaf.job_id, leaf.units, data.proof(leaf)),
        done=done,
    )


def _request(desk: JobDesk, job: JobState, covered: bool) -> PlannedEffect:
    def done(books: Books) -> bool:
        now = books.jobs[job.job_id]
        return now.closed or (now.close_requested > 0 and now.covered >= covered)

    kind = "covered" if covered else "uncovered"
    return PlannedEffect(
        key=f"request-close:{job.job_id}:{job.end}:{kind}",
        call=desk.request_close(job.job_id),
        done=done,
    )


def _close_unattested(desk: JobDesk, job: JobState) -> PlannedEffect:
    return PlannedEffect(
        key=f"close-unattested:{job.job_id}:{job.close_requested}",
        call=desk.close_unattested(job.job_id),
        done=lambda books: books.jobs[job.job_id].closed,
    )
