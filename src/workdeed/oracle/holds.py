"""Workloads that do not run because their payer stopped them: they count as served.

Whoever wants to pay no more scales or cancels. A node shows the signed request by which it was told
to stop; the chain says whether who signed it may, so that all oracles find the same.
"""

from collections.abc import Callable, Iterable
from typing import Final

import structlog

from workdeed.chain.bindings.desk import REVISE
from workdeed.chain.books import Books
from workdeed.oracle.endpoints import EndpointClient, Resolved
from workdeed.oracle.errors import EndpointError
from workdeed.oracle.targets import JobTarget
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.figures import Pair
from workdeed.protocol.messages import Workload
from workdeed.protocol.noderequest import NodeRequest
from workdeed.protocol.windows import WindowClock

_log = structlog.get_logger(__name__)

STOPPED: Final = "stopped"
_MILLISECONDS: Final = 1_000


class Holds:
    """Asks nodes by whose word they stopped, and remembers what was shown.

    A stop counts for the revision that it names, from its payer or a delegate who may revise, and
    within the license's term: neither a newer revision nor a later term can be sat out by it.

    Args:
        client: calls the nodes.
        domain: the committee's, in which requests are signed.
        windows: the calendar.
        books: returns the latest books.
        now: the chain's time in Unix seconds.
        seconds: time for an answer.

    """

    def __init__(
        self,
        client: EndpointClient,
        domain: Domain,
        windows: WindowClock,
        books: Callable[[], Books],
        now: Callable[[], float],
        *,
        seconds: float,
    ) -> None:
        self._client = client
        self._domain = domain
        self._windows = windows
        self._books = books
        self._now = now
        self._seconds = seconds
        self._shown: dict[Pair, NodeRequest] = {}

    async def held(self, node: Resolved, job: JobTarget, workloads: Iterable[Workload]) -> bool:
        """Tell whether a node that answers keeps a job stopped by its payer's word.

        Args:
            node: where it answers.
            job: the job, which it does not serve.
            workloads: those of the job in its valid answer.

        """
        stopped = {
            one.revision
            for one in workloads
            if one.state == STOPPED
            and one.revision >= job.measured
            and job.revisions.get(one.revision) == one.spec_hash
        }
        if not stopped:
            return False
        shown = self._shown.get(job.pair)
        if shown is None or not self._counts(shown, job, stopped):
            shown = await self._ask(node, job.pair)
        if shown is None or not self._counts(shown, job, stopped):
            return False
        self._shown[job.pair] = shown
        return True

    def forget(self, kept: Iterable[Pair]) -> None:
        """Drop what was shown for pairs other than `kept`."""
        pairs = set(kept)
        self._shown = {pair: shown for pair, shown in self._shown.items() if pair in pairs}

    async def _ask(self, node: Resolved, pair: Pair) -> NodeRequest | None:
        """Return the signed stop that a node shows, None without one."""
        path = f"/jobs/{pair.job_id}/hold"
        try:
            data = await self._client.get(
                node, path, seconds=self._seconds, max_bytes=NodeRequest.MAX_BYTES
            )
            shown = NodeRequest.parse(data)
            shown.verify(self._domain)
        except (EndpointError, ProtocolError) as error:
            _log.debug("oracle: no hold", job_id=pair.job_id, reason=str(error))
            return None
        return shown

    def _counts(self, shown: NodeRequest, job: JobTarget, stopped: set[int]) -> bool:
        """Tell whether a signed request is a stop of this job by who may stop it now."""
        pair = job.pair
        # The node may have begun, and been stopped, in the window of the placement.
        begin = self._windows.start(max(1, job.term - 1))
        return (
            shown.action == "stop"
            and (shown.escrow, shown.job_id, shown.license_id) == pair
            and shown.revision in stopped
            and shown.asked_at >= begin * _MILLISECONDS
            and self._books().may_act(shown.account, pair.job_id, REVISE, int(self._now()))
        )
