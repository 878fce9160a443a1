"""Which licenses are in place on a job, and since when: what a payer needs who gives up slots."""

from workdeed.chain.bindings.desk import Job, JobDesk, JobScaled
from workdeed.chain.bindings.escrow import JobEscrow, Placed
from workdeed.chain.clock import last_block_before
from workdeed.chain.logs import find_events, topic_of
from workdeed.sdk.errors import SdkError
from workdeed.sdk.session import Session


async def placed_licenses(session: Session, job_id: int, job: Job) -> list[int]:
    """Return the licenses in place on a job: those longest in place first, then by id.

    Raises:
        SdkError: if the RPC does not have all of the job's placements.
        ChainError: if the chain does not answer.

    """
    since: dict[int, int] = {}
    for event in await _changes(session, job_id, job):
        for license_id in event.release:
            since.pop(license_id, None)
        if isinstance(event, Placed):
            since |= dict.fromkeys(event.assign, event.window)
    if len(since) != job.active:
        raise SdkError(
            f"job {job_id}: the RPC shows {len(since)} of its {job.active} licenses; name those to "
            "release, or use an RPC with all logs"
        )
    return sorted(since, key=lambda license_id: (since[license_id], license_id))


async def _changes(session: Session, job_id: int, job: Job) -> list[Placed | JobScaled]:
    """Return the events that changed who is in place, in chain order."""
    if job.start == 0:
        return []
    suite, rpc = session.suite, session.rpc
    # The first placement was in the window before the job's first one.
    begin = session.deployment.clock.start(job.start - 1)
    first, head = session.deployment.start_block, await rpc.head()
    before = await last_block_before(rpc, begin, first=first, last=head)
    events = await find_events(
        rpc,
        suite,
        (suite.escrow, suite.desk),
        (
            (topic_of(JobEscrow, Placed), topic_of(JobDesk, JobScaled)),
            (job_id.to_bytes(32, "big"),),
        ),
        first=before.number + 1 if before else first,
        last=head.number,
    )
    return [event for event in events if isinstance(event, Placed | JobScaled)]
