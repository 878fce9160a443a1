"""Asks a workload whether it is well."""

from typing import NamedTuple, Protocol

import aiohttp

from workdeed.intent import HealthCheck


class Health(NamedTuple):
    """Outcome of one check; `problem` says what is wrong when it is not well."""

    well: bool
    problem: str = ""


class HealthProbe(Protocol):
    """Checks one workload once."""

    async def check(self, check: HealthCheck, port: int) -> Health:
        """Return whether the workload that listens on `port` is well; raises nothing."""

    async def close(self) -> None:
        """Close the connections."""


class HttpHealthProbe:
    """GET on the loopback address: 200 to 299 is well, anything else is not."""

    def __init__(self, host: str) -> None:
        """Check workloads that listen on `host`."""
        wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        address = wildcard.get(host, host)
        self._host = f"[{address}]" if ":" in address else address
        self._session: aiohttp.ClientSession | None = None

    async def check(self, check: HealthCheck, port: int) -> Health:
        """Ask once; see `HealthProbe`. The body is not read."""
        if self._session is None:
            # A connection for each check: a workload that no longer accepts any is not well.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector)
        url = f"http://{self._host}:{port}{check.path}"
        timeout = aiohttp.ClientTimeout(total=check.timeout_ms / 1000)
        try:
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as response:
                if 200 <= response.status < 300:
                    return Health(True)
                return Health(False, f"its health check answers {response.status}")
        except TimeoutError:
            return Health(False, f"its health check does not answer in {check.timeout_ms} ms")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Health(False, f"its health check fails ({type(error).__name__})")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
