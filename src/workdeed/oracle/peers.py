"""Talks to the other members, and to nodes where leaves of a report were lost."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from workdeed.chain.books import Books
from workdeed.oracle.endpoints import EndpointClient
from workdeed.oracle.errors import EndpointError, NotYetError, StatusError
from workdeed.protocol.errors import MessageError
from workdeed.protocol.messages import (
    Body,
    ObservationRequest,
    Observations,
    Proofs,
    Proposal,
    Report,
    ReportSignature,
    Signatures,
)

T = TypeVar("T")
M = TypeVar("M", bound=Body)

NOT_YET: Final = 425


class Peer(NamedTuple):
    """Another member.

    Attributes:
        member: its signer.
        license_id: its license.
        endpoint: where it answers, "" if that is unknown.
        trusted: whether the endpoint is from this oracle's own settings.

    """

    member: str
    license_id: int
    endpoint: str
    trusted: bool


def peers_of(books: Books, overrides: Mapping[int, str], own: str) -> tuple[Peer, ...]:
    """Return all members but `own`, in the order of their seats.

    Args:
        books: the latest.
        overrides: license id -> endpoint, in place of the one on chain.
        own: this member's signer.

    """
    found = []
    for seat in books.members:
        if seat.signer != own:
            override = overrides.get(seat.license_id)
            item = books.licenses.get(seat.license_id)
            announced = item.endpoint if item else ""
            found.append(
                Peer(seat.signer, seat.license_id, override or announced, override is not None)
            )
    return tuple(found)


class Peers(Protocol):
    """What a member asks of others. `seconds` is the time for one call.

    All raise `NotYetError` if the peer says so, `StatusError` if it answers another error, and
    `EndpointError` if it is not reached or its answer is unusable.
    """

    async def observations(
        self, peer: Peer, request: ObservationRequest, *, seconds: float
    ) -> Observations:
        """Ask for the peer's observations."""

    async def sign(self, peer: Peer, proposal: Proposal, *, seconds: float) -> ReportSignature:
        """Propose a report."""

    async def announce(self, peer: Peer, signatures: Signatures, *, seconds: float) -> None:
        """Send the signatures of a report."""

    async def report(self, peer: Peer, window: int, *, seconds: float) -> Report:
        """Fetch the data of an accepted report."""

    async def recovered(self, peer: Peer, window: int, page: int, *, seconds: float) -> Proofs:
        """Fetch a page of the leaves that the peer recovered of a lost report."""

    async def kept_by_node(self, endpoint: str, window: int, *, seconds: float) -> Proofs:
        """Fetch the leaves that a node keeps of a report."""

    async def is_up(self, peer: Peer, *, seconds: float) -> bool:
        """Tell whether the peer's HTTP server answers at all; raises nothing."""


class HttpPeers:
    """`Peers` over HTTP."""

    def __init__(self, client: EndpointClient) -> None:
        self._client = client

    async def observations(
        self, peer: Peer, request: ObservationRequest, *, seconds: float
    ) -> Observations:
        """Ask for the peer's observations."""
        path = f"/rounds/{request.window}/observation"
        return await self._post(peer, path, request, Observations, seconds)

    async def sign(self, peer: Peer, proposal: Proposal, *, seconds: float) -> ReportSignature:
        """Propose a report."""
        path = f"/rounds/{proposal.header.window}/proposal"
        return await self._post(peer, path, proposal, ReportSignature, seconds)

    async def announce(self, peer: Peer, signatures: Signatures, *, seconds: float) -> None:
        """Send the signatures of a report."""
        origin = await self._client.resolve(peer.endpoint, trusted=peer.trusted)
        path = f"/rounds/{signatures.header.window}/signatures"
        body = signatures.to_json()
        await _heard(self._client.post(origin, path, body, seconds=seconds))

    async def report(self, peer: Peer, window: int, *, seconds: float) -> Report:
        """Fetch the data of an accepted report."""
        return await self._get(peer, f"/reports/{window}", Report, seconds)

    async def recovered(self, peer: Peer, window: int, page: int, *, seconds: float) -> Proofs:
        """Fetch a page of the leaves that the peer recovered of a lost report."""
        return await self._get(peer, f"/reports/{window}/recovered/{page}", Proofs, seconds)

    async def kept_by_node(self, endpoint: str, window: int, *, seconds: float) -> Proofs:
        """Fetch the leaves that a node keeps of a report."""
        node = Peer("", 0, endpoint, trusted=False)
        return await self._get(node, f"/proofs/{window}", Proofs, seconds)

    async def is_up(self, peer: Peer, *, seconds: float) -> bool:
        """Tell whether the peer's HTTP server answers at all; raises nothing."""
        try:
            origin = await self._client.resolve(peer.endpoint, trusted=peer.trusted)
            await self._client.status(origin, "/healthz", seconds=seconds)
        except EndpointError:
            return False
        return True

    async def _get(self, peer: Peer, path: str, kind: type[M], seconds: float) -> M:
        origin = await self._client.resolve(peer.endpoint, trusted=peer.trusted)
        answer = self._client.get(origin, path, seconds=seconds, max_bytes=kind.MAX_BYTES)
        return _parse(kind, await _heard(answer), peer)

    async def _post(self, peer: Peer, path: str, body: Body, kind: type[M], seconds: float) -> M:
        origin = await self._client.resolve(peer.endpoint, trusted=peer.trusted)
        answer = self._client.post(
            origin, path, body.to_json(), seconds=seconds, max_bytes=kind.MAX_BYTES
        )
        return _parse(kind, await _heard(answer), peer)


class PeerControl:
    """A prober's control target: the other members. If one answers, the way out is open.

    Args:
        peers: reaches them.
        others: who they are at the moment.
        seconds: time for an answer.

    """

    def __init__(
        self, peers: Peers, others: Callable[[], Sequence[Peer]], *, seconds: float
    ) -> None:
        self._peers = peers
        self._others = others
        self._seconds = seconds

    async def __call__(self) -> bool:
        """Tell whether any other member answers; where there is none, nothing can be told."""
        others = self._others()
        up = await asyncio.gather(
            *(self._peers.is_up(peer, seconds=self._seconds) for peer in others)
        )
        return not others or any(up)


async def _heard(answer: Awaitable[T]) -> T:
    """Return an answer; a status that says "not yet" becomes the error of that name."""
    try:
        return await answer
    except StatusError as error:
        if error.status == NOT_YET:
            raise NotYetError(str(error)) from error
        raise


def _parse(kind: type[M], body: bytes, peer: Peer) -> M:
    try:
        return kind.parse(body)
    except MessageError as error:
        raise EndpointError(f"{peer.endpoint}: {error}") from error
