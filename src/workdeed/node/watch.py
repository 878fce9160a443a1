"""Looks after one running task: its health, what it takes, how it ends."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from workdeed.intent import CommandCheck, DelayCheck, HttpCheck, TcpCheck
from workdeed.node.drivers.base import Driver, Handle, Inspection, Phase, Task
from workdeed.node.errors import DriverDownError, DriverError, NodeError, SecretsError
from workdeed.node.health import Health
from workdeed.node.lifecycle import Cause, Event, State
from workdeed.node.surroundings import Tools

if TYPE_CHECKING:
    from workdeed.node.workload import Workload

LOOK_SECONDS = 2.0
STARTING_SECONDS = 0.025, 0.2
"""The shortest and the longest pause between two looks at a task that starts."""

MEASURE_SECONDS = 1.0
"""The shortest pause between two measurements of a task that starts, which is looked at often."""

_STARTING_SHARE = 0.2
_HEALTH_STEP = "health"
_MB = 1_000_000

Move = Callable[[Event, str], None]


class OverError(NodeError):
    """The task that was watched is over, or must be ended; `event` and `cause` are how and why."""

    def __init__(self, event: Event, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.event = event
        self.cause = cause


class Watch:
    """Watches from the start of a task, or from when it was found, to its end."""

    def __init__(
        self,
        workload: "Workload",
        tools: Tools,
        driver: Driver,
        handle: Handle,
        move: Move,
        *,
        found: bool,
    ) -> None:
        """Watch a task.

        Args:
            workload: the service that it is.
            tools: those of the workload.
            driver: who runs it.
            handle: the task there.
            move: is told of changes of state.
            found: whether it ran before this agent did, so that nobody knows since when.

        """
        self._workload = workload
        self._tools = tools
        self._driver = driver
        self._handle = handle
        self._move = move
        self._began = time.monotonic()
        self._well_since: float | None = None
        self._unwell_since = 0.0
        self._looked = self._began
        self._found = found
        self._check_task: Task | None = None

    async def run(self) -> None:
        """Watch until it is over.

        Raises:
            OverError: always: it ended, or must be ended for a reason.

        """
        while True:
            try:
                self._judge(await self._ask())
                await self._measure()
                self._look(await self._driver.wait(self._handle, self._pause()))
            except DriverError as error:
                # An engine that can't be asked says nothing about the task, which may be well.
                self._workload.note(str(error))
                await asyncio.sleep(self._interval())

    def _look(self, inspection: Inspection) -> None:
        if inspection.phase is Phase.LOST:
            raise OverError(Event.VANISHED, Cause.VANISHED, str(inspection))
        if inspection.phase is Phase.EXITED:
            cause = Cause.GONE if inspection.code == 0 else Cause.CRASHED
            if inspection.out_of_memory:
                cause = Cause.MEMORY
            raise OverError(Event.EXITED, cause, str(inspection))

    async def _ask(self) -> Health:
        check = self._workload.service.health
        match check:
            case None:
                return Health(True)
            case DelayCheck():
                lived = (time.monotonic() - self._began) * 1000
                return Health(self._found or lived >= check.delay_ms, "its delay is not over")
            case HttpCheck() | TcpCheck():
                port = self._workload.ports.get(check.port)
                if port is None:
                    return Health(False, f"it has no port {check.port} yet")
                return await self._tools.health.check(check, port)
            case CommandCheck():
                return await self._run(check)

    async def _run(self, check: CommandCheck) -> Health:
        seconds = check.timeout_ms / 1000
        try:
            if self._check_task is None:
                async with asyncio.timeout(seconds):
                    self._check_task = await self._workload.command(check.run, _HEALTH_STEP)
            ended = await self._driver.execute(self._handle, self._check_task, seconds)
        except TimeoutError:
            return Health(False, "its health check waits for what another service hands on")
        except SecretsError as error:
            # They were there when it was started: that they are not now says nothing of the task.
            raise DriverDownError(str(error)) from error
        except DriverDownError:
            raise
        except NodeError as error:
            return Health(False, f"its health check can't be run ({error})")
        if ended.phase is Phase.RUNNING:
            return Health(False, f"its health check does not end in {check.timeout_ms} ms")
        return Health(ended.code == 0, f"its health check fails: {ended}")

    def _judge(self, health: Health) -> None:
        """Move by a health check.

        Raises:
            OverError: if the task was ill for too long.

        """
        now, state = time.monotonic(), self._workload.state
        if health.well:
            self._well(now)
        elif state is State.STARTING:
            self._workload.note(health.problem)
            check = self._workload.service.health
            if isinstance(check, DelayCheck):
                return
            allowed = check.start_period_ms / 1000 if check is not None else 0
            if now - self._began > allowed:
                reason = f"not well within its start period: {health.problem}"
                raise OverError(Event.WITHDRAWN, Cause.ILL, reason)
        else:
            if state is State.RUNNING:
                self._unwell_since = now
            self._well_since = None
            self._move(Event.UNWELL, health.problem)
            if now - self._unwell_since > self._tools.pauses.unhealthy:
                raise OverError(
                    Event.WITHDRAWN, Cause.ILL, f"unwell for too long: {health.problem}"
                )

    def _well(self, now: float) -> None:
        if self._workload.state is not State.RUNNING:
            self._move(Event.WELL, "")
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since >= self._tools.pauses.proven:
            self._workload.prove()

    async def _measure(self) -> None:
        """Hold what the task takes against what it may take.

        Raises:
            OverError: if it takes more.

        """
        now = time.monotonic()
        if self._workload.state is State.STARTING and now - self._looked < MEASURE_SECONDS:
            return
        self._looked = now
        allowed = self._workload.resources.memory_mb
        used = await self._driver.memory_bytes(self._handle) // _MB
        if used > allowed:
            reason = f"it uses {used} MB of memory and may use {allowed}"
            raise OverError(Event.WITHDRAWN, Cause.MEMORY, reason)
        if now - self._workload.measured >= self._tools.pauses.disk:
            self._workload.measured = now
            reason = await self._workload.disk_excess(self._driver, self._handle)
            if reason:
                raise OverError(Event.WITHDRAWN, Cause.STORAGE, reason)

    def _pause(self) -> float:
        """Return the seconds until the next look.

        Of a task that starts it is seen soon that it is well, measured by how long that took.
        """
        if self._workload.state is not State.STARTING:
            return self._interval()
        shortest, longest = STARTING_SECONDS
        lived = time.monotonic() - self._began
        return min(max(shortest, lived * _STARTING_SHARE), longest)

    def _interval(self) -> float:
        check = self._workload.service.health
        if check is None or isinstance(check, DelayCheck):
            return LOOK_SECONDS
        return check.interval_ms / 1000
