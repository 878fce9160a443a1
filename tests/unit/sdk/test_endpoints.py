"""Calls to addresses that others announced."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from workdeed.protocol.messages import ErrorBody
from workdeed.sdk.endpoints import Endpoints, PublicResolver
from workdeed.sdk.errors import EndpointError, StatusError


async def _hello(request: web.Request) -> web.Response:
    return web.Response(body=b"hello " + await request.read())


async def _redirect(_: web.Request) -> web.Response:
    raise web.HTTPFound("/hello")


async def _refuse(_: web.Request) -> web.Response:
    body = ErrorBody(error="round: it is over", field="round").to_json()
    return web.Response(status=409, body=body)


async def _rude(_: web.Request) -> web.Response:
    return web.Response(status=500, text="<html>" + "x" * 9_000)


async def _bomb(_: web.Request) -> web.Response:
    body = gzip.compress(bytes(10**6))
    return web.Response(body=body, headers={"Content-Encoding": "gzip"})


@pytest.fixture
async def server() -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(
        [
            web.route("*", "/hello", _hello),
            web.get("/redirect", _redirect),
            web.get("/refuse", _refuse),
            web.get("/rude", _rude),
            web.get("/bomb", _bomb),
        ]
    )
    made = TestServer(app)
    await made.start_server()
    yield f"http://127.0.0.1:{made.port}"
    await made.close()


@pytest.fixture
async def local() -> AsyncIterator[Endpoints]:
    async with Endpoints(allow_private=True, timeout=5) as made:
        yield made


async def test_bodies_go_there_and_back(server: str, local: Endpoints) -> None:
    assert await local.get(server, "/hello") == b"hello "
    assert await local.send("PUT", server + "/", "/hello", b"you") == b"hello you"


async def test_refusals_carry_the_peers_own_words(server: str, local: Endpoints) -> None:
    with pytest.raises(StatusError, match="round: it is over") as refused:
        await local.get(server, "/refuse")
    assert refused.value.status == 409
    with pytest.raises(StatusError, match="HTTP 500"):
        await local.get(server, "/rude")


async def test_redirects_are_not_followed(server: str, local: Endpoints) -> None:
    with pytest.raises(StatusError, match="HTTP 302"):
        await local.get(server, "/redirect")


async def test_reading_stops_at_the_limit(server: str, local: Endpoints) -> None:
    with pytest.raises(EndpointError, match="exceeds 3 bytes"):
        await local.get(server, "/hello", max_bytes=3)
    # Not unpacked: what comes over the wire is what counts.
    assert len(await local.get(server, "/bomb", max_bytes=2_000)) < 2_000


async def test_private_addresses_are_refused_unless_named_by_the_user(server: str) -> None:
    port = server.rpartition(":")[2]
    async with Endpoints(allow_private=False) as strict:
        with pytest.raises(EndpointError, match="private"):
            await strict.get(server, "/hello")
        with pytest.raises(EndpointError, match="private"):
            await strict.get(f"http://localhost:{port}", "/hello")
    for trusted in (server, f"http://localhost:{port}"):
        async with Endpoints(allow_private=False, trusted=[trusted]) as made:
            assert await made.get(trusted, "/hello") == b"hello "


async def test_what_is_down_is_told_with_its_address(local: Endpoints) -> None:
    with pytest.raises(EndpointError, match=r"http://127\.0\.0\.1:9: .*may be down"):
        await local.get("http://127.0.0.1:9", "/hello")
    with pytest.raises(EndpointError):
        await local.get("http://nobody.invalid", "/hello")


async def test_what_is_no_endpoint_is_not_called(local: Endpoints) -> None:
    with pytest.raises(EndpointError, match="set one that is"):
        await local.get("http://node.example.org/path", "/hello")


async def test_a_name_that_the_library_does_not_take_is_told_as_any_trouble(
    local: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any, **__: Any) -> Any:
        raise UnicodeError("label too long")

    monkeypatch.setattr("workdeed.sdk.endpoints.aiohttp.ClientSession.request", refuses)
    with pytest.raises(EndpointError, match="http://node:80: label too long"):
        await local.get("http://node", "/hello")


async def test_the_resolver_tells_of_a_malformed_name_as_of_one_that_is_unknown() -> None:
    resolver = PublicResolver(False, ())
    with pytest.raises(OSError, match="its name is malformed"):
        await resolver.resolve("a..b")
    await resolver.close()
