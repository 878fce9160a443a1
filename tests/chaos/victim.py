"""The process under test: four members of the committee and one keeper, on files that outlive it.

Everything that decides, stores, signs or sends is the keeper's own. Only what it measures comes
from the plan, so that a judge knows what it had to measure, and members talk inside the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog

from tests.chaos.crash import (
    Crash,
    CrashPoints,
    WatchedJournal,
    WatchedOracleStore,
    WatchedPlacements,
    WatchedSigner,
    WatchedStore,
    watch,
)
from tests.chaos.twofaced import EvidenceFile, TwoFacedPeers
from tests.chaos.wire import LoggedMember, OracleWire, PlacementWire, SignatureLog, WirePeers
from tests.chaos.world import BLOCK_SECONDS, Scene, the_spec
from tests.integration.chain.contract_support import ORACLES, STRANGER, Counter
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.books import Books
from workdeed.chain.clock import ChainClock
from workdeed.chain.effects import Effect
from workdeed.chain.errors import ChainError, StoreError, StoreUnavailableError
from workdeed.chain.fees import GWEI, FeeSettings
from workdeed.chain.follower import Follower, FollowerSettings
from workdeed.chain.mirror import Mirror
from workdeed.chain.outbox import Outbox, OutboxSettings
from workdeed.chain.rpc import Rpc, RpcClient
from workdeed.chain.sources import AgreeingRpcs
from workdeed.intent import Spec, encode_spec, spec_hash
from workdeed.keeper.claims import ClaimRule
from workdeed.keeper.effects import EffectDesk
from workdeed.keeper.leases import Leases
from workdeed.keeper.logs import OnceLog, get_log
from workdeed.keeper.loop import Duty, Loop
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.placements import Following, Leading, Tools
from workdeed.keeper.placements import Member as PlacementMember
from workdeed.keeper.reportdata import ReportSource
from workdeed.keeper.reports import Reports
from workdeed.keeper.settings import LeaseSettings
from workdeed.keeper.settling import Settling
from workdeed.keeper.snapshots import SnapshotError, Snapshots, Strikes
from workdeed.keeper.stagger import Stagger
from workdeed.keeper.view import View
from workdeed.oracle.endpoints import EndpointClient
from workdeed.oracle.errors import OracleError
from workdeed.oracle.evidence import EvidenceLog
from workdeed.oracle.gather import Pace
from workdeed.oracle.peers import Peers
from workdeed.oracle.prober import Chance, Prober
from workdeed.oracle.round import RoundFacts
from workdeed.oracle.service import OracleService, Parts, ServiceSettings
from workdeed.oracle.settings import ProbeSettings, RoundRules
from workdeed.oracle.snapshots import ChainReader
from workdeed.oracle.store import OracleStore, StoredReport
from workdeed.oracle.tallies import WindowTally
from workdeed.placement import Profiles
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, ESCROW_DOMAIN
from workdeed.protocol.figures import UNIT, Pair
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import NodeProfile, PlacementProposal, Report
from workdeed.sdk.endpoints import Endpoints

T = TypeVar("T")

TURN_SECONDS = 4.0 * BLOCK_SECONDS
RULES = RoundRules(turn_seconds=TURN_SECONDS, open_windows=2)
PROBES = ProbeSettings(interval=2.0 * BLOCK_SECONDS, timeout=5.0, grace_windows=0)
STRIKES = 2
SLA_FLOOR = 5_000
BLOCKS_A_NAME = 3
NO_END = 10**6
SPREAD = 100
"""By how much the figures of the members differ."""

POLL_SECONDS = 0.02
LEASES = LeaseSettings(ttl_seconds=1, standby=True)
SENDER = STRANGER
"""The account that pays gas; anvil funds it."""

BROKEN = 3
"""Exit code of a victim that met what it must not meet."""


@dataclass(frozen=True)
class Order:
    """What a victim is told.

    Attributes:
        seed: of what it measures.
        rpc_url: where it finds the chain.
        database: path or URL of the keeper's database.
        folder: what is to outlive it: journals and stores.
        crash: where it dies by its own hand.
        confirmations: blocks below the head that count as settled.
        counted: for how many names the counter is moved at most.
        counted_from: the block from which on it is moved, a name every `BLOCKS_A_NAME` blocks.
        bump_after_blocks: blocks after which a stuck transaction is replaced.
        max_fee_gwei: cap of the fee.
        first_window: the one from which the plan of what is measured is counted.
        witness: a second node that has to agree about logs, "" for none.
        twin_of: folder of another victim; this one then only claims and closes, by what the members
            there stored.
        file_limit: bytes that a file may grow to, 0 for no limit: the disk is full there.
        silent: the member that answers nobody, -1 for none.
        clock_rate: how fast this process's clock runs.
        probes: whether members measure by probing nodes, not by the plan.
        two_faced: the member that proposes two reports where it leads, -1 for none.

    """

    seed: int
    rpc_url: str
    database: str
    folder: str
    crash: Crash | None = None
    confirmations: int = 2
    counted: int = 0
    counted_from: int = 0
    bump_after_blocks: int = 5
    max_fee_gwei: int = 100
    first_window: int = 0
    witness: str = ""
    twin_of: str = ""
    file_limit: int = 0
    silent: int = -1
    clock_rate: float = 1.0
    probes: bool = False
    two_faced: int = -1

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Read it from JSON."""
        content = json.loads(text)
        crash = content.pop("crash")
        return cls(**content, crash=Crash(**crash) if crash else None)


