"""The oracle of a keeper: measures, answers the other members, leads its turns, offers reports.

It joins the parts: `measuring` measures, `facts` reads the chain, `round` says what follows, `desk`
signs, `leading` leads, `archive` serves. It writes nothing to the chain; the keeper submits what
`submission` returns.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from workdeed.chain.books import Books, ReportState
from workdeed.chain.errors import ChainError
from workdeed.chain.leases import Lease
from workdeed.oracle.archive import Archive
from workdeed.oracle.bases import Bases
from workdeed.oracle.committee import Committee
from workdeed.oracle.desk import Desk
from workdeed.oracle.errors import (
    DataMissingError,
    ForbiddenError,
    NotYetError,
    OracleError,
    RefusedError,
    RoundOverError,
    StandbyError,
)
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.facts import FactFinder
from workdeed.oracle.gather import Pace
from workdeed.oracle.leading import Leading
from workdeed.oracle.measuring import Measuring
from workdeed.oracle.member import Member
from workdeed.oracle.meter import Meter, Outcome
from workdeed.oracle.peers import Peer, Peers, peers_of
from workdeed.oracle.prober import Prober
from workdeed.oracle.round import RoundFacts, Turn, check_turn, turn_ends, turn_now
from workdeed.oracle.settings import RoundRules
from workdeed.oracle.showing import EvidenceDesk
from workdeed.oracle.snapshots import ChainView
from workdeed.oracle.store import OracleStore
from workdeed.oracle.submission import ReadyReport, Submission, fits, is_my_time, merged
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.errors import SignatureError
from workdeed.protocol.limits import MAX_PEER_BYTES, MAX_WINDOWS
from workdeed.protocol.messages import (
    EnvelopeMessage,
    ObservationRequest,
    Observations,
    Proposal,
    ReportSignature,
    Signatures,
)

_log = structlog.get_logger(__name__)

_ANNOUNCE_SECONDS: Final = 10.0
_KEPT_WINDOWS: Final = 2 * MAX_WINDOWS
_FRAME_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service joins; all are the caller's to open and to close.

    Attributes:
        chain: the followed chain.
        member: this member's key and journal.
        store: the store that the member writes to.
        prober: measures.
        evidence: where the prober keeps answers.
        peers: reaches the other members.
        meter: told what the oracle does.
        lease: on acting for the member, where other processes stand ready to; None where none do.

    """

    chain: ChainView
    member: Member
    store: OracleStore
    prober: Prober
    evidence: EvidenceLog
    peers: Peers
    meter: Meter = field(default_factory=Meter)
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How the service works.

    Attributes:
        rules: of the round.
        domain: the committee's.
        endpoints: license id -> address that overrides a member's endpoint on chain.
        max_skew: seconds by which this machine's clock and the head may differ; infinite on a chain
            whose time is not the world's.
        stagger: seconds between the submissions of one member and the next; a turn if None.

    """

    rules: RoundRules
    domain: Domain
    endpoints: Mapping[int, str] = field(default_factory=dict)
    max_skew: float = 36.0
    stagger: float | None = None


@dataclass(frozen=True, slots=True)
class OracleStatus:
    """What the oracle is at, for logs, metrics and people.

    Attributes:
        seated: whether this member holds a seat.
        watched: the window that is measured, 0 before the first.
        observed: the last window that was observed.
        led: the last turn that was led, (window, turn).
        signed: the last turn that was signed for, (window, turn).
        ready: the window of the last report that is complete here, 0 without one.
        problem: why the last turn that was led came to nothing, "" if it came to a report.

    """

    seated: bool
    watched: int
    observed: int
    led: tuple[int, int]
    signed: tuple[int, int]
    ready: int
    problem: str


class OracleService:
    """One member's oracle: `start` it, `tick` it at every poll, `close` it.

    Args:
        parts: what it joins.
        settings: how it works.
        pace: time for waiting.
        wall: Unix seconds of this machine.

    """

    def __init__(
        self,
        parts: Parts,
        settings: ServiceSettings,
        *,
        pace: Pace | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        rules, domain = settings.rules, settings.domain
        self._settings = settings
        self._chain = parts.chain
        self._member = parts.member
        self._store = parts.store
        self._prober = parts.prober
        self._evidence = parts.evidence
        self._peers = parts.peers
        self._meter = parts.meter
        self._lease = parts.lease
        self._pace = pace or Pace()
        self._bases = Bases(parts.store, parts.peers)
        self._facts = FactFinder(parts.chain, self._bases, rules)
        self._desk = Desk(parts.member, parts.prober, parts.evidence, parts.meter)
        self._measuring = Measuring(
            parts.chain,
            parts.prober,
            self._facts,
            self._desk,
            parts.evidence,
            max_skew=settings.max_skew,
            wall=wall,
            monotonic=self._pace.monotonic,
        )
        self._leading = Leading(parts.member, self._desk, parts.peers, rules, domain, self._pace)
        self.archive = Archive(parts.chain, self._bases, parts.store)
        self.showing = EvidenceDesk(parts.chain, self.archive, parts.evidence, domain)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._fetch_at = 0.0
        self._pruned_to = 0
        self._is_reconciled = False
        self._token: int | None = None
        self._ready: ReadyReport | None = None
        self._led = self._signed = (0, 0)
        self._problem = ""

    # --- Life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to probe, or to stand by; to be called once the chain was polled."""
        self._token = self._token_now()
        self._measuring.start("this oracle started within the window")
        self._spawn("probe", self._prober.run())

    async def close(self) -> None:
        """Stop all work, within moments."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._desk.close()
        self._evidence.shut()

    async def idle(self) -> None:
        """Wait until no turn is led, nothing is announced and nothing is fetched."""
        while busy := [task for name, task in self._tasks.items() if name != "probe"]:
            await asyncio.gather(*busy, return_exceptions=True)

    def mark_unknown(self, window: int, reason: str) -> None:
        """Report everything of `window` as unknown, for a fault of this oracle's own."""
        self._prober.mark_unknown(window, reason)

    @property
    def status(self) -> OracleStatus:
        """What the oracle is at."""
        return OracleStatus(
            seated=self._is_seated(self._committee()),
            watched=self._measuring.watched,
            observed=self._measuring.observed,
            led=self._led,
            signed=self._signed,
            ready=self._ready.window if self._ready else 0,
            problem=self._problem,
        )

    @property
    def is_active(self) -> bool:
        """Whether this process acts for its member, as far as it knows."""
        return self._token_now() is not None

    @property
    def may_speak(self) -> bool:
        """Whether this process acts for its member, and no other one can have begun to.

        One that got its lease back stays silent until the tick that looks what is unknown now.
        """
        lease = self._lease
        return lease is None or (lease.is_fresh and lease.token == self._token)

    async def tick(self) -> None:
        """Do what is due; to be called after every poll of the chain. Does not wait for others.

        A process that stands by only fetches what reports rest on, so that one alone speaks for the
        member, and the next one can at once.

        Raises:
            ChainError: if the chain can't be read; what is being measured is unknown then.
            OracleError: if journal or store can't be used.

        """
        self._follow_lease()
        if self._token is None:
            self._tidy()
            self._fetch_if_missing()
            return
        try:
            await self._reconcile()
        except Exception:
            await self._measure()  # a journal that does not answer must cost no figures
            raise
        await self._measure()
        self._tidy()
        self._fetch_if_missing()
        self._lead_if_due()

    # --- For the keeper --------------------------------------------------------------------------

    def submission(self) -> Submission | None:
        """Return the report to submit now, None if there is none or it is another's turn to."""
        ready, books = self._ready, self._chain.books
        is_free = books.pending_report(self._chain.head.timestamp) is None
        if ready is None or not self.is_active or not is_free or not fits(ready, books):
            return None
        stagger = self._settings.stagger
        pause = self._settings.rules.turn_seconds if stagger is None else stagger
        is_mine = is_my_time(
            ready, self._committee(), self._member.address, self._chain.now(), pause
        )
        return ready.submission() if is_mine else None

    async def strikes(self, books: Books, most: int) -> dict[tuple[int, int], int]:
        """Return the strikes of placed licenses by (job, license), see `FactFinder.strikes`.

        Raises:
            NotYetError, ChainError: if a snapshot can't be read.

        """
        return await self._facts.strikes(books, most)

    @property
    def max_body(self) -> int:
        """The longest proposal that can make sense by now, in bytes.

        A stranger could otherwise make this process read `MAX_PEER_BYTES` at every request.
        """
        books = self._chain.books
        observations = (len(books.members) + 1) * MAX_WINDOWS
        pairs = len(books.assignments) + len(books.jobs)
        return min(MAX_PEER_BYTES, _FRAME_BYTES + observations * (_FRAME_BYTES // 64 + 128 * pairs))

    # --- For other members -----------------------------------------------------------------------

    async def answer_request(self, request: ObservationRequest) -> Observations:
        """Return this member's observations for the leader of the turn.

        Raises:
            StandbyError: if another process acts for this member.
            ForbiddenError: if the sender does not lead this turn, or asked another member.
            NotYetError: if the window or the turn is not reached here yet.
            RoundOverError: if the window is settled.
            ChainError, StoreError: if that can't be found out.

        """
        self._admit(request, request.window, request.turn)
        if request.recipient != self._member.address:
            raise ForbiddenError("recipient", "another member was asked")
        if request.windows[0] <= request.window - MAX_WINDOWS:
            raise RefusedError("windows", f"{request.windows[0]} is too long ago")
        self._facts.check_due(request.window)
        epoch = self._committee().epoch
        found = [
            await self._desk.observation(await self._facts.window(window), epoch)
            for window in request.windows
        ]
        return Observations(observations=tuple(found))

    async def answer_proposal(self, proposal: Proposal) -> ReportSignature:
        """Return this member's signature of a leader's report, if it computes the same.

        Raises:
            RefusedError: if it does not; names what differs.
            StandbyError, ForbiddenError, NotYetError, RoundOverError, StoreError: as above.
            ChainError: as above; also if the lease on the member was lost meanwhile.
            DataMissingError: if the leaves that it builds on can't be had.
            JournalError: if another root was signed for the turn, or the journal is too young.

        """
        try:
            return await self._answer_proposal(proposal)
        except RefusedError as error:
            self._meter.refused(error.field)
            raise
        except OracleError as error:
            self._meter.fault(error)
            raise

    async def _answer_proposal(self, proposal: Proposal) -> ReportSignature:
        header = proposal.header
        turn = self._admit(proposal, header.window, header.turn)
        facts = await self._facts_to_check(turn)
        await self._desk.adopt(facts, proposal.observations)
        own = await self._desk.observations(facts)
        draft = await self._desk.check(proposal, facts, own)
        signature = await self._desk.sign(draft, facts.committee.epoch, self._still(turn))
        self._signed = (turn.window, turn.number)
        return signature

    def take_signatures(self, signatures: Signatures) -> None:
        """Take a complete report, to submit it if others don't.

        Raises:
            StandbyError: if another process acts for this member.
            RefusedError: if the signatures are no quorum of this epoch.
            RoundOverError: if the window is settled.

        """
        self._check_active()
        committee = self._committee()
        try:
            signers = signatures.signers(self._settings.domain, committee.epoch)
        except SignatureError as error:
            raise RefusedError("signatures", str(error)) from error
        if not committee.holds(signers):
            raise RefusedError("signatures", f"they are no quorum of epoch {committee.epoch}")
        self._facts.check_due(signatures.header.window)
        self._complete(signatures, committee.epoch)

    # --- Inside ----------------------------------------------------------------------------------

    def _token_now(self) -> int | None:
        """Return under which token this process acts for its member; 0 if no other could."""
        return 0 if self._lease is None else self._lease.token

    def _check_active(self) -> None:
        if not self.may_speak:
            raise StandbyError("this oracle stands by; another process acts for its member")

    def _check_reconciled(self) -> None:
        """Raise until it is known whether the journal lacks what was signed."""
        if not self._is_reconciled:
            raise NotYetError("journal: it is not held against the chain yet; ask again soon")

    def _follow_lease(self) -> None:
        """Begin to act for the member, or cease to, if its lease came or went.

        What another process measured is not known here, nor was it all measured by one: the windows
        of a change are unknown.
        """
        before, token = self._token, self._token_now()
        if token == before:
            return
        self._token = token
        if before is not None:
            self._measuring.stop("another process acted for this member")
        if token is None:
            _log.info("oracle: standing by")
            return
        _log.info("oracle: active", token=token)
        self._measuring.start("this oracle took over within the window")
        self._is_reconciled = False

    def _committee(self) -> Committee:
        return Committee.of(self._chain.books)

    def _is_seated(self, committee: Committee) -> bool:
        return self._member.address in committee.members

    def _others(self) -> tuple[Peer, ...]:
        return peers_of(self._chain.books, self._settings.endpoints, self._member.address)

    def _other_processes(self) -> list[Peer]:
        """Return where the process that acts for this member answers, unless it is this one."""
        if self.is_active:
            return []
        every = peers_of(self._chain.books, self._settings.endpoints, "")
        return [peer for peer in every if peer.member == self._member.address]

    def _turn(self) -> Turn | None:
        return turn_now(
            self._chain.windows, self._chain.now(), self._settings.rules, self._committee()
        )

    def _still(self, turn: Turn) -> Callable[[], None]:
        """Return what raises once `turn` is not the clock's any more, or the journal in doubt."""

        def check() -> None:
            self._check_reconciled()
            check_turn(self._turn(), turn.window, turn.number, turn.leader)

        return check

    def _admit(self, message: EnvelopeMessage, window: int, number: int) -> Turn:
        """Return the turn if the message is signed by its leader, and the window is over here."""
        self._check_active()
        if not self._is_seated(self._committee()):
            raise ForbiddenError("member", "this oracle holds no seat")
        turn = check_turn(self._turn(), window, number, message.signer)
        try:
            message.verify(self._settings.domain)
        except SignatureError as error:
            raise ForbiddenError("signature", str(error)) from error
        self._check_reconciled()
        if self._chain.head.timestamp < self._chain.windows.end(window):
            raise NotYetError(f"window: {window} is not over here; ask again soon")
        return turn

    async def _facts_to_check(self, turn: Turn) -> RoundFacts:
        """Return the facts of a round; what is missing of the base is fetched from the leader."""
        report = self._chain.books.latest_report
        leaders = [peer for peer in self._others() if peer.member == turn.leader]
        if report is not None and self._bases.load(report) is None:
            half = self._settings.rules.turn_seconds / 2
            is_here = await self._bases.fetch(report, leaders, seconds=half)
            for peer in () if is_here else leaders:
                await self._bases.recover_from(report, peer)
        return await self._facts.round(turn.window)

    def _complete(self, signatures: Signatures, epoch: int) -> None:
        latest = self._chain.books.latest_report
        named = signatures.header.base_window
        base_window = named or (latest.window if latest else 0)
        found = ReadyReport(signatures, epoch, base_window, self._chain.now())
        self._ready = merged(self._ready, found)

    # --- Duties of a tick ------------------------------------------------------------------------

    async def _measure(self) -> None:
        """Observe what is over and tell the prober whom to probe."""
        try:
            await self._measuring.observe_past()
            await self._measuring.watch()
        except NotYetError as error:
            _log.debug("oracle: not yet", reason=str(error))
        except ChainError:
            self.mark_unknown(self._measuring.window, "the chain could not be read")
            raise

    async def _reconcile(self) -> None:
        """Once at each beginning, hold the journal against the chain: a restored one is lost.

        Nothing is signed before.
        """
        if not self._is_reconciled:
            reports = tuple(self._chain.books.reports.values())
            now = self._chain.head.timestamp
            await self._desk.reconcile(reports, self._committee(), now)
            self._is_reconciled = True

    def _tidy(self) -> None:
        """Drop what no report can need any more."""
        latest = self._chain.books.latest_report
        oldest = (latest.window if latest else 0) - _KEPT_WINDOWS
        if oldest > self._pruned_to:
            self._store.prune(oldest)
            self._evidence.prune(oldest)
            self._pruned_to = oldest

    def _fetch_if_missing(self) -> None:
        report = self._chain.books.latest_report
        now = self._pace.monotonic()
        if report is None or now < self._fetch_at or self._bases.load(report) is not None:
            return
        self._fetch_at = now + self._settings.rules.turn_seconds
        self._spawn("fetch", self._fetch(report))

    async def _fetch(self, report: ReportState) -> None:
        others = self._others()
        is_here = await self._bases.fetch(report, [*others, *self._other_processes()])
        if not is_here and self.is_active:
            _log.warning("oracle: report data lost; recovering leaves", window=report.window)
            await self._bases.recover(report, self._chain.books, others)

    def _lead_if_due(self) -> None:
        turn = self._turn()
        if turn is None or turn.leader != self._member.address or not self.may_speak:
            return
        is_over = self._chain.head.timestamp >= self._chain.windows.end(turn.window)
        is_new = (turn.window, turn.number) > self._led
        if is_over and is_new and not self._is_ready(turn.window):
            self._spawn("lead", self._lead(turn))

    def _is_ready(self, window: int) -> bool:
        ready = self._ready
        return ready is not None and ready.window == window and fits(ready, self._chain.books)

    async def _lead(self, turn: Turn) -> None:
        led = self._led
        self._led = (turn.window, turn.number)
        try:
            outcome = await self._lead_turn(turn)
            self._problem = ""
        except (NotYetError, DataMissingError) as error:
            outcome = "delayed"
            self._led = led  # the next tick tries again, while the turn lasts
            self._problem = str(error)
        except RoundOverError as error:
            outcome = "over"
            self._problem = ""
            _log.debug("oracle: turn not needed", turn=turn, reason=str(error))
        except (OracleError, ChainError) as error:
            outcome = "failed"
            self._problem = str(error)
            self._meter.fault(error)
            _log.warning("oracle: turn failed", turn=turn, reason=self._problem)
        self._meter.led(outcome)

    async def _lead_turn(self, turn: Turn) -> Outcome:
        facts = await self._facts.round(turn.window)
        left = turn_ends(self._chain.windows, turn, self._settings.rules) - self._chain.now()
        signatures = await self._leading.lead(turn, facts, self._others(), left, self._still(turn))
        if signatures is None:
            return "idle"
        self._signed = (turn.window, turn.number)
        self._complete(signatures, facts.committee.epoch)
        await self._announce(signatures)
        return "report"

    async def _announce(self, signatures: Signatures) -> None:
        """Send a complete report to all members, so that each can submit it."""

        async def send(peer: Peer) -> None:
            try:
                await self._peers.announce(peer, signatures, seconds=_ANNOUNCE_SECONDS)
            except (OracleError, ChainError) as error:
                _log.info("oracle: not announced", member=peer.member, reason=str(error))

        await asyncio.gather(*(send(peer) for peer in self._others()))

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the ticks, one of each name at a time."""
        if name in self._tasks:
            work.close()
            return
        task = asyncio.create_task(work, name=f"oracle {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._meter.fault(error)
            _log.error("oracle: a task broke", task=name, exc_info=error)
