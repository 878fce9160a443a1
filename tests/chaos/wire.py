"""The network between the members of a process, and a record of every signature that leaves one.

Messages pass through their JSON and errors through the statuses of HTTP, as between machines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from workdeed.chain.errors import ChainError
from workdeed.keeper.placements import TOO_EARLY, Following, NotLeaderError, TooEarlyError
from workdeed.oracle.errors import EndpointError, NotYetError, OracleError, StatusError
from workdeed.oracle.member import Member
from workdeed.oracle.peers import Peer
from workdeed.oracle.round import Draft
from workdeed.oracle.service import OracleService
from workdeed.placement import PlacementError
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.messages import (
    ObservationRequest,
    Observations,
    PlacementProposal,
    Proofs,
    Proposal,
    Report,
    ReportSignature,
    Signatures,
)
from workdeed.sdk import errors as sdk

T = TypeVar("T")

NOT_FOUND, CONFLICT, BROKEN = 404, 409, 503


class SignatureLog:
    """Every signature that left a member, one JSON object a line; lines are never torn."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, member: str, about: tuple[Any, ...], content: bytes) -> None:
        """Record that `member` signed `content` where it may sign only one about `about`."""
        line = {"member": member, "about": list(about), "content": content.hex()}
        os.write(self._handle, json.dumps(line).encode() + b"\n")


class LoggedMember(Member):
    """A member whose report signatures are recorded as they leave."""

    signatures: SignatureLog

    def sign_report(self, draft: Draft, epoch: int) -> ReportSignature:
        """Sign a report as the original does."""
        signed = super().sign_report(draft, epoch)
        about = ("report", signed.window, signed.turn, epoch)
        self.signatures.add(self.address, about, signed.root)
        return signed


@dataclass
class OracleWire:
    """The oracles of a process by member, and who does not answer."""

    services: dict[str, OracleService] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    def reach(self, caller: str, callee: str) -> OracleService:
        """Return a member's service; raises `EndpointError` if it does not answer."""
        if callee not in self.services or {caller, callee} & self.silent:
            raise EndpointError(f"{callee}: no answer in time")
        return self.services[callee]


@dataclass(frozen=True)
class WirePeers:
    """`Peers` of one member over a wire."""

    own: str
    wire: OracleWire

    async def observations(
        self, peer: Peer, request: ObservationRequest, *, seconds: float
    ) -> Observations:
        """Ask for the peer's observations."""
        service = self.wire.reach(self.own, peer.member)
        heard = ObservationRequest.parse(request.to_json())
        return Observations.parse((await _heard(service.answer_request(heard))).to_json())

    async def sign(self, peer: Peer, proposal: Proposal, *, seconds: float) -> ReportSignature:
        """Propose a report."""
        service = self.wire.reach(self.own, peer.member)
        heard = Proposal.parse(proposal.to_json())
        return ReportSignature.parse((await _heard(service.answer_proposal(heard))).to_json())

    async def announce(self, peer: Peer, signatures: Signatures, *, seconds: float) -> None:
        """Send the signatures of a report."""
        service = self.wire.reach(self.own, peer.member)
        service.take_signatures(Signatures.parse(signatures.to_json()))

    async def report(self, peer: Peer, window: int, *, seconds: float) -> Report:
        """Fetch the data of an accepted report."""
        found = await self.wire.reach(self.own, peer.member).archive.report(window)
        if found is None:
            raise StatusError("no report", NOT_FOUND)
        return Report.parse(found.to_json())

    async def recovered(self, peer: Peer, window: int, page: int, *, seconds: float) -> Proofs:
        """Fetch recovered leaves: there are none."""
        raise StatusError("none", NOT_FOUND)

    async def kept_by_node(self, endpoint: str, window: int, *, seconds: float) -> Proofs:
        """Fetch the leaves that a node keeps: there are no nodes."""
        raise EndpointError(f"{endpoint}: no answer in time")

    async def is_up(self, peer: Peer, *, seconds: float) -> bool:
        """Tell whether the peer answers."""
        return peer.member in self.wire.services


async def _heard(answer: Awaitable[T]) -> T:
    """Return an answer; an error becomes what a caller makes of its HTTP status."""
    try:
        return await answer
    except NotYetError:
        raise
    except OracleError as error:
        raise StatusError(str(error), CONFLICT) from error
    except ChainError as error:
        raise StatusError(str(error), BROKEN) from error


@dataclass
class PlacementWire:
    """What leaders of placements send to other members; nodes answer all the time.

    Attributes:
        domain: of `Placement`.
        signatures: where signatures are recorded that leave a member.
        members: who follows, by address.

    """

    domain: Domain
    signatures: SignatureLog
    members: dict[str, Following] = field(default_factory=dict)

    async def get(self, base: str, path: str) -> bytes:
        """Answer for a node: it is there."""
        return b"{}"

    async def send(self, method: str, base: str, path: str, body: bytes) -> bytes:
        """Hand a proposal to a member and return its signature."""
        proposal = PlacementProposal.parse(body)
        digest = proposal.digest(self.domain)
        about = ("placement", proposal.job_id, proposal.round, proposal.window)
        self.signatures.add(proposal.member, about, digest)
        following = self.members[base]
        try:
            answer = await following.answer(proposal)
        except TooEarlyError as error:
            raise sdk.StatusError(str(error), TOO_EARLY) from error
        except (NotLeaderError, PlacementError) as error:
            raise sdk.StatusError(str(error), CONFLICT) from error
        self.signatures.add(answer.member, about, digest)
        return answer.to_json()
