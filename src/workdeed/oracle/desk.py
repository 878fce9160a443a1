"""The member at work inside an event loop: one task at a time, in a thread of its own.

Settling and syncing to disk take time in which the loop must go on answering. What was begun is
finished even if nobody waits for it any more, so that `close` knows when the files are at rest.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from workdeed.chain.books import ReportState
from workdeed.oracle.committee import Committee
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.member import Member
from workdeed.oracle.meter import Meter
from workdeed.oracle.prober import Prober
from workdeed.oracle.round import Draft, RoundFacts, WindowFacts
from workdeed.oracle.tallies import WindowTally, unmeasured
from workdeed.protocol.messages import Observations, Proposal, ReportSignature, SignedObservation

T = TypeVar("T")


class Desk:
    """Lets a member observe, check and sign without holding up the loop.

    Args:
        member: key, journal and store.
        prober: what it measured.
        evidence: the answers that it keeps.
        meter: told of signatures under reports.

    """

    def __init__(
        self, member: Member, prober: Prober, evidence: EvidenceLog, meter: Meter | None = None
    ) -> None:
        self._member = member
        self._prober = prober
        self._evidence = evidence
        self._meter = meter or Meter()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="oracle")
        self._measured: dict[int, WindowTally] = {}

    @property
    def address(self) -> str:
        """The member key's address."""
        return self._member.address

    async def observation(self, facts: WindowFacts, epoch: int) -> SignedObservation:
        """Return this member's observation of a window that is over, made now if need be.

        Raises:
            StoreError: if it can't be kept.

        """
        is_kept = await self._run(lambda: self._member.has_observed(facts.window))
        if not is_kept and facts.window not in self._measured:
            # Held until it is on disk: what was measured can be had only once.
            measured = self._prober.close_window(facts.window, facts.pairs)
            self._measured[facts.window] = measured
        tally = self._measured.get(facts.window, unmeasured(facts.pairs))

        def work() -> SignedObservation:
            self._evidence.close(facts.window)
            return self._member.observation(facts, epoch, tally)

        found = await self._run(work)
        self._measured.pop(facts.window, None)
        return found

    async def observations(self, facts: RoundFacts) -> list[SignedObservation]:
        """Return this member's observations of all windows of a round; raises `StoreError`."""
        epoch = facts.committee.epoch
        return [await self.observation(one, epoch) for one in facts.windows]

    async def adopt(self, facts: RoundFacts, observations: Iterable[SignedObservation]) -> None:
        """Keep this member's observations that another process made, see `Member.adopt`.

        What was measured here and is not on disk yet goes before.
        """
        unknown = [one for one in observations if one.window not in self._measured]
        await self._run(lambda: self._member.adopt(facts, unknown))

    async def keep(
        self, facts: RoundFacts, answer: Observations, sender: str
    ) -> list[SignedObservation]:
        """Keep and return those observations of a member that count; raises `StoreError`."""
        return await self._run(lambda: self._member.keep(facts, answer, sender))

    async def draft(
        self, facts: RoundFacts, turn: int, observations: Sequence[SignedObservation]
    ) -> Draft:
        """Return the report to propose; raises as `round.propose`."""
        return await self._run(lambda: self._member.draft(facts, turn, observations))

    async def check(
        self, proposal: Proposal, facts: RoundFacts, own: Sequence[SignedObservation]
    ) -> Draft:
        """Return a leader's report if it is what this member computes; raises as `Member.check`."""
        return await self._run(lambda: self._member.check(proposal, facts, own))

    async def sign(self, draft: Draft, epoch: int, check: Callable[[], None]) -> ReportSignature:
        """Sign a report, after `check` had the chance to raise at the last moment.

        Raises:
            as `check` and `Member.sign_report`.

        """

        def work() -> ReportSignature:
            check()
            return self._member.sign_report(draft, epoch)

        signature = await self._run(work)
        self._meter.signed()
        return signature

    async def reconcile(
        self, reports: Iterable[ReportState], committee: Committee, now: int
    ) -> None:
        """Hold the journal against the chain, see `Member.reconcile`."""
        await self._run(lambda: self._member.reconcile(reports, committee, now))

    async def close(self) -> None:
        """Finish what was begun; after that the member's files may be closed."""
        await asyncio.to_thread(self._worker.shutdown)

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._worker, work))
