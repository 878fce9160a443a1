"""A bad node: a proxy on loopback between a keeper and its chain that misbehaves by a plan."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

KINDS = (
    "delay",
    "drop",
    "cut",
    "repeat",
    "error",
    "old_head",
    "empty_logs",
    "no_receipt",
    "garbage",
)
"""What may be done to a request:

- delay: the answer comes late; drop: the request never reaches the chain
- cut: the chain gets the request, but its answer is lost; repeat: the chain gets it twice
- error: an error object; garbage: no JSON at all
- old_head: "latest" is some blocks behind; empty_logs: there are none; no_receipt: nor receipts
"""

_EMPTIED = {"empty_logs": "eth_getLogs", "no_receipt": "eth_getTransactionReceipt"}
"""What lies by leaving out, and about which method."""

LIES = 0.3
"""The chance of a request for logs or receipts to be answered without them."""

OLD_BLOCKS = 4
SLOW_SECONDS = 0.4


@dataclass
class Proxy:
    """Hands requests on, and spoils a share of them.

    Attributes:
        target: the chain.
        luck: draws what goes wrong.
        share: the chance of a request to be spoiled; 0 for none.
        done: how many requests were spoiled, by kind.
        url: where it listens.

    """

    target: str
    luck: random.Random
    share: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _session: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or spoil it."""
        calls = json.loads(await request.read())
        kind = self._draw(calls)
        if kind and kind not in _EMPTIED:
            self.done[kind] += 1
        if kind == "drop":
            return _closed(request)
        if kind == "error":
            return web.json_response(_each(calls, lambda call: _error(call["id"])))
        try:
            answer = await self._answer(kind, calls)
        except aiohttp.ClientError:
            return _closed(request)  # the chain itself has ended
        if kind == "cut":
            return _closed(request)
        if kind == "garbage":
            return web.Response(text="<html>502</html>", status=502)
        return web.json_response(answer)

    async def _answer(self, kind: str, calls: Any) -> Any:
        """Ask the chain as `kind` has it, and return what is left of the answer."""
        if kind == "delay":
            await asyncio.sleep(self.luck.uniform(0, SLOW_SECONDS))
        if kind == "old_head":
            calls = await self._aged(calls)
        answer = await self._ask(calls)
        if kind == "repeat":
            answer = await self._ask(calls)
        if kind in _EMPTIED and _takes_away(kind, calls, answer):
            self.done[kind] += 1
            answer = _emptied(kind, calls, answer)
        return answer

    def _draw(self, calls: Any) -> str:
        """Draw what happens to a request; logs are kept back often, as most have none anyway."""
        methods = {call["method"] for call in _listed(calls)}
        lies = [kind for kind, method in _EMPTIED.items() if method in methods]
        if lies and self.share and self.luck.random() < LIES:
            return self.luck.choice(lies)
        if self.luck.random() >= self.share:
            return ""
        return self.luck.choice([kind for kind in KINDS if kind not in _EMPTIED])

    async def _ask(self, calls: Any) -> Any:
        assert self._session is not None
        async with self._session.post(self.target, json=calls) as response:
            return await response.json()

    async def _aged(self, calls: Any) -> Any:
        """Return the calls with a block some blocks ago in place of the latest."""
        ask = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        height = int((await self._ask(ask))["result"], 16)
        old = hex(max(0, height - self.luck.randint(1, OLD_BLOCKS)))

        def aged(call: Any) -> Any:
            return call | {"params": [old if item == "latest" else item for item in call["params"]]}

        return _each(calls, aged)


@asynccontextmanager
async def open_proxy(target: str, luck: random.Random) -> AsyncIterator[Proxy]:
    """Run a proxy on a free port of loopback."""
    proxy = Proxy(target, luck)
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/", proxy.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    proxy.url = "http://{}:{}".format(*runner.addresses[0][:2])
    try:
        async with aiohttp.ClientSession() as session:
            proxy._session = session
            yield proxy
    finally:
        await runner.cleanup()


def _listed(calls: Any) -> list[Any]:
    return calls if isinstance(calls, list) else [calls]


def _each(calls: Any, change: Any) -> Any:
    return [change(call) for call in calls] if isinstance(calls, list) else change(calls)


def _emptied_ids(kind: str, calls: Any) -> set[Any]:
    return {call["id"] for call in _listed(calls) if call["method"] == _EMPTIED[kind]}


def _takes_away(kind: str, calls: Any, answer: Any) -> bool:
    """Tell whether there is anything to keep back."""
    ids = _emptied_ids(kind, calls)
    return any(item["id"] in ids and item.get("result") for item in _listed(answer))


def _emptied(kind: str, calls: Any, answer: Any) -> Any:
    """Return the answers without what `kind` keeps back."""
    ids = _emptied_ids(kind, calls)
    nothing: list[Any] | None = [] if kind == "empty_logs" else None
    return _each(answer, lambda item: item | {"result": nothing} if item["id"] in ids else item)


def _error(request_id: object) -> dict[str, Any]:
    error = {"code": -32005, "message": "limit exceeded"}
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _closed(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
