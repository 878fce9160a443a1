"""The reconcile loop: what was dispatched, held against the chain, again and again.

The caller of a dispatch is not trusted, the chain is. Where the chain can't be read, what runs
goes on and nothing is started.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, replace

import structlog

from workdeed.intent import Spec, SpecError, parse_spec
from workdeed.node.admission import check_class, check_room
from workdeed.node.beside import Beside
from workdeed.node.chain_view import ChainView, Moment, PairView
from workdeed.node.disk import Reserve
from workdeed.node.drivers.base import Driver
from workdeed.node.endings import Endings
from workdeed.node.errors import (
    BusyError,
    ChainUnsureError,
    DispatchRefusedError,
    RequestRefusedError,
    RunnerError,
    SecretsError,
)
from workdeed.node.health import HealthProbe
from workdeed.node.holds import Holds
from workdeed.node.identity import NodeIdentity
from workdeed.node.jobs import Job, JobTools
from workdeed.node.leftovers import Leftovers
from workdeed.node.lifecycle import State
from workdeed.node.pod import Gate, Pod
from workdeed.node.ports import PortAllocator
from workdeed.node.proofs import Pair, ProofKeeper
from workdeed.node.records import JobRecord, JobStore, Revision
from workdeed.node.roster import Roster, ports_of
from workdeed.node.runners.base import Runner
from workdeed.node.secrets import NO_SECRETS, Opened, Safe
from workdeed.node.sightings import Sightings
from workdeed.node.surroundings import Pauses, Tools
from workdeed.node.tasks import put_down
from workdeed.node.values import NodeFacts
from workdeed.node.verdict import Action, barred, decide, refusal
from workdeed.node.volumes import Volumes
from workdeed.protocol.messages import Dispatch, Resources

_log = structlog.get_logger(__name__)

_DISPATCHES_AT_ONCE = 4
PATIENCE_SECONDS = 5.0
"""How long one may wait for what else is done to a job."""


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How the agent behaves.

    Attributes:
        escrow: the escrow whose jobs it serves.
        resources: what all workloads together may ask for.
        workload_host: where workloads listen.
        poll_seconds: time between two looks at the chain.
        settle_seconds: how long a new revision must have been well to replace the old for good.

    """

    escrow: str
    resources: Resources
    workload_host: str
    poll_seconds: float
    pauses: Pauses
    settle_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the agent works with; wired in `run`."""

    identity: NodeIdentity
    chain: ChainView
    drivers: Mapping[str, Driver]
    runners: Mapping[str, Runner]
    health: HealthProbe
    ports: PortAllocator
    store: JobStore
    proofs: ProofKeeper
    volumes: Volumes
    safe: Safe
    reserve: Reserve
    holds: Holds


class Agent:
    """Runs the jobs that the chain assigns to one license."""

    def __init__(self, options: AgentOptions, parts: Parts) -> None:
        """Make an agent; nothing happens before `start`."""
        self._options = options
        self._parts = parts
        self._gate = Gate()
        self._roster = Roster(parts.identity.license_id)
        self._leftovers = Leftovers(parts.drivers, parts.runners, parts.volumes, self._roster.held)
        self._endings = Endings(
            self._roster, parts.store, parts.holds, parts.volumes, self._leftovers
        )
        self._sightings: defaultdict[int, Sightings] = defaultdict(Sightings)
        """What was seen of each job: is it over?"""
        self._bar = Sightings()
        """What was seen of the license: may the node run nothing for it?"""
        self._problem = "the chain was not read yet"
        self._own_problem = "the drivers were not looked at yet"
        self._told = ""
        self._reported = 0
        self._lock = asyncio.Lock()
        self._revising: dict[int, Spec] = {}
        """What jobs are to run next, while that is being taken up."""
        self._beside = Beside()
        self._dispatches = asyncio.Semaphore(_DISPATCHES_AT_ONCE)
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def identity(self) -> NodeIdentity:
        """Who this node is."""
        return self._parts.identity

    @property
    def proofs(self) -> ProofKeeper:
        """The kept proofs."""
        return self._parts.proofs

    @property
    def problem(self) -> str:
        """Why the node is not ready to serve, empty when it is."""
        return self._problem or self._own_problem

    def jobs(self) -> list[Job]:
        """Return all jobs, ascending."""
        return self._roster.all()

    def job(self, job_id: int) -> Job:
        """Return a job that this node runs.

        Raises:
            RequestRefusedError: if it runs no such job.

        """
        job = self._roster.jobs.get(job_id)
        if job is None or job.record.retired is not None:
            raise RequestRefusedError("job_id: this node does not run it; ask one that does", 409)
        return job

    def pods(self) -> list[Pod]:
        """Return all revisions of all jobs, sorted by job and revision."""
        return [pod for job in self.jobs() for pod in job.pods]

    async def start(self) -> None:
        """Resume what an earlier run left, and begin to reconcile.

        Raises:
            StateError: if the memory of the earlier run is damaged.

        """
        for record in self._parts.store.load():
            self._resume(record)
        await self._leftovers.sweep()
        for job in self.jobs():
            self._begin(job)
        look = self._beside.begin("look", self._look_at_itself)
        await asyncio.wait([look], timeout=PATIENCE_SECONDS)
        self._loop_task = asyncio.create_task(self._loop())

    async def close(self, *, stop_workloads: bool) -> None:
        """End the agent; its workloads end with it or run on."""
        if self._loop_task is not None:
            await put_down(self._loop_task)
        await self._beside.close()
        async with self._lock:
            await self._endings.close(PATIENCE_SECONDS)
            ends = (_end_with_agent(job, stop=stop_workloads) for job in self.jobs())
            for outcome in await asyncio.gather(*ends, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    _log.error("agent: a job can't be ended", error=str(outcome))

    async def dispatch(self, dispatch: Dispatch) -> State:
        """Take a spec that the chain confirms; return the state of its workload.

        Raises:
            DispatchRefusedError: if the chain, what is paid or this node's abilities speak against
                it.
            DiskFullError: if there is no room for it.
            ChainUnsureError: if the chain can't be read now.
            BusyError: if too many dispatches are under way, or something else is done to the job.

        """
        spec = self._read_spec(dispatch)
        known = self._standing(dispatch)
        if known is not None:
            return known
        moment, payer = await self._confirm(dispatch, spec)
        await self._parts.reserve.check()
        for key in self._roster.keys_left_alone(dispatch.escrow, dispatch.job_id, spec):
            for driver in self._parts.drivers.values():
                await driver.destroy(key)
        # It may have come back while it was being ended.
        await self._endings.wait(dispatch.job_id, PATIENCE_SECONDS)
        async with self._lock:
            known = self._standing(dispatch)
            if known is not None:
                return known
            job = self._admit(dispatch, spec, payer)
            if job is None:
                return self._take_up(dispatch, moment, payer)
            self._revising[dispatch.job_id] = spec
        # Without the lock: what is dropped may take long to end, and the others must not wait.
        try:
            return await self._revise(job, dispatch, moment, payer)
        finally:
            del self._revising[dispatch.job_id]

    async def _confirm(self, dispatch: Dispatch, spec: Spec) -> tuple[Moment, str]:
        """Return a moment at which the chain wants this spec here, and who pays for it.

        Raises:
            DispatchRefusedError, ChainUnsureError, BusyError: as `dispatch` does.

        """
        if self._dispatches.locked():
            raise BusyError("dispatch: too many at once; send it again in a moment")
        async with self._dispatches:
            moment = await self._parts.chain.moment()
            (view,) = await self._parts.chain.pairs(moment, [dispatch.job_id])
        refused = refusal(view, moment.window, dispatch.revision, dispatch.spec_hash)
        if refused is not None:
            raise DispatchRefusedError(refused[1], refused[0])
        paid = await self._parts.chain.class_size(moment, view.class_id)
        check_class(spec, view.class_id, paid)
        return moment, view.payer

    async def reconcile(self) -> None:
        """Look at the chain once and do what follows."""
        try:
            moment = await self._parts.chain.moment()
            job_ids = sorted(self._roster.jobs)
            views = await self._parts.chain.pairs(moment, job_ids)
            view = await self._parts.chain.license(moment)
        except ChainUnsureError as error:
            self._gate.close(str(error))
            self._problem = str(error)
            return
        identity = self._parts.identity
        bar = barred(view, identity.license_id, identity.address)
        async with self._lock:
            for job_id, pair in zip(job_ids, views, strict=True):
                if job_id in self._roster.jobs:
                    self._note_payer(self._roster.jobs[job_id], pair)
                    self._apply(self._roster.jobs[job_id], pair, moment)
            self._hold_back(bar, moment)
        self._problem = bar
        self._beside.begin("proofs", lambda: self._collect_proofs(moment))

    def _resume(self, record: JobRecord) -> None:
        """Take up a job of an earlier run; whatever is wrong with one, the others are served."""
        ours = record.escrow == self._options.escrow
        if record.retired is not None:
            if ours:
                self._roster.retired[record.job_id] = record
        elif not ours:
            self._roster.left_alone.append(record)
            _log.warning("agent: a job of another escrow is left alone", job=record.job_id)
        else:
            try:
                self._roster.jobs[record.job_id] = self._job(record)
                self._sightings[record.job_id].stands(record.confirmed)
            except (SpecError, RunnerError) as error:
                self._leave_alone(record, error)

    def _begin(self, job: Job) -> None:
        try:
            job.begin()
        except Exception as error:
            del self._roster.jobs[job.record.job_id]
            self._leave_alone(job.record, error)
            return
        if not job.record.has_stops:
            # A crash may have come between a command and what it does to the payer's word.
            with contextlib.suppress(OSError):
                self._parts.holds.forget(job.record.job_id)

    def _leave_alone(self, record: JobRecord, error: Exception) -> None:
        self._roster.left_alone.append(record)
        text = str(error) or type(error).__name__
        _log.error("agent: a job can't be resumed and is left alone", job=record.job_id, error=text)

    async def _loop(self) -> None:
        while True:
            try:
                await self.reconcile()
            except Exception:
                _log.exception("agent: a round failed")
                self._problem = "the last look at the chain failed; see the agent's log"
                # What the chain wants is not known: nothing may be started.
                self._gate.close(self._problem)
            self._tell_problem()
            self._beside.begin("leftovers", self._leftovers.again)
            self._beside.begin("look", self._look_at_itself)
            await asyncio.sleep(self._options.poll_seconds)

    def _tell_problem(self) -> None:
        """Log what is wrong when that begins, and when it is over."""
        if self.problem and not self._told:
            _log.warning("agent: not ready", reason=self.problem)
        elif self._told and not self.problem:
            _log.info("agent: ready again")
        self._told = self.problem

    async def _look_at_itself(self) -> None:
        """Find out whether the node can run anything; an engine that hangs takes its time."""
        found = [await driver.fingerprint() for driver in self._parts.drivers.values()]
        if any(one.available for one in found):
            self._own_problem = await self._parts.reserve.problem()
        else:
            self._own_problem = f"drivers: {'; '.join(one.reason for one in found)}"

    def _apply(self, job: Job, view: PairView, moment: Moment) -> None:
        record = job.record
        wanted = record.wanted
        verdict = decide(view, moment.window, wanted.number, wanted.spec_hash)
        job.judge_starts(lambda one: decide(view, moment.window, one.number, one.spec_hash))
        seen = self._sightings[record.job_id]
        if verdict.action is not Action.STOP and record.retired is None:
            seen.stands(moment.number)
        elif record.retired is not None or seen.is_over(moment.number):
            last = min(view.until, view.end or view.until, moment.window)
            self._endings.retire(job, last, verdict.reason)

    def _note_payer(self, job: Job, view: PairView) -> None:
        """Remember who pays: without the chain, what crashes needs its secrets all the same."""
        if view.exists and view.payer != job.record.payer:
            job.record = replace(job.record, payer=view.payer)
            with contextlib.suppress(OSError):  # it is written with the next change
                self._parts.store.save(job.record)

    def _hold_back(self, bar: str, moment: Moment) -> None:
        """Let jobs start, or none while there is a `bar`; what runs ends once that is certain."""
        if not bar:
            self._bar.stands(moment.number)
            self._endings.resume()
            # Only now: what the chain no longer wants must not start in between.
            self._gate.open()
            return
        self._gate.close(bar)
        if self._bar.is_over(moment.number):
            self._endings.suspend(bar)

    async def _collect_proofs(self, moment: Moment) -> None:
        """Keep this node's leaves of a new final report; forget jobs that have none left."""
        try:
            report = await self._parts.chain.final_report(moment)
        except ChainUnsureError:
            return
        if report.window <= self._reported:
            return
        roster = self._roster
        pairs = {(self._options.escrow, job_id) for job_id in (*roster.jobs, *roster.retired)}
        found, absent = await self._parts.proofs.collect(report, pairs)
        self._forget(absent, report.window)
        if found | absent == pairs:
            self._reported = report.window

    def _forget(self, absent: set[Pair], window: int) -> None:
        for _, job_id in absent:
            record = self._roster.retired.get(job_id)
            if record is not None and record.retired is not None and record.retired < window:
                self._parts.store.remove(record)
                del self._roster.retired[job_id]
                self._sightings.pop(job_id, None)

    def _read_spec(self, dispatch: Dispatch) -> Spec:
        if dispatch.escrow != self._options.escrow:
            text = f"escrow: this node serves {self._options.escrow}; send the job to its nodes"
            raise DispatchRefusedError(text, "escrow")
        try:
            spec = parse_spec(dispatch.spec)
            for service in spec.services.values():
                self.runner(service.runner).check(service)
        except (SpecError, RunnerError) as error:
            raise DispatchRefusedError(f"spec: {error}", "spec") from error
        return spec

    def _standing(self, dispatch: Dispatch) -> State | None:
        """Return the state of exactly this revision if it is wanted already."""
        job = self._roster.jobs.get(dispatch.job_id)
        if job is None or job.record.retired is not None:
            return None
        wanted = job.record.wanted
        same = wanted.number == dispatch.revision and wanted.spec == dispatch.spec
        return job.wanted.state if same else None

    def _admit(self, dispatch: Dispatch, spec: Spec, payer: str) -> Job | None:
        """Return the job that a spec revises, None where it is a new one; refuse what can't be."""
        job_id = dispatch.job_id
        jobs = self._roster.jobs
        specs = {number: job.wanted.spec for number, job in jobs.items()} | self._revising
        check_room(job_id, spec, specs, self._options.resources)
        try:
            self._parts.safe.open(spec, payer)
        except SecretsError as error:  # it would never start
            raise DispatchRefusedError(str(error), "spec.secrets") from error
        job = jobs.get(job_id)
        if (job is not None and self._endings.has(job)) or job_id in self._revising:
            raise BusyError("job_id: it is being ended or revised here; send it again in a moment")
        return job

    async def _revise(self, job: Job, dispatch: Dispatch, moment: Moment, payer: str) -> State:
        """Take another revision of a job that is here."""
        async with hold(job):
            if job.record.retired is not None:
                raise BusyError("job_id: it is being ended here; send it again in a moment")
            if moment.number < job.record.confirmed:
                # An RPC that is behind, or long waiting, must bring back no old revision.
                raise BusyError("revision: the chain has gone on; send the one that stands there")
            self._sightings[dispatch.job_id].stands(moment.number)
            job.record = replace(job.record, confirmed=moment.number, payer=payer)
            await job.revise(Revision(dispatch.revision, dispatch.spec))
            return job.wanted.state

    def _take_up(self, dispatch: Dispatch, moment: Moment, payer: str) -> State:
        """Begin with a job."""
        job_id, number = dispatch.job_id, dispatch.revision
        revisions = (Revision(number, dispatch.spec),)
        record = JobRecord(
            dispatch.escrow,
            job_id,
            revisions,
            serving=number,
            confirmed=moment.number,
            payer=payer,
        )
        self._parts.store.save(record)
        job = self._job(record)
        self._roster.add(job)
        self._sightings[job_id].stands(moment.number)
        job.begin()
        return job.wanted.state

    def _open_secrets(self, job: Job, spec: Spec) -> Opened:
        if spec.secrets is None:
            return NO_SECRETS
        if not job.record.payer:
            raise SecretsError("secrets: the job's payer is not known yet; wait for the chain")
        return self._parts.safe.open(spec, job.record.payer)

    def _job(self, record: JobRecord) -> Job:
        parts, options = self._parts, self._options

        def tools(runner: str) -> Tools:
            return Tools(
                parts.drivers,
                self.runner(runner),
                parts.health,
                parts.volumes,
                options.workload_host,
                options.pauses,
            )

        def allot(given: Collection[int], preferred: int | None) -> int:
            # What another job was given counts though nothing listens there yet; a service of this
            # one may well have its own port again.
            others = self._roster.ports(without=job)
            own = ports_of([job]) - {preferred}
            return parts.ports.allot(others | own | set(given), preferred)

        license_id = parts.identity.license_id
        facts = NodeFacts(str(license_id), parts.identity.address, options.workload_host)
        job = Job(
            record,
            license_id,
            JobTools(
                facts,
                self._gate,
                parts.volumes,
                tools,
                allot,
                lambda spec: self._open_secrets(job, spec),
                parts.store.save,
                options.settle_seconds,
            ),
        )
        for revision in record.revisions:
            for runner in parse_spec(revision.spec).runners:
                self.runner(runner)
        return job

    def runner(self, name: str) -> Runner:
        """Return the runner `name`; raises `RunnerError` if this node has none."""
        runner = self._parts.runners.get(name)
        if runner is None:
            has = ", ".join(sorted(self._parts.runners))
            raise RunnerError(f"runner: this node has {has}, not {name}; place the job elsewhere")
        return runner


@contextlib.asynccontextmanager
async def hold(job: Job) -> AsyncIterator[None]:
    """Hold the lock of a job, and give up soon: it may be held until an engine answers.

    Raises:
        BusyError: if something else is done to the job for long.

    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await job.lock.acquire()
    except TimeoutError:
        raise BusyError("job_id: something else is done to it; ask again in a moment") from None
    try:
        yield
    finally:
        job.lock.release()


async def _end_with_agent(job: Job, *, stop: bool) -> None:
    async with contextlib.AsyncExitStack() as held:
        with contextlib.suppress(BusyError):
            await held.enter_async_context(hold(job))
        await (job.end("the agent ends") if stop else job.leave())
