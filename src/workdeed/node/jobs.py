"""One job on this node: its revisions, and how a new one takes over from the old."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from workdeed.intent import Canary, Recreate, Rolling, Spec, parse_spec
from workdeed.node.drivers.base import TaskKey
from workdeed.node.errors import NodeError
from workdeed.node.lifecycle import Cause
from workdeed.node.pod import Gate, Pod
from workdeed.node.records import End, JobRecord, Pin, Revision
from workdeed.node.secrets import Opened
from workdeed.node.surroundings import Tools
from workdeed.node.tasks import put_down
from workdeed.node.values import NodeFacts
from workdeed.node.verdict import Action, Verdict
from workdeed.node.volumes import Volumes

_log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_REPLACED = "replaced by a newer revision"


@dataclass(frozen=True, slots=True)
class JobTools:
    """What a job works with.

    Attributes:
        facts: what services may be told about the node.
        tools: returns the tools for a runner's name.
        allot: given ports that are taken and the one of the last try, returns a free one.
        secrets: opens those of a spec for this job.
        save: writes the record durably.
        settle_seconds: how long a new revision must have been well before the one before it is
            dropped, under `recreate`; the other policies wait for the keeper's word.

    """

    facts: NodeFacts
    gate: Gate
    volumes: Volumes
    tools: Callable[[str], Tools]
    allot: Callable[[Collection[int], int | None], int]
    secrets: Callable[[Spec], Opened]
    save: Callable[[JobRecord], None]
    settle_seconds: float = 2.0


class Job:
    """Runs the wanted revision of a job; while that is built, the one before it serves on.

    A new revision that can't be built leaves the old one running and says why. One that does not
    get well within its deadline is given up, and the old one, which is kept until then, comes back.
    When it may take over follows from its rollout policy: at once, or at the word of a keeper.
    """

    def __init__(self, record: JobRecord, license_id: int, tools: JobTools) -> None:
        """Take up `record`, which must hold a revision and not be retired, for this license."""
        self.record = record
        self.pods: list[Pod] = []
        self._license_id = license_id
        self._tools = tools
        self.lock = asyncio.Lock()
        """To be held by whoever changes the job from outside: one thing is done at a time."""
        self._rollout: asyncio.Task[None] | None = None
        self._granted = asyncio.Event()
        self._settled = asyncio.Event()

    @property
    def wanted(self) -> Pod:
        """The revision to run in the end."""
        return self.pods[-1]

    @property
    def serving(self) -> Pod:
        """The revision that may run."""
        return next(one for one in self.pods if one.number == self.record.serving)

    def begin(self) -> None:
        """Start or adopt what the record holds."""
        self._forget_stops()
        self._take_up()

    def _take_up(self) -> None:
        """Keep what the record holds; pods that are there already stay."""
        held = {pod.number: pod for pod in self.pods}
        self.pods = [held.get(one.number) or self._pod(one) for one in self.record.revisions]
        if len(self.pods) == 1:
            self.wanted.turn.set()
        self._begin_pods()
        self._roll_out()

    def _begin_pods(self) -> None:
        """Keep running what serves, and what is to serve."""
        given_up = bool(self.record.wanted.failed)
        for pod in self.pods:
            if pod is self.serving or (pod is self.wanted and not given_up):
                pod.begin()

    async def revise(self, revision: Revision) -> None:
        """Take another revision; the last good one serves on until that one takes over.

        Raises:
            DriverError, OSError: if one that is dropped can't be ended, or the change not be
                written; nothing has changed then.

        """
        await self._cancel_rollout()
        kept = self._last_good(revision.number)
        revisions = (*((self.record.of(kept.number),) if kept is not None else ()), revision)
        serving = kept.number if kept is not None else revision.number
        try:
            for pod in [one for one in self.pods if one is not kept]:
                await pod.end(Cause.REPLACED, _REPLACED)
                self.pods.remove(pod)
            self._save(replace(self.record, revisions=revisions, serving=serving, retired=None))
        except (NodeError, OSError):
            self._take_up()
            raise
        for event in (self._granted, self._settled):
            event.clear()
        if kept is not None:
            kept.draining = False
            kept.turn.set()
        self._take_up()

    async def end(self, reason: str) -> None:
        """End all revisions.

        Raises:
            DriverError: if a process can't be ended; the job may be ended again.

        """
        await self._cancel_rollout()
        for pod in reversed(self.pods):
            await pod.end(Cause.CHAIN, reason)

    @property
    def runs(self) -> bool:
        """Whether a process of it runs, as far as is known."""
        return any(one.running for pod in self.pods for one in pod.workloads.values())

    async def suspend(self, reason: str) -> None:
        """End all processes, to start them again once the gate, which must be closed, opens.

        Raises:
            DriverError: if a process can't be ended; the job may be suspended again.

        """
        await self._cancel_rollout()
        try:
            for pod in reversed(self.pods):
                await pod.halt(Cause.CHAIN, reason)
        finally:
            self._begin_pods()
            self._roll_out()

    async def leave(self) -> None:
        """Stop watching; processes run on."""
        await self._cancel_rollout()
        for pod in self.pods:
            await pod.leave()

    def judge_starts(self, judge: Callable[[Revision], Verdict]) -> None:
        """Let start what may, by what `judge` says of each revision.

        One that served already starts again, as after a crash, also while a newer one is due: that
        may be such that no node can run it. One that has yet to take over must be the chain's.
        """
        record = self.record
        for pod in self.pods:
            action, reason = judge(record.of(pod.number))
            served = pod.number != record.wanted.number or pod.number == record.serving
            may = action is Action.RUN or (action is Action.KEEP and served)
            pod.held = "" if may else reason

    # --- The word of a keeper or of the payer ---------------------------------------------------

    def take(self) -> None:
        """Let the wanted revision take over when it is ready."""
        self._granted.set()

    async def abandon(self, reason: str) -> None:
        """Give the wanted revision up for `reason`, and go back to the one before it if it is kept.

        Without one before it, nothing happens: there is nothing to go back to.
        """
        if len(self.pods) < 2 or self.record.wanted.failed:
            return
        await self._cancel_rollout()
        try:
            self._write_off(reason)
        finally:
            self._roll_out()

    async def settle(self) -> bool:
        """Have the revision before the wanted one dropped; return whether that is decided.

        It stays while the wanted one does not serve, or was not well for long enough: until then
        it may be needed.
        """
        if len(self.pods) < 2:
            return True
        proven = self.wanted.well_seconds >= self._tools.settle_seconds
        if self.serving is not self.wanted or not proven:
            return False
        self._settled.set()
        if self._rollout is not None:
            # Most often it is gone at once; an engine that is down must keep nobody waiting.
            await asyncio.wait([self._rollout], timeout=_AGAIN_SECONDS)
        return True

    # --- Rollout --------------------------------------------------------------------------------

    def _last_good(self, number: int) -> Pod | None:
        """Return the pod that serves on below a revision `number` that is to come.

        The one that serves, unless it never proved itself and one before it did. Another spec
        under the same number, after a reorg, would share its folders: it is not kept.
        """
        good = self.serving
        if len(self.pods) > 1 and good is self.wanted and not good.well:
            good = self.pods[0]
        return good if good.number != number else None

    def _roll_out(self) -> None:
        if len(self.pods) > 1:
            self._rollout = asyncio.create_task(self._change())

    async def _change(self) -> None:
        """Change over, from wherever the record says that it stands, until that is through."""
        while True:
            try:
                await self._change_over()
            except Exception:
                # A full disk, say, passes; what is not written must not be done.
                _log.exception("job: its change is held up", job=self.record.job_id)
                self.pods[0].draining = False
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def _change_over(self) -> None:
        """Let the wanted revision take over, and see that it gets well or is given up."""
        old, new = self.pods[0], self.wanted
        if self.record.wanted.failed:
            await self._go_back(self.record.wanted.failed)
            return
        if self.serving is old:
            old.turn.set()
            await new.wait_ready()
            # Where the new one may not be started, the old one is not to be ended either.
            await new.may_start()
            if not isinstance(new.spec.rollout, Recreate):
                await self._granted.wait()
                await new.may_start()
            await self._drain(old, new)
            # Written first: a crash from here on resumes with the new revision.
            self._save(replace(self.record, serving=new.number))
        # Were the old one begun once more, by a command, it would wait.
        old.turn.clear()
        await self._insist(lambda: old.halt(Cause.REPLACED, _REPLACED), "an old revision")
        old.draining = False
        new.turn.set()
        reason = await self._until_proven(new)
        if reason:
            self._write_off(reason)
            await self._go_back(reason)
            return
        if not isinstance(new.spec.rollout, Recreate):
            await self._settled.wait()
        await self._drop_old()

    async def _drain(self, old: Pod, new: Pod) -> None:
        """Let callers leave the old revision; it serves on while the new one may not be started."""
        while True:
            old.draining = True
            await asyncio.sleep(new.spec.rollout.drain_ms / 1000)
            if new.may_start_now:
                return
            old.draining = False
            await new.may_start()

    async def _until_proven(self, pod: Pod) -> str:
        """Wait until `pod` has proven itself; return why it must be given up, else "".

        That takes as long as its rollout policy waits for it, or until somebody settles it. One
        that was well and falls ill again gets as long as the first time to be well, and the time to
        prove it twice. Time in which nothing may be started does not count, as the one before could
        not run either; but a look at the chain that fails now and then only stops the clock, or an
        ill revision would stay for ever. One that its payer stopped begins anew after that.
        """
        proof = max(self._tools.settle_seconds, _proof_seconds(pod.spec))
        allowed = pod.spec.rollout.deadline_ms / 1000
        looked = began = time.monotonic()
        deadline, was_well = began + allowed, False
        while pod.well_seconds < proof and not self._settled.is_set():
            now = time.monotonic()
            since, looked = now - looked, now
            if pod.is_stopped:
                began, deadline, was_well = now, now + allowed, False
            elif not self._tools.gate.is_open:
                began, deadline = began + since, deadline + since
            elif pod.well and not was_well:
                deadline, was_well = now + (now - began) + 2 * proof, True
            elif now > deadline and not pod.well:
                return f"it was not well in time: {pod.reason or pod.state}"
            await pod.wait_change(_LOOK_SECONDS)
        return ""

    def _write_off(self, reason: str) -> None:
        """Give the wanted revision up, in the record: a crash resumes with the one before."""
        _log.warning("job: a revision is given up", job=self.record.job_id, reason=reason)
        record = self.record.changing(self.wanted.number, failed=reason)
        self._save(replace(record, serving=self.pods[0].number))

    async def _go_back(self, reason: str) -> None:
        old, new = self.pods[0], self.wanted
        new.turn.clear()
        await self._insist(lambda: new.halt(Cause.REPLACED, reason), "a revision that was given up")
        old.draining = False
        old.turn.set()
        old.begin()

    async def _drop_old(self) -> None:
        await self._insist(
            lambda: self.pods[0].end(Cause.REPLACED, _REPLACED), "what an old revision left"
        )
        self._save(replace(self.record, revisions=self.record.revisions[-1:]))
        del self.pods[0]

    async def _insist(self, ending: Callable[[], Awaitable[None]], what: str) -> None:
        """Try to end something until it is gone: two revisions must not run."""
        while True:
            try:
                await ending()
            except (NodeError, OSError) as error:
                _log.error(
                    "job: something can't be ended",
                    what=what,
                    job=self.record.job_id,
                    error=str(error),
                )
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def _cancel_rollout(self) -> None:
        task, self._rollout = self._rollout, None
        if task is not None:
            await put_down(task)

    # --- Memory ---------------------------------------------------------------------------------

    def _pod(self, revision: Revision) -> Pod:
        record, tools = self.record, self._tools
        return Pod(
            TaskKey(record.escrow, record.job_id, self._license_id, revision.number),
            parse_spec(revision.spec),
            revision.spec_hash,
            tools.facts,
            tools.gate,
            tools.volumes,
            tools.tools,
            lambda service: _ServiceMemory(self, revision.number, service),
            tools.secrets,
        )

    def _forget_stops(self) -> None:
        """Forget stops of services that are always to run again with the agent."""
        for revision in self.record.revisions:
            services = parse_spec(revision.spec).services
            stopped = tuple(
                name for name in revision.stopped if services[name].restart.policy != "always"
            )
            if stopped != revision.stopped:
                self.record = self.record.changing(revision.number, stopped=stopped)
                try:
                    self._tools.save(self.record)
                except OSError as error:
                    # They are forgotten again at the next start, and a full disk is no reason not
                    # to start at all.
                    _log.warning("job: stops stay noted", job=self.record.job_id, error=str(error))

    def _save(self, record: JobRecord) -> None:
        self._tools.save(record)
        self.record = record

    def remember(self, number: int, **changes: object) -> None:
        """Write down changed fields of revision `number`."""
        self._save(self.record.changing(number, **changes))

    def allot(self, taken: Collection[int], preferred: int | None) -> int:
        """Return a free port that is not in `taken`: the `preferred` one if that is free."""
        return self._tools.allot(taken, preferred)


def _proof_seconds(spec: Spec) -> float:
    """Return for how long a new revision of `spec` must be well before others may follow it."""
    match spec.rollout:
        case Recreate():
            return 0.0
        case Canary() as canary:
            return max(canary.settle_ms, canary.wait_ms) / 1000
        case Rolling() as rolling:
            return rolling.settle_ms / 1000


class _ServiceMemory:
    """What the record of a job holds of one service; a `Memory`."""

    def __init__(self, job: Job, number: int, service: str) -> None:
        self._job = job
        self._number = number
        self._service = service

    @property
    def _revision(self) -> Revision:
        return self._job.record.of(self._number)

    @property
    def ports(self) -> Mapping[str, int]:
        prefix = f"{self._service}."
        kept = self._revision.ports.items()
        return {name.removeprefix(prefix): port for name, port in kept if name.startswith(prefix)}

    def allot(self, names: Sequence[str]) -> dict[str, int]:
        before = self.ports
        ports: dict[str, int] = {}
        for name in names:
            ports[name] = self._job.allot(ports.values(), before.get(name))
        if ports != before:
            named = {f"{self._service}.{name}": port for name, port in ports.items()}
            self._job.remember(self._number, ports={**self._revision.ports, **named})
        return ports

    @property
    def pin(self) -> Pin:
        return self._revision.pins.get(self._service, Pin())

    def remember_pin(self, pin: Pin) -> None:
        self._job.remember(self._number, pins={**self._revision.pins, self._service: pin})

    @property
    def stopped(self) -> bool:
        return self._service in self._revision.stopped

    def remember_stopped(self, stopped: bool) -> None:
        others = {one for one in self._revision.stopped if one != self._service}
        names = {*others, self._service} if stopped else others
        if set(self._revision.stopped) != names:
            self._job.remember(self._number, stopped=tuple(sorted(names)))

    @property
    def end(self) -> End | None:
        return self._revision.ends.get(self._service)

    def remember_end(self, end: End | None) -> None:
        ends = {name: one for name, one in self._revision.ends.items() if name != self._service}
        if end is not None:
            ends[self._service] = end
        if ends != self._revision.ends:
            self._job.remember(self._number, ends=ends)
