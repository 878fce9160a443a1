"""A committee in memory: whole oracles, a transport that fails, a chain that takes reports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from workdeed.chain.keys import LocalSigner
from workdeed.chain.leases import Lease
from workdeed.oracle.bases import Bases
from workdeed.oracle.errors import EndpointError, NotYetError, OracleError, StatusError
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.gather import Pace
from workdeed.oracle.journal import SigningJournal, journal_path
from workdeed.oracle.member import Member
from workdeed.oracle.meter import Meter
from workdeed.oracle.peers import Peer, Peers
from workdeed.oracle.prober import Prober
from workdeed.oracle.service import OracleService, Parts, ServiceSettings
from workdeed.oracle.settings import RoundRules
from workdeed.oracle.store import OracleStore
from workdeed.oracle.submission import Submission
from workdeed.oracle.tallies import WindowTally
from workdeed.oracle.targets import Target
from workdeed.protocol.figures import UNIT, UNKNOWN, Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import (
    ObservationRequest,
    Observations,
    Proofs,
    Proposal,
    Report,
    ReportSignature,
    Signatures,
)
from workdeed.protocol.quorum import quorum

from .support import CLOCK, DOMAIN, RULES, Sim, View, oracle, until

T = TypeVar("T")

Measure = Callable[[int, Pair], int]
"""Returns the figure that a member measures of a pair in a window."""


@dataclass
class FakeProber:
    """Measures what it is told to, in windows that it watched."""

    measure: Measure
    watched: int = 0
    seen: set[int] = field(default_factory=set)
    targets: Sequence[Target] = ()
    reasons: dict[int, str] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def watch(self, window: int, block_hash: bytes, targets: Sequence[Target]) -> None:
        self.watched, self.targets = window, targets
        self.seen.add(window)

    def rest(self) -> None:
        self.watched, self.targets = 0, ()

    def mark_unknown(self, window: int, reason: str) -> None:
        self.reasons.setdefault(window, reason)

    def close_window(self, window: int, pairs: tuple[Pair, ...]) -> WindowTally:
        if window in self.closed or window in self.reasons or window not in self.seen:
            return WindowTally((UNKNOWN,) * len(pairs))
        self.closed.append(window)
        figures = tuple(self.measure(window, pair) for pair in pairs)
        return WindowTally(figures, keccak(b"answer"))


@dataclass
class Wire:
    """The network: services by member, and how each of them fails.

    Attributes:
        services: who listens.
        silent: members that answer nobody.
        not_yet: members that say "not yet", and how often they still do.
        deaf: members that are reached, but answer neither proposals nor signatures.
        log: calls as (caller, callee, what).

    """

    services: dict[str, OracleService] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    not_yet: dict[str, int] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    nodes: dict[str, Proofs] = field(default_factory=dict)
    log: list[tuple[str, str, str]] = field(default_factory=list)
    busy: int = 0

    def reach(self, caller: str, peer: Peer, what: str) -> OracleService:
        """Return the service of a peer, or fail as it does."""
        self.log.append((caller, peer.member, what))
        if peer.member in self.silent or caller in self.silent:
            raise EndpointError(f"{peer.endpoint}: no answer in time")
        if what in ("sign", "announce") and peer.member in self.deaf:
            raise EndpointError(f"{peer.endpoint}: no answer in time")
        if self.not_yet.get(peer.member, 0) > 0:
            self.not_yet[peer.member] -= 1
            raise NotYetError("not yet")
        service = self.services.get(peer.member)
        if service is None:
            raise EndpointError(f"{peer.endpoint}: no connection")
        return service

    async def as_http(self, answer: Awaitable[T]) -> T:
        """Wait for an answer; turn errors into those that arrive over HTTP."""
        self.busy += 1
        try:
            return await answer
        except NotYetError:
            raise
        except OracleError as error:
            raise StatusError(str(error), 409) from error
        finally:
            self.busy -= 1


@dataclass
class FakePeers:
    """`Peers` of one member over the wire; every message goes through its JSON."""

    own: str
    wire: Wire

    async def observations(
        self, peer: Peer, request: ObservationRequest, *, seconds: float
    ) -> Observations:
        service = self.wire.reach(self.own, peer, "observe")
        heard = ObservationRequest.parse(request.to_json())
        answer = await self.wire.as_http(service.answer_request(heard))
        return Observations.parse(answer.to_json())

    async def sign(self, peer: Peer, proposal: Proposal, *, seconds: float) -> ReportSignature:
        service = self.wire.reach(self.own, peer, "sign")
        heard = Proposal.parse(proposal.to_json())
        answer = await self.wire.as_http(service.answer_proposal(heard))
        return ReportSignature.parse(answer.to_json())

    async def announce(self, peer: Peer, signatures: Signatures, *, seconds: float) -> None:
        service = self.wire.reach(self.own, peer, "announce")
        service.take_signatures(Signatures.parse(signatures.to_json()))

    async def report(self, peer: Peer, window: int, *, seconds: float) -> Report:
        service = self.wire.reach(self.own, peer, "report")
        found = await service.archive.report(window)
        if found is None:
            raise StatusError("no report", 404)
        return Report.parse(found.to_json())

    async def recovered(self, peer: Peer, window: int, page: int, *, seconds: float) -> Proofs:
        service = self.wire.reach(self.own, peer, "recovered")
        found = await service.archive.recovered(window, page)
        if found is None:
            raise StatusError("none", 404)
        return Proofs.parse(found.to_json())

    async def kept_by_node(self, endpoint: str, window: int, *, seconds: float) -> Proofs:
        found = self.wire.nodes.get(endpoint)
        if found is None or found.window != window:
            raise EndpointError("no answer")
        return Proofs.parse(found.to_json())

    async def is_up(self, peer: Peer, *, seconds: float) -> bool:
        return peer.member in self.wire.services


@dataclass
class FakeLease:
    """A lease on acting for a member that is had or not as a test says.

    Attributes:
        token: under which it is held, None while another process has it.
        sure: whether it cannot have expired.

    """

    token: int | None
    sure: bool = True

    @property
    def is_fresh(self) -> bool:
        """Whether it is held and cannot have expired."""
        return self.token is not None and self.sure


@dataclass
class Seat:
    """One member with everything it has open."""

    service: OracleService
    prober: FakeProber
    journal: SigningJournal
    store: OracleStore
    view: View
    signer: LocalSigner

    async def close(self) -> None:
        await self.service.close()
        self.store.close()
        self.journal.close()


class Cluster:
    """A committee whose members run whole services; `close` it."""

    def __init__(
        self,
        folder: Path,
        n: int = 4,
        *,
        rules: RoundRules = RULES,
        sim: Sim | None = None,
    ) -> None:
        self.folder = folder
        self.n = n
        self.rules = rules
        self.sim = sim or Sim(members=n)
        self.wire = Wire()
        self.figures: dict[tuple[int, int, Pair], int] = {}
        self.seats: dict[int, Seat] = {}
        self.meters: dict[int, Meter] = {}

    def member(self, index: int) -> str:
        return oracle(index).address

    def measure(self, index: int) -> Measure:
        """Return what a member measures: full service, unless `figures` says otherwise."""
        return lambda window, pair: self.figures.get((index, window, pair), UNIT)

    def peers_of(self, member: str) -> Peers:
        """Return how a member reaches the others."""
        return cast("Peers", FakePeers(member, self.wire))

    def settings(self) -> ServiceSettings:
        return ServiceSettings(self.rules, DOMAIN)

    def open(self, index: int, *, lag: int = 0, skew: float = 0.0) -> Seat:
        """Start a member, or start it again over what it left on disk."""
        state = self.folder / f"oracle{index}"
        journal = SigningJournal.open(
            journal_path(state, self.member(index)),
            member=self.member(index),
            domain=DOMAIN.separator,
            now=self.sim.head.timestamp,
        )
        seat = self._open(index, state, journal, View(self.sim, lag, skew), None)
        self.seats[index] = seat
        self.reach(seat)
        return seat

    def open_second(self, index: int, lease: FakeLease) -> Seat:
        """Start a second process of a member, which shares its journal and nothing else."""
        journal = self.seats[index].journal
        state = self.folder / f"second{index}"
        return self._open(index, state, journal, View(self.sim), lease)

    def reach(self, seat: Seat) -> None:
        """Let others reach a member in this process from now on."""
        self.wire.services[seat.signer.address] = seat.service

    def _open(
        self,
        index: int,
        state: Path,
        journal: SigningJournal,
        view: View,
        lease: FakeLease | None,
    ) -> Seat:
        signer = oracle(index)
        store = OracleStore.open(state / "oracle.db")
        prober = FakeProber(self.measure(index))
        parts = Parts(
            chain=view,
            member=Member(signer, DOMAIN, CLOCK, self.rules, journal, store),
            store=store,
            prober=cast("Prober", prober),
            evidence=EvidenceLog(state / "evidence"),
            peers=self.peers_of(signer.address),
            meter=self.meters.get(index, Meter()),
            lease=cast("Lease | None", lease),
        )
        pace = Pace(monotonic=lambda: self.sim.time, sleep=self._sleep)
        service = OracleService(
            parts,
            self.settings(),
            pace=pace,
            wall=lambda: float(view.head.timestamp),
        )
        service.start()
        return Seat(service, prober, journal, store, view, signer)

    def open_all(self) -> None:
        for index in range(self.n):
            self.open(index)

    async def crash(self, index: int) -> None:
        """Stop a member; what it has on disk stays."""
        seat = self.seats.pop(index)
        del self.wire.services[seat.signer.address]
        await seat.close()

    async def close(self) -> None:
        for index in list(self.seats):
            await self.crash(index)

    async def _sleep(self, seconds: float) -> None:
        """Let the clock go on, but not while somebody works on an answer."""
        await asyncio.sleep(0)
        await until(lambda: self.wire.busy == 0)
        time = self.sim.time + seconds
        while self.sim.head.timestamp + 1 <= time:
            self.sim.mine(self.sim.head.timestamp + 1)
        self.sim.time = time

    async def tick(self) -> None:
        """Let all members do what is due, and finish it."""
        await asyncio.gather(*(seat.service.tick() for seat in self.seats.values()))
        await asyncio.gather(*(seat.service.idle() for seat in self.seats.values()))

    async def to_window(self, window: int) -> None:
        """Go on, window by window, so that all members see each."""
        while self.sim.window < window:
            self.sim.to_window(self.sim.window + 1)
            await self.tick_quietly()

    async def tick_quietly(self) -> None:
        """Let all members take note of where the chain is, without leading a turn."""
        time, self.sim.time = self.sim.time, float(CLOCK.start(self.sim.window + 1)) - 0.01
        try:
            for seat in self.seats.values():
                await seat.service._reconcile()
                with contextlib.suppress(NotYetError):
                    await seat.service._measuring.observe_past()
                    await seat.service._measuring.watch()
        finally:
            self.sim.time = time

    async def turn(self, window: int, number: int) -> None:
        """Let the members live through one turn of a window's round."""
        start = CLOCK.end(window) + number * self.rules.turn_seconds
        while self.sim.head.timestamp + 1 <= start:
            self.sim.mine(self.sim.head.timestamp + 1)
        self.sim.time = start + 0.01
        await self.tick()

    async def round(self, window: int, turns: int = 8) -> Submission | None:
        """Live through turns until somebody has a complete report; return it."""
        for number in range(turns):
            await self.turn(window, number)
            found = self.complete()
            if found is not None:
                return found
        return None

    def complete(self) -> Submission | None:
        """Return the report that any member would submit sooner or later."""
        time, self.sim.time = self.sim.time, self.sim.time + 1_000
        try:
            offers = (seat.service.submission() for seat in self.seats.values())
            return next((one for one in offers if one is not None), None)
        finally:
            self.sim.time = time

    def accept(self, found: Submission) -> None:
        """Do what the contract does with a report: check it, and take it."""
        books, n = self.sim.books, len(self.sim.books.members)
        latest = books.latest_report
        assert found.window > (latest.window if latest else 0)
        assert found.window > books.veto_floor
        assert CLOCK.end(found.window) <= self.sim.head.timestamp + 1
        assert books.pending_report(self.sim.head.timestamp + 1) is None
        signers = check_signatures(found, books.committee_epoch)
        seats = {seat.signer: seat.seat for seat in books.members}
        assert len(signers) >= quorum(n)
        assert set(signers) <= seats.keys()
        bits = sum(1 << seats[one] for one in signers)
        self.sim.report(
            found.window, found.root, data_hash=found.data_hash, turn=found.turn, signers=bits
        )

    async def settle(self, window: int) -> Submission:
        """Live through the round of a window that ends in an accepted report."""
        await self.to_window(window + 1)
        found = await self.round(window)
        assert found is not None, "no report"
        self.accept(found)
        return found

    def leaves(self, index: int = 0) -> dict[tuple[int, int], int]:
        """Return the leaves of the latest report by (job, license), as a member keeps them."""
        report = self.sim.books.latest_report
        assert report is not None
        stored = self.seats[index].store.report(report.data_hash)
        assert stored is not None, "the data of the report is not there"
        return {(leaf.job_id, leaf.license_id): leaf.units for leaf in stored.decoded()}

    def bases(self, index: int) -> Bases:
        return self.seats[index].service._bases


def check_signatures(found: Submission, epoch: int) -> list[str]:
    """Return who signed, in strictly ascending order, as the contract demands."""
    from workdeed.protocol.eip712 import report_digest
    from workdeed.protocol.signing import recover

    digest = report_digest(DOMAIN, found.window, found.turn, found.root, found.data_hash, epoch)
    parts = [found.signatures[at : at + 65] for at in range(0, len(found.signatures), 65)]
    signers = [recover(digest, part) for part in parts]
    assert sorted(set(signers), key=str.lower) == signers
    return signers
