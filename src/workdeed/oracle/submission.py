"""Complete reports: what is ready to be submitted, and when it is this member's time to do so."""

from typing import NamedTuple

from workdeed.chain.books import Books
from workdeed.oracle.committee import Committee
from workdeed.protocol.messages import Signatures
from workdeed.protocol.report import data_hash


class Submission(NamedTuple):
    """The arguments of the contract's `submit_report`."""

    window: int
    turn: int
    root: bytes
    data_hash: bytes
    signatures: bytes


class ReadyReport(NamedTuple):
    """A report that a quorum signed.

    Attributes:
        signatures: with its header.
        epoch: the committee epoch in which they count.
        base_window: window of the report that it builds on, 0 if there was none.
        since: when it was complete here, in Unix seconds of the chain.

    """

    signatures: Signatures
    epoch: int
    base_window: int
    since: float

    @property
    def window(self) -> int:
        """The window that it settles."""
        return self.signatures.header.window

    def submission(self) -> Submission:
        """Return it as the contract takes it."""
        header = self.signatures.header
        return Submission(
            header.window,
            header.turn,
            self.signatures.root,
            data_hash(header),
            self.signatures.packed(),
        )


def merged(known: ReadyReport | None, found: ReadyReport) -> ReadyReport:
    """Return the one of two reports to submit; of one report, with the signatures of both.

    The later window wins, then the earlier turn: so members come to submit the same.
    """
    if known is None or known.epoch != found.epoch:
        return found
    order = known.window, -known.signatures.header.turn
    if order != (found.window, -found.signatures.header.turn):
        is_newer = order < (found.window, -found.signatures.header.turn)
        return found if is_newer else known
    is_larger = len(found.signatures.signatures) > len(known.signatures.signatures)
    return known._replace(signatures=found.signatures) if is_larger else known


def fits(ready: ReadyReport, books: Books) -> bool:
    """Tell whether a report still fits the chain.

    Not if it is vetoed or of another epoch, or if another report came in that it does not build on.
    """
    latest = books.latest_report
    builds_on_latest = ready.base_window == (latest.window if latest else 0)
    is_current = ready.epoch == books.committee_epoch and ready.window > books.veto_floor
    return builds_on_latest and is_current


def is_my_time(
    ready: ReadyReport, committee: Committee, member: str, now: float, stagger: float
) -> bool:
    """Tell whether a member submits by now: the leader at once, the others one after the other.

    Args:
        ready: the report.
        committee: the members.
        member: this member.
        now: the chain's time in Unix seconds.
        stagger: seconds between one member and the next.

    """
    if member not in committee.members:
        return False
    header = ready.signatures.header
    return now >= ready.since + stagger * committee.rank(member, header.window, header.turn)
