"""The keeper's HTTP, asked as clients do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from books_support import CHALLENGE, OPERATORS, PAYER, Chain, leaf
from fastapi import APIRouter
from http_support import RULES

from workdeed.keeper.app import AppParts, Readiness, create_app
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.specs import SpecStore
from workdeed.node.server import HttpServer
from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.fields import to_hex
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_SPEC_BYTES

SPEC = canonical_bytes({"name": "one"})
HASH = to_hex(keccak(SPEC))


class Surroundings:
    """What the app is told."""

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self.trouble = ""
        self.active = True
        self.woken = 0
        self.chain: Chain | None = None
        router = APIRouter()

        @router.get("/further")
        async def further() -> str:
            return "here"

        self.app = create_app(
            AppParts(
                specs=SpecStore(folder),
                metrics=metrics,
                rules=RULES,
                wake=self.wake,
                view=lambda: self.chain.view() if self.chain else None,
                readiness=[
                    Readiness("rpc", lambda: self.trouble),
                    Readiness("follower", lambda: "", lambda: "standby"),
                ],
                routers=[router],
                is_active=lambda: self.active,
            )
        )

    def wake(self) -> None:
        """Take note of a wake."""
        self.woken += 1


@pytest.fixture
def around(tmp_path: Path, metrics: Metrics) -> Surroundings:
    return Surroundings(tmp_path / "specs", metrics)


class Answer(NamedTuple):
    """What came back."""

    status: int
    content_type: str
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """Asks one server."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._base = f"http://127.0.0.1:{port}"

    async def get(self, path: str) -> Answer:
        return await self._ask("GET", path, None)

    async def put(self, path: str, body: bytes) -> Answer:
        return await self._ask("PUT", path, body)

    async def post(self, path: str) -> Answer:
        return await self._ask("POST", path, None)

    async def _ask(self, method: str, path: str, body: bytes | None) -> Answer:
        async with self._session.request(method, self._base + path, data=body) as response:
            return Answer(response.status, response.content_type, await response.read())


@pytest.fixture
async def client(around: Surroundings) -> AsyncIterator[Client]:
    server = HttpServer("127.0.0.1", 0)
    server.begin(around.app)
    async with aiohttp.ClientSession() as session:
        yield Client(session, server.port)
    await server.close()


async def test_health_says_alive_and_readiness_says_what_is_wrong(
    client: Client, around: Surroundings
) -> None:
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).json() == {
        "ready": True,
        "troubles": {"rpc": "", "follower": ""},
        "notes": {"follower": "standby"},
    }
    around.trouble = "no answer"
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert answer.json()["troubles"]["rpc"] == "no answer"
    assert (await client.get("/further")).json() == "here"


async def test_a_proxy_is_told_which_keeper_of_a_pair_acts(
    client: Client, around: Surroundings
) -> None:
    answer = await client.get("/activez")
    assert (answer.status, answer.json()) == (200, {"active": True})
    around.active = False
    answer = await client.get("/activez")
    assert (answer.status, answer.json()) == (503, {"active": False})
    assert (await client.get("/readyz")).status == 200


async def test_metrics_are_those_of_this_keeper(client: Client, metrics: Metrics) -> None:
    metrics.window.set(7)
    answer = await client.get("/metrics")
    assert answer.content_type == "text/plain"
    assert b"workdeed_window 7.0" in answer.content


async def test_metrics_say_which_part_is_not_ready(client: Client, around: Surroundings) -> None:
    around.trouble = "no answer"
    content = (await client.get("/metrics")).content
    assert b'workdeed_ready{part="rpc"} 0.0' in content
    assert b'workdeed_ready{part="follower"} 1.0' in content
    around.trouble = ""
    assert b'workdeed_ready{part="rpc"} 1.0' in (await client.get("/metrics")).content


async def test_a_spec_comes_back_byte_by_byte(client: Client) -> None:
    assert (await client.get(f"/specs/{HASH}")).status == 404
    assert (await client.put(f"/specs/{HASH}", SPEC)).status == 204
    answer = await client.get(f"/specs/{HASH}")
    assert answer.content == SPEC


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (HASH, b"{}", "hash"),
        (HASH.upper(), SPEC, "hash"),
        ("0x12", SPEC, "hash"),
        (HASH, b"x" * (MAX_SPEC_BYTES + 1), "body"),
    ],
)
async def test_other_specs_are_refused_in_one_sentence(
    client: Client, path: str, body: bytes, field: str
) -> None:
    answer = await client.put(f"/specs/{path}", body)
    assert answer.status == 400
    assert answer.json().keys() == {"error", "field"}
    assert answer.json()["error"].startswith(f"{field}:")


async def test_status_shows_jobs_and_reports(
    client: Client, around: Surroundings, chain: Chain
) -> None:
    assert (await client.get("/status")).status == 503
    chain.license(1)
    chain.open_job(1)
    chain.open_job(2)
    chain.place(1, [1])
    chain.to_window(3)
    chain.report(2, [leaf(1, 1, 10_000)])
    chain.timestamp += CHALLENGE
    chain.claim(1, 1, 10_000)
    around.chain = chain
    found = (await client.get("/status")).json()
    assert (found["window"], found["reported"]) == (3, 2)
    waiting, running = found["jobs"]
    assert (waiting["job_id"], waiting["state"]) == (2, "waiting")
    assert (running["state"], running["payer"], running["end"]) == ("running", PAYER, 12)
    assert running["deposited"] == "100000"
    assert running["licenses"] == [
        {
            "license_id": 1,
            "payee": OPERATORS[0],
            "first": 2,
            "until": None,
            "claimed_units": 10_000,
        }
    ]
    assert [(one["window"], one["final"]) for one in found["reports"]] == [(2, True)]
    assert len((await client.get("/status?limit=1")).json()["jobs"]) == 1
    assert (await client.get("/status?limit=0")).status == 422


async def test_this_machine_may_wake_the_keeper(client: Client, around: Surroundings) -> None:
    assert (await client.post("/wake")).status == 204
    assert around.woken == 1


async def test_others_may_not_wake_the_keeper(around: Surroundings) -> None:
    """A look at the chain may cost money."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/wake",
        "raw_path": b"/wake",
        "query_string": b"",
        "headers": [],
        "client": ("203.0.113.7", 50_000),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await around.app(scope, receive, send)
    assert sent[0]["status"] == 403
    assert around.woken == 0


async def test_the_rules_are_shown(client: Client) -> None:
    assert (await client.get("/rules")).content == RULES.to_json()
