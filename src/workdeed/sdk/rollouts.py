"""What keepers tell of a job's replicas: where they answer, and how a rollout goes."""

from collections.abc import Sequence
from typing import TypeVar

from workdeed.chain.rpc import origin_of
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.rollouts import EndpointList, RolloutProgress
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError

T = TypeVar("T", EndpointList, RolloutProgress)


async def get_endpoints(endpoints: Endpoints, keepers: Sequence[str], job_id: int) -> EndpointList:
    """Return the replicas of a job that callers can go to, by the first keeper that tells them.

    Raises:
        EndpointError: if none does; it says why the first one did not.

    """
    return await _ask(endpoints, keepers, job_id, "endpoints", EndpointList)


async def get_rollout(endpoints: Endpoints, keepers: Sequence[str], job_id: int) -> RolloutProgress:
    """Return how far the current revision of a job is; raises as `get_endpoints`."""
    return await _ask(endpoints, keepers, job_id, "rollout", RolloutProgress)


async def _ask(
    endpoints: Endpoints, keepers: Sequence[str], job_id: int, page: str, kind: type[T]
) -> T:
    troubles: list[EndpointError] = []
    for keeper in keepers:
        try:
            data = await endpoints.get(keeper, f"/jobs/{job_id}/{page}", kind.MAX_BYTES)
            return _read(kind, data, keeper, job_id)
        except EndpointError as error:
            troubles.append(error)
    if not troubles:
        raise EndpointError(f"job {job_id}: no keeper is known; name one")
    raise troubles[0]


def _read(kind: type[T], data: bytes, keeper: str, job_id: int) -> T:
    try:
        found = kind.parse(data)
    except ProtocolError as error:
        raise EndpointError(f"{origin_of(keeper)}: its answer is malformed ({error})") from error
    if found.job_id != job_id:
        raise EndpointError(f"{origin_of(keeper)}: it answered for job {found.job_id}")
    return found
