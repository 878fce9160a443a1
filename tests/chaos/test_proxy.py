"""The proxy does to a request what its plan says, and nothing to others."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.chaos.proxy import KINDS, Proxy, open_proxy

LOGS = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [{}]}
RECEIPT = {"jsonrpc": "2.0", "id": 2, "method": "eth_getTransactionReceipt", "params": ["0x0"]}
HEAD = {"jsonrpc": "2.0", "id": 3, "method": "eth_getBlockByNumber", "params": ["latest", False]}
MINED = {"status": "0x1"}
RESULTS = {"eth_getLogs": [{}], "eth_getTransactionReceipt": MINED, "eth_blockNumber": "0x64"}
BLOCK = {"number": "0x64"}


class Node:
    """Answers calls, and remembers them."""

    def __init__(self) -> None:
        self.heard: list[dict[str, object]] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        calls = body if isinstance(body, list) else [body]
        self.heard += calls
        answers = [
            {
                "jsonrpc": "2.0",
                "id": call["id"],
                "result": RESULTS.get(call["method"], BLOCK),
            }
            for call in calls
        ]
        return web.json_response(answers if isinstance(body, list) else answers[0])


@pytest.fixture
async def node() -> Node:
    return Node()


@pytest.fixture
async def proxy(node: Node) -> AsyncIterator[Proxy]:
    app = web.Application()
    app.router.add_post("/", node.handle)
    async with TestServer(app) as server, open_proxy(str(server.make_url("/")), _luck()) as made:
        yield made


def _luck() -> random.Random:
    return random.Random(1)


async def ask(proxy: Proxy, body: object) -> object:
    """Return the answer, or the name of what came in its place."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(proxy.url, json=body) as response,
        ):
            return await response.json() if response.status == 200 else response.status
    except aiohttp.ClientError:
        return "closed"


async def spoiled(proxy: Proxy, kind: str, body: object) -> object:
    """Return what becomes of a request that is spoiled in one way."""
    proxy._draw = lambda _: kind  # type: ignore[method-assign]
    return await ask(proxy, body)


async def test_a_share_of_nothing_changes_nothing(proxy: Proxy, node: Node) -> None:
    answer = await ask(proxy, [LOGS, RECEIPT])
    assert isinstance(answer, list)
    assert [item["result"] for item in answer] == [[{}], MINED]
    assert node.heard == [LOGS, RECEIPT]
    assert not proxy.done


@pytest.mark.parametrize(("kind", "heard"), [("drop", 0), ("cut", 1)])
async def test_connections_end_before_or_after_the_chain_heard(
    proxy: Proxy, node: Node, kind: str, heard: int
) -> None:
    assert await spoiled(proxy, kind, HEAD) == "closed"
    assert len(node.heard) == heard


async def test_a_request_is_repeated(proxy: Proxy, node: Node) -> None:
    await spoiled(proxy, "repeat", HEAD)
    assert node.heard == [HEAD, HEAD]


async def test_latest_is_some_blocks_ago(proxy: Proxy, node: Node) -> None:
    await spoiled(proxy, "old_head", HEAD)
    asked = node.heard[-1]["params"]
    assert isinstance(asked, list)
    assert 0 < 100 - int(asked[0], 16) <= 4


@pytest.mark.parametrize(
    ("kind", "result"), [("empty_logs", [[], MINED]), ("no_receipt", [[{}], None])]
)
async def test_logs_or_receipts_are_left_out(proxy: Proxy, kind: str, result: object) -> None:
    answer = await spoiled(proxy, kind, [LOGS, RECEIPT])
    assert isinstance(answer, list)
    assert [item["result"] for item in answer] == result
    assert proxy.done == {kind: 1}


async def test_errors_and_garbage_come_in_place_of_answers(proxy: Proxy, node: Node) -> None:
    answer = await spoiled(proxy, "error", HEAD)
    assert isinstance(answer, dict)
    assert "error" in answer
    assert node.heard == []
    assert await spoiled(proxy, "garbage", HEAD) == 502


async def test_every_kind_is_drawn(proxy: Proxy) -> None:
    proxy.share = 1.0
    drawn = {proxy._draw([LOGS, RECEIPT]) for _ in range(500)}
    assert drawn == set(KINDS)
