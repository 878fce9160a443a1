"""After each final report: collects for licenses and closes jobs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.bindings.escrow import JobEscrow
from workdeed.chain.books import Books
from workdeed.keeper.claims import (
    ClaimRule,
    claim_effects,
    due_claims,
    due_forfeits,
    forfeit_effects,
)
from workdeed.keeper.closes import close_effects, due_closes, unattested_effects
from workdeed.keeper.effects import EffectDesk, PlannedEffect
from workdeed.keeper.reportdata import ReportSource
from workdeed.keeper.stagger import Stagger
from workdeed.keeper.view import View

SHARE = 0.05
"""Share of a processor that looking through the leaves may take: large reports are looked at less
often."""


@dataclass
class Settling:
    """The duties that rest on a final report.

    Attributes:
        escrow: where claims and closes go.
        source: the data of reports.
        desk: where effects are left to be sent.
        claims: for whom to claim, None for nobody.
        closes: when to close jobs, None for never.

    """

    escrow: JobEscrow
    source: ReportSource
    desk: EffectDesk
    claims: ClaimRule | None
    closes: Stagger | None
    _next: float = field(default=0.0, init=False)
    _final: int = field(default=0, init=False)

    async def run(self, view: View) -> None:
        """Leave what is due under the final report to be sent.

        Raises:
            NoProofError: if nobody has the report's data.

        """
        report = view.final_report
        self._final = view.reported
        if report is None or time.monotonic() < self._next:
            return
        data = await self.source.get(view, report)
        began = time.thread_time()
        effects: list[PlannedEffect] = []
        if self.claims is not None:
            due = due_claims(view, data.leaves, self.claims)
            effects += claim_effects(self.escrow, data, due)
            lost = due_forfeits(view, data.leaves, self.claims)
            effects += forfeit_effects(self.escrow, data, lost)
        if self.closes is not None:
            closing = due_closes(view, data.leaves, self.closes)
            effects += close_effects(self.escrow, data, closing)
        self._next = time.monotonic() + (time.thread_time() - began) / SHARE
        await _plan(self.desk, view, [self._while_final(one, report.window) for one in effects])

    def _while_final(self, effect: PlannedEffect, window: int) -> PlannedEffect:
        """Return an effect that the next final report makes pointless, as it does its proof.

        What is still due then is planned anew; the old one would only fail.
        """

        def done(books: Books) -> bool:
            return self._final > window or effect.done(books)

        return replace(effect, done=done)


@dataclass(frozen=True)
class OwnCloses:
    """Closes the keeper's own jobs that no report covers.

    Attributes:
        jobs: where requests and closes go.
        desk: where effects are left to be sent.
        payer: the keeper's sender.
        grace: the `CLOSE_GRACE` of `jobs`, in windows.

    """

    jobs: JobDesk
    desk: EffectDesk
    payer: str
    grace: int

    async def run(self, view: View) -> None:
        """Leave what is due to be sent."""
        await _plan(self.desk, view, unattested_effects(view, self.jobs, self.payer, self.grace))


async def _plan(desk: EffectDesk, view: View, effects: Sequence[PlannedEffect]) -> None:
    for effect in effects:
        await desk.plan(view, effect)
