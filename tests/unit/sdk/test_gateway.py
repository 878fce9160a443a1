"""The gateway with real servers on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from gateway_support import FakeKeeper, World, dead_port, saying, world

from workdeed.protocol.messages import ErrorBody
from workdeed.sdk.errors import SdkError
from workdeed.sdk.gateway import Gateway, GatewaySettings


@pytest.fixture
async def around() -> AsyncIterator[World]:
    async with world() as made:
        yield made


def url(gateway: Gateway, path: str = "/") -> str:
    return f"http://127.0.0.1:{gateway.port}{path}"


async def get(around: World, gateway: Gateway, path: str = "/") -> tuple[int, str]:
    async with around.session.get(url(gateway, path)) as response:
        return response.status, await response.text()


def sentence(body: str) -> str:
    return ErrorBody.parse(body.encode()).error


async def echo(request: web.Request) -> web.Response:
    """Say what was asked."""
    content = {
        "method": request.method,
        "path": request.raw_path,
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "body": (await request.read()).decode(),
    }
    return web.json_response(content)


async def test_a_request_and_its_answer_go_through(around: World) -> None:
    async def handler(request: web.Request) -> web.Response:
        found = await echo(request)
        found.headers.extend({"X-One": "1", "Connection": "X-Hop", "X-Hop": "here"})
        found.headers.add("Set-Cookie", "a=1")
        found.headers.add("Set-Cookie", "b=2")
        found.set_status(201, "Made")
        return found

    replica = await around.replica(handler)
    gateway = await around.gateway()
    headers = {"X-Two": "2", "Connection": "X-Mine", "X-Mine": "3", "X-Forwarded-For": "6.6.6.6"}
    async with around.session.post(
        url(gateway, "//a%2Fb?c=d%20e&c"), data=b"hello", headers=headers
    ) as response:
        content = json.loads(await response.read())
    assert (response.status, response.reason) == (201, "Made")
    assert response.headers["X-One"] == "1"
    assert "X-Hop" not in response.headers
    assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert (content["method"], content["path"], content["body"]) == (
        "POST",
        "//a%2Fb?c=d%20e&c",
        "hello",
    )
    sent = content["headers"]
    assert sent["x-two"] == "2"
    assert "x-mine" not in sent
    assert sent["x-forwarded-for"] == "127.0.0.1"
    assert sent["x-forwarded-proto"] == "http"
    assert sent["host"] == sent["x-forwarded-host"] == f"127.0.0.1:{gateway.port}"
    assert replica.port != gateway.port


async def test_headers_of_a_proxy_of_ones_own_are_kept(around: World) -> None:
    await around.replica(echo)
    gateway = await around.gateway(trust_forwarded=True)
    headers = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }
    async with around.session.get(url(gateway), headers=headers) as response:
        sent = (await response.json())["headers"]
    assert sent["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert (sent["x-forwarded-proto"], sent["x-forwarded-host"]) == ("https", "shop.example")


async def test_a_compressed_answer_stays_as_it_is(around: World) -> None:
    packed = gzip.compress(b"hello" * 100)

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    await around.replica(handler)
    gateway = await around.gateway()
    async with around.session.get(url(gateway)) as response:
        assert await response.read() == packed
        assert response.headers["Content-Encoding"] == "gzip"


async def test_a_compressed_body_arrives_byte_for_byte_with_its_length(around: World) -> None:
    replica = await around.raw_replica()
    gateway = await around.gateway()
    for packed in (gzip.compress(b"hello" * 100), gzip.compress(os.urandom(100_000))):
        headers = {"Content-Encoding": "gzip"}
        async with around.session.post(url(gateway), data=packed, headers=headers) as response:
            assert await response.text() == "ok"
        assert replica.seen.pop() == ("POST / HTTP/1.1", packed)
        head = replica.heads.pop().lower()
        assert head.count(b"content-length: %d\r\n" % len(packed)) == 1
        assert b"content-encoding: gzip\r\n" in head


async def test_a_body_that_unpacks_to_nothing_takes_nothing_of_the_next_request(
    around: World,
) -> None:
    replica = await around.raw_replica()
    gateway = await around.gateway()
    nothing = gzip.compress(b"")
    headers = {"Content-Encoding": "gzip"}
    async with around.session.put(url(gateway, "/a"), data=nothing, headers=headers) as response:
        assert await response.text() == "ok"
    assert await get(around, gateway, "/of-another") == (200, "ok")
    assert replica.seen == [("PUT /a HTTP/1.1", nothing), ("GET /of-another HTTP/1.1", b"")]


async def test_an_upgrade_with_a_body_takes_nothing_of_the_next_request(around: World) -> None:
    replica = await around.raw_replica()
    gateway = await around.gateway()
    head = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: tcp\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"{head}Content-Length: 20\r\n\r\n{'x' * 20}".encode())
    assert b" 200 " in await reader.readline()
    writer.close()
    assert await get(around, gateway, "/of-another") == (200, "ok")
    assert [line for line, _ in replica.seen] == ["GET /a HTTP/1.1", "GET /of-another HTTP/1.1"]


@pytest.mark.parametrize("status", [204, 304, 302, 404, 500])
async def test_answers_of_all_kinds_are_those_of_the_replica(around: World, status: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "http://elsewhere.example/"})

    await around.replica(handler)
    gateway = await around.gateway()
    async with around.session.get(url(gateway), allow_redirects=False) as response:
        assert response.status == status


async def test_the_head_of_an_answer_keeps_its_length(around: World) -> None:
    await around.replica(saying("x" * 1_234))
    gateway = await around.gateway()
    async with around.session.head(url(gateway)) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, "1234")
        assert await response.read() == b""


async def test_bodies_stream_both_ways(around: World) -> None:
    """Each part arrives while the next one is not sent yet."""
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    go_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await arrived.put(chunk)
        await response.write(b"one")
        await go_on.wait()
        await response.write(b"two")
        return response

    await around.replica(handler)
    gateway = await around.gateway()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        assert await arrived.get() == b"first"
        yield b"second"
        assert await arrived.get() == b"second"

    async with around.session.post(url(gateway), data=parts()) as response:
        assert await response.content.readany() == b"one"
        go_on.set()
        assert await response.content.read() == b"two"


@pytest.mark.parametrize("size", [5, 100_000])
async def test_a_client_that_waits_for_a_word_sends_its_body_after_it(
    around: World, size: int
) -> None:
    replica = await around.raw_replica()
    gateway = await around.gateway()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"
    writer.write(head.encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"x" * size)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert await reader.readexactly(2) == b"ok"
    assert replica.seen == [("POST / HTTP/1.1", b"x" * size)]
    writer.close()


@pytest.mark.parametrize(("version", "size"), [("1.0", 5), ("1.1", 2_000)])
async def test_no_word_goes_to_who_does_not_know_it_or_is_refused(
    around: World, version: str, size: int
) -> None:
    await around.raw_replica()
    gateway = await around.gateway(max_body=1_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"PUT / HTTP/{version}\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"
    writer.write(head.encode() + b"x" * size)
    assert b" 100 " not in await reader.readline()
    writer.close()


async def test_a_large_body_goes_through_whole(around: World) -> None:
    async def handler(request: web.Request) -> web.Response:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return web.Response(text=f"{size} {request.headers.get('Content-Length')}")

    await around.replica(handler)
    gateway = await around.gateway()
    size = 5_000_000
    async with around.session.put(url(gateway), data=b"x" * size) as response:
        assert await response.text() == f"{size} {size}"


class TestBalance:
    async def test_replicas_take_turns(self, around: World) -> None:
        for name in "abc":
            await around.replica(saying(name))
        gateway = await around.gateway(balance="robin")
        found = [(await get(around, gateway))[1] for _ in range(6)]
        assert sorted(found[:3]) == sorted(found[3:]) == ["a", "b", "c"]

    async def test_one_that_is_busy_gets_less(self, around: World) -> None:
        taken, release = asyncio.Event(), asyncio.Event()

        async def slow(_: web.Request) -> web.Response:
            taken.set()
            await release.wait()
            return web.Response(text="slow")

        await around.replica(slow)
        await around.replica(saying("quick"))
        gateway = await around.gateway()
        waiting: list[asyncio.Task[tuple[int, str]]] = []
        while not taken.is_set():
            waiting.append(asyncio.create_task(get(around, gateway)))
            await asyncio.sleep(0.1)
        for _ in range(6):
            assert await get(around, gateway) == (200, "quick")
        release.set()
        assert (200, "slow") in await asyncio.gather(*waiting)


class TestFailures:
    async def test_one_that_refuses_is_passed_over_and_left_out(self, around: World) -> None:
        around.keeper.targets.append(("127.0.0.1", await dead_port()))
        await around.replica(saying("here"))
        gateway = await around.gateway(poll=30)
        for _ in range(6):
            async with around.session.post(url(gateway), data=b"x" * 100_000) as response:
                assert (response.status, await response.text()) == (200, "here")

    async def test_what_may_be_done_twice_is_tried_elsewhere(self, around: World) -> None:
        async def breaks(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        broken = await around.replica(breaks)
        await around.replica(echo)
        gateway = await around.gateway(poll=30)
        for _ in range(4):
            async with around.session.put(url(gateway), data=b"again") as response:
                assert response.status == 200
                assert (await response.json())["body"] == "again"
        assert broken.port

    @pytest.mark.parametrize("body", [b"once", b"x" * 100_000])
    async def test_what_may_not_is_told_instead(self, around: World, body: bytes) -> None:
        taken = 0

        async def breaks(request: web.Request) -> web.Response:
            nonlocal taken
            await request.read()
            taken += 1
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        await around.replica(breaks)
        await around.replica(breaks)
        gateway = await around.gateway()
        async with around.session.post(url(gateway), data=body) as response:
            assert response.status == 502
            assert "no replica answered" in sentence(await response.text())
        assert taken == 1

    async def test_an_answer_that_breaks_off_is_seen_to(self, around: World) -> None:
        asked = 0

        async def breaks(request: web.Request) -> web.StreamResponse:
            nonlocal asked
            asked += 1
            response = web.StreamResponse(headers={"Content-Length": "100"})
            await response.prepare(request)
            await response.write(b"part")
            assert request.transport is not None
            request.transport.close()
            return response

        await around.replica(breaks)
        await around.replica(breaks)
        gateway = await around.gateway()
        with pytest.raises(aiohttp.ClientError):
            async with around.session.get(url(gateway)) as response:
                await response.read()
        assert asked == 1

    async def test_a_broken_answer_of_the_only_one_ends_no_service(self, around: World) -> None:
        breaks = True

        async def once(request: web.Request) -> web.Response:
            if breaks:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(text="here")

        await around.replica(once)
        gateway = await around.gateway(poll=30)
        assert (await get(around, gateway))[0] == 502
        breaks = False
        assert await get(around, gateway) == (200, "here")

    async def test_one_that_failed_comes_back_with_the_next_list(self, around: World) -> None:
        healthy = False

        async def sometimes(request: web.Request) -> web.Response:
            if not healthy:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(text="back")

        await around.replica(sometimes)
        gateway = await around.gateway()
        assert (await get(around, gateway))[0] == 502
        healthy = True
        await around.keeper.is_asked(3)
        assert await get(around, gateway) == (200, "back")

    async def test_a_silent_one_is_not_waited_for_for_ever(self, around: World) -> None:
        never = asyncio.Event()

        async def silent(_: web.Request) -> web.Response:
            await never.wait()
            return web.Response()

        await around.replica(silent)
        gateway = await around.gateway(answer=0.1)
        status, body = await get(around, gateway)
        assert status == 504
        assert "did not answer in time" in sentence(body)
        never.set()

    async def test_without_a_replica_it_says_so(self, around: World) -> None:
        gateway = await around.gateway()
        status, body = await get(around, gateway)
        assert (status, sentence(body)) == (503, "no replica is well; try again in a moment")

    async def test_a_private_address_is_not_called(self, around: World) -> None:
        """What keepers tell comes from the chain: it must not lead into one's own network."""
        await around.replica(saying("secret"))
        around.keeper.targets.append(("localhost", around.keeper.targets[0][1]))
        gateway = await around.gateway(allow_private=False)
        status, body = await get(around, gateway)
        assert status == 502
        assert "private" in sentence(body)

    @pytest.mark.parametrize("allow_private", [False, True])
    async def test_a_lying_keeper_leads_to_no_other_address(
        self, around: World, allow_private: bool
    ) -> None:
        """What a host holds besides a name must not become a part of the address."""
        replica = await around.raw_replica()
        for host in (f"127.0.0.1:{replica.port}/x?", "u@127.0.0.1", "127.1"):
            around.keeper.targets = [(host, replica.port)]
            gateway = await around.gateway(allow_private=allow_private)
            status, _ = await get(around, gateway)
            assert (status, replica.seen) == (503, [])