def measured(seed: int, member: int, window: int, pair: Pair) -> int:
    """Return the figure that a member measures: mostly near full service, at times none.

    No two members measure the same, so that what a report says depends on who answered: a turn that
    is led again after a restart comes to another root, which nobody may sign.
    """
    word = keccak(f"{seed} {window} {pair.job_id} {pair.license_id}".encode())
    kind, share = word[0] % 8, int.from_bytes(word[1:3], "big")
    if kind == 0:
        return 0
    figure = UNIT if kind < 5 else SLA_FLOOR + SPREAD + share % (UNIT - SLA_FLOOR - SPREAD)
    return figure - member * SPREAD // len(ORACLES)


@dataclass
class PlannedProber:
    """Measures what the plan says, in windows before a restart too."""

    seed: int
    member: int
    first_window: int

    async def run(self) -> None:
        """Measure nothing by itself."""
        await asyncio.Event().wait()

    def watch(self, window: int, block_hash: bytes, targets: Sequence[Any]) -> None:
        """Take no note of whom to probe."""

    def mark_unknown(self, window: int, reason: str) -> None:
        """Take no note: the plan knows what was to be measured."""

    def close_window(self, window: int, pairs: tuple[Pair, ...]) -> WindowTally:
        """Return what the plan says of a window."""
        since = window - self.first_window
        figures = tuple(measured(self.seed, self.member, since, pair) for pair in pairs)
        return WindowTally(figures, keccak(b"an answer"))


@dataclass
class Counting:
    """Moves the counter once for each name; a doubled effect shows on chain.

    Unlike all that the contracts of Workdeed are told, a second call would count.
    """

    outbox: Outbox
    counter: Counter
    order: Order
    passed: set[int] = field(default_factory=set)
    window: int = 0

    async def run(self, view: View) -> None:
        """Hand over what is due by now; after a start, a reorg and a window, all of it again."""
        if view.window != self.window:
            self.window = view.window
            self.passed.clear()
        due = (view.head.number - self.order.counted_from) // BLOCKS_A_NAME
        for name in range(100, 100 + min(due, self.order.counted)):
            if name not in self.passed:
                await self.outbox.submit(Effect(f"act:{name}", self.counter.act(name)))
                self.passed.add(name)


