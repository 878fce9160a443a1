"""HTTP to addresses from the chain.

A name is resolved once, and the connection goes to the address that was found; one that is not
public is refused; redirects are not followed; reading stops at a limit; compressed bodies stay as
they are, so that a small one cannot become a big one.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from workdeed.oracle.errors import EndpointError, StatusError
from workdeed.protocol.limits import MAX_BODY
from workdeed.web.addresses import is_public, lookup
from workdeed.web.answers import KEEP_ALIVE_SECONDS, TooLongError, read, refusal, session
from workdeed.web.origins import Origin, OriginError, parse_origin
from workdeed.web.why import why

_CONNECTIONS: Final = 1_024


@dataclass(frozen=True, slots=True)
class Resolved:
    """An endpoint after its name was resolved.

    Attributes:
        origin: as it was named.
        address: the IP address to connect to.

    """

    origin: Origin
    address: str

    @property
    def socket(self) -> tuple[str, int]:
        """The address and port that are connected to."""
        return self.address, self.origin.port

    def workload(self, port: int) -> Self:
        """Return where a workload of this node listens: plain HTTP at the same address."""
        return replace(self, origin=replace(self.origin, scheme="http", port=port))

    def __str__(self) -> str:
        return str(self.origin)


class EndpointClient:
    """A client for many endpoints; `close` it, or use it as an async context.

    Args:
        allow_private: whether private, loopback and link-local addresses may be called.

    """

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        sessions, self._sessions = self._sessions, {}
        for one in sessions.values():
            await one.close()

    async def resolve(self, endpoint: str, *, trusted: bool = False) -> Resolved:
        """Return where `http(s)://host[:port]` leads.

        Args:
            endpoint: the address.
            trusted: whether it is from this oracle's own settings, and may be private.

        Raises:
            EndpointError: if it is malformed, leads nowhere, or to an address that is not public.

        """
        origin = parse_endpoint(endpoint)
        try:
            addresses = await lookup(origin.host, origin.port)
        except OSError as error:
            raise EndpointError(f"{origin}: its name can't be resolved") from error
        allowed = self._allow_private or trusted
        public = [one for one in addresses if allowed or is_public(one)]
        if not public:
            raise EndpointError(f"{origin}: it leads to the private address {addresses[0]}")
        return Resolved(origin, public[0])

    async def get(
        self, target: Resolved, path: str, *, seconds: float, max_bytes: int = MAX_BODY
    ) -> bytes:
        """GET a path and return the body of a 2xx answer.

        Args:
            target: whom to ask, as `resolve` returns it.
            path: path and query.
            seconds: seconds from the first step to the last byte.
            max_bytes: longest body that is read.

        Raises:
            StatusError: if another status is answered.
            EndpointError: if no answer comes, or too much.

        """
        return await self._exchange("GET", target, path, None, seconds, max_bytes)

    async def post(
        self, target: Resolved, path: str, body: bytes, *, seconds: float, max_bytes: int = MAX_BODY
    ) -> bytes:
        """POST a JSON body; returns and raises as `get`."""
        return await self._exchange("POST", target, path, body, seconds, max_bytes)

    async def status(self, target: Resolved, path: str, *, seconds: float) -> int:
        """GET a path over a new connection and return the status; the body is not read.

        Raises:
            EndpointError: if no answer comes.

        """
        try:
            async with self._request("GET", target, path, None, seconds, fresh=True) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise EndpointError(f"{target}: {why(error, quote=True)}") from error

    async def connect(self, target: Resolved, *, seconds: float) -> None:
        """Open a TCP connection and close it again; nothing is sent.

        Raises:
            EndpointError: if it is not taken.

        """
        try:
            async with asyncio.timeout(seconds):
                _, writer = await asyncio.open_connection(*target.socket)
        except (OSError, TimeoutError) as error:
            raise EndpointError(f"{target}: {why(error, quote=True)}") from error
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _exchange(
        self,
        method: str,
        target: Resolved,
        path: str,
        body: bytes | None,
        seconds: float,
        max_bytes: int,
    ) -> bytes:
        try:
            async with self._request(method, target, path, body, seconds) as response:
                data = await read(response, max_bytes)
        except TooLongError as error:
            raise EndpointError(f"{target}: {error}") from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise EndpointError(f"{target}: {why(error, quote=True)}") from error
        if response.status // 100 != 2:
            raise StatusError(f"{target}{path}: {refusal(response.status, data)}", response.status)
        return data

    def _request(
        self,
        method: str,
        target: Resolved,
        path: str,
        body: bytes | None,
        seconds: float,
        *,
        fresh: bool = False,
    ) -> "aiohttp.client._RequestContextManager":
        # Joined as text: a path that begins with two slashes must not become another host.
        origin = target.origin
        base = URL.build(scheme=origin.scheme, host=target.address, port=origin.port)
        return self._session(fresh).request(
            method,
            URL(str(base).rstrip("/") + path, encoded=True),
            data=body,
            headers={"Host": origin.authority},
            server_hostname=origin.host if origin.scheme == "https" else None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds),
        )

    def _session(self, fresh: bool) -> aiohttp.ClientSession:
        """Return the session whose connections are kept for a while, or used once."""
        if fresh not in self._sessions:
            connector = (
                aiohttp.TCPConnector(limit=_CONNECTIONS, force_close=True)
                if fresh
                else aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS)
            )
            self._sessions[fresh] = session(connector)
        return self._sessions[fresh]


def parse_endpoint(endpoint: str) -> Origin:
    """Return what `http(s)://host[:port]` names.

    Raises:
        EndpointError: if it is malformed, or carries more than that.

    """
    try:
        return parse_origin(endpoint)
    except OriginError as error:
        raise EndpointError(str(error)) from None
