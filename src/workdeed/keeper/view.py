"""What a duty decides on: the books at one block, and the chain's time at the head."""

from dataclasses import dataclass
from functools import cached_property

from workdeed.chain.books import Books, ReportState
from workdeed.chain.rpc import Head
from workdeed.protocol.windows import WindowClock


@dataclass(frozen=True)
class View:
    """The chain as this keeper knows it at one moment.

    Attributes:
        books: the state after `block`.
        block: the last block that was read, at confirmation depth.
        head: the latest block of the RPC.
        calendar: the windows.
        version: raised whenever the books change, so that what follows from them can be kept.

    """

    books: Books
    block: int
    head: Head
    calendar: WindowClock
    version: int = 0

    @property
    def timestamp(self) -> int:
        """The time that contracts see, Unix seconds."""
        return self.head.timestamp

    @cached_property
    def window(self) -> int:
        """The current window."""
        return self.calendar.at(self.head.timestamp)

    @cached_property
    def final_report(self) -> ReportState | None:
        """The report that money may rest on, None before the first."""
        return self.books.final_report(self.head.timestamp)

    @cached_property
    def reported(self) -> int:
        """The window of the final report, 0 before the first."""
        return self.final_report.window if self.final_report else 0

    @cached_property
    def unreported(self) -> int:
        """How many windows passed in which some open job ran, and which no final report covers."""
        ran = [
            (max(self.reported + 1, job.start), min(self.window, job.end))
            for job in self.books.jobs.values()
            if job.start and not job.closed
        ]
        waiting = [(first, end) for first, end in ran if first < end]
        if not waiting:
            return 0
        return max(end for _, end in waiting) - min(first for first, _ in waiting)
