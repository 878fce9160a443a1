"""Keeps a pool on what keepers say of the replicas."""

import asyncio
import time
from collections.abc import Callable

import structlog

from workdeed.protocol.rollouts import Endpoint
from workdeed.sdk.endpoints import Endpoints, check_literal, parse_base
from workdeed.sdk.errors import EndpointError
from workdeed.sdk.gateway.pool import Pool, Target
from workdeed.sdk.gateway.settings import GatewaySettings
from workdeed.sdk.rollouts import get_endpoints
from workdeed.web.origins import Origin

_log = structlog.get_logger(__name__)


class Watch:
    """Asks for the list of replicas again and again.

    Args:
        settings: which job, which keepers, how often.
        endpoints: the HTTP client for keepers.
        pool: told of the replicas.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        settings: GatewaySettings,
        endpoints: Endpoints,
        pool: Pool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._pool = pool
        self._now = now
        self._keepers = list(settings.keepers)
        self._failing: dict[str, str] = {}
        self._listed_at: float | None = None
        self._trouble = "no keeper was asked yet"

    @property
    def trouble(self) -> str:
        """Why there is no list that may be gone by, "" if there is one."""
        if self._listed_at is None:
            return self._trouble
        age = self._now() - self._listed_at
        if age <= self._settings.stale:
            return ""
        return self._trouble or "no keeper answers"

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            began = self._now()
            await self.look()
            await asyncio.sleep(max(0.0, self._settings.poll - (self._now() - began)))

    async def look(self) -> None:
        """Ask once: the keeper that answered last, or the next that tells replicas.

        A keeper whose own network is down reaches no node and tells none: others may reach them.
        """
        empty_at: float | None = None
        for keeper in list(self._keepers):
            began = self._now()
            try:
                found = await get_endpoints(self._endpoints, [keeper], self._settings.job_id)
            except EndpointError as error:
                self._fails(keeper, str(error))
            else:
                self._answers(keeper, len(found.endpoints))
                if found.endpoints or not found.replicas:
                    self._take(found.endpoints, began)
                    return
                empty_at = began if empty_at is None else empty_at
            # Whoever is asked next is asked first from now on.
            self._keepers.append(self._keepers.pop(self._keepers.index(keeper)))
        if empty_at is not None:
            self._take((), empty_at)

    def _take(self, found: tuple[Endpoint, ...], asked_at: float) -> None:
        targets = [Target(one.host, one.port) for one in found if self._may_be_called(one)]
        before = set(self._pool.targets)
        self._pool.update(targets, asked_at)
        self._listed_at, self._trouble = asked_at, ""
        for target in before - set(targets):
            _log.info("gateway: a replica left", target=str(target))
        for target in set(targets) - before:
            _log.info("gateway: a replica came", target=str(target))

    def _may_be_called(self, one: Endpoint) -> bool:
        """Tell whether it is a host and no more than that, and no private address."""
        origin = Origin("http", one.host, one.port)
        try:
            if parse_base(str(origin)) != origin:
                return False
            if not self._settings.allow_private:
                check_literal(origin)
        except EndpointError:
            return False
        return True

    def _answers(self, keeper: str, replicas: int) -> None:
        if self._listed_at is None or self._failing.pop(keeper, ""):
            _log.info("gateway: a keeper tells the replicas", keeper=keeper, replicas=replicas)

    def _fails(self, keeper: str, trouble: str) -> None:
        # Not each time: where one is down and another tells none, both are asked again and again.
        if trouble != self._failing.get(keeper):
            _log.warning("gateway: a keeper tells no replicas", keeper=keeper, reason=trouble)
        self._failing[keeper] = self._trouble = trouble
