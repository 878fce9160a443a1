"""Opens everything that a keeper needs and joins it; the one place where its parts meet."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import APIRouter, FastAPI

from workdeed.chain.bindings.codec import read
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.books import Books
from workdeed.chain.clock import ChainClock
from workdeed.chain.deployment import Deployment, load_deployment
from workdeed.chain.fees import GWEI, FeeSettings
from workdeed.chain.follower import (
    Follower,
    FollowerBehindError,
    FollowerSettings,
    FollowerUpdate,
)
from workdeed.chain.keys import KeySource, LocalSigner, Signer
from workdeed.chain.leases import Lease
from workdeed.chain.mirror import Mirror, MirrorUpdate
from workdeed.chain.outbox import Outbox, OutboxSettings
from workdeed.chain.rpc import Rpc, RpcClient
from workdeed.chain.sources import AgreeingRpcs, LogSource
from workdeed.chain.store import Store
from workdeed.keeper.app import AppParts, Readiness, create_app
from workdeed.keeper.candidates import CandidateFinder, candidate_routes
from workdeed.keeper.claims import ClaimRule
from workdeed.keeper.dispatch import Dispatcher
from workdeed.keeper.dryrun import DryOutbox
from workdeed.keeper.effects import EffectDesk, Sending
from workdeed.keeper.errors import StartError
from workdeed.keeper.gas import GasWatch
from workdeed.keeper.job_routes import JobPages, job_routes
from workdeed.keeper.journal import PlacementJournal
from workdeed.keeper.journals import check_file_journal
from workdeed.keeper.leases import Leases
from workdeed.keeper.logs import Log, OnceLog
from workdeed.keeper.loop import Duty, Loop
from workdeed.keeper.mesh import Mesh
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.oraclemeter import OracleMeter
from workdeed.keeper.peers import AddressBook
from workdeed.keeper.placement_routes import placement_routes
from workdeed.keeper.placements import Following, Leading, Member, Tools
from workdeed.keeper.profilesync import ProfileSync
from workdeed.keeper.progress import CatchUp
from workdeed.keeper.reach import Waits
from workdeed.keeper.replicas import Lookout
from workdeed.keeper.reportdata import ReportSource
from workdeed.keeper.reports import Reports
from workdeed.keeper.rollouts import Asking, Rollouts
from workdeed.keeper.rpcs import CheckedRpc, FailoverRpc, Health, MeteredRpc
from workdeed.keeper.rules import Rules
from workdeed.keeper.settings import KeeperSettings
from workdeed.keeper.settling import OwnCloses, Settling
from workdeed.keeper.snapshots import SnapshotError, Snapshots, Strikes
from workdeed.keeper.spares import SpareWatch
from workdeed.keeper.specs import SpecReader, SpecStore
from workdeed.keeper.specsync import SpecSync
from workdeed.keeper.stagger import Stagger
from workdeed.keeper.statuses import Statuses
from workdeed.keeper.storage import free_bytes
from workdeed.keeper.view import View
from workdeed.keeper.waking import HeadWatch
from workdeed.node.errors import NodeError
from workdeed.node.server import HttpServer
from workdeed.oracle.assembly import Oracle, OracleSetup
from workdeed.oracle.errors import OracleError
from workdeed.oracle.journal_database import SharedMember
from workdeed.oracle.settings import ProbeSettings, RoundRules, max_skew
from workdeed.oracle.snapshots import ChainReader
from workdeed.placement import Profiles
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, ESCROW_DOMAIN
from workdeed.protocol.limits import MAX_WINDOWS
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.session import check_chain

DRIFT_BLOCKS = 3
"""Blocks by which the keeper's idea of the chain's time may run ahead of the head."""

KEPT_WINDOWS = MAX_WINDOWS + 2
"""Windows of events in memory: no report settles older ones, and no strike is counted by them."""

MESH_SECONDS = 10.0
"""Time between two looks whether the other members answer."""


@dataclass(frozen=True)
class Base:
    """What everything else rests on: the chain, keys, files, and how others are reached."""

    settings: KeeperSettings
    deployment: Deployment
    suite: Suite
    rpc: Rpc
    store: Store
    leases: Leases
    mirror: Mirror
    clock: ChainClock
    sender: Signer | None
    member: Signer | None
    specs: SpecStore
    read_spec: SpecReader
    addresses: AddressBook
    endpoints: Endpoints
    log: Log
    once: OnceLog
    metrics: Metrics

    @property
    def member_address(self) -> str | None:
        """The member key's address, None without one."""
        return self.member.address if self.member else None


