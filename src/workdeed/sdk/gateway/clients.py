"""Connections of clients, none of which may be held open by doing nothing."""

import asyncio
from typing import Any

from aiohttp import web


class ClientConnection(web.RequestHandler):
    """A client's connection, which is cut where the client does not take what it is sent.

    That a request is over is no end to it: what waits to be sent keeps a connection open, and only
    who reads it ends that. So it is watched here and not where answers are written.

    Args:
        server: whose connection it is.
        seconds: until all that waits must be taken.
        options: those of aiohttp's handler.

    """

    __slots__ = ("_client", "_cutting", "_seconds")

    def __init__(self, server: web.Server, seconds: float, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._seconds = seconds
        self._client: asyncio.Transport | None = None
        self._cutting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve the client."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is TCP
        self._client = transport
        # Anything that waits is told by `pause_writing`, and that nothing does by the other.
        transport.set_write_buffer_limits(0)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Wait for the client to take what it is sent, but not for ever."""
        super().pause_writing()
        self._cutting = self._loop.call_later(self._seconds, self._cut)

    def resume_writing(self) -> None:
        """Go on: the client has taken all."""
        self._stop()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what is under way."""
        self._stop()
        super().connection_lost(exc)

    def _cut(self) -> None:
        if self._client is not None:
            self._client.abort()

    def _stop(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None
