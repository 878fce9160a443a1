"""Leads a turn: gathers observations, proposes the report, gathers signatures."""

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from workdeed.oracle.desk import Desk
from workdeed.oracle.errors import RefusedError
from workdeed.oracle.gather import Deadlines, Pace, Question, gather
from workdeed.oracle.member import Member
from workdeed.oracle.peers import Peer, Peers
from workdeed.oracle.round import Draft, RoundFacts, Turn, assemble, has_enough
from workdeed.oracle.settings import RoundRules
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import SignatureError
from workdeed.protocol.messages import (
    Observations,
    ReportSignature,
    Signatures,
    SignedObservation,
)

_log = structlog.get_logger(__name__)

# Shares of what is left of a turn: until when all are waited for, and until when anybody is.
_OBSERVED_BY: Final = (0.35, 0.6)
_SIGNED_BY: Final = (0.6, 0.95)


class Leading:
    """The leader's part.

    Args:
        member: signs messages.
        desk: observes, drafts and signs reports.
        peers: reaches the other members.
        rules: of the round.
        domain: the committee's.
        pace: time for waiting.

    """

    def __init__(
        self,
        member: Member,
        desk: Desk,
        peers: Peers,
        rules: RoundRules,
        domain: Domain,
        pace: Pace,
    ) -> None:
        self._member = member
        self._desk = desk
        self._peers = peers
        self._rules = rules
        self._domain = domain
        self._pace = pace

    async def lead(
        self,
        turn: Turn,
        facts: RoundFacts,
        others: Sequence[Peer],
        seconds: float,
        check: Callable[[], None],
    ) -> Signatures | None:
        """Return the report with a quorum of signatures, None if there is nothing to report.

        Args:
            turn: the turn that the clock gives; this member leads it.
            facts: of its window.
            others: all other members.
            seconds: what is left of the turn.
            check: raises once the turn is over.

        Raises:
            RefusedError: if there are too few observations or signatures.
            as `Desk.sign`.

        """
        own = await self._desk.observations(facts)
        if not self._rules.report_idle and await self._is_idle(facts, turn):
            return None
        began = self._pace.monotonic()
        observations = [*own, *await self._observe(turn, facts, others, began, seconds)]
        lacking = has_enough(facts, observations)
        if lacking is not None:
            raise RefusedError("observations", f"no quorum observed window {lacking}")
        draft = await self._desk.draft(facts, turn.number, observations)
        mine = await self._desk.sign(draft, facts.committee.epoch, check)
        theirs = await self._sign(draft, facts, others, began, seconds)
        signatures = assemble(draft.header, draft.root, [mine, *theirs])
        if len(signatures.signatures) < facts.committee.quorum:
            raise RefusedError("signatures", f"{len(signatures.signatures)} are no quorum")
        return signatures

    async def _is_idle(self, facts: RoundFacts, turn: Turn) -> bool:
        """Tell whether nothing was placed in any window, and the leaves are those of the base."""
        if any(one.pairs for one in facts.windows) or not facts.base.whole:
            return False
        draft = await self._desk.draft(facts, turn.number, [])
        return draft.root == facts.base.root

    async def _observe(
        self,
        turn: Turn,
        facts: RoundFacts,
        others: Sequence[Peer],
        began: float,
        seconds: float,
    ) -> list[SignedObservation]:
        asked = [one.window for one in facts.windows]

        async def ask(peer: Peer, left: float) -> Observations:
            request = self._member.request(turn.window, turn.number, asked, peer.member)
            return await self._peers.observations(peer, request, seconds=left)

        question = Question(ask, lambda count: count + 1 >= facts.committee.quorum)
        deadlines = Deadlines(*(began + share * seconds for share in _OBSERVED_BY))
        kept = []
        for peer, answer in await gather(others, question, deadlines, self._pace):
            kept += await self._desk.keep(facts, answer, peer.member)
        return kept

    async def _sign(
        self,
        draft: Draft,
        facts: RoundFacts,
        others: Sequence[Peer],
        began: float,
        seconds: float,
    ) -> list[ReportSignature]:
        proposal = self._member.proposal(draft)
        epoch = facts.committee.epoch

        async def ask(peer: Peer, left: float) -> ReportSignature:
            return await self._peers.sign(peer, proposal, seconds=left)

        question = Question(ask, lambda count: count + 1 >= facts.committee.quorum)
        deadlines = Deadlines(*(began + share * seconds for share in _SIGNED_BY))
        found = []
        for peer, answer in await gather(others, question, deadlines, self._pace):
            try:
                if answer.verify(self._domain, epoch) == peer.member:
                    found.append(answer)
            except SignatureError as error:
                _log.info("oracle: bad signature", member=peer.member, reason=str(error))
        return found
