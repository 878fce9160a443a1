"""`POST /candidates`: which nodes a payer may seal secrets for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from books_support import Chain
from http_support import RULES
from test_spares import Bench

from workdeed.keeper import candidates as module
from workdeed.keeper.app import AppParts, create_app
from workdeed.keeper.candidates import CandidateFinder, CandidatesBusyError, candidate_routes
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.specs import SpecStore
from workdeed.node.server import HttpServer
from workdeed.protocol.candidates import Candidates, CandidatesRequest

SPEC = {
    "name": "hello",
    "class_id": 1,
    "runner": "war",
    "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
    "run": ["true"],
    "env": {"TOKEN": {"secret": "token"}},
    "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
}


@pytest.fixture
def bench(chain: Chain, once: OnceLog, metrics: Metrics) -> Bench:
    made = Bench(chain, once, metrics)
    for license_id in (1, 2, 3):
        made.node(license_id)
    made.node(4, runners=("car",))
    return made


def ask(**changes: Any) -> CandidatesRequest:
    content: dict[str, Any] = {"class_id": 1, "placed": (), "count": 8, "spec": SPEC}
    content |= changes
    if not isinstance(content["spec"], bytes):
        content["spec"] = json.dumps(content["spec"]).encode()
    return CandidatesRequest(**content)


def finder(bench: Bench) -> CandidateFinder:
    return CandidateFinder(bench.profiles, bench.chain.view)


def ids(found: Candidates) -> list[int]:
    return [one.license_id for one in found.profiles]


async def test_those_that_could_be_placed_are_shown_by_their_signed_profiles(bench: Bench) -> None:
    bench.chain.freeze(2)
    found = await finder(bench).answer(ask())
    assert sorted(ids(found)) == [1, 3]
    assert Candidates.parse(found.to_json()) == found


async def test_licenses_in_place_come_first_whatever_they_offer(bench: Bench) -> None:
    found = await finder(bench).answer(ask(placed=(4, 99, 1), count=1))
    assert ids(found)[:2] == [4, 1]
    assert ids(found)[2] in (2, 3)
    assert len(found.profiles) == 3


async def test_before_the_first_look_at_the_chain_nothing_is_known(bench: Bench) -> None:
    with pytest.raises(CandidatesBusyError, match="not read yet"):
        await CandidateFinder(bench.profiles, lambda: None).answer(ask())


async def test_a_crowd_is_held_off(bench: Bench) -> None:
    found = finder(bench)
    async with found._turn:
        crowd = [asyncio.create_task(found.answer(ask())) for _ in range(module._WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(CandidatesBusyError, match="too many"):
            await found.answer(ask())
    assert {len(one.profiles) for one in await asyncio.gather(*crowd)} == {3}
    assert ids(await found.answer(ask()))


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (ask().to_json(), 200, ""),
        (b"{}", 400, "schema"),
        (ask(spec=b"{").to_json(), 400, "spec"),
        (ask(spec=b"[" * 50_000).to_json(), 400, "spec"),
        (ask(spec=SPEC | {"runner": ""}).to_json(), 400, "spec"),
        (ask(class_id=9).to_json(), 400, "class_id"),
    ],
    ids=["good", "no message", "no JSON", "too deep", "no spec", "no class"],
)
async def test_statuses(bench: Bench, tmp_path: Path, body: bytes, status: int, field: str) -> None:
    parts = AppParts(
        specs=SpecStore(tmp_path),
        metrics=Metrics(),
        rules=RULES,
        wake=lambda: None,
        view=lambda: None,
        readiness=[],
        routers=[candidate_routes(finder(bench))],
    )
    server = HttpServer("127.0.0.1", 0)
    server.begin(create_app(parts))
    try:
        url = f"http://127.0.0.1:{server.port}/candidates"
        async with aiohttp.ClientSession() as session, session.post(url, data=body) as answer:
            data = await answer.read()
    finally:
        await server.close()
    assert answer.status == status, data
    if status == 200:
        assert len(Candidates.parse(data).profiles) == 3
    elif field != "schema":
        assert json.loads(data)["field"] == field