async def open_base(
    settings: KeeperSettings, stack: AsyncExitStack, log: Log, metrics: Metrics
) -> Base:
    """Open chain, database and files, and read the chain up to its head.

    Raises:
        KeeperError, ChainError, SdkError: if something is missing or wrong; one sentence each.

    """
    once = OnceLog(log)
    deployment = load_deployment(settings.chain.deployment, settings.chain.chain_id)
    sender, member = _signer(settings.keys.sender), _signer(settings.keys.member)
    _make_folder(settings.state_dir)
    metrics.state_free.set_function(partial(free_bytes, settings.state_dir))
    health = Health(once, metrics)
    rpcs = [
        MeteredRpc(CheckedRpc(RpcClient(url), deployment.chain_id), health)
        for url in settings.chain.rpc_urls
    ]
    rpc = FailoverRpc(rpcs, health)
    stack.push_async_callback(rpc.close)
    await check_chain(rpc, deployment)
    store = Store.open(settings.database)
    stack.push_async_callback(store.close)
    suite = Suite.of(deployment)
    agree = settings.chain.agreeing
    source = AgreeingRpcs(rpcs, agree, health.odd) if agree > 1 else rpc
    leases = Leases(store, settings.lease, deployment.chain_id, log, metrics)
    reading = leases.follower()
    if reading is not None:
        await stack.enter_async_context(reading)
    follower = _follower(settings, deployment, suite, source, store, reading)
    mirror = Mirror(follower, suite.escrow.address, keep_seconds=KEPT_WINDOWS * deployment.window)
    specs = SpecStore(settings.state_dir / "specs")
    endpoints = Endpoints(
        allow_private=settings.allow_private_endpoints,
        trusted=[*settings.peers.values(), *settings.specs_from],
    )
    stack.push_async_callback(endpoints.close)
    clock = ChainClock(deployment.clock, max_drift=DRIFT_BLOCKS * settings.chain.block_seconds)
    with CatchUp(log, deployment.start_block) as on_page:
        clock.observe((await _first_look(mirror, on_page, settings, once)).head)
    return Base(
        settings=settings,
        deployment=deployment,
        suite=suite,
        rpc=rpc,
        store=store,
        leases=leases,
        mirror=mirror,
        clock=clock,
        sender=sender,
        member=member,
        specs=specs,
        read_spec=SpecReader(specs),
        addresses=AddressBook(settings.peers, settings.specs_from),
        endpoints=endpoints,
        log=log,
        once=once,
        metrics=metrics,
    )


@dataclass(frozen=True)
class Parts:
    """A whole keeper.

    Attributes:
        loop: its rounds.
        server: where it listens.
        app: what it answers there.
        dispatcher: what goes on beside the rounds.
        heads: listens for new blocks, None without an address for that.
        oracle: None unless it is one.

    """

    loop: Loop
    server: HttpServer
    app: FastAPI
    dispatcher: Dispatcher
    heads: HeadWatch | None
    oracle: Oracle | None


async def assemble(base: Base, stack: AsyncExitStack) -> Parts:
    """Join all parts of a keeper over `base`.

    Raises:
        KeeperError, ChainError: if journals, the sender's lock or the port cannot be had.

    """
    builder = _Builder(base, stack)
    desk = await builder.desk()
    oracle = await builder.oracle()
    dispatcher = builder.dispatcher()
    # First comes what somebody waits for: duties start in this order.
    duties = [Duty("dispatch", dispatcher.run)] if base.settings.duties.dispatch else []
    duties += builder.rollout_duties()
    duties += [*builder.oracle_duties(oracle, desk), *await builder.duties(oracle, desk)]
    loop = Loop(
        base.mirror,
        base.clock,
        duties,
        desk,
        on_rewound=builder.rewound,
        poll_seconds=base.settings.chain.poll_seconds,
        log=base.log,
        once=base.once,
        metrics=base.metrics,
    )
    builder.loop = loop
    server, app = builder.server()
    ws_url = base.settings.chain.ws_url
    heads = HeadWatch(ws_url, loop.alarm.ring, base.once) if ws_url is not None else None
    return Parts(loop, server, app, dispatcher, heads, oracle)


