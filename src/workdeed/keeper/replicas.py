"""The replicas of a job, as their nodes tell of them now, and what is shown of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from workdeed.chain.books import Books, JobState
from workdeed.intent import MAIN, Spec
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.rollout import (
    Decision,
    Replica,
    decide,
    is_serving,
    replica_of,
    settle_ms_of,
)
from workdeed.keeper.statuses import Statuses
from workdeed.protocol.limits import MAX_REPLICAS, MAX_TEXT
from workdeed.protocol.messages import WorkloadStatus
from workdeed.protocol.rollouts import (
    Endpoint,
    EndpointList,
    ReplicaProgress,
    RolloutProgress,
)
from workdeed.sdk.endpoints import parse_base
from workdeed.sdk.errors import EndpointError


@dataclass(frozen=True, slots=True)
class Seen:
    """What the node of a placed license says of one job.

    Attributes:
        address: where the node answers, None if nowhere.
        works: the revisions that it has.
        unreachable: why it could not be asked, "" if it could.

    """

    license_id: int
    address: str | None
    works: tuple[WorkloadStatus, ...] = ()
    unreachable: str = ""


@dataclass(frozen=True)
class Lookout:
    """Looks at the replicas of jobs.

    Attributes:
        escrow: whose jobs are meant.
        addresses: where nodes are.
        statuses: what they say of themselves.

    """

    escrow: str
    addresses: AddressBook
    statuses: Statuses

    async def look(self, books: Books, job_id: int, most: int | None = None) -> list[Seen]:
        """Return what is seen of a job's placed licenses, by license; of `most` at most."""
        placed = sorted(books.placed(job_id))[:most]
        return list(await asyncio.gather(*(self._look(books, job_id, one) for one in placed)))

    async def _look(self, books: Books, job_id: int, license_id: int) -> Seen:
        address = self.addresses.of_license(books, license_id)
        try:
            status = await self.statuses.read(license_id, address)
        except EndpointError as error:
            return Seen(license_id, address, unreachable=str(error)[:MAX_TEXT])
        pair = self.escrow, job_id
        works = tuple(one for one in status.workloads if (one.escrow, one.job_id) == pair)
        return Seen(license_id, address, works)


def endpoints_of(job: JobState, seen: Sequence[Seen]) -> EndpointList:
    """Return where callers of a job go: to replicas that are well and do not end soon."""
    found = [one for item in seen if (one := _endpoint(item)) is not None]
    return EndpointList(job_id=job.job_id, replicas=job.active, endpoints=tuple(found))


def _endpoint(seen: Seen) -> Endpoint | None:
    serving = [one for one in seen.works if is_serving(one) and not one.draining]
    work = max(serving, key=lambda one: one.revision, default=None)
    if work is None or work.port is None or seen.address is None:
        return None
    try:
        host = parse_base(seen.address).host
    except EndpointError:
        return None
    return Endpoint(
        license_id=seen.license_id,
        host=host,
        port=work.port,
        revision=work.revision,
        version=next((one.version for one in work.services if one.name == MAIN), ""),
    )


def decision_of(job: JobState, spec: Spec | None, seen: Sequence[Seen]) -> Decision:
    """Return where the rollout of a job's current revision stands, and its next steps."""
    if spec is None:
        return Decision("starting", f"the spec of revision {job.revision} is not here yet")
    return decide(spec.rollout, [_replica(job, one) for one in seen])


def _replica(job: JobState, seen: Seen) -> Replica:
    if seen.unreachable:
        return Replica(seen.license_id, unreachable=seen.unreachable)
    return replica_of(seen.license_id, job.revision, seen.works)


def progress_of(
    job: JobState, spec: Spec | None, seen: Sequence[Seen], decision: Decision
) -> RolloutProgress:
    """Return what is told of a rollout."""
    settle = settle_ms_of(spec.rollout) if spec is not None else 0
    return RolloutProgress(
        job_id=job.job_id,
        revision=job.revision,
        policy=spec.rollout.policy if spec is not None else "",
        phase=decision.phase,
        reason=decision.reason[:MAX_TEXT],
        replicas=tuple(_progress(job, one, settle) for one in seen[:MAX_REPLICAS]),
    )


def _progress(job: JobState, seen: Seen, settle_ms: int) -> ReplicaProgress:
    replica = _replica(job, seen)
    serving, current = replica.serving, replica.current
    reason = replica.unreachable or replica.failed or (current.reason if current else "")
    return ReplicaProgress(
        license_id=seen.license_id,
        state=replica.state(settle_ms),
        revision=serving.revision if serving else None,
        well_ms=serving.well_ms if serving else 0,
        reason=reason[:MAX_TEXT],
    )
