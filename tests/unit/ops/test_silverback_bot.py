"""The bot that wakes a keeper: it asks at each block, and does nothing else."""

from __future__ import annotations

import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BOT = Path(__file__).parents[3] / "ops" / "silverback" / "bot.py"


class Bot:
    """What the bot uses of Silverback's."""

    def __init__(self) -> None:
        self.handlers: list[tuple[object, Callable[[Any], None]]] = []

    def on_(self, what: object) -> Callable[[Callable[[Any], None]], None]:
        return lambda handler: self.handlers.append((what, handler))


@pytest.fixture
def asked() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Serve a keeper that remembers what it was asked."""
    requests: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append((self.command, self.path))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_block_wakes_the_keeper(
    asked: tuple[str, list[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, requests = asked
    ape, silverback = ModuleType("ape"), ModuleType("silverback")
    blocks = object()
    ape.chain = type("Chain", (), {"blocks": blocks})  # type: ignore[attr-defined]
    silverback.SilverbackBot = Bot  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ape", ape)
    monkeypatch.setitem(sys.modules, "silverback", silverback)
    monkeypatch.setenv("KEEPER_URL", url)

    bot = runpy.run_path(str(BOT))["bot"]
    ((what, handler),) = bot.handlers
    assert what is blocks
    assert requests == []
    handler(object())
    assert requests == [("POST", "/wake")]
