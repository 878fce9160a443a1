"""Wires the agent from its settings and runs it until it is told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog

from workdeed.chain.errors import ChainError
from workdeed.chain.keys import load_key
from workdeed.chain.rpc import RpcClient
from workdeed.logs import set_up
from workdeed.node.agent import Agent, AgentOptions, Parts
from workdeed.node.app import create_app
from workdeed.node.capacity import Machine, check_offer
from workdeed.node.chain_view import ChainView
from workdeed.node.controls import Controls
from workdeed.node.disk import Reserve
from workdeed.node.drivers.base import GROUP as DRIVERS
from workdeed.node.drivers.base import Driver, DriverContext
from workdeed.node.errors import NodeError, SettingsError
from workdeed.node.files import StateLock, private_directory
from workdeed.node.health import PortHealthProbe
from workdeed.node.holds import Holds
from workdeed.node.identity import NodeIdentity, instance_id
from workdeed.node.plugins import installed, load
from workdeed.node.ports import PortAllocator
from workdeed.node.proofs import ProofKeeper
from workdeed.node.records import JobStore
from workdeed.node.requests import Requests
from workdeed.node.runners.base import Runner, RunnerContext, load_runners
from workdeed.node.secrets import Safe
from workdeed.node.server import HttpServer
from workdeed.node.settings import NodeSettings
from workdeed.node.surroundings import Pauses
from workdeed.node.volumes import Volumes
from workdeed.protocol.messages import NodeProfile, Resources

_log = structlog.get_logger(__name__)

NOTHING = Resources(cpu_milli=0, memory_mb=0, storage_mb=0)
"""What a node offers that takes no new work."""


class Node:
    """A whole agent: state lock, reconcile loop and HTTP server."""

    def __init__(self, settings: NodeSettings) -> None:
        """Wire the parts.

        Raises:
            NodeError, workdeed.chain.errors.ChainError: if a part can't be had; one sentence each.

        """
        self._settings = settings
        self._state = private_directory(settings.state_dir).resolve()
        self._lock = StateLock(self._state)
        self._closed = False
        try:
            self._parts = _parts(settings, self._state)
            self.agent = Agent(_options(settings), self._parts)
            escrow = settings.addresses().escrow
            memory = self._state / "requests" / "last.json"
            requests = Requests(self._parts.identity, escrow, self._parts.chain, memory)
            self._controls = Controls(self.agent, requests, self._parts.holds)
            self._server = HttpServer(settings.host, settings.port)
        except BaseException:
            self._lock.release()
            raise

    @property
    def port(self) -> int:
        """The port on which the agent listens."""
        return self._server.port

    @property
    def address(self) -> str:
        """The node key's address."""
        return self._parts.identity.address

    async def start(self) -> None:
        """Resume, reconcile and serve.

        Raises:
            NodeError: if the state can't be resumed, or more is offered than there is.

        """
        await asyncio.to_thread(_check_offer, self._settings, self._state)
        for driver in self._parts.drivers.values():
            found = await driver.fingerprint()
            if not found.available:
                _log.warning("node: driver unusable", driver=driver.name, reason=found.reason)
            elif not found.sandboxed:
                _log.warning("node: workloads run without a sandbox", reason=found.reason)
            for limit, how in found.unenforced.items():
                _log.warning("node: a limit does not hold", limit=limit, how=how)
        offered = await _offered(settings := self._settings, self._parts.runners)
        profile = _profile(settings, self._parts, offered, _resources(settings))
        draining = _profile(settings, self._parts, offered, NOTHING)
        await self.agent.start()
        self._server.begin(create_app(self.agent, self._controls, profile, draining))
        _log.info("node: up", node=self.address, port=self.port, instance=str(self._state))

    async def close(self) -> None:
        """Stop; workloads end too where `stop_workloads_on_exit` says so. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        stop = self._settings.stop_workloads_on_exit
        parts = self._parts
        steps = {
            "server": self._server.close,
            "agent": lambda: self.agent.close(stop_workloads=stop),
            "proofs": parts.proofs.close,
            "chain": parts.chain.close,
            "health": parts.health.close,
        }
        steps |= {f"runner {name}": one.close for name, one in parts.runners.items()}
        steps |= {f"driver {name}": one.close for name, one in parts.drivers.items()}
        try:
            for part, close in steps.items():
                await _closed(part, close)
        finally:
            self._lock.release()


async def _closed(part: str, close: Callable[[], Awaitable[None]]) -> None:
    """Close a part; one that can't be closed keeps no other open."""
    try:
        await close()
    except Exception:
        _log.exception("node: a part can't be closed", part=part)


