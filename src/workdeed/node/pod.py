"""One revision of a job on this node: its services, which start in order and share their fate."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from workdeed.intent import MAIN, Service, Spec
from workdeed.node.drivers.base import TaskKey
from workdeed.node.lifecycle import Cause, State
from workdeed.node.secrets import Opened
from workdeed.node.surroundings import Memory, Tools
from workdeed.node.values import NodeFacts
from workdeed.node.volumes import Volumes
from workdeed.node.workload import Workload

_LOOK_AGAIN_SECONDS = 0.2

WORST_FIRST: Final = (
    State.LOST,
    State.FAILED,
    State.STOPPED,
    State.STOPPING,
    State.PENDING,
    State.STARTING,
    State.UNHEALTHY,
    State.RUNNING,
)


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


class Pod:
    """Runs the services of one spec."""

    def __init__(
        self,
        key: TaskKey,
        spec: Spec,
        spec_hash: bytes,
        facts: NodeFacts,
        gate: Gate,
        volumes: Volumes,
        tools: Callable[[str], Tools],
        memory: Callable[[str], Memory],
        secrets: Callable[[Spec], Opened],
    ) -> None:
        """Describe a revision; nothing happens before `begin`.

        Args:
            key: of the main service.
            spec: what to run.
            spec_hash: its hash, as it stands on chain.
            facts: what services may be told about the node.
            gate: holds starts back.
            volumes: of this node.
            tools: returns the tools for a runner's name.
            memory: returns what is remembered of a service.
            secrets: opens those of the spec.

        """
        self.key = key
        self.spec = spec
        self.spec_hash = spec_hash
        self.facts = facts
        self.turn = asyncio.Event()
        """To be set when it may take over from the revision before it."""
        self.held = ""
        """Why the chain does not want it started, "" if it does; what runs goes on."""
        self.draining = False
        """Whether callers should go elsewhere, since it ends soon."""
        self.well_since: float | None = None
        """Since when all services are well, by the monotonic clock; None while they are not."""
        self._gate = gate
        self._volumes = volumes
        self._secrets = secrets
        self._opened: Opened | None = None
        self._changes = asyncio.Event()
        self.workloads: dict[str, Workload] = {}
        for name in spec.start_order:
            service = spec.services[name]
            self.workloads[name] = Workload(
                self._key_of(name),
                service,
                spec.resources_of(name),
                tools(service.runner),
                memory(name),
                self,
            )

    @property
    def number(self) -> int:
        """The revision's number."""
        return self.key.revision

    @property
    def main(self) -> Workload:
        """The main service."""
        return self.workloads[MAIN]

    @property
    def worst(self) -> Workload:
        """The service that is worst off; the main one among equals."""
        return min(
            self.workloads.values(),
            key=lambda one: (WORST_FIRST.index(one.state), one is not self.main),
        )

    @property
    def state(self) -> State:
        """Where it stands: as the service that is worst off."""
        return self.worst.state

    @property
    def reason(self) -> str:
        """Why it is in that state, and of which service that is said."""
        worst = self.worst
        named = worst.reason and worst is not self.main
        return f"{worst.key.service}: {worst.reason}" if named else worst.reason

    @property
    def well(self) -> bool:
        """Whether all services are well, as last seen."""
        return all(one.well for one in self.workloads.values())

    @property
    def port(self) -> int | None:
        """Where the main service is reached."""
        return self.main.main_port

    @property
    def version(self) -> str:
        """What the main service runs."""
        return self.main.version

    def begin(self) -> None:
        """Start to keep all services running."""
        for workload in self.workloads.values():
            workload.begin()

    async def leave(self) -> None:
        """Stop watching; processes run on."""
        for workload in self.workloads.values():
            await workload.leave()

    async def halt(self, cause: Cause, reason: str) -> None:
        """End all services, the last started first; they may begin again.

        Raises:
            DriverError: if one can't be ended.

        """
        for workload in reversed(self.workloads.values()):
            await workload.halt(cause, reason)

    async def end(self, cause: Cause, reason: str) -> None:
        """End all services, the last started first, and remove what they left.

        Raises:
            DriverError: if one can't be ended.

        """
        for workload in reversed(self.workloads.values()):
            await workload.end(cause, reason)

    async def wait_ready(self) -> None:
        """Wait until all services are made ready."""
        for workload in self.workloads.values():
            await workload.ready.wait()

    async def wait_change(self, seconds: float) -> None:
        """Wait until the state of a service changes, at most `seconds`."""
        self._changes.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changes.wait()
        except TimeoutError:
            return

    @property
    def is_stopped(self) -> bool:
        """Whether its payer has stopped a service of it."""
        return any(one.stopped for one in self.workloads.values())

    @property
    def is_ready(self) -> bool:
        """Whether all services are made ready."""
        return all(one.ready.is_set() for one in self.workloads.values())

    @property
    def well_seconds(self) -> float:
        """For how long all services have been well."""
        return 0.0 if self.well_since is None else time.monotonic() - self.well_since

    # --- Surroundings of its services ------------------------------------------------------------

    @property
    def volumes_mb(self) -> int:
        """What the job's volumes may hold in all: as much as the main service may."""
        return self.spec.resources_of(MAIN).storage_mb

    def counts_volumes(self, service: str) -> bool:
        """Tell whether a service counts the volumes: main, or the first that runs while it doesn't.

        A main service that has ended for good would leave them to its siblings, uncounted.
        """
        running = [name for name, one in self.workloads.items() if one.running is not None]
        return service == (MAIN if MAIN in running else next(iter(running), ""))

    def secrets(self) -> Opened:
        """Return the opened secrets; raises `SecretsError`."""
        if self._opened is None:
            self._opened = self._secrets(self.spec)
        return self._opened

    def changed(self) -> None:
        """Take note of a service's new state."""
        if not self.well:
            self.well_since = None
        elif self.well_since is None:
            self.well_since = time.monotonic()
        self._changes.set()

    @property
    def has_turn(self) -> bool:
        """Whether it has taken over from the revision before it, or may."""
        return self.turn.is_set()

    @property
    def may_start_now(self) -> bool:
        """Whether the chain can be read and wants this revision to be started."""
        return self._gate.is_open and not self.held

    async def may_start(self, note: Callable[[str], None] | None = None) -> None:
        """Wait until the chain can be read and wants this revision to be started."""
        while not self.may_start_now:
            if note is not None:
                note(self.held if self._gate.is_open else self._gate.reason)
            await self._gate.passed()
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def turn_of(self, service: Service, note: Callable[[str], None]) -> None:
        """Wait for the revision before, and for the services that this one waits for."""
        if not self.turn.is_set():
            note("ready; waiting for the revision before it to end")
            await self.turn.wait()
        for name in sorted(service.waits_for):
            while not (self.workloads[name].well or self.workloads[name].done):
                note(f"waiting for {name}")
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def value_of(self, service: str, value: str) -> str | None:
        """Return what a service hands on; see `Neighbours`."""
        other = self.workloads[service]
        if value == "host":
            return await other.running[0].address(other.running[1]) if other.running else None
        if value == "port" or value.startswith("port."):
            port = other.inside.get(MAIN if value == "port" else value.removeprefix("port."))
            return None if port is None else str(port)
        return self._volumes.exported(other.key, value)

    def _key_of(self, name: str) -> TaskKey:
        key = self.key
        return TaskKey(key.escrow, key.job_id, key.license_id, key.revision, name)
