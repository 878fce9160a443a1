"""The data of accepted reports: from this keeper's own store, else from any peer, checked."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from workdeed.chain.books import ReportState
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.view import View
from workdeed.protocol.merkle import MerkleTree, leaf_hash
from workdeed.protocol.messages import Report
from workdeed.protocol.report import (
    Leaf,
    ReportHeader,
    data_hash,
    decode_leaves,
    report_tree,
)
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import NoProofError
from workdeed.sdk.keepers import fetch_report

OwnReports = Callable[[bytes], Report | None]
"""Returns the report with a data hash from a store of one's own, None if it lacks it."""

KEPT = 8
"""Reports whose data stays in memory."""


@dataclass(frozen=True)
class ReportData:
    """The leaves behind one root, their tree, and how they came about."""

    header: ReportHeader
    leaves: tuple[Leaf, ...]
    tree: MerkleTree

    @property
    def window(self) -> int:
        """The report's window."""
        return self.header.window

    def proof(self, leaf: Leaf) -> tuple[bytes, ...]:
        """Return the proof of a leaf."""
        return tuple(self.tree.proof(leaf_hash(*leaf)))


class ReportSource:
    """Gets the data of reports and keeps the latest ones.

    Args:
        endpoints: the HTTP client.
        addresses: where other keepers are.
        own: the store of this keeper's oracle, if it is one.
        member: this keeper's own signer, which is not asked.

    """

    def __init__(
        self,
        endpoints: Endpoints,
        addresses: AddressBook,
        own: OwnReports | None = None,
        member: str | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._addresses = addresses
        self._own = own
        self._member = member
        self._kept: OrderedDict[bytes, ReportData] = OrderedDict()

    async def get(self, view: View, report: ReportState) -> ReportData:
        """Return the data of an accepted report; header and leaves are those of the chain.

        Raises:
            NoProofError: if nobody has it.

        """
        if report.data_hash in self._kept:
            self._kept.move_to_end(report.data_hash)
            return self._kept[report.data_hash]
        data = self._from_own(report) or await self._from_peers(view, report)
        self._kept[report.data_hash] = data
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return data

    def _from_own(self, report: ReportState) -> ReportData | None:
        found = self._own(report.data_hash) if self._own is not None else None
        if found is None:
            return None
        leaves = decode_leaves(found.leaves)
        tree = report_tree(leaves)
        if tree.root != report.root or data_hash(found.header) != report.data_hash:
            return None
        return ReportData(found.header, tuple(leaves), tree)

    async def _from_peers(self, view: View, report: ReportState) -> ReportData:
        for keeper in self._addresses.keepers(view.books, without=self._member):
            try:
                found, leaves = await fetch_report(
                    self._endpoints, [keeper], report.window, report.root
                )
            except NoProofError:
                continue
            if data_hash(found.header) == report.data_hash:
                return ReportData(found.header, tuple(leaves), report_tree(leaves))
        raise NoProofError(
            f"report of window {report.window}: no keeper that is known has its data"
        )