async def run(settings: NodeSettings, on_ready: Callable[[Node], None] | None = None) -> None:
    """Run an agent until SIGTERM or SIGINT.

    Args:
        settings: as `load_settings` gives them.
        on_ready: called once it listens.

    Raises:
        NodeError, workdeed.chain.errors.ChainError: if it can't start.

    """
    set_up()
    node = Node(settings)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await node.start()
        if on_ready is not None:
            on_ready(node)
        await stopped.wait()
        _log.info("node: stopping")
    finally:
        await node.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def main(settings: NodeSettings) -> int:
    """Run an agent; return the exit code, 2 when it could not start."""
    try:
        asyncio.run(run(settings))
    except (NodeError, ChainError) as error:
        _log.error("node: it can't start", reason=str(error))
        return 2
    return 0


def profile_of(settings: NodeSettings) -> NodeProfile:
    """Return the profile that this configuration signs, without starting anything.

    Its `profile_hash` is what the license's `set_profile` takes.

    Raises:
        NodeError, workdeed.chain.errors.ChainError: if key, deployment or runners can't be had.

    """
    parts = _parts(settings, private_directory(settings.state_dir).resolve())
    offered = asyncio.run(_offered(settings, parts.runners))
    return _profile(settings, parts, offered, _resources(settings))


async def _offered(settings: NodeSettings, runners: Mapping[str, Runner]) -> tuple[str, ...]:
    """Return the runners that the node announces: those of the settings, or all that work here."""
    if settings.runners is not None:
        for name in settings.runners:
            if name not in runners:
                raise SettingsError(
                    f"runners: {name} is not installed; there are {', '.join(sorted(runners))}"
                )
        return settings.runners
    offered = []
    for name, runner in runners.items():
        problem = await runner.problem()
        if problem:
            _log.warning("node: a runner is not offered", runner=name, reason=problem)
        else:
            offered.append(name)
    return tuple(offered)


def _parts(settings: NodeSettings, state: Path) -> Parts:
    contracts = settings.addresses()
    instance = instance_id(state)
    identity = NodeIdentity(
        load_key(settings.key),
        settings.chain_id,
        contracts.committee,
        settings.license_id,
        instance,
    )
    drivers = drivers_of(settings, state)
    clients = [RpcClient(url, timeout=settings.rpc_seconds) for url in settings.rpc_urls]
    chain = ChainView(
        clients,
        settings.chain_id,
        contracts,
        settings.license_id,
        min_rpcs=settings.min_rpcs,
        stale_seconds=settings.stale_seconds,
    )
    ports = settings.port_range
    host = settings.workload_host
    runners = load_runners(RunnerContext(drivers, state / "runners", settings.runner_options()))
    return Parts(
        identity=identity,
        chain=chain,
        drivers=drivers,
        runners=runners,
        health=PortHealthProbe(host),
        ports=PortAllocator(host, range(ports[0], ports[1] + 1) if ports else None),
        store=JobStore(state / "jobs"),
        proofs=ProofKeeper(state / "proofs", settings.license_id, settings.oracle_urls),
        volumes=Volumes(state / "volumes"),
        safe=Safe(identity, contracts.escrow),
        holds=Holds(state / "holds"),
        reserve=Reserve(state, settings.disk.reserve_mb, runners.values()),
    )


def _check_offer(settings: NodeSettings, state: Path) -> None:
    try:
        check_offer(_resources(settings), Machine.of(state), settings.disk.reserve_mb)
    except SettingsError as error:
        if not settings.overcommit:
            raise
        _log.warning("node: more is offered than there is", reason=str(error))


def drivers_of(settings: NodeSettings, state: Path) -> dict[str, Driver]:
    """Return all drivers that are registered and not switched off, each with its own folder."""
    owner = instance_id(state).hex()

    def context(name: str) -> DriverContext:
        return DriverContext(
            # The process driver's tasks are where they were before there were others.
            state / "tasks" if name == "process" else private_directory(state / "drivers") / name,
            owner,
            settings.allow_unsandboxed,
            int(settings.disk.log_mb * 1_000_000),
            settings.driver_options(name),
        )

    return {
        name: load(point)(context(name))
        for name, point in sorted(installed(DRIVERS).items())
        if name != "container" or settings.container.enabled
    }


def _options(settings: NodeSettings) -> AgentOptions:
    restart = settings.restart
    return AgentOptions(
        escrow=settings.addresses().escrow,
        resources=_resources(settings),
        workload_host=settings.workload_host,
        poll_seconds=settings.poll_seconds,
        pauses=Pauses(
            restart.pause_seconds,
            restart.max_pause_seconds,
            restart.unhealthy_seconds,
            settings.stop_seconds,
            restart.proven_seconds,
            settings.disk.check_seconds,
        ),
        settle_seconds=restart.settle_seconds,
    )


def _profile(
    settings: NodeSettings, parts: Parts, runners: tuple[str, ...], offer: Resources
) -> NodeProfile:
    try:
        return parts.identity.profile(offer, settings.tags, runners)
    except ValueError as error:
        raise SettingsError(f"tags: the profile can't be made ({error}); correct them") from error


def _resources(settings: NodeSettings) -> Resources:
    return Resources(**settings.resources.model_dump())
