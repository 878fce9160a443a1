"""Rounds that come early: what may ring, and that nothing is lost when nobody does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from workdeed.keeper import waking
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.waking import LEAST_SECONDS, Alarm, HeadWatch

HEAD = {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"result": {"number": "0x1"}}}
Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


async def timed(pause: Awaitable[None]) -> float:
    began = time.monotonic()
    await pause
    return time.monotonic() - began


class TestAlarm:
    async def test_a_pause_ends_by_itself(self) -> None:
        took = await timed(Alarm().pause(LEAST_SECONDS + 0.1, asyncio.Event()))
        assert took >= LEAST_SECONDS + 0.1

    async def test_a_ring_ends_it(self) -> None:
        alarm = Alarm()
        asyncio.get_running_loop().call_later(LEAST_SECONDS + 0.05, alarm.ring)
        async with asyncio.timeout(10):
            await alarm.pause(60, asyncio.Event())

    async def test_a_ring_during_a_round_ends_the_next_pause(self) -> None:
        alarm = Alarm()
        alarm.ring()
        async with asyncio.timeout(10):
            await alarm.pause(60, asyncio.Event())
        alarm.ring()
        async with asyncio.timeout(10):
            await alarm.pause(60, asyncio.Event())

    async def test_one_ring_ends_one_pause(self) -> None:
        alarm = Alarm()
        alarm.ring()
        alarm.ring()
        await alarm.pause(60, asyncio.Event())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(alarm.pause(60, asyncio.Event()), LEAST_SECONDS + 0.2)

    async def test_however_often_it_rings_rounds_stay_apart(self) -> None:
        alarm = Alarm()
        alarm.ring()
        assert await timed(alarm.pause(60, asyncio.Event())) >= LEAST_SECONDS

    async def test_a_stop_ends_it_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(waking, "LEAST_SECONDS", 50.0)
        stopping = asyncio.Event()
        stopping.set()
        async with asyncio.timeout(10):
            await Alarm().pause(60, stopping)


@asynccontextmanager
async def node(talk: Talk) -> AsyncIterator[str]:
    """Serve a node that talks to each websocket, on loopback."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await talk(socket)
        return socket

    app = web.Application()
    app.router.add_get("/key123", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"ws://{host}:{port}/key123"
    await runner.cleanup()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "RETRY_SECONDS", (0.01, 0.05))


async def rung(url: str, once: OnceLog, times: int) -> None:
    """Listen until the alarm rang so often."""
    count, done = 0, asyncio.Event()

    def ring() -> None:
        nonlocal count
        count += 1
        if count == times:
            done.set()

    listening = asyncio.create_task(HeadWatch(url, ring, once).run())
    try:
        async with asyncio.timeout(20):
            await done.wait()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_each_head_rings(once: OnceLog) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        asked = await socket.receive_json()
        assert (asked["method"], asked["params"]) == ("eth_subscribe", ["newHeads"])
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "result": "0x1"})
        for _ in range(3):
            await socket.send_json(HEAD)
        await socket.receive()

    async with node(talk) as url:
        await rung(url, once, 3)


async def test_a_lost_connection_is_opened_again_and_told_without_its_key(
    once: OnceLog, log_lines: list[dict[str, object]]
) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.receive_json()
        await socket.send_json(HEAD)  # and hang up

    async with node(talk) as url:
        await rung(url, once, 3)
    troubles = [line for line in log_lines if line["event"] == "trouble"]
    assert troubles[0]["reason"] == "it was closed; the chain is polled meanwhile"
    assert any(line["event"] == "trouble_over" for line in log_lines)
    assert "key123" not in json.dumps(log_lines)


@pytest.mark.parametrize("text", ["no json", "[1]", '{"id": 1, "error": {"code": -1}}'])
async def test_anything_else_does_not_ring(once: OnceLog, text: str) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.receive_json()
        await socket.send_str(text)
        await socket.receive()

    async with node(talk) as url:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rung(url, once, 1), 0.3)


async def test_no_frame_ends_the_watch(once: OnceLog) -> None:
    """A depth that overflows the stack of a parser once ended it unseen."""

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.receive_json()
        await socket.send_str("[" * 200_000)
        await socket.send_json(HEAD)
        await socket.receive()

    async with node(talk) as url:
        await rung(url, once, 1)


async def test_no_fault_ends_the_watch(
    once: OnceLog, log_lines: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [RecursionError()]
    is_head = waking._is_head

    def fail_once(text: str) -> bool:
        if faults:
            raise faults.pop()
        return is_head(text)

    monkeypatch.setattr(waking, "_is_head", fail_once)

    async def talk(socket: web.WebSocketResponse) -> None:
        await socket.receive_json()
        await socket.send_json(HEAD)
        await socket.receive()

    async with node(talk) as url:
        await rung(url, once, 1)
    assert str(log_lines[0]["reason"]).startswith("RecursionError;")


async def test_nobody_there_is_a_trouble_and_no_end(
    once: OnceLog, log_lines: list[dict[str, object]]
) -> None:
    listening = asyncio.create_task(HeadWatch("ws://127.0.0.1:9/key123", pytest.fail, once).run())
    try:
        async with asyncio.timeout(20):
            while not log_lines:  # noqa: ASYNC110 - the watch has its own pace
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # in which it tries again
        assert not listening.done()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    (trouble,) = [line for line in log_lines if line["event"] == "trouble"]
    assert "polled meanwhile" in str(trouble["reason"])
