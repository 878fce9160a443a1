"""A leader that equivocates: it proposes two reports in one turn, and signs both.

Both are valid: they follow from different observations, of a quorum each. Every follower is shown
both, one sooner and one later; whatever gets a quorum is announced.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from workdeed.chain.errors import ChainError
from workdeed.chain.keys import Signer
from workdeed.oracle.errors import OracleError
from workdeed.oracle.peers import Peer, Peers
from workdeed.oracle.round import Draft, RoundFacts, assemble, has_enough, propose
from workdeed.oracle.settings import RoundRules
from workdeed.protocol.eip712 import Domain, report_digest
from workdeed.protocol.messages import (
    ObservationRequest,
    Observations,
    Proofs,
    Proposal,
    Report,
    ReportSignature,
    Signatures,
)
from workdeed.protocol.report import ReportHeader, data_hash, decode_leaves, report_tree

Facts = Callable[[int], Awaitable[RoundFacts]]
"""Returns what the chain says about the round of a window, as the leader reads it."""


class Evidence(NamedTuple):
    """What the contract slashes for: two roots that one member signed in one turn of an epoch."""

    window: int
    turn: int
    epoch: int
    one: ReportSignature
    other: ReportSignature

    def to_json(self) -> str:
        """Return it as JSON."""
        halves = [half.to_json().decode() for half in (self.one, self.other)]
        return json.dumps([self.window, self.turn, self.epoch, *halves])

    @classmethod
    def from_json(cls, text: str) -> Evidence:
        """Read it from JSON."""
        window, turn, epoch, *halves = json.loads(text)
        one, other = (ReportSignature.parse(half.encode()) for half in halves)
        return cls(window, turn, epoch, one, other)


class EvidenceFile:
    """Where a process leaves the evidence against its own leader, one JSON array a line."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "equivocations.jsonl"

    def add(self, evidence: Evidence) -> None:
        """Write down what proves an equivocation, in one call."""
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, evidence.to_json().encode() + b"\n")
        finally:
            os.close(handle)

    def read(self) -> list[Evidence]:
        """Return one piece of evidence for each turn: a turn may be led again after a restart."""
        text = self._path.read_text() if self._path.exists() else ""
        found = [Evidence.from_json(line) for line in text.splitlines()]
        return list({(one.window, one.turn, one.epoch): one for one in found}.values())


@dataclass
class Face:
    """The second report of a turn, and who signed it."""

    facts: RoundFacts
    draft: Draft
    proposal: Proposal
    signatures: list[ReportSignature]
    is_announced: bool = False


