"""Real servers on loopback for the gateway's tests: keepers, replicas, and a gateway over them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from workdeed.protocol.rollouts import Endpoint, EndpointList
from workdeed.sdk.gateway import Gateway, GatewaySettings

JOB = 7
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class FakeKeeper:
    """Tells what it is told to; `down` answers an error instead."""

    targets: list[tuple[str, int]] = field(default_factory=list)
    down: bool = False
    asked: int = 0
    url: str = ""

    async def is_asked(self, times: int) -> None:
        """Wait until it was asked so many times more."""
        until = self.asked + times
        while self.asked < until:  # noqa: ASYNC110 - it is asked in a fixed rhythm
            await asyncio.sleep(0.01)

    async def answer(self, _: web.Request) -> web.Response:
        """Answer with the list."""
        self.asked += 1
        if self.down:
            return web.Response(status=503)
        one = Endpoint(license_id=1, host="host", port=1, revision=0, version="")
        # Not checked: a keeper may lie.
        endpoints = tuple(
            one.model_copy(update={"license_id": number, "host": host, "port": port})
            for number, (host, port) in enumerate(self.targets, 1)
        )
        body = EndpointList(job_id=JOB, replicas=len(endpoints), endpoints=endpoints)
        return web.Response(body=body.to_json(), content_type="application/json")


@dataclass
class FakeReplica:
    """Answers all requests by one handler, and keeps them."""

    handler: Handler
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    port: int = 0
    server: TestServer | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        return await self.handler(request)

    async def stop(self) -> None:
        """Answer nobody any more."""
        assert self.server is not None
        await self.server.close()


@dataclass
class RawReplica:
    """Keeps requests byte for byte, and answers each with `answer`."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request after the other, as their lengths say."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(found[1]) if found else 0)
                self.heads.append(head)
                self.seen.append((head.split(b"\r\n")[0].decode(), body))
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class World:
    """Everything a test starts, ended with it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.keeper = FakeKeeper()
        self.session = aiohttp.ClientSession(auto_decompress=False)

    async def begin(self) -> None:
        """Start the keeper."""
        await self.stack.enter_async_context(self.session)
        await self.start_keeper(self.keeper)

    async def start_keeper(self, keeper: FakeKeeper) -> None:
        """Start a keeper."""
        app = web.Application()
        app.router.add_get(f"/jobs/{JOB}/endpoints", keeper.answer)
        keeper.url = await self._serve(app)

    async def replica(self, handler: Handler, *, listed: bool = True) -> FakeReplica:
        """Start a replica."""
        fake = FakeReplica(handler)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", fake.answer)
        fake.server = TestServer(app)
        await fake.server.start_server()
        self.stack.push_async_callback(fake.server.close)
        fake.port = fake.server.port or 0
        if listed:
            self.keeper.targets.append(("127.0.0.1", fake.port))
        return fake

    async def raw_replica(self, **content: Any) -> RawReplica:
        """Start a replica that takes bytes as they come."""
        made = RawReplica(**content)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        self.stack.callback(server.close)
        made.port = server.sockets[0].getsockname()[1]
        self.keeper.targets.append(("127.0.0.1", made.port))
        return made

    async def gateway(self, **changes: Any) -> Gateway:
        """Start a gateway; pauses are short."""
        content: dict[str, Any] = {
            "job_id": JOB,
            "keepers": (self.keeper.url,),
            "allow_private": True,
            "poll": 0.05,
            "grace": 2.0,
        }
        made = Gateway(GatewaySettings(**(content | changes)))
        await self.stack.enter_async_context(made)
        return made

    async def _serve(self, app: web.Application) -> str:
        server = TestServer(app)
        await server.start_server()
        self.stack.push_async_callback(server.close)
        return str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Begin a world and end it."""
    async with AsyncExitStack() as stack:
        made = World(stack)
        await made.begin()
        yield made


def saying(text: str, status: int = 200) -> Handler:
    """Return a handler that says one thing."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    return handler


async def dead_port() -> int:
    """Return a port on which nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
