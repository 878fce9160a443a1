"""Serves an application on a socket, inside the caller's event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from workdeed.node.errors import SettingsError

_BACKLOG = 128
_CONNECTIONS = 256
_SHUTDOWN_SECONDS = 3


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program that runs the server."""
        yield


class HttpServer:
    """One listening socket, and the application that is put behind it."""

    def __init__(self, host: str, port: int) -> None:
        """Bind `host` and `port` (0: any).

        Raises:
            SettingsError: if that is not possible.

        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # With the protocol named asyncio sends answers at once, also on a connection that is kept.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            # From here on callers wait instead of being refused.
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            raise SettingsError(
                f"port: {host}:{port} can't be listened on ({error.strerror}); choose another"
            ) from error
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._socket.getsockname()[1]
        return port

    def begin(self, app: FastAPI) -> None:
        """Start to serve `app`."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            lifespan="off",
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([self._socket]))

    async def close(self) -> None:
        """Let requests end, and stop."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._socket.close()
