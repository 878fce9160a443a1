"""What an oracle serves to everyone: reports, proofs, and observations once their round is over."""

import asyncio
from typing import Final, NamedTuple

from workdeed.chain.books import ReportState
from workdeed.oracle.bases import Bases
from workdeed.oracle.errors import DataMissingError, NotYetError
from workdeed.oracle.snapshots import ChainView
from workdeed.oracle.store import OracleStore, StoredReport
from workdeed.protocol.limits import MAX_PROVEN
from workdeed.protocol.merkle import MerkleTree, leaf_hash
from workdeed.protocol.messages import Observations, Proofs, ProvenLeaf, Report
from workdeed.protocol.report import Leaf, report_tree

_TREES: Final = 2


class _Tree(NamedTuple):
    """The tree of a report, and its leaves by job and license."""

    tree: MerkleTree
    leaves: dict[tuple[int, int], list[Leaf]]


class Archive:
    """Serves what is on disk, of reports that the chain has accepted and nobody vetoed.

    Args:
        chain: says which reports those are.
        bases: their data.
        store: observations and recovered leaves.

    """

    def __init__(self, chain: ChainView, bases: Bases, store: OracleStore) -> None:
        self._chain = chain
        self._bases = bases
        self._store = store
        self._trees: dict[bytes, _Tree] = {}
        self._lock = asyncio.Lock()

    async def observations(self, window: int) -> Observations | None:
        """Return all observations of a window, None if none are kept.

        Raises:
            NotYetError: until a final report has settled all of its pairs, so that nobody copies.
            DataMissingError: if that report's data is not here.

        """
        await self.require_settled(window)
        found = await asyncio.to_thread(self._store.observations, window)
        return Observations(observations=found) if found else None

    async def require_settled(self, window: int) -> None:
        """Raise as `observations` does unless all pairs of a window are settled."""
        final = self._chain.books.final_report(self._chain.head.timestamp)
        if final is None or final.window < window:
            raise NotYetError(f"window: no final report covers {window} yet")
        base = await asyncio.to_thread(self._bases.load, final)
        if base is None:
            raise DataMissingError("window: the data of the final report is not here; ask again")
        if any(one.window == window for one in base.open):
            raise NotYetError(f"window: a pair of {window} is still open")

    async def report(self, window: int) -> Report | None:
        """Return the data of the report of a window, None if it is not here."""
        stored = await self._stored(window)
        return Report(header=stored.header, leaves=stored.leaves) if stored else None

    async def proofs(self, window: int, job_id: int, license_id: int) -> Proofs | None:
        """Return the leaf of a job and license with its proof, one for each escrow that has it.

        None if the report's data is not here, or it has no such leaf. License 0 is the job leaf.
        """
        report = self._accepted(window)
        known = await self._tree(report) if report else None
        leaves = known.leaves.get((job_id, license_id), []) if known else []
        if report is None or known is None or not leaves:
            return None
        proven = tuple(_prove(known.tree, leaf) for leaf in leaves)
        return Proofs(window=window, root=report.root, leaves=proven)

    async def recovered(self, window: int, page: int) -> Proofs | None:
        """Return a page of the leaves that were recovered of a report whose data was lost."""
        report = self._accepted(window)
        if report is None:
            return None
        leaves = await asyncio.to_thread(
            self._store.recovered, window, offset=page * MAX_PROVEN, limit=MAX_PROVEN
        )
        return Proofs(window=window, root=report.root, leaves=leaves) if leaves else None

    def _accepted(self, window: int) -> ReportState | None:
        report = self._chain.books.reports.get(window)
        return None if report is None or report.vetoed else report

    async def _stored(self, window: int) -> StoredReport | None:
        report = self._accepted(window)
        return await asyncio.to_thread(self._bases.stored, report) if report else None

    async def _tree(self, report: ReportState) -> _Tree | None:
        async with self._lock:
            if report.data_hash not in self._trees:
                stored = await asyncio.to_thread(self._bases.stored, report)
                if stored is None:
                    return None
                self._trees[report.data_hash] = await asyncio.to_thread(_build, stored)
                while len(self._trees) > _TREES:
                    del self._trees[next(iter(self._trees))]
            return self._trees[report.data_hash]


def _build(stored: StoredReport) -> _Tree:
    leaves = stored.decoded()
    by_pair: dict[tuple[int, int], list[Leaf]] = {}
    for leaf in leaves:
        by_pair.setdefault((leaf.job_id, leaf.license_id), []).append(leaf)
    return _Tree(report_tree(leaves), by_pair)


def _prove(tree: MerkleTree, leaf: Leaf) -> ProvenLeaf:
    return ProvenLeaf(
        escrow=leaf.escrow,
        job_id=leaf.job_id,
        license_id=leaf.license_id,
        units=leaf.units,
        proof=tuple(tree.proof(leaf_hash(*leaf))),
    )
