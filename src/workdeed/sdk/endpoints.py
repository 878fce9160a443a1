"""HTTP to addresses that came from the chain: nodes, oracles and other keepers.

A name is resolved once and the connection goes to the address that was found, private ones are
refused outside of a chain of one's own, redirects are not followed, and reading stops at a limit.
"""

import socket
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from workdeed.protocol.limits import MAX_BODY
from workdeed.sdk.errors import EndpointError, StatusError
from workdeed.web.addresses import is_literal, is_public
from workdeed.web.answers import KEEP_ALIVE_SECONDS, TooLongError, read, refusal, session
from workdeed.web.origins import Origin, OriginError, parse_origin
from workdeed.web.why import why


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
        opened, self._session = self._session, None
        if opened is not None:
            await opened.close()

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
            check_literal(origin)
        try:
            async with self._open().request(
                method, f"{origin}{path}", data=body, allow_redirects=False
            ) as response:
                data = await read(response, max_bytes)
        except TooLongError as error:
            raise EndpointError(f"{origin}: {error}") from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # ValueError: a name that the resolver's encoding, or the library, does not take.
            raise EndpointError(f"{origin}: {why(error, quote=True)}; it may be down") from error
        if response.status // 100 != 2:
            raise StatusError(f"{origin}{path}: {refusal(response.status, data)}", response.status)
        return data

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                resolver=PublicResolver(self._allow_private, self._trusted),
                limit=64,
                limit_per_host=4,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
            )
            self._session = session(connector, timeout=self._timeout)
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
        return parse_origin(base)
    except OriginError as error:
        raise EndpointError(str(error)) from None


def check_literal(origin: Origin) -> None:
    """Raise `EndpointError` for a private IP address: no resolver ever sees a literal one."""
    if is_literal(origin.host) and not is_public(origin.host):
        raise EndpointError(f"endpoint {origin}: its address is private; set a public one")
