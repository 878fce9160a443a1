"""Health checks over HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from workdeed.intent import HttpCheck, TcpCheck
from workdeed.node.health import PortHealthProbe

Serve = Callable[[web.Response | None], Awaitable[int]]

CHECK = HttpCheck(path="/healthz", timeout_ms=20_000)


@pytest.fixture
async def probe() -> AsyncIterator[PortHealthProbe]:
    made = PortHealthProbe("127.0.0.1")
    yield made
    await made.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners = []

    async def start(answer: web.Response | None) -> int:
        async def handler(request: web.Request) -> web.Response:
            if answer is None:
                await asyncio.sleep(60)
            assert answer is not None
            return answer

        app = web.Application()
        app.router.add_get("/healthz", handler)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_a_good_answer_is_well(probe: PortHealthProbe, serve: Serve, status: int):
    assert (await probe.check(CHECK, await serve(web.Response(status=status)))).well


@pytest.mark.parametrize("status", [302, 404, 500, 503])
async def test_another_answer_is_not(probe: PortHealthProbe, serve: Serve, status: int):
    headers = {"Location": "/elsewhere"} if status == 302 else {}
    port = await serve(web.Response(status=status, headers=headers))
    health = await probe.check(CHECK, port)
    assert health == (False, f"its health check answers {status}")


async def test_silence_is_not_well(probe: PortHealthProbe, serve: Serve):
    check = HttpCheck(path="/healthz", timeout_ms=200)
    health = await probe.check(check, await serve(None))
    assert health == (False, "its health check does not answer in 200 ms")


async def test_a_closed_port_is_not_well(probe: PortHealthProbe, unused_port: int):
    health = await probe.check(CHECK, unused_port)
    assert not health.well
    assert "fails" in health.problem


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_a_service_on_all_addresses_is_asked_on_loopback(serve: Serve):
    probe = PortHealthProbe("0.0.0.0")
    assert (await probe.check(CHECK, await serve(web.Response()))).well
    await probe.close()


async def test_each_check_opens_a_connection_of_its_own(probe: PortHealthProbe):
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for _ in range(3):
        assert (await probe.check(CHECK, port)).well
    server.close()
    assert connections == 3


async def test_checks_that_hang_take_no_turn_from_others(probe: PortHealthProbe, serve: Serve):
    silent, well = await serve(None), await serve(web.Response())
    hanging = [asyncio.create_task(probe.check(CHECK, silent)) for _ in range(120)]
    await asyncio.sleep(0.5)
    assert (await probe.check(HttpCheck(path="/healthz", timeout_ms=10_000), well)).well
    for one in hanging:
        one.cancel()
    await asyncio.wait(hanging)


async def test_what_is_no_http_is_not_well(probe: PortHealthProbe):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-server\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    health = await probe.check(CHECK, server.sockets[0].getsockname()[1])
    server.close()
    assert not health.well


async def test_a_port_that_takes_a_connection_is_well(probe: PortHealthProbe, unused_port: int):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    check = TcpCheck(kind="tcp", timeout_ms=20_000)
    assert (await probe.check(check, port)).well
    server.close()
    assert "fails" in (await probe.check(check, unused_port)).problem
