"""The data of accepted reports: from this keeper's own store, else from any peer, checked."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from workdeed.chain.books import ReportState
from workdeed.keeper.pauses import Pauses
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

OwnReports = Callable[[int], Awaitable[Report | None]]
"""Returns the report of a window from a store of one's own, None if it lacks it."""

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
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        endpoints: Endpoints,
        addresses: AddressBook,
        own: OwnReports | None = None,
        member: str | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._addresses = addresses
        self._own = own
        self._member = member
        self._kept: OrderedDict[bytes, ReportData] = OrderedDict()
        self._pauses: Pauses[bytes] = Pauses(now)

    async def get(self, view: View, report: ReportState) -> ReportData:
        """Return the data of an accepted report; header and leaves are those of the chain.

        Raises:
            NoProofError: if nobody has it.

        """
        if report.data_hash in self._kept:
            self._kept.move_to_end(report.data_hash)
            return self._kept[report.data_hash]
        data = await self._from_own(report) or await self._from_peers(view, report)
        self._kept[report.data_hash] = data
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return data

    async def _from_own(self, report: ReportState) -> ReportData | None:
        found = await self._own(report.window) if self._own is not None else None
        if found is None:
            return None
        leaves = decode_leaves(found.leaves)
        tree = report_tree(leaves)
        if tree.root != report.root or data_hash(found.header) != report.data_hash:
            return None
        return ReportData(found.header, tuple(leaves), tree)

    async def _from_peers(self, view: View, report: ReportState) -> ReportData:
        missing = NoProofError(f"report of window {report.window}: no keeper here has its data")
        if not self._pauses.is_due(report.data_hash):
            raise missing
        for keeper in self._addresses.keepers(view.books, without=self._member):
            try:
                found, leaves = await fetch_report(
                    self._endpoints, [keeper], report.window, report.root
                )
            except NoProofError:
                continue
            if data_hash(found.header) == report.data_hash:
                return ReportData(found.header, tuple(leaves), report_tree(leaves))
        self._pauses.failed(report.data_hash)
        raise missing
