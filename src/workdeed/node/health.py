"""Asks a service whether it is well."""

import asyncio
import contextlib
from typing import NamedTuple, Protocol

import aiohttp

from workdeed.intent import HttpCheck, TcpCheck


class Health(NamedTuple):
    """Outcome of one check; `problem` says what is wrong when it is not well."""

    well: bool
    problem: str = ""


class HealthProbe(Protocol):
    """Checks a service once at one of its ports."""

    async def check(self, check: HttpCheck | TcpCheck, port: int) -> Health:
        """Return whether the service that listens on `port` is well; raises nothing."""

    async def close(self) -> None:
        """Close the connections."""


class PortHealthProbe:
    """Asks on the loopback address: an answer of 200 to 299, or that a connection is taken."""

    def __init__(self, host: str) -> None:
        """Check services that listen on `host`."""
        wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        self._address = wildcard.get(host, host)
        self._session: aiohttp.ClientSession | None = None

    async def check(self, check: HttpCheck | TcpCheck, port: int) -> Health:
        """Ask once; see `HealthProbe`. No body is read."""
        try:
            async with asyncio.timeout(check.timeout_ms / 1000):
                if isinstance(check, TcpCheck):
                    return await self._connect(port)
                return await self._get(check, port)
        except TimeoutError:
            return Health(False, f"its health check does not answer in {check.timeout_ms} ms")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Health(False, f"its health check fails ({type(error).__name__})")

    async def _connect(self, port: int) -> Health:
        _, writer = await asyncio.open_connection(self._address, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return Health(True)

    async def _get(self, check: HttpCheck, port: int) -> Health:
        if self._session is None:
            # A connection for each check: a workload that no longer accepts any is not well.
            # No bound on all together: waiting for a turn would count as not answering, and each
            # workload has one check at a time.
            connector = aiohttp.TCPConnector(force_close=True, limit=0)
            self._session = aiohttp.ClientSession(connector=connector)
        host = f"[{self._address}]" if ":" in self._address else self._address
        url = f"http://{host}:{port}{check.path}"
        async with self._session.get(url, allow_redirects=False) as response:
            if 200 <= response.status < 300:
                return Health(True)
            return Health(False, f"its health check answers {response.status}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
