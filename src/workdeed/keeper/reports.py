"""Submits complete reports when it is this member's time to."""

from collections.abc import Callable

from workdeed.chain.bindings.committee import OracleCommittee
from workdeed.chain.books import Books
from workdeed.keeper.effects import EffectDesk, PlannedEffect
from workdeed.keeper.view import View
from workdeed.oracle.submission import Submission

WAITS = frozenset({"committee: report pending", "committee: window not over"})
"""Reasons of the committee that time ends."""


def report_effect(committee: OracleCommittee, found: Submission) -> PlannedEffect:
    """Return the transaction that submits a report; done once any report covers its window."""

    def done(books: Books) -> bool:
        latest = books.latest_report
        return books.veto_floor >= found.window or (
            latest is not None and latest.window >= found.window
        )

    return PlannedEffect(
        key=f"report:{found.window}:{found.turn}:{found.root.hex()}",
        call=committee.submit_report(*found),
        done=done,
        transient=WAITS,
    )


class Reports:
    """The duty of an oracle's keeper.

    Args:
        committee: where reports go.
        submission: returns the report to submit now, None if there is none or it is another's turn.
        desk: where it is left to be sent.

    """

    def __init__(
        self,
        committee: OracleCommittee,
        submission: Callable[[], Submission | None],
        desk: EffectDesk,
    ) -> None:
        self._committee = committee
        self._submission = submission
        self._desk = desk

    async def run(self, view: View) -> None:
        """Leave the report that is due to be sent."""
        found = self._submission()
        if found is not None:
            await self._desk.plan(view, report_effect(self._committee, found))