class Beat:
    """A count of rounds in a file: the chain waits for a victim that a busy machine slows."""

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder / "beat", os.O_RDWR | os.O_CREAT, 0o600)

    @property
    def count(self) -> int:
        """How many rounds there were."""
        return int.from_bytes(os.pread(self._handle, 8, 0), "big")

    async def run(self, _: View) -> None:
        """Count a round."""
        os.pwrite(self._handle, (self.count + 1).to_bytes(8, "big"), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


class Victim:
    """Builds the parts and runs them until the process is killed."""

    def __init__(self, order: Order, scene: Scene, points: CrashPoints, stack: AsyncExitStack):
        self._order = order
        self._points = points
        self._stack = stack
        self._deployment = scene.deployment
        self._suite = Suite.of(scene.deployment)
        self._scene = scene
        self._folder = Path(order.folder)
        self._log = get_log()
        self._once = OnceLog(self._log)
        self._metrics = Metrics()
        self._rpc = RpcClient(order.rpc_url, timeout=5)
        self._signatures = SignatureLog(self._folder / "signatures.jsonl")
        self._wire = OracleWire()
        if order.silent >= 0:
            self._wire.silent.add(ORACLES[order.silent].address)
        self._placements = PlacementWire(scene.deployment.domain(ESCROW_DOMAIN), self._signatures)
        self._addresses = AddressBook(
            {index + 1: f"http://oracle-{index + 1}.test" for index in range(len(ORACLES))}
        )
        self._services: list[OracleService] = []

    async def run(self) -> None:
        """Work until the end of the process."""
        await self._open()
        for service in self._services:
            service.start()
        await self._loop.run(asyncio.Event())

    async def _open(self) -> None:
        stack, order, suite = self._stack, self._order, self._suite
        stack.push_async_callback(self._rpc.close)
        store = await _opened(order.database)
        stack.push_async_callback(store.close)
        chain_id = self._deployment.chain_id
        self._leases = Leases(store, LEASES, chain_id, self._log, self._metrics)
        reading = self._leases.follower()
        if reading is not None:
            await _served(lambda: stack.enter_async_context(reading))
        follower = Follower(
            self._source(),
            store,
            suite,
            chain_id=chain_id,
            start_block=self._deployment.start_block,
            settings=FollowerSettings(confirmations=order.confirmations),
            lease=reading,
        )
        self._mirror = Mirror(follower, suite.escrow.address)
        self._clock = ChainClock(
            self._deployment.clock,
            max_drift=BLOCK_SECONDS / 2,
            monotonic=lambda: time.monotonic() * order.clock_rate,
        )
        self._clock.observe((await _patient(self._mirror.refresh)).head)
        self._reader = ChainReader(
            self._rpc, self._mirror, self._clock, first_block=self._deployment.start_block
        )
        outbox = self._outbox(store)
        await _served(lambda: stack.enter_async_context(outbox))
        self._desk = EffectDesk(
            outbox, lambda: self._mirror.books, self._log, self._once, self._metrics
        )
        self._profiles = Profiles(self._deployment.domain(COMMITTEE_DOMAIN))
        for text in self._scene.profiles:
            self._profiles.add(NodeProfile.parse(text.encode()))
        counting = Counting(outbox, Counter(self._rpc, self._scene.counter), order)
        duties = [Duty("beat", Beat(self._folder).run), Duty("counting", counting.run)]
        for index in range(0 if order.twin_of else len(ORACLES)):
            duties += self._member_duties(index)
        duties.append(Duty("settling", self._settling().run))

        def rewound(block: int) -> None:
            self._reader.rewound(block)
            counting.passed.clear()

        self._loop = Loop(
            self._mirror,
            self._clock,
            duties,
            self._desk,
            on_rewound=rewound,
            poll_seconds=POLL_SECONDS,
            log=self._log,
            once=self._once,
            metrics=self._metrics,
        )

    def _source(self) -> Rpc | AgreeingRpcs:
        """Return where logs come from: a node that lies takes a second one to be found out."""
        if not self._order.witness:
            return self._rpc
        witness = RpcClient(self._order.witness, timeout=5)
        self._stack.push_async_callback(witness.close)

        def odd(rpc: Rpc, what: str) -> None:
            self._log.warning("odd", rpc=rpc.origin, what=what)

        return AgreeingRpcs([self._rpc, witness], 2, odd)

    def _outbox(self, store: WatchedStore) -> Outbox:
        order = self._order
        return Outbox(
            self._rpc,
            store,
            WatchedSigner(SENDER, self._points),
            chain_id=self._deployment.chain_id,
            settings=OutboxSettings(
                fees=FeeSettings(max_fee=order.max_fee_gwei * GWEI, priority_fee=GWEI),
                confirmations=order.confirmations,
                bump_after_blocks=order.bump_after_blocks,
            ),
            observer=self._points.outbox,
            lease=self._leases.sender(SENDER.address),
        )

    def _member_duties(self, index: int) -> list[Duty]:
        """Open one member of the committee and return its duties."""
        service = self._oracle(index)
        self._services.append(service)

        async def tick(_: View) -> None:
            await service.tick()

        reports = Reports(self._suite.committee, service.submission, self._desk)
        leading = self._placing(index, service)
        return [
            Duty(f"oracle {index}", tick),
            Duty(f"reports {index}", reports.run),
            Duty(f"placements {index}", leading.run),
        ]

    def _oracle(self, index: int) -> OracleService:
        state, domain = self._folder / f"oracle-{index}", self._deployment.domain(COMMITTEE_DOMAIN)
        signer = WatchedSigner(ORACLES[index], self._points)
        journal = WatchedJournal.open(
            state / "signing.journal",
            member=signer.address,
            domain=domain.separator,
            # As if it had begun with the chain: the first window is to be reported too.
            now=self._deployment.genesis,
        )
        store = WatchedOracleStore.open(state / "oracle.db")
        member = LoggedMember(signer, domain, self._deployment.clock, RULES, journal, store)
        member.signatures = self._signatures
        evidence = EvidenceLog(state / "evidence")
        parts = Parts(
            chain=self._reader,
            member=member,
            store=store,
            prober=self._prober(index, evidence),
            evidence=evidence,
            peers=self._peers(index),
        )
        settings = ServiceSettings(RULES, domain, max_skew=float("inf"), stagger=BLOCK_SECONDS)
        service = OracleService(parts, settings, pace=Pace(self._clock.now, _nap))
        self._wire.services[signer.address] = service
        return service

    def _peers(self, index: int) -> Peers:
        """Return how a member reaches the others, and with what it proposes."""
        signer = ORACLES[index]
        peers = WirePeers(signer.address, self._wire)
        if self._order.two_faced != index:
            return peers

        async def facts(window: int) -> RoundFacts:
            return await self._wire.services[signer.address]._facts.round(window)

        domain, luck = self._deployment.domain(COMMITTEE_DOMAIN), random.Random(self._order.seed)
        tell = EvidenceFile(self._folder).add
        return TwoFacedPeers(peers, signer, domain, RULES, facts, luck, tell)

    def _prober(self, index: int, evidence: EvidenceLog) -> Prober:
        """Return what measures: the plan, or a prober whose time is the chain's."""
        order, clock = self._order, self._clock
        if not order.probes:
            return cast("Prober", PlannedProber(order.seed, index, order.first_window))
        client = EndpointClient(allow_private=True)
        self._stack.push_async_callback(client.close)
        luck = random.Random(f"{order.seed} {index}")
        return Prober(
            client,
            self._deployment.domain(COMMITTEE_DOMAIN),
            clock.windows,
            clock.now,
            settings=PROBES,
            evidence=evidence,
            specs=_spec_source(),
            chance=Chance(luck, monotonic=clock.now, sleep=_nap),
        )

    def _placing(self, index: int, service: OracleService) -> Leading:
        signer = WatchedSigner(ORACLES[index], self._points)
        path = self._folder / f"oracle-{index}" / "placements.db"
        tools = Tools(
            snapshots=self._snapshots(service),
            journal=WatchedPlacements(path, signer.address),
            addresses=self._addresses,
            members=cast("Endpoints", self._placements),
            nodes=cast("Endpoints", self._placements),
            clock=self._clock,
            log=self._log,
            once=self._once,
            metrics=self._metrics,
        )
        member = PlacementMember(signer, self._deployment.domain(ESCROW_DOMAIN), TURN_SECONDS)
        leading = Leading(self._suite.escrow, member, tools, self._desk)

        async def prepare(_: Books, __: PlacementProposal) -> None:
            return None

        following = Following(member, tools, leading, lambda: self._loop.view, prepare)
        self._placements.members[self._addresses.overrides[index + 1]] = following
        return leading

    def _snapshots(self, service: OracleService) -> Snapshots:
        async def strikes(books: Books) -> Strikes:
            try:
                return await service.strikes(books, STRIKES)
            except OracleError as error:
                raise SnapshotError(str(error)) from error

        return Snapshots(
            self._rpc,
            lambda: self._mirror.history,
            self._deployment.clock,
            self._profiles,
            _spec_source(),
            strikes,
            STRIKES,
        )

    def _settling(self) -> Settling:
        async def own(window: int) -> Report | None:
            for store in stores:
                for stored in _stored(store, self._mirror.books, window):
                    return Report(header=stored.header, leaves=stored.leaves)
            return None

        paths = sorted(Path(self._order.twin_of or self._folder).glob("*/oracle.db"))
        stores = [OracleStore.open(path) for path in paths]

        none = AddressBook({})
        source = ReportSource(cast("Endpoints", self._placements), none, own)
        stagger = Stagger(ORACLES[0].address, 0.0)
        rule = ClaimRule("all", 0, stagger)
        return Settling(self._suite.escrow, source, self._desk, rule, stagger)


async def _nap(_: float) -> None:
    """Wait a moment: turns are measured by the chain's time, which runs faster than the world's."""
    await asyncio.sleep(POLL_SECONDS)


def _stored(store: OracleStore, books: Books, window: int) -> Iterator[StoredReport]:
    """Yield the data of the accepted report of a window, if a store has it."""
    report = books.reports.get(window)
    found = store.report(report.data_hash) if report is not None else None
    if found is not None:
        yield found


def _spec_source() -> Callable[[bytes], Spec | None]:
    held = {spec_hash(encode_spec(the_spec())): the_spec()}
    return held.get


async def _opened(database: str) -> WatchedStore:
    """Open the database; a server that is down is waited for, as whoever restarts a keeper does."""
    while True:
        try:
            return WatchedStore.open(database)
        except StoreError:
            if "://" not in database:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def _served(work: Callable[[], Awaitable[T]]) -> T:
    """Do what takes the database, as often as it takes until that answers."""
    while True:
        try:
            return await work()
        except StoreUnavailableError:
            await asyncio.sleep(POLL_SECONDS)


async def _patient(refresh: Callable[[], Any]) -> Any:
    """Look at the chain until it can be read: the process under test waits as an operator would."""
    while True:
        try:
            return await refresh()
        except ChainError:
            await asyncio.sleep(POLL_SECONDS)


async def _work(order: Order, scene: Scene) -> None:
    points = CrashPoints(order.crash)
    watch(points)
    random.seed(order.seed)
    async with AsyncExitStack() as stack:
        await Victim(order, scene, points, stack).run()


def main(order: str, scene: str, log: str) -> None:
    """Run a victim to its end; what it logs goes to a file."""
    told = Order.from_json(order)
    if told.file_limit:
        # What it logs must not fail: it is not the log's disk that is full.
        log = os.devnull
        resource.setrlimit(resource.RLIMIT_FSIZE, (told.file_limit, resource.RLIM_INFINITY))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_work(told, Scene.from_json(json.loads(scene))))
    sys.exit(BROKEN)
