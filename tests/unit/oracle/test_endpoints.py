"""Calls to addresses from the chain: what is refused, and what is never followed or read."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from workdeed.oracle.endpoints import EndpointClient, parse_endpoint
from workdeed.oracle.errors import EndpointError, StatusError
from workdeed.protocol.messages import ErrorBody

from .servers import replying, serving

PATIENCE = 10.0
"""Seconds that a healthy call may take; nothing waits for it."""


@pytest.fixture
async def client() -> AsyncIterator[EndpointClient]:
    async with EndpointClient(allow_private=True) as opened:
        yield opened


@pytest.fixture
async def strict() -> AsyncIterator[EndpointClient]:
    async with EndpointClient(allow_private=False) as opened:
        yield opened


def test_what_is_no_endpoint_is_refused() -> None:
    with pytest.raises(EndpointError, match="set one that is"):
        parse_endpoint("http://node.example/path")


class TestAddresses:
    @pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://localhost:9"])
    async def test_private_ones_are_refused(self, strict: EndpointClient, endpoint: str) -> None:
        with pytest.raises(EndpointError, match="private"):
            await strict.resolve(endpoint)

    async def test_unless_they_are_this_oracles_own_settings(self, strict: EndpointClient) -> None:
        origin = await strict.resolve("http://127.0.0.1:9", trusted=True)
        assert origin.socket == ("127.0.0.1", 9)

    async def test_a_name_that_leads_nowhere_is_refused(self, client: EndpointClient) -> None:
        with pytest.raises(EndpointError, match="resolved"):
            await client.resolve("http://nowhere.invalid:9")

    async def test_of_several_addresses_the_first_public_one_is_called(
        self, strict: EndpointClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def lookup(*_: Any, **__: Any) -> list[Any]:
            found = ["10.0.0.1", "1.1.1.1", "8.8.8.8"]
            return [(socket.AF_INET, 0, 0, "", (one, 9)) for one in found]

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", lookup)
        node = await strict.resolve("http://several.example:9")
        assert (node.origin.host, node.address) == ("several.example", "1.1.1.1")

    async def test_the_name_is_not_resolved_again_for_the_call(
        self, client: EndpointClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that changes its mind between check and call leads nowhere new."""
        seen: list[str] = []

        async def handle(request: web.Request) -> web.Response:
            seen.append(request.host)
            return web.Response(body=b"ok")

        async with serving({"GET /x": handle}) as port:
            origin = await client.resolve(f"http://localhost:{port}")

            async def lookup(*_: Any, **__: Any) -> list[Any]:
                raise AssertionError("resolved twice")

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
            assert await client.get(origin, "/x", seconds=PATIENCE) == b"ok"
        assert seen == [f"localhost:{port}"]


class TestCalls:
    async def test_a_body_comes_back(self, client: EndpointClient) -> None:
        async def echo(request: web.Request) -> web.Response:
            assert request.content_type == "application/json"
            return web.Response(body=await request.read())

        async with serving({"POST /echo": echo}) as port:
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            assert await client.post(origin, "/echo", b"{}", seconds=PATIENCE) == b"{}"

    async def test_redirects_are_not_followed(self, client: EndpointClient) -> None:
        redirect = replying(302, {"Location": "/target"})
        async with serving({"GET /x": redirect, "GET /target": replying(200)}) as port:
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            with pytest.raises(StatusError) as caught:
                await client.get(origin, "/x", seconds=PATIENCE)
            assert caught.value.status == 302
            assert await client.status(origin, "/x", seconds=PATIENCE) == 302

    async def test_the_sentence_of_an_error_is_kept(self, client: EndpointClient) -> None:
        body = ErrorBody(error="turn: it is over", field="turn").to_json()
        async with serving({"GET /x": replying(409, body=body)}) as port:
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            with pytest.raises(StatusError, match="turn: it is over"):
                await client.get(origin, "/x", seconds=PATIENCE)

    @pytest.mark.parametrize("status", [200, 500])
    async def test_reading_stops_at_the_limit(self, client: EndpointClient, status: int) -> None:
        sent = 0

        async def flood(request: web.Request) -> web.StreamResponse:
            nonlocal sent
            response = web.StreamResponse(status=status)
            await response.prepare(request)
            for _ in range(160):
                await response.write(bytes(1 << 16))
                sent += 1 << 16
            return response

        async with serving({"GET /x": flood}) as port:
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            with pytest.raises(EndpointError, match="exceeds 65536"):
                await client.get(origin, "/x", seconds=PATIENCE)
        assert sent < 10_485_760

    async def test_compressed_bodies_are_not_unpacked(self, client: EndpointClient) -> None:
        bomb = gzip.compress(bytes(10_000_000))
        handler = replying(200, {"Content-Encoding": "gzip"}, bomb)
        async with serving({"GET /x": handler}) as port:
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            assert await client.get(origin, "/x", seconds=PATIENCE) == bomb

    async def test_no_answer_in_time_is_an_error(self, client: EndpointClient) -> None:
        release = asyncio.Event()

        async def hang(_: web.Request) -> web.Response:
            await release.wait()
            return web.Response()

        async with serving({"GET /x": hang}) as port:
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            for call in (client.get, client.status):
                with pytest.raises(EndpointError, match="in time"):
                    await call(origin, "/x", seconds=0.05)
            release.set()

    async def test_nobody_there_is_an_error(self, client: EndpointClient) -> None:
        async with serving({}) as port:
            pass
        origin = await client.resolve(f"http://127.0.0.1:{port}")
        with pytest.raises(EndpointError):
            await client.get(origin, "/x", seconds=PATIENCE)

    async def test_what_is_no_http_is_an_error(self, client: EndpointClient) -> None:
        async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail ready\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            with pytest.raises(EndpointError):
                await client.get(origin, "/x", seconds=PATIENCE)

    async def test_a_path_never_names_another_host(self, client: EndpointClient) -> None:
        """A health path of a spec may begin with two slashes."""
        paths: list[str] = []

        async def handle(request: web.Request) -> web.Response:
            paths.append(request.raw_path)
            return web.Response()

        async with serving({"GET /{rest:.*}": handle}) as port:
            origin = await client.resolve(f"http://127.0.0.1:{port}")
            for path in ("//evil.example/x", "/@evil.example", "/a?b=http://evil.example"):
                assert await client.status(origin, path, seconds=PATIENCE) == 200
        assert paths == ["//evil.example/x", "/@evil.example", "/a?b=http://evil.example"]

    async def test_a_workload_is_asked_at_its_nodes_address(self, client: EndpointClient) -> None:
        async with serving({"GET /healthz": replying(204)}) as port:
            node = await client.resolve("https://127.0.0.1:1")
            workload = node.workload(port)
            assert str(workload) == f"http://127.0.0.1:{port}"
            assert await client.status(workload, "/healthz", seconds=PATIENCE) == 204
