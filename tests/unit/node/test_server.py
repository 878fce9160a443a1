"""The server that the application is put behind."""

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import FastAPI, Response

from workdeed.node.errors import SettingsError
from workdeed.node.server import HttpServer


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    app = FastAPI()

    @app.get("/")
    async def root() -> Response:
        return Response(b"{}")

    made = HttpServer("127.0.0.1", 0)
    made.begin(app)
    yield made
    await made.close()


async def test_a_connection_that_is_kept_gets_its_answers_at_once(server: HttpServer):
    times = []
    async with aiohttp.ClientSession() as session:
        for _ in range(30):
            began = time.monotonic()
            async with session.get(f"http://127.0.0.1:{server.port}/") as answer:
                assert await answer.read() == b"{}"
            times.append(time.monotonic() - began)
    # A body that waits for its head to be acknowledged waits 40 ms, once the kernel knows the pace.
    assert min(times[-10:]) < 0.03


async def test_a_port_that_is_taken_is_told(server: HttpServer):
    with pytest.raises(SettingsError, match=f"port: 127.0.0.1:{server.port} can't be listened on"):
        HttpServer("127.0.0.1", server.port)
