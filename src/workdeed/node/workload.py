"""One service of one revision on this node: made ready, started, watched, restarted, ended."""

import asyncio
import time
from collections.abc import Awaitable, Mapping

import structlog

from workdeed.intent import MAIN, Resources, Service
from workdeed.node.drivers.base import Driver, Handle, Phase, Task, TaskKey
from workdeed.node.errors import DriverError, NodeError
from workdeed.node.files import told_in_mb
from workdeed.node.lifecycle import Cause, Event, Lifecycle, State
from workdeed.node.records import End
from workdeed.node.service_tasks import ServiceTasks
from workdeed.node.surroundings import Memory, Surroundings, Tools
from workdeed.node.tasks import put_down
from workdeed.node.versions import Versions
from workdeed.node.watch import OverError, Watch

_log = structlog.get_logger(__name__)

_BY_COMMAND = "stopped by its payer"
_LOG_TAIL = 4_096
_MB = 1_000_000
_OBEYS_SECONDS = 60.0
"""How long after its grace a process still ends as it was told to; later it ends by itself."""


class Workload:
    """Keeps a service running from `begin` to `end`."""

    def __init__(
        self,
        key: TaskKey,
        service: Service,
        resources: Resources,
        tools: Tools,
        memory: Memory,
        surroundings: Surroundings,
    ) -> None:
        """Describe a service; nothing happens before `begin`."""
        self.key = key
        self.service = service
        self.resources = resources
        self.pid: int | None = None
        self.cause: Cause | None = None
        """Why it last ended, None while it never did."""
        self.restarts = 0
        self.measured = time.monotonic()
        """When its disk was last looked at, by the monotonic clock, in whichever life."""
        self.ready = asyncio.Event()
        """Set once it is made ready, or found running: all that is left is to start it."""
        self._tools = tools
        self._memory = memory
        self._around = surroundings
        self._lifecycle = Lifecycle()
        self._task: asyncio.Task[None] | None = None
        self._running: tuple[Driver, Handle] | None = None
        self._woken = asyncio.Event()
        self._launched: float | None = None
        self._found = False
        self._failures = 0
        """How often it failed in a row."""
        self._end = memory.end
        """The end that what runs was asked to come to, or that it came to for good."""
        self._asked = time.monotonic()
        """When it was asked for that, or since when this run of the agent knows of it."""
        self._log = _log.bind(job=key.job_id, revision=key.revision, service=key.service)
        self._makes = ServiceTasks(key, service, resources, tools, memory, surroundings, self.note)
        order = self._makes.order
        self._versions = Versions(service, tools.runner, memory, order, self.note, self._log)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._lifecycle.state

    @property
    def reason(self) -> str:
        """Why, empty when all goes by plan."""
        return self._lifecycle.reason

    @property
    def well(self) -> bool:
        """Its own health answer, as last seen."""
        return self.state is State.RUNNING

    @property
    def version(self) -> str:
        """The commit or image digest that it runs, "" before that is known."""
        return self._versions.current

    @property
    def ports(self) -> Mapping[str, int]:
        """Where its ports are reached from outside, by name."""
        return self._makes.ports

    @property
    def inside(self) -> Mapping[str, int]:
        """Where it listens, by name; other numbers only in a network of its own."""
        return self._makes.inside

    @property
    def done(self) -> bool:
        """Whether it has ended by itself, well and for good."""
        return self._end is not None and self._end.for_good and self._end.cause is Cause.GONE

    @property
    def stopped(self) -> bool:
        """Whether it is ended by its payer's command."""
        return self._memory.stopped

    @property
    def running(self) -> tuple[Driver, Handle] | None:
        """Its task and who runs it, None while there is none."""
        return self._running

    async def recorded(self) -> tuple[Driver, Handle] | None:
        """Return its task where it runs, or else the one that ended last, None without any.

        Raises:
            DriverError: if that can't be known now.

        """
        if self._running is not None:
            return self._running
        for driver in self._tools.drivers.values():
            handle = await driver.recover(self.key)
            if handle is not None:
                return driver, handle
        return None

    def begin(self) -> None:
        """Start to keep it running."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep())

    async def leave(self) -> None:
        """Stop watching; its process runs on."""
        task, self._task = self._task, None
        try:
            if task is not None:
                await put_down(task)
        finally:
            self._running = None

    async def halt(self, cause: Cause, reason: str) -> None:
        """Stop watching and end its process; what it was made from stays, so it may begin again.

        Raises:
            DriverError: if the process can't be ended.

        """
        await self.leave()
        await self._stop(cause, reason)

    async def end(self, cause: Cause, reason: str) -> None:
        """End its process and remove what it left.

        Raises:
            DriverError: if the process can't be ended.

        """
        await self.halt(cause, reason)
        for driver in self._tools.drivers.values():
            await driver.destroy(self.key)
        await self._tools.runner.discard(self.key)
        await self._tools.volumes.discard(self.key)

    async def stop(self) -> None:
        """Do the payer's command to stop it: it stays ended until `resume`.

        Raises:
            DriverError: if the process can't be ended now; that is tried again.

        """
        self._memory.remember_stopped(True)
        try:
            await self.halt(Cause.COMMAND, _BY_COMMAND)
        finally:
            self.begin()

    async def resume(self) -> None:
        """Do the payer's command to go on after a stop, or after it was left alone."""
        self._memory.remember_stopped(False)
        self._forget_end_for_good()
        self._woken.set()

    async def restart(self) -> None:
        """Do the payer's command to end it and start it again.

        Raises:
            DriverError: if the process can't be ended; it is watched on then.

        """
        self._memory.remember_stopped(False)
        self._forget_end_for_good()
        try:
            await self.halt(Cause.COMMAND, "restarted by its payer")
        finally:
            self.begin()

    async def _keep(self) -> None:
        first, longest, reset = self._bounds()
        pause, self._failures = first, 0
        while True:
            try:
                if self._memory.stopped:
                    await self._hold()
                self._begin_anew()
                if self._end is not None and self._end.for_good:
                    await self._stay_ended(self._end)
                    continue
                await self._try_once()
            except Exception:
                # Nobody else would start it again: a full disk, say, passes.
                self._log.exception("workload: a try ended in a fault of the agent")
                self.cause = Cause.UNSTARTED
            self._running = self.pid = None
            if self._has_lived(reset):
                pause, self._failures = first, 0
            self._launched = None
            if self._by_plan and self.state is State.STOPPED:
                continue  # at once
            self._failures += 1
            self._woken.clear()
            if self._again(self._failures) or await self._still_runs():
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)
                self.restarts += 1
                continue
            # It may have been resumed while it was looked for.
            if not self._woken.is_set():
                # One that has yet to take over may be tried by the next run of the agent: nobody
                # can resume what does not serve.
                if self._around.has_turn:
                    self._note_end(End(self.cause or Cause.UNSTARTED, self.reason, for_good=True))
                await self._rest()
            pause, self._failures = first, 0

    def _has_lived(self, seconds: float) -> bool:
        return self._launched is not None and time.monotonic() - self._launched > seconds

    @property
    def _is_steady(self) -> bool:
        """Whether what runs is well, and has not failed lately."""
        reset = self.service.restart.reset_ms / 1000
        return self.well and (self._failures == 0 or self._has_lived(reset))

    def _begin_anew(self) -> None:
        """Go back to the beginning; what runs in spite of that is found there."""
        if self.state in (State.STOPPED, State.FAILED, State.LOST):
            self._move(Event.RETRIED, self.reason)
        elif self.state is not State.PENDING:
            # Whoever watched it before was called off in the middle of a life, or of its end.
            self._lifecycle = Lifecycle()
            self._around.changed()

    def _bounds(self) -> tuple[float, float, float]:
        """Return the first and the longest pause, and the life after which it is the first again.

        The operator bounds from both sides what the spec asks for.
        """
        rule, pauses = self.service.restart, self._tools.pauses
        first = max(pauses.first, rule.first_ms / 1000)
        longest = max(first, min(pauses.longest, rule.longest_ms / 1000))
        return min(first, longest), longest, rule.reset_ms / 1000

    @property
    def _by_plan(self) -> bool:
        return self.cause is not None and self.cause.planned

    @property
    def _failed(self) -> bool:
        return self.cause is not None and not self.cause.planned

    def _again(self, failures: int) -> bool:
        """Tell whether the restart policy wants another try after `failures` in a row."""
        rule = self.service.restart
        if self._by_plan:
            return True
        if self.cause is not Cause.UNSTARTED and (
            rule.policy == "never" or (rule.policy == "on-failure" and self.cause is Cause.GONE)
        ):
            return False
        return rule.tries is None or failures < rule.tries

    async def _hold(self) -> None:
        """Keep it ended for as long as its payer wants that."""
        while self._memory.stopped:
            try:
                await self._stop(Cause.COMMAND, _BY_COMMAND)
            except (NodeError, OSError) as error:
                self._log.warning("workload: it can't be stopped yet", error=str(error))
                await asyncio.sleep(self._tools.pauses.first)
            else:
                # It may have been resumed while it was being ended.
                if self._memory.stopped:
                    await self._rest()

    async def _stay_ended(self, end: End) -> None:
        """Show how it ended for good, while the agent or its job was about something else."""
        is_there = await self._find_patiently() is not None
        if self._end is not end:
            return  # it was resumed meanwhile
        if is_there:
            self._note_end(None)  # that it was started again could not be noted then
            return
        self.cause = end.cause
        self._move(Event.WITHDRAWN if end.cause is Cause.GONE else Event.REFUSED, end.reason)
        await self._rest()

    async def _still_runs(self) -> bool:
        """Tell whether its process is there: one that could not be ended must be watched on."""
        reason = self.reason
        try:
            found = await self._find_patiently()
        except Exception:
            self._log.exception("workload: it can't be told whether it still runs")
            return True
        self._lifecycle.note(reason)
        return found is not None

    async def _rest(self) -> None:
        """Wait, ended, until somebody wants it to go on."""
        self._woken.clear()
        await self._woken.wait()

    async def _try_once(self) -> None:
        """Run it from the source to the end of its process, and take down how it ended."""
        try:
            self._running = await self._adopt() or await self._start()
            # A container that ended at once has none any more.
            self.pid = self._running[1].pid or None
            try:
                await self._watch(*self._running)
            except OverError as over:
                await self._over(over)
        except Exception as error:
            # Whatever is wrong with one workload is shown and tried again; the others go on.
            if not isinstance(error, NodeError | OSError):
                self._log.exception("workload: unexpected error")
            if self.state not in (State.STOPPED, State.FAILED, State.LOST):
                self.cause = Cause.UNSTARTED
                event = Event.REFUSED if self.state is State.PENDING else Event.EXITED
                self._move(event, str(error) or type(error).__name__)
            self._give_version_up(str(error))

    async def _adopt(self) -> tuple[Driver, Handle] | None:
        """Find the process that an earlier run of the agent started."""
        found = await self._find_patiently()
        if found is None:
            return None
        self.ready.set()
        self._makes.recall_ports(found[0])
        self._found = True
        self._move(Event.LAUNCHED, "found running after a restart of the agent")
        return found

    async def _find(self) -> tuple[Driver, Handle] | None:
        for driver in self._tools.drivers.values():
            handle = await driver.recover(self.key)
            if handle is not None and (await driver.inspect(handle)).phase is Phase.RUNNING:
                return driver, handle
        return None

    async def _find_patiently(self) -> tuple[Driver, Handle] | None:
        """Find out whether it runs; an engine that can't be asked for a while is no failed try."""
        while True:
            try:
                return await self._find()
            except DriverError as error:
                self._lifecycle.note(str(error))
                await asyncio.sleep(self._tools.pauses.first)

    async def _start(self) -> tuple[Driver, Handle]:
        note = self._lifecycle.note
        await self._around.may_start(note)
        note("fetching and building")
        # What was good is started again first; a newer version takes time to be made ready.
        if self._failed and (self._failures > 1 or not self._versions.is_proven):
            await self._versions.catch_up()
        plan = await self._versions.prepare()
        self.ready.set()
        await self._around.turn_of(self.service, note)
        await self._around.may_start(note)
        task = await self._makes.service(plan)
        # What another service hands on may have been waited for.
        await self._around.may_start(note)
        self._note_end(None)
        handle = await plan.driver.start(task)
        self._found = False
        self._move(Event.LAUNCHED)
        return plan.driver, handle

    async def command(self, argv: tuple[str, ...], step: str) -> Task:
        """Return the task that a command beside it is; raises as `ServiceTasks.command` does."""
        return await self._makes.command(await self._versions.prepare(), argv, step)

    async def disk_excess(self, driver: Driver, handle: Handle) -> str:
        """Return by how much it exceeds its storage, "" if it does not.

        What the job's volumes hold counts as the main service's; while that one does not run,
        another looks at them in its place.
        """
        tools, allowed = self._tools, self.resources.storage_mb
        used = await driver.disk_bytes(handle) + await tools.runner.disk_bytes(self.key)
        used += await tools.volumes.task_bytes(self.key)
        if self._around.counts_volumes(self.key.service):
            kept = await tools.volumes.kept_bytes(self.key)
            if kept // _MB > self._around.volumes_mb:
                room = self._around.volumes_mb
                return f"the job's volumes hold {told_in_mb(kept)} and may hold {room}"
            used += kept if self.key.service == MAIN else 0
        if used // _MB > allowed:
            return f"it takes {told_in_mb(used)} on disk and may take {allowed}"
        return await tools.volumes.excess(self.key, self.service)

    async def _watch(self, driver: Driver, handle: Handle) -> None:
        self._launched = time.monotonic()
        watch = Watch(self, self._tools, driver, handle, self._move, found=self._found)
        watching: list[Awaitable[None]] = [watch.run()]
        if self._versions.are_followed:
            watching.append(self._follow())
        tasks = [asyncio.ensure_future(one) for one in watching]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise error

    async def _follow(self) -> None:
        """Look for newer versions; one that is ready ends the watch, so that it is started.

        Raises:
            OverError: when a newer version is ready.

        """
        while True:
            await asyncio.sleep(self._versions.until_look)
            await self._versions.look()
            newer = self._versions.newer
            if newer:
                # Where the new version may not be started, the old one is not to be ended either.
                await self._around.may_start()
                raise OverError(Event.WITHDRAWN, Cause.VERSION, f"{newer[:12]} takes over")

    def prove(self) -> None:
        """Remember that the version which runs is good; told by the watch when it was well."""
        self._versions.prove()
        if self._end is not None and not self._end.for_good and self._asked_end is None:
            self._note_end(None)  # whatever it was asked to, it goes on

    def _give_version_up(self, reason: str) -> None:
        """Go back to the last good version if the one that failed never got well."""
        if self._failed:
            self._versions.give_up(reason)

    async def _over(self, over: OverError) -> None:
        """Take down an end that the watch saw, or bring about one that it asks for.

        One that was asked to end before, and watched on since the wait for that was called off, has
        done as it was told, however it ends.
        """
        # A newer version ends what would have gone on, whatever was asked of it before.
        asked = None if over.cause is Cause.VERSION else self._asked_end
        cause = over.cause if asked is None else asked.cause
        steady = self._is_steady
        if over.event is Event.WITHDRAWN:
            await self._stop(cause, str(over))
            if over.cause is Cause.VERSION:
                # Only now: a crash before would leave the old one running under the new one's name.
                self._versions.take_newer(in_place_of_failing=not steady)
        else:
            self.cause = cause
            tail = await self._last_line() if over.event is Event.EXITED else ""
            done = cause.planned or (cause is Cause.GONE and not self._again(1))
            reason = f"{over}{tail}" if asked is None else asked.reason
            self._move(Event.FINISHED if done else over.event, reason)
        self._give_version_up(str(over))

    async def _stop(self, cause: Cause, reason: str) -> None:
        """End the process, whatever state it is in."""
        found = await self._find()
        if found is not None and self.state in (State.PENDING, State.LOST, State.STOPPED):
            self._lifecycle = Lifecycle()
            self._move(Event.LAUNCHED, "found running")
        if self.state not in (State.STOPPED, State.STOPPING):
            self._move(Event.WITHDRAWN, reason)
        self.cause = cause
        try:
            if found is not None:
                driver, handle = found
                self._note_end(End(cause, reason))
                await driver.stop(handle, self._tools.pauses.grace)
        except DriverError as error:
            self._move(Event.STUCK, str(error))
            raise
        if self.state is State.STOPPING:
            self._move(Event.ENDED, reason)
        self._running = self.pid = None

    @property
    def _asked_end(self) -> End | None:
        """The end that what runs was asked to come to, None once it has outlived that."""
        age = time.monotonic() - self._asked
        return self._end if age <= self._tools.pauses.grace + _OBEYS_SECONDS else None

    def _note_end(self, end: End | None) -> None:
        """Remember that it is asked to end, ended for good, or is started again."""
        self._end, self._asked = end, time.monotonic()
        try:
            self._memory.remember_end(end)
        except OSError as error:
            # Only another run of the agent would need it.
            self._log.warning("workload: its end can't be noted", error=str(error))

    def _forget_end_for_good(self) -> None:
        if self._end is not None and self._end.for_good:
            self._note_end(None)

    async def _last_line(self) -> str:
        if self._running is None:
            return ""
        driver, handle = self._running
        output = (await driver.logs(handle, _LOG_TAIL)).decode(errors="replace")
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        return f" ({self._around.secrets().hide_in(lines[-1])[:300]})" if lines else ""

    def _move(self, event: Event, reason: str = "") -> None:
        before = self.state
        after = self._lifecycle.on(event, reason)
        if before is not after:
            self._log.info("workload", state=str(after), before=str(before), reason=reason)
            self._around.changed()

    def note(self, reason: str) -> None:
        """Say what is the matter, without a change of state."""
        self._lifecycle.note(reason)

    @property
    def main_port(self) -> int | None:
        """Where it is reached at its main port, None without one."""
        return self.ports.get(MAIN)
