"""What an oracle tells of its work to whoever counts it."""

from collections.abc import Collection, Iterable
from typing import Literal

from workdeed.oracle.tallies import Verdict, WindowTally

Outcome = Literal["report", "idle", "over", "delayed", "failed"]
"""What came of a turn: a complete report, nothing to report, settled by others, tried again in the
next tick for want of data, or no report."""


class Meter:
    """Takes no note of anything: the base of those that do.

    It is told from within the event loop, so it must be quick, and it must not raise.
    """

    def watching(self, licenses: Collection[int]) -> None:
        """Take note of the nodes that are probed from now on, by license."""

    def probed(self, license_id: int, seconds: float, *, answered: bool) -> None:
        """Take note of a probe, and whether a valid answer came after `seconds`."""

    def judged(self, verdicts: Iterable[Verdict]) -> None:
        """Take note of what a probe said of the node's jobs."""

    def kept(self) -> None:
        """Take note that an answer was kept as evidence."""

    def closed(self, window: int, tally: WindowTally) -> None:
        """Take note of what was measured in a window that is over."""

    def led(self, outcome: Outcome) -> None:
        """Take note of a turn that this member led."""

    def signed(self) -> None:
        """Take note of this member's signature under a report."""

    def refused(self, field: str) -> None:
        """Take note that another leader's report was refused, and for which field of it."""

    def fault(self, error: BaseException) -> None:
        """Take note of an error that ended a probe, a turn or a fetch."""
