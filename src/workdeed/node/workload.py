"""One revision of one job on this node: fetched, built, started, watched, restarted, ended."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from workdeed.intent import Spec
from workdeed.node.drivers.base import Driver, Handle, Limits, Phase, Task, TaskKey
from workdeed.node.errors import DriverError, NodeError
from workdeed.node.health import Health, HealthProbe
from workdeed.node.lifecycle import Event, Lifecycle, State
from workdeed.node.runners.base import Plan, Runner

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 2.0
_STARTING_SECONDS = 0.2
_LOG_TAIL = 4_096
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds: between tries (doubling up to a bound), and until a hanging workload is ended."""

    first: float = 1.0
    longest: float = 60.0
    unhealthy: float = 120.0
    grace: float = 10.0


class Gate:
    """Open while the chain is read reliably; nothing is started while it is closed."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self.reason = "the chain was not read yet"

    def open(self) -> None:
        """Let starts through."""
        self._open.set()

    def close(self, reason: str) -> None:
        """Hold starts back, for `reason`."""
        self._open.clear()
        self.reason = reason

    @property
    def is_open(self) -> bool:
        """Whether starts go through."""
        return self._open.is_set()

    async def passed(self) -> None:
        """Wait until it is open."""
        await self._open.wait()


class _ProcessOverError(NodeError):
    """The process that was watched is over; `event` is how."""

    def __init__(self, event: Event, reason: str) -> None:
        super().__init__(reason)
        self.event = event


@dataclass(frozen=True, slots=True)
class Tools:
    """What a workload works with.

    Attributes:
        allot: given the port of the last try, returns the one for the next, remembered durably.
        host: where workloads are told to listen.

    """

    driver: Driver
    runner: Runner
    health: HealthProbe
    gate: Gate
    allot: Callable[[int | None], int]
    host: str
    pauses: Pauses


class Workload:
    """Keeps its process running from `begin` to `end`."""

    def __init__(
        self, key: TaskKey, spec: Spec, spec_hash: bytes, port: int | None, tools: Tools
    ) -> None:
        """Describe a revision; nothing happens before `begin`."""
        self.key = key
        self.spec = spec
        self.spec_hash = spec_hash
        self.port = port
        self.pid: int | None = None
        self.ready = asyncio.Event()
        """Set once it is built, or found running: all that is left is to start it."""
        self.turn = asyncio.Event()
        """To be set when it may take over from the revision before it."""
        self.startable = True
        """False while a newer revision stands on chain: what runs goes on, nothing is started."""
        self._tools = tools
        self._lifecycle = Lifecycle()
        self._task: asyncio.Task[None] | None = None
        self._unwell_since = 0.0
        self._log = _log.bind(job=key.job_id, revision=key.revision)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._lifecycle.state

    @property
    def reason(self) -> str:
        """Why, empty when all goes by plan."""
        return self._lifecycle.reason

    @property
    def healthy(self) -> bool:
        """Its own health answer, as last seen."""
        return self.state is State.RUNNING

    @property
    def commit(self) -> str:
        """The commit that it runs."""
        return self.spec.source.git.commit if self.spec.source.git is not None else ""

    def begin(self) -> None:
        """Start to keep it running."""
        self._task = asyncio.create_task(self._keep())

    async def leave(self) -> None:
        """Stop watching; its process runs on."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def end(self, reason: str) -> None:
        """End its process and remove what it left.

        Raises:
            DriverError: if the process can't be ended.

        """
        await self.leave()
        await self._halt(reason)
        await self._tools.driver.destroy(self.key)
        await self._tools.runner.discard(self.key)

    async def _keep(self) -> None:
        pause = self._tools.pauses.first
        while True:
            began = time.monotonic()
            await self._try_once()
            self.pid = None
            if time.monotonic() - began > self._tools.pauses.longest:
                pause = self._tools.pauses.first
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._tools.pauses.longest)
            self._move(Event.RETRIED, self.reason)

    async def _try_once(self) -> None:
        """Run it from the source to the end of its process, and take down how it ended."""
        try:
            handle = await self._adopt() or await self._start()
            self.pid = handle.pid
            await self._watch(handle)
        except _ProcessOverError as over:
            self._move(over.event, str(over))
        except Exception as error:
            # Whatever is wrong with one workload is shown and tried again; the others go on.
            if not isinstance(error, NodeError | OSError):
                self._log.exception("workload: unexpected error")
            if self.state not in (State.STOPPED, State.FAILED, State.LOST):
                event = Event.REFUSED if self.state is State.PENDING else Event.EXITED
                self._move(event, str(error) or type(error).__name__)

    async def _adopt(self) -> Handle | None:
        """Find the process that an earlier run of the agent started."""
        driver = self._tools.driver
        handle = await driver.recover(self.key)
        if handle is None or (await driver.inspect(handle)).phase is not Phase.RUNNING:
            return None
        self.ready.set()
        self._move(Event.LAUNCHED, "found running after a restart of the agent")
        return handle

    async def _start(self) -> Handle:
        await self.permission()
        self._lifecycle.note("fetching and building")
        plan = await self._tools.runner.prepare(self.spec, self.key)
        self.ready.set()
        if not self.turn.is_set():
            self._lifecycle.note("ready; waiting for the revision before it to end")
            await self.turn.wait()
        await self.permission()
        if self.spec.port is not None:
            self.port = self._tools.allot(self.port)
        handle = await self._tools.driver.start(self._order(plan))
        self._move(Event.LAUNCHED)
        return handle

    async def permission(self) -> None:
        """Wait until the chain can be read and wants this revision to be started."""
        while not (self._tools.gate.is_open and self.startable):
            closed = not self._tools.gate.is_open
            self._lifecycle.note(self._tools.gate.reason if closed else "a newer revision is due")
            await self._tools.gate.passed()
            await asyncio.sleep(_STARTING_SECONDS)

    def _order(self, plan: Plan) -> Task:
        key, resources = self.key, self.spec.resources
        env = {
            **self.spec.env,
            "WORKDEED_ESCROW": key.escrow,
            "WORKDEED_JOB": str(key.job_id),
            "WORKDEED_LICENSE": str(key.license_id),
            "WORKDEED_REVISION": str(key.revision),
            "WORKDEED_COMMIT": self.commit,
        }
        if self.spec.port is not None:
            env |= {"HOST": self._tools.host, self.spec.port.env: str(self.port)}
        limits = Limits(resources.memory_mb, resources.storage_mb)
        return Task(key, self.spec.run, env, plan.directory, limits, plan.subdirectory)

    async def _watch(self, handle: Handle) -> None:
        """Check the process until it is over; returns when it was ended from here."""
        began = time.monotonic()
        while True:
            problem = self._judge(await self._ask(), began) or await self._excess(handle)
            if problem:
                await self._halt(problem)
                return
            starting = self.state is State.STARTING
            seconds = _STARTING_SECONDS if starting else self._interval()
            inspection = await self._tools.driver.wait(handle, seconds)
            if inspection.phase is Phase.LOST:
                raise _ProcessOverError(Event.VANISHED, str(inspection))
            if inspection.phase is Phase.EXITED:
                tail = await self._last_line(handle)
                raise _ProcessOverError(Event.EXITED, f"{inspection}{tail}")

    async def _ask(self) -> Health:
        if self.spec.health is None or self.port is None:
            return Health(True)
        return await self._tools.health.check(self.spec.health, self.port)

    def _judge(self, health: Health, began: float) -> str:
        """Move by a health check; return why the process must be ended, "" if it need not."""
        now = time.monotonic()
        if health.well:
            if self.state is not State.RUNNING:
                self._move(Event.WELL)
            return ""
        if self.state is State.STARTING:
            self._lifecycle.note(health.problem)
            allowed = self.spec.health.start_period_ms / 1000 if self.spec.health else 0
            late = now - began > allowed
            return f"not well within its start period: {health.problem}" if late else ""
        if self.state is State.RUNNING:
            self._unwell_since = now
        self._move(Event.UNWELL, health.problem)
        hangs = now - self._unwell_since > self._tools.pauses.unhealthy
        return f"unwell for too long: {health.problem}" if hangs else ""

    async def _excess(self, handle: Handle) -> str:
        """Return by how much the process exceeds its memory, "" while it does not."""
        if self.state is State.STARTING:
            return ""
        allowed = self.spec.resources.memory_mb
        used = (await self._tools.driver.stats(handle)).memory_bytes // _MB
        return f"it uses {used} MB of memory and may use {allowed}" if used > allowed else ""

    def _interval(self) -> float:
        return self.spec.health.interval_ms / 1000 if self.spec.health else _LOOK_SECONDS

    async def _halt(self, reason: str) -> None:
        """End the process, whatever state it is in."""
        driver = self._tools.driver
        handle = await driver.recover(self.key)
        if handle is not None and (await driver.inspect(handle)).phase is Phase.RUNNING:
            if self.state in (State.PENDING, State.LOST, State.STOPPED):
                self._lifecycle = Lifecycle()
                self._move(Event.LAUNCHED, "found running")
        else:
            handle = None
        if self.state not in (State.STOPPED, State.STOPPING):
            self._move(Event.WITHDRAWN, reason)
        try:
            if handle is not None:
                await driver.stop(handle, self._tools.pauses.grace)
        except DriverError as error:
            self._move(Event.STUCK, str(error))
            raise
        if self.state is State.STOPPING:
            self._move(Event.ENDED, reason)
        self.pid = None

    async def _last_line(self, handle: Handle) -> str:
        output = (await self._tools.driver.logs(handle, _LOG_TAIL)).decode(errors="replace")
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        return f" ({lines[-1][:300]})" if lines else ""

    def _move(self, event: Event, reason: str = "") -> None:
        before = self.state
        after = self._lifecycle.on(event, reason)
        if before is not after:
            self._log.info("workload", state=str(after), before=str(before), reason=reason)
