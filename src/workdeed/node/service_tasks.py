"""The tasks of one service: the one that it is, and commands that run beside it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from workdeed.intent import Resources, Service
from workdeed.node.drivers.base import Driver, Limits, Published, Task, TaskKey
from workdeed.node.runners.base import Order, Plan
from workdeed.node.surroundings import Memory, Surroundings, Tools
from workdeed.node.values import ValueMissingError, build_env, run_env
from workdeed.node.volumes import EXPORTS

_LOOK_AGAIN_SECONDS: Final = 0.2


class ServiceTasks:
    """Makes them.

    Attributes:
        ports: where its ports are reached from outside, by name; empty before it first starts.
        inside: where it listens, by name; other numbers only in a network of its own.

    """

    def __init__(
        self,
        key: TaskKey,
        service: Service,
        resources: Resources,
        tools: Tools,
        memory: Memory,
        surroundings: Surroundings,
        note: Callable[[str], None],
    ) -> None:
        """Describe a service; `note` is told what is waited for."""
        self.ports: dict[str, int] = {}
        self.inside: dict[str, int] = {}
        self._key = key
        self._service = service
        self._resources = resources
        self._tools = tools
        self._memory = memory
        self._around = surroundings
        self._note = note

    def order(self) -> Order:
        """Return what its runner is asked to make ready; raises `SecretsError`."""
        return Order(
            self._key,
            self._service,
            self._resources,
            build_env(self._service, self._around.facts),
            self._around.secrets().of(self._service),
        )

    def recall_ports(self, driver: Driver) -> None:
        """Take the ports that were given to what `driver` runs already."""
        self.ports = dict(self._memory.ports)
        self.inside = self._inside(driver)

    async def service(self, plan: Plan) -> Task:
        """Return the task that the service is, with ports that are free.

        Waits for the values that other services hand on.

        Raises:
            SecretsError: if its secrets can't be opened.
            DriverError: if no port is free.
            OSError: if its ports can't be remembered.

        """
        # In a thread: a service may have left a million files there.
        await asyncio.to_thread(self._tools.volumes.forget_exports, self._key)
        env = {**plan.env, **await self._spec_env()}
        self.ports = self._memory.allot([port.name for port in self._service.all_ports])
        self.inside = self._inside(plan.driver)
        env |= self._where_it_listens(plan.driver)
        ports = tuple(Published(self.ports[name], self.inside[name]) for name in self.ports)
        return replace(self._task(plan, env), ports=ports, entrypoint=plan.entrypoint)

    async def command(self, plan: Plan, argv: tuple[str, ...], step: str) -> Task:
        """Return the task that a command beside it is: its own but for what runs.

        Waits and raises as `service` does, but for ports.
        """
        env = {**plan.env, **await self._spec_env(), **self._where_it_listens(plan.driver)}
        return replace(self._task(plan, env), key=self._key.at(step), argv=argv)

    def _task(self, plan: Plan, env: Mapping[str, str]) -> Task:
        size = self._resources
        return Task(
            key=self._key,
            argv=plan.argv,
            env=env,
            directory=plan.directory,
            limits=Limits(size.memory_mb, size.storage_mb, size.cpu_milli),
            subdirectory=plan.subdirectory,
            mounts=plan.mounts,
            binds=self._tools.volumes.binds(self._key, self._service),
            image=plan.image,
            user=plan.user,
            mount_tree=plan.mount_tree,
        )

    def _inside(self, driver: Driver) -> dict[str, int]:
        """Return where the task of `driver` listens, by the name of the port."""
        return {
            port.name: port.number
            if driver.own_network and port.number is not None
            else self.ports[port.name]
            for port in self._service.all_ports
            if port.name in self.ports
        }

    def _where_it_listens(self, driver: Driver) -> dict[str, str]:
        """Return the variables that tell a service its ports and its address."""
        env = {port.env: str(self.inside[port.name]) for port in self._service.all_ports}
        if env:
            # In a network of its own, all addresses are the task's alone.
            env["HOST"] = "0.0.0.0" if driver.own_network else self._tools.host  # noqa: S104
        return env

    async def _spec_env(self) -> dict[str, str]:
        """Return the variables of the spec and the node's own, but for ports."""
        return {**await self._values(), **self._own_env()}

    async def _values(self) -> dict[str, str]:
        """Return the variables of the spec, once all values of other services are there."""
        while True:
            try:
                secrets = self.order().secrets
                return await run_env(self._service, self._around.facts, secrets, self._around)
            except ValueMissingError as missing:
                self._note(f"waiting: {missing}")
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _own_env(self) -> dict[str, str]:
        key = self._key
        return {
            "WORKDEED_ESCROW": key.escrow,
            "WORKDEED_JOB": str(key.job_id),
            "WORKDEED_LICENSE": str(key.license_id),
            "WORKDEED_REVISION": str(key.revision),
            "WORKDEED_SERVICE": key.service,
            "WORKDEED_COMMIT": self._memory.pin.version,
            "WORKDEED_EXPORTS": EXPORTS,
        }
