"""Which version of a service runs: the one that it was pinned to, or a newer one of its branch."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Protocol

from workdeed.intent import Service
from workdeed.node.errors import NodeError
from workdeed.node.records import Pin
from workdeed.node.runners.base import Order, Plan, Runner

_SLOWEST_LOOK: Final = 16
"""How many times longer the pause before another look at a branch gets while looks fail."""
_TRIES: Final = 3
"""How often a newer version that can't be made ready is tried."""


class Pins(Protocol):
    """Where it is kept which version was good, and which was not."""

    @property
    def pin(self) -> Pin:
        """What is known."""

    def remember_pin(self, pin: Pin) -> None:
        """Keep what is known now; raises `OSError` where that can't be written."""


class Versions:
    """The versions of one service.

    Args:
        service: the service.
        runner: finds versions and makes them ready.
        memory: keeps the pin.
        order: returns what the runner is asked to make ready.
        note: told of a version that is not taken, for the status.
        log: the service's.

    """

    def __init__(
        self,
        service: Service,
        runner: Runner,
        memory: Pins,
        order: Callable[[], Order],
        note: Callable[[str], None],
        log: Any,
    ) -> None:
        self.newer = ""
        """The newer version that is ready and takes over, as the last look at the branch found."""
        self._runner = runner
        self._memory = memory
        self._order = order
        self._note = note
        self._log = log
        self._poll = runner.poll_seconds(service)
        self._looked = time.monotonic()
        """When the branch was last looked at, by the monotonic clock, in whichever life."""
        self._pause = 0.0
        """How many seconds the next look at least comes after that; more while looks fail."""
        self._stands_in = False
        """Whether what is pinned took the place of a good one that failed, and was not well yet."""
        self._untaken = "", 0
        """The newer version that could not be made ready last, and how often."""

    @property
    def current(self) -> str:
        """The commit or image digest that is pinned, "" before that is known."""
        return self._memory.pin.version

    @property
    def is_proven(self) -> bool:
        """Whether what is pinned has been well."""
        pin = self._memory.pin
        return bool(pin.version) and pin.version == pin.good

    @property
    def are_followed(self) -> bool:
        """Whether newer ones are looked for."""
        return self._poll is not None

    @property
    def until_look(self) -> float:
        """How many seconds the next look at the branch is off; for ever where none is followed."""
        if self._poll is None:
            return float("inf")
        return self._looked + max(self._poll, self._pause) - time.monotonic()

    async def prepare(self) -> Plan:
        """Make the wanted version ready, and pin the first one.

        Raises:
            RunnerError, OSError: if that fails.

        """
        order, pin = self._order(), self._memory.pin
        if not pin.version:
            self._looked = time.monotonic()
            pin = replace(pin, version=await self._runner.resolve(order))
            self._memory.remember_pin(pin)
        return await self._runner.prepare(order, pin.version)

    async def look(self) -> None:
        """Look for a newer version of a branch that is followed, once.

        What goes wrong with a look, a full disk included, says nothing about the service: it runs
        on, and the next look comes later. One that is called off is none.
        """
        assert self._poll is not None  # noqa: S101 - else none is due
        self.newer = ""
        try:
            self.newer = await self._find_newer()
        except (NodeError, OSError) as error:
            self._pause = min(2 * max(self._poll, self._pause), _SLOWEST_LOOK * self._poll)
            self._log.warning("workload: no newer version can be had", error=str(error))
        else:
            self._pause = self._poll
        self._looked = time.monotonic()

    def take_newer(self, *, in_place_of_failing: bool) -> None:
        """Pin the newer version that the last look found; raises `OSError` if it can't be noted."""
        self._stands_in = in_place_of_failing and self.is_proven
        self._memory.remember_pin(replace(self._memory.pin, version=self.newer))

    async def catch_up(self) -> None:
        """Take the newer version, if a look is due and finds one, in the place of one that failed.

        Nobody follows the branch while nothing runs, and a commit may be what mends it.
        """
        if self.current and self.until_look <= 0:
            await self.look()
            if self.newer:
                self.take_newer(in_place_of_failing=True)

    def prove(self) -> None:
        """Remember that the version which runs is good."""
        pin = self._memory.pin
        self._stands_in = False
        if pin.version and pin.good != pin.version:
            try:
                self._memory.remember_pin(replace(pin, good=pin.version))
            except OSError as error:
                # It is told again; a full disk is no reason to end what is well.
                self._log.warning("workload: a good version can't be noted", error=str(error))

    def give_up(self, reason: str) -> None:
        """Go back to the last good version if the one that failed never got well.

        One that stood in for a good one that failed may have failed for the same reason, such as a
        database that is away. It is looked at again.
        """
        pin = self._memory.pin
        if not pin.good or pin.good == pin.version:
            return
        back = replace(pin, version=pin.good) if self._stands_in else pin.giving_up(pin.version)
        try:
            self._memory.remember_pin(back)
        except OSError as error:
            # It fails once more before it is given up.
            self._log.warning("workload: a bad version can't be noted", error=str(error))
            return
        self._log.warning("workload: back to the last good version", given_up=pin.version)
        self._note(f"{pin.version[:12]} was given up: {reason}")

    async def _find_newer(self) -> str:
        """Return the newest version, made ready, or "" if it runs already or was given up.

        One that can't be made ready is given up after some tries: a network or a disk may have been
        the reason.
        """
        pin = self._memory.pin
        version = await self._runner.resolve(self._order())
        if version in (pin.version, *pin.bad):
            return ""
        try:
            await self._runner.prepare(self._order(), version)
        except (NodeError, OSError) as error:
            tried = self._untaken[1] + 1 if self._untaken[0] == version else 1
            self._untaken = version, tried
            self._note(f"{version[:12]} is not taken: {error}")
            if tried >= _TRIES:
                self._memory.remember_pin(pin.refusing(version))
            raise
        return version