class _Builder:
    """Builds the parts one by one; what is closable goes onto the stack."""

    def __init__(self, base: Base, stack: AsyncExitStack) -> None:
        self._base = base
        self._stack = stack
        self._reader = ChainReader(
            base.rpc, base.mirror, base.clock, first_block=base.deployment.start_block
        )
        self._readiness: list[Readiness] = []
        self._routers: list[APIRouter] = []
        self._statuses = Statuses(base.endpoints)
        stack.push_async_callback(self._statuses.close)
        self._is_active: Callable[[], bool] = lambda: True
        self.loop: Loop | None = None

    def view(self) -> View | None:
        """Return the latest view of the loop."""
        return self.loop.view if self.loop is not None else None

    def rewound(self, block: int) -> None:
        """Forget the snapshots above a block."""
        self._reader.rewound(block)

    async def oracle(self) -> Oracle | None:
        """Open the oracle, if this keeper is one; its lease goes along with the desk's."""
        base, rules = self._base, self._base.settings.oracle
        if not rules.enabled or base.member is None:
            return None
        setup = OracleSetup(
            state_dir=base.settings.state_dir,
            domain=base.deployment.domain(COMMITTEE_DOMAIN),
            rules=RoundRules(
                turn_seconds=rules.turn_seconds,
                open_windows=rules.open_windows,
                recovery_windows=rules.recovery_windows,
                report_idle=rules.report_idle,
            ),
            probes=ProbeSettings(
                interval=rules.probe_interval,
                timeout=rules.probe_timeout,
                grace_windows=rules.grace_windows,
                max_skew=max_skew(base.settings.chain.block_seconds, base.deployment.window),
            ),
            endpoints=base.settings.peers,
            allow_private_endpoints=base.settings.allow_private_endpoints,
        )
        shared = await self._shared_member(base.member.address)
        try:
            oracle = Oracle.open(
                setup,
                chain=self._reader,
                signer=base.member,
                specs=base.read_spec,
                meter=OracleMeter(base.metrics),
                shared=shared,
            )
        except OracleError as error:
            raise StartError(str(error)) from error
        self._stack.push_async_callback(oracle.close)
        self._is_active = lambda: oracle.service.may_speak
        self._routers.append(oracle.router())
        return oracle

    async def _shared_member(self, member: str) -> SharedMember | None:
        """Take the lease on acting for the member, or stand by; None where it has a file."""
        base = self._base
        if base.settings.oracle.journal == "file":
            await check_file_journal(base.store, base.deployment, member)
            return None
        lease = base.leases.member(member)
        if lease is None:
            raise StartError("oracle.journal: the database is not shared; set it to PostgreSQL")
        return SharedMember(base.store, await self._stack.enter_async_context(lease))

    async def desk(self) -> EffectDesk:
        """Open the outbox, if there is a key to send with."""
        base = self._base
        outbox: Sending | None = None
        if base.sender is not None and base.settings.dry_run:
            outbox = DryOutbox(base.rpc, base.sender.address, base.log)
        elif base.sender is not None:
            outbox = await self._stack.enter_async_context(
                Outbox(
                    base.rpc,
                    base.store,
                    base.sender,
                    chain_id=base.deployment.chain_id,
                    settings=_outbox_settings(base.settings),
                    lease=base.leases.sender(base.sender.address),
                )
            )
        return EffectDesk(outbox, lambda: base.mirror.books, base.log, base.once, base.metrics)

    def dispatcher(self) -> Dispatcher:
        """Return what hands specs to nodes."""
        base = self._base
        dispatcher = Dispatcher(
            base.suite.escrow.address,
            base.addresses,
            base.endpoints,
            self._statuses,
            base.specs,
            base.once,
            base.metrics,
            verify_seconds=base.settings.dispatch.verify_seconds,
        )
        self._stack.push_async_callback(dispatcher.close)
        return dispatcher

    def rollout_duties(self) -> list[Duty]:
        """Return the duty to roll out revisions, if there is a member key, and tell of rollouts."""
        base = self._base
        lookout = Lookout(base.suite.escrow.address, base.addresses, self._statuses)
        acts = base.member is not None and base.settings.duties.rollouts
        self._routers.append(job_routes(JobPages(self.view, lookout, base.read_spec, acts)))
        if base.member is None or not acts:
            base.log.info("no_rollouts", reason="keys.member or duties.rollouts is not set")
            return []
        domain = base.deployment.domain(COMMITTEE_DOMAIN)
        asking = Asking(base.member, domain, lookout.escrow, base.endpoints)
        duty = Rollouts(asking, lookout, base.read_spec, base.log, base.once, base.metrics)
        self._stack.push_async_callback(duty.close)

        async def roll_out(view: View) -> None:
            # Of the two keepers of a member, only the one that acts for it gives its word.
            if self._is_active():
                await duty.run(view)

        return [Duty("rollouts", roll_out)]

    def oracle_duties(self, oracle: Oracle | None, desk: EffectDesk) -> list[Duty]:
        """Return the duties of a committee member."""
        base = self._base
        if oracle is None or base.member is None:
            return []
        mesh = Mesh(
            base.endpoints,
            base.addresses,
            base.member.address,
            Rules.of(base.settings),
            base.once,
            pause=MESH_SECONDS,
        )
        self._readiness.append(
            Readiness("committee", lambda: mesh.trouble(view) if (view := self.view()) else "")
        )

        async def tick(_: View) -> None:
            await oracle.service.tick()

        duties = [Duty("oracle", tick), Duty("mesh", mesh.run)]
        if base.settings.duties.reports:
            reports = Reports(base.suite.committee, oracle.service.submission, desk)
            duties.append(Duty("reports", reports.run))
        if base.settings.duties.placements:
            duties += self._placement_duties(oracle, base.member, desk)
        return duties

    async def duties(self, oracle: Oracle | None, desk: EffectDesk) -> list[Duty]:
        """Return the duties of every keeper."""
        base = self._base
        sync = SpecSync(
            base.specs,
            base.addresses,
            base.endpoints,
            base.once,
            base.metrics,
            base.member_address,
        )
        duties = [Duty("specs", sync.run)]
        if base.sender is None:
            return duties
        own = oracle.service.archive.report if oracle is not None else None
        source = ReportSource(base.endpoints, base.addresses, own, base.member_address)
        duties.append(Duty("settling", self._settling(source, desk).run))
        gas = GasWatch(base.rpc, base.sender.address, base.once, base.metrics)
        duties.append(Duty("gas", gas.run))
        if base.settings.closes.own_unattested:
            grace: int = await read(base.rpc, base.suite.desk.close_grace())
            closes = OwnCloses(base.suite.desk, desk, base.sender.address, grace)
            duties.append(Duty("own-closes", closes.run))
        return duties

    def server(self) -> tuple[HttpServer, FastAPI]:
        """Bind the port; return what listens there and what answers."""
        base, loop = self._base, self.loop
        if loop is None:
            raise StartError("loop: it must be made before the server")
        stale = 3 * base.settings.chain.poll_seconds + 10

        def chain_trouble() -> str:
            age = loop.age
            if age is None or age > stale:
                return "the chain was not read lately; see the log"
            return ""

        parts = AppParts(
            specs=base.specs,
            metrics=base.metrics,
            rules=Rules.of(base.settings),
            wake=loop.alarm.ring,
            view=self.view,
            readiness=[
                Readiness("chain", chain_trouble),
                *base.leases.readiness,
                *self._readiness,
            ],
            routers=self._routers,
            is_active=self._is_active,
        )
        try:
            server = HttpServer(base.settings.http.host, base.settings.http.port)
        except NodeError as error:
            raise StartError(f"http.{error}") from error
        self._stack.push_async_callback(server.close)
        return server, create_app(parts)

    def _settling(self, source: ReportSource, desk: EffectDesk) -> Settling:
        settings = self._base.settings
        stagger = Stagger(self._base.member_address, settings.oracle.turn_seconds)
        payees = settings.claims.payees
        rule = ClaimRule(
            payees if payees == "all" else frozenset(payees), settings.claims.min_amount, stagger
        )
        return Settling(
            self._base.suite.escrow,
            source,
            desk,
            rule if settings.duties.claims else None,
            stagger if settings.duties.closes else None,
        )

    def _placement_duties(self, oracle: Oracle, member: Signer, desk: EffectDesk) -> Sequence[Duty]:
        base = self._base
        turn_seconds = base.settings.oracle.turn_seconds
        journal = PlacementJournal(base.settings.state_dir / "placements.db", member.address)
        self._stack.callback(journal.close)
        profiles = Profiles(base.deployment.domain(COMMITTEE_DOMAIN))
        waits = Waits.of(turn_seconds)
        tools = Tools(
            snapshots=self._snapshots(oracle, profiles),
            journal=journal,
            addresses=base.addresses,
            members=self._client(waits.member),
            nodes=self._client(waits.node),
            clock=base.clock,
            log=base.log,
            once=base.once,
            metrics=base.metrics,
        )
        seat = Member(member, base.deployment.domain(ESCROW_DOMAIN), turn_seconds)
        leading = Leading(base.suite.escrow, seat, tools, desk)
        # A client of its own, so that nodes that are gone take nobody's connections.
        asking = self._client(waits.profile)
        sync = ProfileSync(profiles, base.addresses, asking, base.once, patience=waits.node)
        following = Following(seat, tools, leading, self.view, sync.prepare)
        service = oracle.service
        self._routers.append(placement_routes(following, lambda: service.may_speak))
        self._routers.append(candidate_routes(CandidateFinder(profiles, self.view)))
        spares = SpareWatch(
            profiles,
            base.read_spec,
            base.settings.placement.min_spares,
            base.once,
            base.metrics,
        )

        async def lead(view: View) -> None:
            if service.may_speak:
                await leading.run(view)

        return [
            Duty("profiles", sync.run),
            Duty("placements", lead),
            Duty("spares", spares.run),
        ]

    def _client(self, timeout: float) -> Endpoints:
        base = self._base
        client = Endpoints(
            allow_private=base.settings.allow_private_endpoints,
            trusted=base.settings.peers.values(),
            timeout=timeout,
        )
        self._stack.push_async_callback(client.close)
        return client

    def _snapshots(self, oracle: Oracle, profiles: Profiles) -> Snapshots:
        base = self._base

        async def strikes(books: Books) -> Strikes:
            try:
                return await oracle.service.strikes(books, base.settings.placement.k)
            except OracleError as error:
                raise SnapshotError(str(error)) from error

        return Snapshots(
            base.rpc,
            lambda: base.mirror.history,
            base.clock.windows,
            profiles,
            base.read_spec,
            strikes,
            base.settings.placement.k,
        )


