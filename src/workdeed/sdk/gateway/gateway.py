"""Joins the parts of a gateway, listens, and stops without breaking what is under way."""

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from workdeed.protocol.messages import ErrorBody
from workdeed.sdk.endpoints import Endpoints, parse_base
from workdeed.sdk.errors import SdkError
from workdeed.sdk.gateway.clients import ClientConnection
from workdeed.sdk.gateway.pool import Pool
from workdeed.sdk.gateway.proxy import Proxy
from workdeed.sdk.gateway.settings import GatewaySettings
from workdeed.sdk.gateway.watch import Watch

_KEEPER_SECONDS: Final = 3.0
_CUT_SECONDS: Final = 0.1
"""For a request that is cut off to take note of it; 0 would stand for no end."""

_HEADER_BYTES: Final = 16 * 1024


class Gateway:
    """Serves one job; use it as an async context, or `open` and `close` it.

    Args:
        settings: which job, and how its callers are served.

    Raises:
        SdkError: if the address of a keeper is malformed.

    """

    def __init__(self, settings: GatewaySettings) -> None:
        for keeper in settings.keepers:
            parse_base(keeper)
        self._settings = settings
        self._pool = Pool(settings.balance)
        self._endpoints = Endpoints(
            allow_private=False, trusted=settings.keepers, timeout=_KEEPER_SECONDS
        )
        self._watch = Watch(settings, self._endpoints, self._pool)
        self._proxy = Proxy(settings, self._pool, lambda: self._watch.trouble)
        self._requests = web.Server(self._proxy.handle, handler_cancellation=True)
        self._listening: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """The port on which it listens, 0 before it does."""
        if self._listening is None or not self._listening.sockets:
            return 0
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    @property
    def trouble(self) -> str:
        """Why no replica is known, "" if the keepers tell them."""
        return self._watch.trouble

    async def open(self) -> None:
        """Ask for the replicas, and listen.

        Raises:
            SdkError: if the address can't be listened on.

        """
        await self._watch.look()
        self._watching = asyncio.create_task(self._watch.run())
        host, port = self._settings.host, self._settings.port
        try:
            self._listening = await asyncio.get_running_loop().create_server(
                self._connection, host, port
            )
        except OSError as error:
            await self.close()
            raise SdkError(
                f"listen: {host}:{port} can't be listened on ({error.strerror}); choose another"
            ) from error

    async def close(self) -> None:
        """Take no new connections, let requests end within the grace, and close everything."""
        if self._listening is not None:
            self._listening.close()
        self._requests.pre_shutdown()  # connections without a request, and others after it
        await self._proxy.sockets.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.grace):
                await self._proxy.idle.wait()
        await self._requests.shutdown(_CUT_SECONDS)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._proxy.close()
        await self._endpoints.close()

    def _connection(self) -> asyncio.Protocol:
        if len(self._requests.connections) >= self._settings.max_connections:
            return _Full()
        return ClientConnection(
            self._requests,
            self._settings.download,
            # aiohttp counts it until the whole head of a request is here, slow ones too.
            keepalive_timeout=self._settings.idle,
            access_log=None,
            # Bodies pass as they are: their length and encoding are told by headers that pass too.
            auto_decompress=False,
            max_field_size=_HEADER_BYTES,
            max_line_size=_HEADER_BYTES,
        )


class _Full(asyncio.Protocol):
    """Sends a client away."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - it is TCP
        body = ErrorBody(error="too many connections are open; try again").to_json()
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        transport.write(head.encode() + body)
        transport.close()
