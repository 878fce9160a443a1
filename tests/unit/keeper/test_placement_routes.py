"""The statuses of `POST /placements`."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from books_support import ESCROW, MEMBER_KEYS, MEMBERS
from http_support import RULES

from workdeed.keeper.app import AppParts, create_app
from workdeed.keeper.metrics import Metrics
from workdeed.keeper.placement_routes import placement_routes
from workdeed.keeper.placements import NotLeaderError, TooEarlyError
from workdeed.keeper.specs import SpecStore
from workdeed.node.server import HttpServer
from workdeed.placement import PlacementError, PlacementRefusedError
from workdeed.protocol.eip712 import ESCROW_DOMAIN, Domain
from workdeed.protocol.messages import PlacementProposal, PlacementSignature, sign

PROPOSAL = sign(
    PlacementProposal(
        escrow=ESCROW,
        job_id=1,
        round=0,
        window=1,
        revision=0,
        release=(),
        assign=(1,),
        committee_epoch=1,
        block_hash=bytes(32),
        skipped=(),
        member=MEMBERS[0],
    ),
    Domain(ESCROW_DOMAIN, 31_337, ESCROW),
    MEMBER_KEYS[0],
)
ANSWER = PlacementSignature(
    escrow=ESCROW, job_id=1, round=0, window=1, member=MEMBERS[1], signature=PROPOSAL.signature
)


class FakeFollowing:
    """Answers as a test says."""

    def __init__(self, outcome: PlacementSignature | Exception) -> None:
        self._outcome = outcome

    async def answer(self, proposal: PlacementProposal) -> PlacementSignature:
        assert proposal == PROPOSAL
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


async def post(
    folder: Path, outcome: PlacementSignature | Exception, body: bytes, *, active: bool = True
) -> tuple[int, bytes]:
    """Send a body to a keeper that follows like this."""
    routes = placement_routes(FakeFollowing(outcome), lambda: active)  # type: ignore[arg-type]
    parts = AppParts(SpecStore(folder), Metrics(), RULES, lambda: None, lambda: None, (), (routes,))
    server = HttpServer("127.0.0.1", 0)
    server.begin(create_app(parts))
    try:
        url = f"http://127.0.0.1:{server.port}/placements"
        async with aiohttp.ClientSession() as session, session.post(url, data=body) as response:
            return response.status, await response.read()
    finally:
        await server.close()


async def test_a_signature_comes_back(tmp_path: Path) -> None:
    status, body = await post(tmp_path, ANSWER, PROPOSAL.to_json())
    assert status == 200
    assert PlacementSignature.parse(body) == ANSWER


@pytest.mark.parametrize(
    ("error", "status", "field"),
    [
        (NotLeaderError("member: another leads"), 403, ""),
        (PlacementRefusedError("assign", "others follow"), 409, "assign"),
        (PlacementError("job_id: there is none"), 409, ""),
        (TooEarlyError("window: not yet"), 425, ""),
    ],
)
async def test_refusals(tmp_path: Path, error: Exception, status: int, field: str) -> None:
    found, body = await post(tmp_path, error, PROPOSAL.to_json())
    assert found == status
    assert json.loads(body) == {"error": str(error), "field": field}


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 100_000])
async def test_malformed_bodies(tmp_path: Path, body: bytes) -> None:
    status, answer = await post(tmp_path, ANSWER, body)
    assert status == 400
    assert json.loads(answer).keys() == {"error", "field"}


async def test_a_keeper_that_stands_by_signs_none(tmp_path: Path) -> None:
    status, body = await post(tmp_path, ANSWER, PROPOSAL.to_json(), active=False)
    assert status == 503
    assert "stands by" in json.loads(body)["error"]