def _follower(
    settings: KeeperSettings,
    deployment: Deployment,
    suite: Suite,
    source: LogSource | Rpc,
    store: Store,
    lease: Lease | None,
) -> Follower:
    return Follower(
        source,
        store,
        suite,
        chain_id=deployment.chain_id,
        start_block=deployment.start_block,
        settings=FollowerSettings(confirmations=settings.chain.confirmations),
        lease=lease,
    )


async def _first_look(
    mirror: Mirror,
    on_page: Callable[[FollowerUpdate], None],
    settings: KeeperSettings,
    once: OnceLog,
) -> MirrorUpdate:
    """Read the chain up to its head, or wait until the keeper that reads it is there."""
    while True:
        try:
            return await mirror.refresh(on_page)
        except FollowerBehindError as error:
            once.trouble("chain", str(error))
            await asyncio.sleep(settings.chain.poll_seconds)


def _outbox_settings(settings: KeeperSettings) -> OutboxSettings:
    fees = settings.fees
    return OutboxSettings(
        fees=FeeSettings(
            max_fee=int(fees.max_fee_gwei * GWEI),
            priority_fee=int(fees.priority_fee_gwei * GWEI),
        ),
        confirmations=settings.chain.confirmations,
        bump_after_blocks=fees.bump_after_blocks,
    )


def _signer(source: KeySource | None) -> Signer | None:
    return LocalSigner.from_source(source) if source is not None else None


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"state_dir: {path} cannot be made ({error.strerror}); choose another"
        ) from error
