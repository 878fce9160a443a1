"""The leaves that the next report builds on: from this disk, from a peer, or from their proofs.

Where no member has the leaves of the latest report any more, those with a valid proof are taken
from anyone, mostly from the nodes, each of which keeps its own. Members share what they recover.
For `recovery_windows` windows nobody signs upon such a base; after that the leaves that were
proven are taken, all other pairs start from their claimed units, and the header announces it by
naming window 0 and root 0 as its base.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from workdeed.chain.books import Books, ReportState
from workdeed.oracle.errors import EndpointError, NotYetError
from workdeed.oracle.peers import Peer, Peers
from workdeed.oracle.settlement import Base
from workdeed.oracle.store import OracleStore, StoredReport
from workdeed.protocol.errors import ProtocolError
from workdeed.protocol.limits import MAX_PROVEN, REQUEST_SECONDS, TRANSFER_SECONDS
from workdeed.protocol.messages import Proofs, ProvenLeaf, Report
from workdeed.protocol.report import data_hash, decode_leaves, report_tree

_log = structlog.get_logger(__name__)

_CALLS_AT_ONCE: Final = 32
_MAX_PAGES: Final = 1_024


class Bases:
    """Finds the data of accepted reports.

    Args:
        store: where it is kept.
        peers: who is asked for what is not.

    """

    def __init__(self, store: OracleStore, peers: Peers) -> None:
        self._store = store
        self._peers = peers
        self._cached: tuple[bytes, Base] | None = None

    def load(self, report: ReportState | None) -> Base | None:
        """Return the base that a report makes, the empty one without a report; None if not here."""
        if report is None:
            return Base()
        if self._cached is not None and self._cached[0] == report.data_hash:
            return self._cached[1]
        stored = self.stored(report)
        if stored is None:
            return None
        leaves = {leaf[:3]: leaf.units for leaf in stored.decoded()}
        base = Base(report.window, report.root, leaves, stored.header.open)
        self._cached = (report.data_hash, base)
        return base

    def partial(self, report: ReportState) -> Base:
        """Return the base of what was recovered of a report whose leaves are lost."""
        leaves = {
            (one.escrow, one.job_id, one.license_id): one.units
            for one in self._store.recovered(report.window)
            if _is_proven(one, report)
        }
        return Base(report.window, report.root, leaves, whole=False)

    def stored(self, report: ReportState) -> StoredReport | None:
        """Return the data of an accepted report if it is on this disk."""
        found = self._store.report(report.data_hash)
        return found if found is not None and found.root == report.root else None

    async def fetch(
        self, report: ReportState, peers: Iterable[Peer], *, seconds: float = TRANSFER_SECONDS
    ) -> bool:
        """Fetch a report's data from the first peer that has it; tell whether it is here now.

        Args:
            report: on chain.
            peers: who is asked, one after the other.
            seconds: time for each.

        Raises:
            StoreError: if it can't be kept.

        """
        for peer in peers:
            try:
                data = await self._peers.report(peer, report.window, seconds=seconds)
                await asyncio.to_thread(self._take, report, data)
            except (EndpointError, NotYetError, ProtocolError) as error:
                _log.info("oracle: no report data", member=peer.member, reason=str(error))
                continue
            _log.info("oracle: report data fetched", window=report.window, member=peer.member)
            return True
        return False

    async def recover(self, report: ReportState, books: Books, peers: Sequence[Peer]) -> None:
        """Collect proven leaves of a report whose data is lost, from peers and nodes.

        Raises:
            StoreError: if they can't be kept.

        """
        slots = asyncio.Semaphore(_CALLS_AT_ONCE)

        async def ask(endpoint: str) -> None:
            async with slots:
                await self._recover_from_node(report, endpoint)

        for peer in peers:
            await self.recover_from(report, peer)
        await asyncio.gather(*(ask(endpoint) for endpoint in _endpoints(books)))

    async def recover_from(self, report: ReportState, peer: Peer) -> None:
        """Collect the proven leaves of a report that a peer recovered; raises as `recover`."""
        for page in range(_MAX_PAGES):
            try:
                proofs = await self._peers.recovered(
                    peer, report.window, page, seconds=REQUEST_SECONDS
                )
            except (EndpointError, NotYetError) as error:
                _log.debug("oracle: nothing recovered", member=peer.member, reason=str(error))
                return
            self._keep_proven(report, proofs)
            if len(proofs.leaves) < MAX_PROVEN:
                return

    def _take(self, report: ReportState, data: Report) -> None:
        """Keep data if it is that of the report on chain."""
        data.check_pins()
        if data_hash(data.header) != report.data_hash:
            raise EndpointError("header: its hash is not the one on chain")
        if report_tree(decode_leaves(data.leaves)).root != report.root:
            raise EndpointError("leaves: their root is not the one on chain")
        self._store.put_report(data.header, report.root, data.leaves)

    async def _recover_from_node(self, report: ReportState, endpoint: str) -> None:
        try:
            proofs = await self._peers.kept_by_node(
                endpoint, report.window, seconds=REQUEST_SECONDS
            )
        except (EndpointError, NotYetError) as error:
            _log.debug("oracle: nothing recovered", endpoint=endpoint, reason=str(error))
            return
        self._keep_proven(report, proofs)

    def _keep_proven(self, report: ReportState, proofs: Proofs) -> None:
        self._store.put_recovered(
            report.window, [one for one in proofs.leaves if _is_proven(one, report)]
        )


def _endpoints(books: Books) -> list[str]:
    """Return the endpoints of all licenses that ever served a job that has units left."""
    left = {job.job_id for job in books.jobs.values() if job.funded_units > job.claimed_units}
    served = {license_id for job_id, license_id in books.assignments if job_id in left}
    found = {books.licenses[license_id].endpoint for license_id in served}
    return sorted(found - {""})


def _is_proven(leaf: ProvenLeaf, report: ReportState) -> bool:
    try:
        Proofs(window=report.window, root=report.root, leaves=(leaf,)).check(report.root)
    except ProtocolError:
        return False
    return True
