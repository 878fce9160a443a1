"""HTTP to addresses from the chain.

A name is resolved once, and the connection goes to the address that was found; one that is not
public is refused; redirects are not followed; reading stops at a limit; compressed bodies stay as
they are, so that a small one cannot become a big one.
"""

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from workdeed.chain.connections import why
from workdeed.oracle.errors import EndpointError, StatusError
from workdeed.protocol.addresses import is_public
from workdeed.protocol.errors import MessageError
from workdeed.protocol.limits import MAX_BODY, MAX_SMALL_BYTES
from workdeed.protocol.messages import ErrorBody

_PORTS: Final = {"http": 80, "https": 443}
_KEEP_ALIVE_SECONDS: Final = 2.0  # less than servers keep a connection, so that none is found dead
_CONNECTIONS: Final = 1_024
_CHUNK: Final = 1 << 16
_HEADERS: Final = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Origin:
    """An endpoint after its name was resolved.

    Attributes:
        scheme: http or https.
        host: as it was named.
        port: TCP port.
        address: the IP address to connect to.

    """

    scheme: str
    host: str
    port: int
    address: str

    @property
    def socket(self) -> tuple[str, int]:
        """The address and port that are connected to."""
        return self.address, self.port

    def workload(self, port: int) -> Self:
        """Return where a workload of this node listens: plain HTTP at the same address."""
        return replace(self, scheme="http", port=port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


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
        for session in sessions.values():
            await session.close()

    async def resolve(self, endpoint: str, *, trusted: bool = False) -> Origin:
        """Return where `http(s)://host[:port]` leads.

        Args:
            endpoint: the address.
            trusted: whether it is from this oracle's own settings, and may be private.

        Raises:
            EndpointError: if it is malformed, leads nowhere, or to an address that is not public.

        """
        origin = parse_endpoint(endpoint)
        addresses = await _lookup(origin.host, origin.port)
        allowed = self._allow_private or trusted
        public = [one for one in addresses if allowed or is_public(one)]
        if not public:
            raise EndpointError(f"{origin}: it leads to the private address {addresses[0]}")
        return replace(origin, address=public[0])

    async def get(
        self, origin: Origin, path: str, *, seconds: float, max_bytes: int = MAX_BODY
    ) -> bytes:
        """GET a path and return the body of a 2xx answer.

        Args:
            origin: whom to ask, as `resolve` returns it.
            path: path and query.
            seconds: seconds from the first step to the last byte.
            max_bytes: longest body that is read.

        Raises:
            StatusError: if another status is answered.
            EndpointError: if no answer comes, or too much.

        """
        return await self._exchange("GET", origin, path, None, seconds, max_bytes)

    async def post(
        self, origin: Origin, path: str, body: bytes, *, seconds: float, max_bytes: int = MAX_BODY
    ) -> bytes:
        """POST a JSON body; returns and raises as `get`."""
        return await self._exchange("POST", origin, path, body, seconds, max_bytes)

    async def status(self, origin: Origin, path: str, *, seconds: float) -> int:
        """GET a path over a new connection and return the status; the body is not read.

        Raises:
            EndpointError: if no answer comes.

        """
        try:
            async with self._request("GET", origin, path, None, seconds, fresh=True) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise EndpointError(f"{origin}: {why(error, quote=True)}") from error

    async def connect(self, origin: Origin, *, seconds: float) -> None:
        """Open a TCP connection and close it again; nothing is sent.

        Raises:
            EndpointError: if it is not taken.

        """
        try:
            async with asyncio.timeout(seconds):
                _, writer = await asyncio.open_connection(*origin.socket)
        except (OSError, TimeoutError) as error:
            raise EndpointError(f"{origin}: {why(error, quote=True)}") from error
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _exchange(
        self,
        method: str,
        origin: Origin,
        path: str,
        body: bytes | None,
        seconds: float,
        max_bytes: int,
    ) -> bytes:
        try:
            async with self._request(method, origin, path, body, seconds) as response:
                data = await _read(response, max_bytes, origin)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise EndpointError(f"{origin}: {why(error, quote=True)}") from error
        if response.status // 100 != 2:
            raise StatusError(f"{origin}{path}: {_refusal(response.status, data)}", response.status)
        return data

    def _request(
        self,
        method: str,
        origin: Origin,
        path: str,
        body: bytes | None,
        seconds: float,
        *,
        fresh: bool = False,
    ) -> "aiohttp.client._RequestContextManager":
        # Joined as text: a path that begins with two slashes must not become another host.
        base = URL.build(scheme=origin.scheme, host=origin.address, port=origin.port)
        named = f"[{origin.host}]" if ":" in origin.host else origin.host
        default = _PORTS[origin.scheme] == origin.port
        return self._session(fresh).request(
            method,
            URL(str(base).rstrip("/") + path, encoded=True),
            data=body,
            headers={"Host": named if default else f"{named}:{origin.port}"},
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
                else aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_SECONDS)
            )
            self._sessions[fresh] = aiohttp.ClientSession(
                connector=connector,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._sessions[fresh]


def parse_endpoint(endpoint: str) -> Origin:
    """Return the parts of `http(s)://host[:port]`, with an empty address.

    Raises:
        EndpointError: if it is malformed, or carries more than that.

    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    plain = host and parts.path in ("", "/") and not (parts.query or parts.fragment)
    if not plain or parts.scheme not in _PORTS or "@" in parts.netloc or port == 0:
        raise EndpointError(
            f"endpoint {endpoint!r}: it is not http(s)://host:port; set one that is"
        )
    assert host is not None  # noqa: S101 - `plain` says so
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme], "")


async def _lookup(host: str, port: int) -> list[str]:
    """Return the addresses of a host name; a literal address is its own."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise EndpointError(f"{host}: it can't be resolved") from error
    return [str(one[4][0]) for one in found]


async def _read(response: aiohttp.ClientResponse, max_bytes: int, origin: Origin) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > max_bytes:
            raise EndpointError(f"{origin}: its answer exceeds {max_bytes} bytes")
    return bytes(data)


def _refusal(status: int, data: bytes) -> str:
    try:
        return ErrorBody.parse(data[: MAX_SMALL_BYTES + 1]).error
    except MessageError:
        return f"HTTP {status}"
