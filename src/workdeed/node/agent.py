"""The reconcile loop: what was dispatched, held against the chain, again and again.

The caller of a dispatch is not trusted, the chain is. Where the chain can't be read, what runs
goes on and nothing is started.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import structlog

from workdeed.intent import Spec, SpecError, parse_spec
from workdeed.node.admission import check_class, check_room
from workdeed.node.beside import Beside
from workdeed.node.chain_view import ChainView, Moment, PairView
from workdeed.node.disk import Reserve
from workdeed.node.drivers.base import Driver, TaskKey
from workdeed.node.errors import (
    BusyError,
    ChainUnsureError,
    DispatchRefusedError,
    NodeError,
    RequestRefusedError,
    RunnerError,
    SecretsError,
)
from workdeed.node.health import HealthProbe
from workdeed.node.holds import Holds
from workdeed.node.identity import NodeIdentity
from workdeed.node.jobs import Job, JobTools
from workdeed.node.leftovers import Held, Leftovers, job_prefix
from workdeed.node.lifecycle import Cause, State
from workdeed.node.pod import Gate, Pod
from workdeed.node.ports import PortAllocator
from workdeed.node.proofs import Pair, ProofKeeper
from workdeed.node.records import JobRecord, JobStore, Revision
from workdeed.node.runners.base import Runner
from workdeed.node.secrets import NO_SECRETS, Opened, Safe
from workdeed.node.tasks import put_down
from workdeed.node.values import NodeFacts
from workdeed.node.verdict import Action, barred, decide, refusal
from workdeed.node.volumes import Volumes
from workdeed.node.workload import Pauses, Tools
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
        self._jobs: dict[int, Job] = {}
        self._retired: dict[int, JobRecord] = {}
        self._left_alone: list[JobRecord] = []
        """Jobs that can't be looked after here; what they run and hold is not touched."""
        self._leftovers = Leftovers(parts.drivers, parts.runners, parts.volumes, self._held)
        self._ending: dict[int, int] = {}
        self._in_place: dict[int, int] = {}
        """The highest block at which each job was seen to be served by this node."""
        self._barred_at: int | None = None
        self._allowed_at = 0
        """The highest block at which nothing spoke against the license."""
        self._problem = "the chain was not read yet"
        self._own_problem = "the drivers were not looked at yet"
        self._told = ""
        self._reported = 0
        self._lock = asyncio.Lock()
        self._enders: dict[int, asyncio.Task[None]] = {}
        self._suspenders: dict[int, asyncio.Task[None]] = {}
        self._unsuspended: set[int] = set()
        """Jobs of which something may still run though a bar ought to have ended it."""
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
        return [job for _, job in sorted(self._jobs.items())]

    def job(self, job_id: int) -> Job:
        """Return a job that this node runs.

        Raises:
            RequestRefusedError: if it runs no such job.

        """
        job = self._jobs.get(job_id)
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
            under_way = [*self._enders.values(), *self._suspenders.values()]
            if under_way:
                await asyncio.wait(under_way, timeout=PATIENCE_SECONDS)
            for task in under_way:
                await put_down(task)  # the next start goes on with it
            jobs = list(self._jobs.values())
            ends = (_end_with_agent(job, stop=stop_workloads) for job in jobs)
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
        await self._end_left_alone(dispatch.job_id, spec)
        if dispatch.job_id in self._enders:
            # It came back while it was being ended.
            await asyncio.wait([self._enders[dispatch.job_id]], timeout=PATIENCE_SECONDS)
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
            job_ids = sorted(self._jobs)
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
                if job_id in self._jobs:
                    self._note_payer(self._jobs[job_id], pair)
                    self._apply(self._jobs[job_id], pair, moment)
            self._hold_back(bar, moment)
        self._problem = bar
        self._beside.begin("proofs", lambda: self._collect_proofs(moment))

    def _resume(self, record: JobRecord) -> None:
        """Take up a job of an earlier run; whatever is wrong with one, the others are served."""
        ours = record.escrow == self._options.escrow
        if record.retired is not None:
            if ours:
                self._retired[record.job_id] = record
        elif not ours:
            self._left_alone.append(record)
            _log.warning("agent: a job of another escrow is left alone", job=record.job_id)
        else:
            try:
                self._jobs[record.job_id] = self._job(record)
                self._see_in_place(record.job_id, record.confirmed)
            except (SpecError, RunnerError) as error:
                self._leave_alone(record, error)

    def _begin(self, job: Job) -> None:
        try:
            job.begin()
        except Exception as error:
            del self._jobs[job.record.job_id]
            self._leave_alone(job.record, error)
            return
        if not job.record.has_stops:
            # A crash may have come between a command and what it does to the payer's word.
            with contextlib.suppress(OSError):
                self._parts.holds.forget(job.record.job_id)

    def _leave_alone(self, record: JobRecord, error: Exception) -> None:
        self._left_alone.append(record)
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
        job.allow_starts(verdict.action is Action.RUN)
        if verdict.action is not Action.STOP and record.retired is None:
            self._ending.pop(record.job_id, None)
            self._see_in_place(record.job_id, moment.number)
            return
        if record.retired is None and moment.number < self._in_place.get(record.job_id, 0):
            return  # an RPC that is behind, or says so, shows what was before
        # What one block says may be gone with it: an end must stand in two.
        seen = self._ending.setdefault(record.job_id, moment.number)
        if moment.number > seen and record.job_id not in self._enders:
            last = min(view.until, view.end or view.until, moment.window)
            ender = asyncio.create_task(self._retire(job, last, verdict.reason))
            self._enders[record.job_id] = ender

    def _note_payer(self, job: Job, view: PairView) -> None:
        """Remember who pays: without the chain, what crashes needs its secrets all the same."""
        if view.exists and view.payer != job.record.payer:
            job.record = replace(job.record, payer=view.payer)
            with contextlib.suppress(OSError):  # it is written with the next change
                self._parts.store.save(job.record)

    def _see_in_place(self, job_id: int, number: int) -> None:
        self._in_place[job_id] = max(number, self._in_place.get(job_id, 0))

    def _hold_back(self, bar: str, moment: Moment) -> None:
        """Let jobs start, or none while there is a `bar`; what runs ends once that is certain."""
        if not bar:
            self._barred_at = None
            self._unsuspended.clear()
            self._allowed_at = max(moment.number, self._allowed_at)
            # Only now: what the chain no longer wants must not start in between.
            self._gate.open()
            return
        self._gate.close(bar)
        if moment.number < self._allowed_at:
            return  # an RPC that is behind, or says so, shows what was before
        if self._barred_at is None:
            self._barred_at = moment.number
        if moment.number <= self._barred_at:
            return  # what one block says may be gone with it
        for job_id, job in self._jobs.items():
            runs = job.runs or job_id in self._unsuspended
            if runs and job_id not in self._suspenders and job_id not in self._enders:
                self._suspenders[job_id] = asyncio.create_task(self._suspend(job, bar))

    async def _suspend(self, job: Job, reason: str) -> None:
        """End what runs of a job that stays; if that fails, the next round tries again."""
        job_id = job.record.job_id
        _log.warning("agent: a job is suspended", job=job_id, reason=reason)
        # The job itself knows of nothing that runs once it has stopped watching.
        self._unsuspended.add(job_id)
        try:
            async with job.lock:
                if job.record.retired is None:
                    await job.suspend(reason)
            self._unsuspended.discard(job_id)
        except Exception as error:
            _say_not_ended(job_id, error)
        finally:
            del self._suspenders[job_id]

    async def _retire(self, job: Job, last: int, reason: str) -> None:
        """End a job for good; if that fails, the next round tries again."""
        job_id = job.record.job_id
        try:
            job.record = replace(job.record, retired=last)
            # On a full disk there is room for it only once the job has ended.
            with contextlib.suppress(OSError):
                self._parts.store.save(job.record)
            async with job.lock:
                # Once more: a revision that was being taken up has taken it off.
                job.record = replace(job.record, retired=last)
                await self._end(job, reason)
            self._parts.store.save(job.record)
            self._parts.holds.forget(job_id)
            del self._jobs[job_id]
            self._retired[job_id] = job.record
            self._ending.pop(job_id, None)
            self._in_place.pop(job_id, None)
        except Exception as error:
            _say_not_ended(job_id, error)
        finally:
            del self._enders[job_id]

    async def _end(self, job: Job, reason: str) -> None:
        """End what runs of a job, then remove what it left, now or later.

        Raises:
            DriverError: if something of it may still run.

        """
        await job.leave()
        for pod in reversed(job.pods):
            await pod.halt(Cause.CHAIN, reason)
        try:
            await job.end(reason)
            await self._parts.volumes.discard_job(job.wanted.key)
        except Exception as error:
            # Nothing of it runs any more: what can't be removed must not keep its room booked.
            text = str(error) or type(error).__name__
            _log.error("agent: what a job left stays", job=job.record.job_id, error=text)
            for workload in (one for pod in job.pods for one in pod.workloads.values()):
                self._leftovers.add(workload.key, workload.service.runner)

    async def _collect_proofs(self, moment: Moment) -> None:
        """Keep this node's leaves of a new final report; forget jobs that have none left."""
        try:
            report = await self._parts.chain.final_report(moment)
        except ChainUnsureError:
            return
        if report.window <= self._reported:
            return
        pairs = {(self._options.escrow, job_id) for job_id in (*self._jobs, *self._retired)}
        found, absent = await self._parts.proofs.collect(report, pairs)
        self._forget(absent, report.window)
        if found | absent == pairs:
            self._reported = report.window

    def _forget(self, absent: set[Pair], window: int) -> None:
        for _, job_id in absent:
            record = self._retired.get(job_id)
            if record is not None and record.retired is not None and record.retired < window:
                self._parts.store.remove(record)
                del self._retired[job_id]

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
        job = self._jobs.get(dispatch.job_id)
        if job is None or job.record.retired is not None:
            return None
        wanted = job.record.wanted
        same = wanted.number == dispatch.revision and wanted.spec == dispatch.spec
        return job.wanted.state if same else None

    def _admit(self, dispatch: Dispatch, spec: Spec, payer: str) -> Job | None:
        """Return the job that a spec revises, None where it is a new one; refuse what can't be."""
        job_id = dispatch.job_id
        specs = {number: job.wanted.spec for number, job in self._jobs.items()} | self._revising
        check_room(job_id, spec, specs, self._options.resources)
        try:
            self._parts.safe.open(spec, payer)
        except SecretsError as error:  # it would never start
            raise DispatchRefusedError(str(error), "spec.secrets") from error
        job = self._jobs.get(job_id)
        ending = job_id in self._enders or (job is not None and job.record.retired is not None)
        if ending or job_id in self._revising:
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
            self._see_in_place(dispatch.job_id, moment.number)
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
        self._left_alone = [
            one
            for one in self._left_alone
            if (one.escrow, one.job_id) != (record.escrow, record.job_id)
        ]
        job = self._jobs[job_id] = self._job(record)
        self._ending.pop(job_id, None)
        self._retired.pop(job_id, None)
        self._see_in_place(job_id, moment.number)
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
            others = _ports_of(one for one in self.jobs() if one is not job)
            own = _ports_of([job]) - {preferred}
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

    def _held(self) -> Held:
        """Return what belongs to the jobs of this node, those that are left alone among them."""
        records = [*(job.record for job in self._jobs.values()), *self._left_alone]
        keys: list[TaskKey] = []
        prefixes = []
        for record in records:
            try:
                keys += self._keys(record)
            except SpecError:
                prefixes.append(job_prefix(record.escrow, record.job_id))
        return Held(tuple(keys), tuple(prefixes))

    def _keys(self, record: JobRecord) -> list[TaskKey]:
        license_id = self._parts.identity.license_id
        return [
            TaskKey(record.escrow, record.job_id, license_id, one.number, service)
            for one in record.revisions
            for service in parse_spec(one.spec).services
        ]

    async def _end_left_alone(self, job_id: int, spec: Spec) -> None:
        """End what a job runs that was left alone and is to be taken up anew, by another revision.

        Raises:
            DriverError: if it can't be ended.

        """
        license_id = self._parts.identity.license_id
        for record in self._left_alone:
            if (record.escrow, record.job_id) != (self._options.escrow, job_id):
                continue
            try:
                keys = self._keys(record)
            except SpecError:
                # Those of the new spec are the best guess; the next start finds any others.
                keys = [
                    TaskKey(record.escrow, job_id, license_id, one.number, service)
                    for one in record.revisions
                    for service in spec.services
                ]
            for key in keys:
                for driver in self._parts.drivers.values():
                    await driver.destroy(key)


def _ports_of(jobs: Iterable[Job]) -> set[int]:
    workloads = (one for job in jobs for pod in job.pods for one in pod.workloads.values())
    return {port for one in workloads for port in one.ports.values()}


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


def _say_not_ended(job_id: int, error: Exception) -> None:
    """Log why a job still runs; what nobody reckoned with comes with where it happened."""
    expected = isinstance(error, NodeError | OSError)
    text = str(error) or type(error).__name__
    _log.error("agent: a job can't be ended", job=job_id, error=text, exc_info=not expected)