class TestKeepers:
    async def test_another_keeper_is_asked_when_one_fails(self, around: World) -> None:
        await around.replica(saying("here"))
        other = FakeKeeper(targets=around.keeper.targets)
        await around.start_keeper(other)
        keepers = (f"http://127.0.0.1:{await dead_port()}", around.keeper.url, other.url)
        gateway = await around.gateway(keepers=keepers, stale=0.5)
        assert await get(around, gateway) == (200, "here")
        assert other.asked == 0
        around.keeper.down = True
        await other.is_asked(3)
        await asyncio.sleep(0.6)
        assert await get(around, gateway) == (200, "here")

    async def test_without_a_keeper_it_says_why(self, around: World) -> None:
        around.keeper.down = True
        gateway = await around.gateway()
        status, body = await get(around, gateway)
        assert status == 503
        assert "HTTP 503" in sentence(body)

    async def test_an_old_list_is_gone_by_for_a_while_only(self, around: World) -> None:
        await around.replica(saying("here"))
        gateway = await around.gateway(stale=1.5)
        around.keeper.down = True
        assert await get(around, gateway) == (200, "here")
        await asyncio.sleep(1.6)
        assert (await get(around, gateway))[0] == 503
        around.keeper.down = False
        await around.keeper.is_asked(2)
        assert await get(around, gateway) == (200, "here")

    async def test_a_new_list_replaces_the_old_one(self, around: World) -> None:
        await around.replica(saying("old"))
        new = await around.replica(saying("new"), listed=False)
        gateway = await around.gateway()
        assert await get(around, gateway) == (200, "old")
        around.keeper.targets = [("127.0.0.1", new.port)]
        await around.keeper.is_asked(2)
        assert await get(around, gateway) == (200, "new")


