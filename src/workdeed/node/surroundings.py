"""What a workload is given: tools, a memory, and what is around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from workdeed.intent import Service
from workdeed.node.drivers.base import Driver
from workdeed.node.health import HealthProbe
from workdeed.node.records import End
from workdeed.node.runners.base import Runner
from workdeed.node.secrets import Opened
from workdeed.node.values import Neighbours, NodeFacts
from workdeed.node.versions import Pins
from workdeed.node.volumes import Volumes


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds.

    Attributes:
        first, longest: bounds of the pause between two tries, which doubles; a spec may ask for
            longer ones.
        unhealthy: until a service that stays ill is ended.
        grace: that a service gets to end by itself.
        proven: that a new version must have been well to count as good.
        disk: between two looks at what a service takes on disk.

    """

    first: float = 1.0
    longest: float = 60.0
    unhealthy: float = 120.0
    grace: float = 10.0
    proven: float = 10.0
    disk: float = 30.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What a workload works with; `host` is where services are told to listen."""

    drivers: Mapping[str, Driver]
    runner: Runner
    health: HealthProbe
    volumes: Volumes
    host: str
    pauses: Pauses


class Memory(Pins, Protocol):
    """What is remembered of one service, durably."""

    @property
    def ports(self) -> Mapping[str, int]:
        """The numbers that its ports were last given, by name."""

    def allot(self, names: Sequence[str]) -> dict[str, int]:
        """Return free numbers for the ports of these names, remembered before they are used."""

    @property
    def stopped(self) -> bool:
        """Whether the payer stopped it by a command."""

    def remember_stopped(self, stopped: bool) -> None:
        """Remember whether the payer stopped it."""

    @property
    def end(self) -> End | None:
        """The end that it was asked to come to, or came to for good; None once it goes on."""

    def remember_end(self, end: End | None) -> None:
        """Remember that it was asked to end, ended for good, or goes on."""


class Surroundings(Neighbours, Protocol):
    """What a service needs to know of its job and its siblings."""

    facts: NodeFacts

    @property
    def volumes_mb(self) -> int:
        """What the job's volumes may hold in all."""

    def counts_volumes(self, service: str) -> bool:
        """Tell whether it is for this service to look at what the job's volumes hold."""

    def secrets(self) -> Opened:
        """Return all opened secrets of the job.

        Raises:
            SecretsError: if they can't be opened.

        """

    @property
    def has_turn(self) -> bool:
        """Whether the job's revision has taken over from the one before it, or may."""

    async def may_start(self, note: Callable[[str], None] | None = None) -> None:
        """Wait until the chain can be read and wants it; `note` is told what is waited for."""

    def changed(self) -> None:
        """Be told that the state of a service changed."""

    async def turn_of(self, service: Service, note: Callable[[str], None]) -> None:
        """Wait until the job may take over and the services before this one are well."""
