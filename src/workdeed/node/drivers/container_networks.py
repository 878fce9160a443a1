"""A network for each job on this node, so that its services reach each other and no other job."""

import asyncio
import hashlib
from typing import Any, Final
from weakref import WeakValueDictionary

from workdeed.node.drivers.base import TaskKey
from workdeed.node.drivers.container_engine import PODMAN, Engine, EngineRefusedError
from workdeed.node.drivers.container_spec import OWNER_LABEL, network_name
from workdeed.node.errors import DriverError

BRIDGE_PREFIX: Final = "wdeed"
"""What the names of all bridges begin with, so that a firewall can tell them from others."""

_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.1


class Networks:
    """The networks of one agent."""

    def __init__(self, engine: Engine, owner: str) -> None:
        """Make those of `owner` in `engine`."""
        self._engine = engine
        self._owner = owner
        # Each for as long as somebody holds it or waits.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, key: TaskKey) -> asyncio.Lock:
        """Return what to hold while a container is put into the network of `key`, or taken out.

        Without it the last container of a job could take the network away under the next one.
        """
        return self._locks.setdefault(network_name(self._owner, key), asyncio.Lock())

    async def ensure(self, key: TaskKey) -> None:
        """Make the network of `key` where it is missing.

        Raises:
            DriverError: if the engine has no room for another network, or can't be asked.

        """
        name = network_name(self._owner, key)
        options = {"com.docker.network.bridge.name": bridge_name(name)}
        if await self._engine.kind() == PODMAN:
            # Docker keeps bridges apart by itself.
            options["isolate"] = "true"

        def make(client: Any) -> None:
            # Engines take the name for a pattern.
            if name not in {one["Name"] for one in client.networks(names=[name])}:
                client.create_network(
                    name,
                    driver="bridge",
                    check_duplicate=True,
                    labels={OWNER_LABEL: self._owner},
                    options=options,
                )

        for rest in reversed(range(_TRIES)):
            try:
                await self._engine.call("making a network", make)
            except EngineRefusedError as error:
                if "already" in str(error):
                    return
                if rest == 0:
                    raise DriverError(
                        f"{error}; where addresses ran out, give the engine more address pools"
                    ) from error
                # Podman fails when another job's bridge goes away while it looks at all of them.
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    async def drop(self, name: str) -> None:
        """Remove the network `name` unless a container is in it."""
        try:
            await self._engine.call(
                "removing a network", lambda client: client.remove_network(name)
            )
        except EngineRefusedError:
            # Another service of the job is in it, or it is gone: either is as it should be.
            return

    async def names(self) -> list[str]:
        """Return the names of all networks of this agent."""
        label = f"{OWNER_LABEL}={self._owner}"
        found = await self._engine.call(
            "listing networks", lambda client: client.networks(filters={"label": label})
        )
        return [str(one["Name"]) for one in found]


def bridge_name(network: str) -> str:
    """Return the name of a network's bridge on the host, 15 characters as the kernel has it."""
    return BRIDGE_PREFIX + hashlib.sha256(network.encode()).hexdigest()[: 15 - len(BRIDGE_PREFIX)]
