"""Strikes: for how many reported windows in a row a placed license earned nothing.

They follow from the leaves of accepted reports alone, which every member holds or can fetch and
check against the chain, so that all members count alike, whenever they joined. A license earned
something in the windows of a report if its cumulative units rose from the report before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workdeed.chain.books import AssignmentState, Books
from workdeed.protocol.figures import Pair
from workdeed.protocol.report import OpenPair


@dataclass(frozen=True, slots=True)
class ReportUnits:
    """An accepted report that was not vetoed.

    Attributes:
        window: the last window that it covers.
        leaves: cumulative units by (escrow, job, license).
        claimed: claimed units at its snapshot, of pairs without a leaf.
        open: pairs that it left open.

    """

    window: int
    leaves: Mapping[tuple[str, int, int], int]
    claimed: Mapping[tuple[str, int, int], int]
    open: frozenset[OpenPair]

    def units(self, pair: Pair) -> int:
        """Return the cumulative units of a pair."""
        return max(self.leaves.get(pair, 0), self.claimed.get(pair, 0))


def count_strikes(
    books: Books, reports: Sequence[ReportUnits], *, most: int
) -> dict[tuple[int, int], int]:
    """Return the strikes of every license that is placed on a job, by (job, license).

    The first window of a term does not count, nor does a window in which the pair is open.

    Args:
        books: at the block for which strikes are counted.
        reports: accepted reports in descending order; one more than it takes for `most` strikes,
            or all.
        most: where counting stops.

    """
    placed = (item for item in books.assignments.values() if item.placed)
    return {(item.job_id, item.license_id): _strikes(books, reports, item, most) for item in placed}


def _strikes(books: Books, reports: Sequence[ReportUnits], item: AssignmentState, most: int) -> int:
    pair = Pair(books.escrow, item.job_id, item.license_id)
    end = books.jobs[item.job_id].end
    count = 0
    for index, report in enumerate(reports):
        before = reports[index + 1] if index + 1 < len(reports) else None
        if count >= most or report.units(pair) > (before.units(pair) if before else 0):
            break
        since = max(before.window if before else 0, item.first)
        windows = range(since + 1, min(report.window, end - 1) + 1)
        count += sum(OpenPair(window, *pair) not in report.open for window in windows)
    return min(count, most)
