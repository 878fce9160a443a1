# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Job lens
@custom:contract-name JobLens
@license GNU Affero General Public License v3.0 only
@notice What a user interface asks of jobs, in pages: their state, what they still lock, what a claim would pay.
        It reads the desk, the escrow and the committee, and holds nothing.
@custom:security Nothing rests on it: no other contract calls it.
@custom:kill Not needed and not possible: it holds no money and no role.
"""

from interfaces import IJobDesk
from interfaces import IJobEscrow
from interfaces import INodeLicense
from interfaces import IOracleCommittee

from modules import shares


# @dev The states of a job, in the order of its life.
WAITING: constant(uint256) = 1
RUNNING: constant(uint256) = 2
ENDED: constant(uint256) = 3
CLOSED: constant(uint256) = 4


# @dev The kind of a batch job.
BATCH: constant(uint256) = 1


# @dev Entries of a page at most.
MAX_PAGE: constant(uint256) = 64


# @dev A job as a list shows it.
struct JobView:
    job_id: uint256
    # 1 waiting for its first placement, 2 running, 3 ended, 4 closed.
    state: uint256
    # What is funded and unclaimed, in base units of the token.
    unclaimed: uint256
    job: IJobDesk.Job


# @dev What a leaf of the final report is worth to a license.
struct ClaimView:
    # Cumulative units that the license would have been paid for.
    credited: uint256
    # The gross that a claim would move now, fees included, in base units of the token.
    gross: uint256
    # The worst standing of license, owner and node; a claim pays only at 0, good.
    standing: uint256
    # Who would be paid.
    payee: address


# @dev The escrow, and what it rests on.
ESCROW: public(immutable(IJobEscrow))
DESK: public(immutable(IJobDesk))
COMMITTEE: public(immutable(IOracleCommittee))
LICENSES: public(immutable(INodeLicense))


@deploy
def __init__(escrow: IJobEscrow):
    """
    @notice Finds everything else by the escrow.
    @param escrow The job escrow.
    """
    ESCROW = escrow
    DESK = IJobDesk(staticcall escrow.DESK())
    COMMITTEE = IOracleCommittee(staticcall escrow.COMMITTEE())
    LICENSES = INodeLicense(staticcall escrow.LICENSES())


@external
@view
def jobs(first: uint256, count: uint256) -> DynArray[JobView, MAX_PAGE]:
    """
    @notice Returns jobs in the order of their ids.
    @param first The first job, from 1.
    @param count How many at most, up to 64.
    @return DynArray The jobs; fewer where there are no more.
    """
    page: DynArray[JobView, MAX_PAGE] = []
    stop: uint256 = self._stop(first, count)
    for index: uint256 in range(MAX_PAGE):
        if first + index >= stop:
            break
        page.append(self._view(first + index))
    return page


@external
@view
def jobs_of(payer: address, first: uint256, count: uint256) -> DynArray[uint256, MAX_PAGE]:
    """
    @notice Returns which of some jobs are a payer's.
    @param payer The payer.
    @param first The first job to look at, from 1.
    @param count How many to look at, up to 64.
    @return DynArray The ids of the payer's jobs among them.
    """
    page: DynArray[uint256, MAX_PAGE] = []
    stop: uint256 = self._stop(first, count)
    for index: uint256 in range(MAX_PAGE):
        job_id: uint256 = first + index
        if job_id >= stop:
            break
        job: IJobDesk.Job = staticcall DESK.job(job_id)
        if job.payer == payer:
            page.append(job_id)
    return page


@external
@view
def assignments(job_id: uint256, license_ids: DynArray[uint256, MAX_PAGE]) -> DynArray[IJobEscrow.Assignment, MAX_PAGE]:
    """
    @notice Returns the service of several licenses in a job.
    @param job_id The job.
    @param license_ids The licenses.
    @return DynArray Their service, in the same order.
    """
    page: DynArray[IJobEscrow.Assignment, MAX_PAGE] = []
    for license_id: uint256 in license_ids:
        page.append(staticcall ESCROW.assignment(job_id, license_id))
    return page


@external
@view
def claimable(job_id: uint256, license_id: uint256, units: uint256) -> ClaimView:
    """
    @notice Returns what a claim by a leaf of the final report would move.
    @param job_id The job.
    @param license_id The license.
    @param units The cumulative units of the leaf.
    @return ClaimView What it is worth now.
    """
    job: IJobDesk.Job = staticcall DESK.job(job_id)
    service: IJobEscrow.Assignment = staticcall ESCROW.assignment(job_id, license_id)
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    # As the escrow counts: the windows of earlier terms, and those of the current one that are reported.
    windows: uint256 = service.earlier
    stop: uint256 = min(min(service.until, job.end), reported + 1)
    if stop > service.first:
        windows += stop - service.first
    cap: uint256 = windows * shares.UNIT
    if job.kind == BATCH and windows > 0:
        cap = max_value(uint256)
    left: uint256 = job.funded_units - job.claimed_units
    credited: uint256 = min(min(units, cap), service.claimed_units + left)
    gross: uint256 = 0
    if credited > service.claimed_units:
        gross = shares._gross(job.price, credited) - shares._gross(job.price, service.claimed_units)
    payee: address = empty(address)
    standing: uint256 = 0
    payee, standing = staticcall LICENSES.payee_of(license_id)
    return ClaimView(credited=max(credited, service.claimed_units), gross=gross, standing=standing, payee=payee)


@internal
@view
def _stop(first: uint256, count: uint256) -> uint256:
    """
    @dev Returns where a page ends.
    @param first The first job.
    @param count How many at most.
    @return uint256 The first job behind the page.
    """
    assert first > 0, "lens: jobs count from 1"
    assert count <= MAX_PAGE, "lens: page too long"
    return min(first + count, staticcall ESCROW.job_count() + 1)


@internal
@view
def _view(job_id: uint256) -> JobView:
    """
    @dev Returns a job as a list shows it.
    @param job_id The job.
    @return JobView The job.
    """
    job: IJobDesk.Job = staticcall DESK.job(job_id)
    state: uint256 = RUNNING
    if job.closed:
        state = CLOSED
    elif job.end == 0:
        state = WAITING
    elif staticcall ESCROW.current_window() >= job.end:
        state = ENDED
    return JobView(
        job_id=job_id,
        state=state,
        unclaimed=shares._gross(job.price, job.funded_units) - shares._gross(job.price, job.claimed_units),
        job=job,
    )
