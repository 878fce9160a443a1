"""HTTP to addresses that came from the chain: nodes, oracles and other keepers.

A name is resolved once and the connection goes to the address that was found, private ones are
refused outside of a chain of one's own, redirects are not followed, and reading stops at a limit.
"""

import ipaddress
import re
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from workdeed.chain.connections import why
from workdeed.protocol.addresses import is_public
from workdeed.protocol.errors import MessageError
from workdeed.protocol.limits import MAX_BODY, MAX_SMALL_BYTES
from workdeed.protocol.messages import ErrorBody
from workdeed.sdk.errors import EndpointError, StatusError

KEEP_ALIVE_SECONDS = 2.0
"""Less than servers keep an idle connection, so that none is found dead when it is used."""

_PORTS = {"http": 80, "https": 443}
_MAX_NAME: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an endpoint is: scheme, host and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{shown}:{self.port}"

    def check_literal(self) -> None:
        """Raise `EndpointError` for a private IP address: no resolver ever sees a literal one."""
        if _is_literal(self.host) and not is_public(self.host):
            raise EndpointError(f"endpoint {self}: its address is private; set a public one")


class Endpoints:
    """A client for many peers; `close` it, or use it as an async context.

    Args:
        allow_private: whether private, loopback and link-local addresses may be called.
        trusted: addresses that the user named, which may be private all the same.
        timeout: seconds for one request, from resolving to the last byte.

    """

    def __init__(
        self, *, allow_private: bool, trusted: Iterable[str] = (), timeout: float = 5.0
    ) -> None:
        self._allow_private = allow_private
        self._trusted = frozenset(parse_base(one) for one in trusted)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

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
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, base: str, path: str, max_bytes: int = MAX_BODY) -> bytes:
        """GET `path` at the address `base` and return the body of a 2xx answer.

        Raises:
            StatusError: if the peer says no.
            EndpointError: if it is not reached, may not be called, or answers too much.

        """
        return await self._exchange("GET", base, path, None, max_bytes)

    async def send(
        self, method: str, base: str, path: str, body: bytes, max_bytes: int = MAX_BODY
    ) -> bytes:
        """POST or PUT a JSON `body`; returns and raises as `get`."""
        return await self._exchange(method, base, path, body, max_bytes)

    async def _exchange(
        self, method: str, base: str, path: str, body: bytes | None, max_bytes: int
    ) -> bytes:
        origin = parse_base(base)
        if not (self._allow_private or origin in self._trusted):
            origin.check_literal()
        try:
            async with self._open().request(
                method, f"{origin}{path}", data=body, allow_redirects=False
            ) as response:
                data = await _read(response, max_bytes, str(origin))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # ValueError: a name that the resolver's encoding, or the library, does not take.
            raise EndpointError(f"{origin}: {why(error, quote=True)}; it may be down") from error
        if response.status // 100 != 2:
            raise StatusError(f"{origin}{path}: {_refusal(response.status, data)}", response.status)
        return data

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                resolver=PublicResolver(self._allow_private, self._trusted),
                limit=64,
                limit_per_host=4,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                # A small compressed body must not become a big one.
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


class PublicResolver(AbstractResolver):
    """Resolves names, and leaves out the addresses that may not be called.

    Args:
        allow_private: whether private, loopback and link-local addresses may be called.
        trusted: those that may be called all the same.

    """

    def __init__(self, allow_private: bool, trusted: Collection[Origin]) -> None:
        self._inner = DefaultResolver()
        self._allow_private = allow_private
        self._trusted = {(origin.host, origin.port) for origin in trusted}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises `OSError` if none may be called."""
        try:
            found = await self._inner.resolve(host, port, family)
        except UnicodeError as error:
            raise OSError("its name is malformed") from error
        if self._allow_private or (host, port) in self._trusted:
            return found
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise OSError("its address is private")
        return public

    async def close(self) -> None:
        """Close the resolver beneath."""
        await self._inner.close()


def parse_base(base: str) -> Origin:
    """Return what `http(s)://host[:port]` names.

    Raises:
        EndpointError: if it is malformed or carries more than that.

    """
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise EndpointError(
            f"endpoint {base!r}: it is malformed; set http(s)://host:port"
        ) from None
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in _PORTS or not host or not plain or port == 0:
        raise EndpointError(f"endpoint {base!r}: it is not http(s)://host:port; set one that is")
    if not _is_host(host):
        raise EndpointError(
            f"endpoint {base!r}: its host is neither an IP address nor a name in ASCII; set one"
        )
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme])


def _is_host(host: str) -> bool:
    """Tell whether it is an IP address, or a name that nobody takes for one.

    HTTP libraries read other digits, such as full-width ones, as those of an address, and resolvers
    take `127.1` or `0x7f000001` for one: these would pass checks of addresses by their looks.
    """
    if _is_literal(host):
        return "%" not in host
    labels = host.removesuffix(".").split(".")
    fits = len(host) <= _MAX_NAME and all(_LABEL.fullmatch(one) for one in labels)
    return fits and not _NUMBER.fullmatch(labels[-1])


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


async def _read(response: aiohttp.ClientResponse, max_bytes: int, origin: str) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > max_bytes:
            raise EndpointError(f"{origin}: its answer exceeds {max_bytes} bytes")
    return bytes(data)


def _refusal(status: int, data: bytes) -> str:
    try:
        return ErrorBody.parse(data[: MAX_SMALL_BYTES + 1]).error
    except MessageError:
        return f"HTTP {status}"