class TestLimits:
    async def test_a_body_that_is_too_large_is_refused(self, around: World) -> None:
        await around.replica(echo)
        gateway = await around.gateway(max_body=1_000)
        async with around.session.post(url(gateway), data=b"x" * 1_001) as response:
            assert response.status == 413

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"x" * 900

        async with around.session.post(url(gateway), data=endless()) as response:
            assert response.status == 413
            assert "exceeds 1000 bytes" in sentence(await response.text())
        async with around.session.post(url(gateway), data=b"x" * 1_000) as response:
            assert response.status == 200

    async def test_a_body_that_does_not_come_is_not_waited_for(self, around: World) -> None:
        await around.replica(echo)
        gateway = await around.gateway(upload=0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert b" 408 " in await reader.readline()
        writer.close()

    async def test_nor_is_one_that_comes_byte_by_byte(self, around: World) -> None:
        await around.replica(echo)
        gateway = await around.gateway(upload=0.3, upload_rate=1_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        answer = asyncio.create_task(reader.readline())
        sent = 0
        while not answer.done() and sent < 100:
            writer.write(b"x")
            sent += 1
            await asyncio.sleep(0.05)
        assert b" 408 " in await answer
        writer.close()

    async def test_a_stream_may_take_its_time(self, around: World) -> None:
        await around.replica(echo)
        gateway = await around.gateway(upload=2.0, upload_rate=1_000_000)

        async def slow() -> AsyncIterator[bytes]:
            for _ in range(25):
                yield b"x"
                await asyncio.sleep(0.1)

        async with around.session.post(url(gateway), data=slow()) as response:
            assert response.status == 200

    async def test_so_many_requests_are_under_way_and_no_more(self, around: World) -> None:
        taken, release = asyncio.Semaphore(0), asyncio.Event()

        async def slow(_: web.Request) -> web.Response:
            taken.release()
            await release.wait()
            return web.Response(text="done")

        await around.replica(slow)
        gateway = await around.gateway(max_requests=2)
        waiting = [asyncio.create_task(get(around, gateway)) for _ in range(2)]
        for _ in waiting:
            await taken.acquire()
        assert (await get(around, gateway))[0] == 503
        release.set()
        assert await asyncio.gather(*waiting) == [(200, "done")] * 2

    async def test_so_many_clients_are_connected_and_no_more(self, around: World) -> None:
        await around.replica(saying("here"))
        gateway = await around.gateway(max_connections=1)
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        await asyncio.sleep(0.1)
        reader, other = await asyncio.open_connection("127.0.0.1", gateway.port)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"too many connections" in answer
        writer.close()
        other.close()
        await asyncio.sleep(0.1)
        assert await get(around, gateway) == (200, "here")

    async def test_a_client_that_does_not_take_its_answer_is_cut_off(self, around: World) -> None:
        await around.replica(saying("x" * 30_000_000))
        gateway = await around.gateway(download=0.3)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await reader.read(16)
        assert not gateway._proxy.idle.is_set()
        await asyncio.wait_for(gateway._proxy.idle.wait(), 30)
        assert gateway._requests.connections == []
        writer.close()

    async def test_a_slow_client_gets_all_of_its_answer(self, around: World) -> None:
        await around.replica(saying("x" * 30_000_000))
        gateway = await around.gateway(download=1.0)
        async with around.session.get(url(gateway)) as response:
            size = 0
            while chunk := await response.content.read(1_000_000):
                size += len(chunk)
                await asyncio.sleep(0.05)
        assert size == 30_000_000

    async def test_a_client_that_sends_no_whole_head_is_not_waited_for(self, around: World) -> None:
        await around.replica(saying("here"))
        gateway = await around.gateway(idle=0.3)
        for begin in (b"", b"GET / HTTP/1.1\r\nHost:", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(begin)
            answer = await asyncio.wait_for(reader.read(), 30)
            assert answer.endswith(b"here" if b"\r\n\r\n" in begin else b"")
            writer.close()

    async def test_it_is_no_forward_proxy(self, around: World) -> None:
        await around.replica(saying("here"))
        gateway = await around.gateway()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()

    @pytest.mark.parametrize("name", ["poll", "idle", "attempts", "max_body"])
    def test_settings_that_make_no_sense_are_refused(self, name: str) -> None:
        with pytest.raises(SdkError, match=f"{name}: it must be above 0"):
            GatewaySettings(1, ("http://keeper",), **{name: 0})
        with pytest.raises(SdkError, match="keepers: none is named"):
            GatewaySettings(1, ())
        with pytest.raises(SdkError, match="endpoint 'keeper'"):
            Gateway(GatewaySettings(1, ("keeper",)))

    async def test_a_port_that_is_taken_is_told(self, around: World) -> None:
        gateway = await around.gateway()
        with pytest.raises(SdkError, match="can't be listened on"):
            await around.gateway(port=gateway.port)


class TestStop:
    async def test_requests_under_way_end_first(self, around: World) -> None:
        begun, release = asyncio.Event(), asyncio.Event()

        async def slow(_: web.Request) -> web.Response:
            begun.set()
            await release.wait()
            return web.Response(text="done")

        await around.replica(slow)
        gateway = await around.gateway()
        under_way = asyncio.create_task(get(around, gateway))
        await begun.wait()
        closing = asyncio.create_task(gateway.close())
        await asyncio.sleep(0.1)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", gateway.port or 1)
        assert not closing.done()
        release.set()
        assert await under_way == (200, "done")
        await asyncio.wait_for(closing, 30)

    async def test_but_not_for_longer_than_the_grace(self, around: World) -> None:
        begun, never = asyncio.Event(), asyncio.Event()

        async def stuck(_: web.Request) -> web.Response:
            begun.set()
            await never.wait()
            return web.Response()

        await around.replica(stuck)
        gateway = await around.gateway(grace=0.2)
        under_way = asyncio.create_task(get(around, gateway))
        await begun.wait()
        await asyncio.wait_for(gateway.close(), 2)
        with pytest.raises(aiohttp.ClientError):
            await under_way
        never.set()

    async def test_a_client_that_leaves_ends_the_request_at_the_replica(
        self, around: World
    ) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def slow(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            begun.set()
            try:
                while True:
                    await response.write(b"x")
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

        await around.replica(slow)
        gateway = await around.gateway()
        async with around.session.get(url(gateway)):
            await begun.wait()
        await asyncio.wait_for(ended.wait(), 30)


class TestWebSockets:
    @staticmethod
    async def serve(request: web.Request) -> web.WebSocketResponse:
        """Send everything back; `bye` closes with a code of its own."""
        socket = web.WebSocketResponse(protocols=["chat"])
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data == "bye":
                await socket.close(code=4_001, message=b"as you wish")
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(f"{request.path} {message.data}")
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data[::-1])
        return socket

    async def test_messages_go_both_ways(self, around: World) -> None:
        await around.replica(self.serve)
        gateway = await around.gateway()
        async with around.session.ws_connect(
            url(gateway, "/talk"), protocols=["other", "chat"]
        ) as socket:
            assert socket.protocol == "chat"
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=30) == "/talk hello"
            await socket.send_bytes(b"abc")
            assert await socket.receive_bytes(timeout=30) == b"cba"
            await socket.send_str("bye")
            message = await socket.receive(timeout=30)
            assert (message.type, message.data) == (WSMsgType.CLOSE, 4_001)
            assert message.extra == "as you wish"

    async def test_the_clients_close_reaches_the_replica(self, around: World) -> None:
        closed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def serve(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for _ in socket:
                pass
            closed.set_result(socket.close_code)
            return socket

        await around.replica(serve)
        gateway = await around.gateway()
        async with around.session.ws_connect(url(gateway)) as socket:
            await socket.close(code=4_002)
        assert await asyncio.wait_for(closed, 30) == 4_002

    async def test_another_replica_is_tried_before_it_is_open(self, around: World) -> None:
        around.keeper.targets.append(("127.0.0.1", await dead_port()))
        await around.replica(self.serve)
        gateway = await around.gateway(poll=30)
        for _ in range(3):
            async with around.session.ws_connect(url(gateway)) as socket:
                await socket.send_str("hello")
                assert await socket.receive_str(timeout=30) == "/ hello"

    async def test_a_replica_that_takes_none_says_so(self, around: World) -> None:
        await around.replica(saying("no", 403))
        gateway = await around.gateway()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await around.session.ws_connect(url(gateway))
        assert caught.value.status == 403

    async def test_one_who_asks_for_a_socket_where_there_is_none_takes_nothing_from_others(
        self, around: World
    ) -> None:
        await around.replica(saying("here"))
        gateway = await around.gateway(poll=30)
        for _ in range(2):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await around.session.ws_connect(url(gateway))
            assert caught.value.status == 502
            assert gateway._pool._out == {}
        assert await get(around, gateway) == (200, "here")

    async def test_an_end_that_gives_no_sign_of_life_ends_both(self, around: World) -> None:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def serve(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            message = await socket.receive()
            ended.set_result(message.type)
            return socket

        await around.replica(serve)
        gateway = await around.gateway(heartbeat=0.2)
        async with around.session.ws_connect(url(gateway), autoping=False) as socket:
            # Nothing is read, so no ping is answered.
            assert await asyncio.wait_for(ended, 30) is WSMsgType.CLOSE
            await asyncio.wait_for(gateway._proxy.idle.wait(), 30)
        assert socket.closed

    async def test_ends_that_answer_stay_open(self, around: World) -> None:
        await around.replica(self.serve)
        gateway = await around.gateway(heartbeat=1.0)
        async with around.session.ws_connect(url(gateway)) as socket:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(socket.receive(), 3)
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=30) == "/ hello"

    async def test_stopping_tells_those_that_are_open(self, around: World) -> None:
        await around.replica(self.serve)
        gateway = await around.gateway()
        async with around.session.ws_connect(url(gateway)) as socket:
            closing = asyncio.create_task(gateway.close())
            message = await socket.receive(timeout=30)
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1_001)
            await asyncio.wait_for(closing, 30)