@dataclass
class TwoFacedPeers:
    """`Peers` of a member that equivocates whenever two roots can be had.

    Attributes:
        inner: reaches the others.
        signer: the member's key, used without its journal.
        domain: the committee's.
        rules: of the round.
        facts: what the round of a window rests on.
        luck: draws who is shown which report first.
        tell: told the evidence of each turn, once.
        signed: every root that another member signed for it, by (window, turn, epoch, member).

    """

    inner: Peers
    signer: Signer
    domain: Domain
    rules: RoundRules
    facts: Facts
    luck: random.Random
    tell: Callable[[Evidence], None]
    signed: dict[tuple[int, int, int, str], set[bytes]] = field(default_factory=dict)
    _faces: dict[bytes, Face | None] = field(default_factory=dict)
    _known: list[Peer] = field(default_factory=list)

    @property
    def betrayed(self) -> list[str]:
        """A sentence for each member that signed both reports of a turn."""
        return [
            f"member {member} signed two roots for window {window}, turn {turn}"
            for (window, turn, _, member), roots in self.signed.items()
            if len(roots) > 1
        ]

    async def observations(
        self, peer: Peer, request: ObservationRequest, *, seconds: float
    ) -> Observations:
        """Ask for the peer's observations, and remember the peer."""
        if peer not in self._known:
            self._known.append(peer)
        return await self.inner.observations(peer, request, seconds=seconds)

    async def sign(self, peer: Peer, proposal: Proposal, *, seconds: float) -> ReportSignature:
        """Propose both reports, in an order of chance; return the signature of the first."""
        face = await self._face(proposal)
        if face is None:
            return await self.inner.sign(peer, proposal, seconds=seconds)
        if self.luck.random() < 0.5:
            await self._try_other(peer, face, seconds)
            return await self._try(peer, proposal, face, seconds)
        try:
            return await self._try(peer, proposal, face, seconds)
        finally:
            await self._try_other(peer, face, seconds)

    async def announce(self, peer: Peer, signatures: Signatures, *, seconds: float) -> None:
        """Send the signatures of a report."""
        await self.inner.announce(peer, signatures, seconds=seconds)

    async def report(self, peer: Peer, window: int, *, seconds: float) -> Report:
        """Fetch the data of an accepted report."""
        return await self.inner.report(peer, window, seconds=seconds)

    async def recovered(self, peer: Peer, window: int, page: int, *, seconds: float) -> Proofs:
        """Fetch recovered leaves."""
        return await self.inner.recovered(peer, window, page, seconds=seconds)

    async def kept_by_node(self, endpoint: str, window: int, *, seconds: float) -> Proofs:
        """Fetch the leaves that a node keeps."""
        return await self.inner.kept_by_node(endpoint, window, seconds=seconds)

    async def is_up(self, peer: Peer, *, seconds: float) -> bool:
        """Tell whether the peer answers."""
        return await self.inner.is_up(peer, seconds=seconds)

    async def _try(
        self, peer: Peer, proposal: Proposal, face: Face, seconds: float
    ) -> ReportSignature:
        found = await self.inner.sign(peer, proposal, seconds=seconds)
        key = found.window, found.turn, face.facts.committee.epoch, peer.member
        self.signed.setdefault(key, set()).add(found.root)
        return found

    async def _try_other(self, peer: Peer, face: Face, seconds: float) -> None:
        """Propose the second report; announce it as soon as a quorum signed it."""
        try:
            found = await self._try(peer, face.proposal, face, seconds)
        except (OracleError, ChainError):
            return  # it signed the first one, or does not answer
        face.signatures.append(found)
        draft, committee = face.draft, face.facts.committee
        complete = assemble(draft.header, draft.root, face.signatures)
        if len(complete.signatures) >= committee.quorum and not face.is_announced:
            face.is_announced = True
            for other in self._known:
                await self._announce(other, complete, seconds)

    async def _announce(self, peer: Peer, signatures: Signatures, seconds: float) -> None:
        try:
            await self.inner.announce(peer, signatures, seconds=seconds)
        except (OracleError, ChainError):
            return

    async def _face(self, proposal: Proposal) -> Face | None:
        """Return the second report beside a proposal, made once; None if there can be none."""
        key = data_hash(proposal.header)
        if key not in self._faces:
            facts = await self.facts(proposal.header.window)
            if key not in self._faces:  # others are asked at the same time
                self._faces[key] = self._make(proposal, facts)
        return self._faces[key]

    def _make(self, proposal: Proposal, facts: RoundFacts) -> Face | None:
        first = report_tree(decode_leaves(proposal.leaves)).root
        turn = proposal.header.turn
        for left_out in sorted({one.member for one in proposal.observations}):
            kept = [one for one in proposal.observations if one.member != left_out]
            if has_enough(facts, kept) is not None:
                continue
            draft = propose(facts, turn, kept, self.rules, self.domain)
            if draft.root != first:
                mine = self._signed(draft.header, draft.root, facts)
                other = self._signed(proposal.header, first, facts)
                self.tell(Evidence(facts.window, turn, facts.committee.epoch, mine, other))
                return Face(facts, draft, self._proposal(draft), [mine])
        return None

    def _proposal(self, draft: Draft) -> Proposal:
        unsigned = Proposal(
            header=draft.header,
            leaves=draft.leaves,
            observations=draft.observations,
            member=self.signer.address,
        )
        signature = self.signer.sign_digest(unsigned.digest(self.domain))
        return unsigned.model_copy(update={"signature": signature})

    def _signed(self, header: ReportHeader, root: bytes, facts: RoundFacts) -> ReportSignature:
        """Sign a report, whatever was signed before."""
        header_hash, epoch = data_hash(header), facts.committee.epoch
        digest = report_digest(self.domain, header.window, header.turn, root, header_hash, epoch)
        return ReportSignature(
            window=header.window,
            turn=header.turn,
            root=root,
            data_hash=header_hash,
            member=self.signer.address,
            signature=self.signer.sign_digest(digest),
        )
