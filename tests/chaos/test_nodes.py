"""Nodes that lie do so by their plan, and take down what they said."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.chaos.nodes import HONEST, KINDS, Fleet, Lie, Node, open_fleet
from tests.chaos.world import Scene
from tests.integration.chain.contract_support import NODES
from workdeed.chain.deployment import REQUIRED, DeployedContract, Deployment
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import Answer, Probe
from workdeed.protocol.signing import to_checksum

JOB = 1


def _scene() -> Scene:
    contracts = {
        name: DeployedContract(
            address=to_checksum(keccak(name.encode())[12:]), tx=bytes(32), block=1
        )
        for name in REQUIRED
    }
    deployment = Deployment(
        chain_id=31337, genesis=1, window=100, challenge=10, start_block=1, contracts=contracts
    )
    return Scene(deployment, "", tuple(range(1, len(NODES) + 1)), ())


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with open_fleet(7, _scene()) as made:
        await made.serve(JOB)
        yield made


def probe(window: int, text: str = "") -> Probe:
    nonce = keccak(f"{window} {text}".encode())
    return Probe(nonce=nonce, window=window, block_hash=keccak(b"block"))


def told(fleet: Fleet, node: Node, kind: str) -> tuple[Probe, Answer]:
    """Let all nodes be probed until one lies so; return the probe and what it answered."""
    for window in range(1, 100):
        asked = probe(window)
        for one in fleet.nodes:
            answer = fleet.answer(one, asked)
            lie = fleet.lies.get((one.license_id, window))
            if one is node and lie is not None and lie.kind == kind:
                return asked, answer
    raise AssertionError(f"{kind}: it never came")


async def status(port: int) -> int:
    """Return what a workload answers, 0 for nothing."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/health") as response,
        ):
            return response.status
    except aiohttp.ClientConnectionError:
        return 0


async def test_some_never_lie_and_serve_what_they_say(fleet: Fleet) -> None:
    domain = fleet.scene.deployment.domain(COMMITTEE_DOMAIN)
    for window in range(1, 50):
        for node in fleet.nodes[:HONEST]:
            asked = probe(window)
            answer = fleet.answer(node, asked)
            assert answer.answers(asked)
            assert answer.verify(domain) == node.signer.address
            assert answer.instance_id == node.instance
    assert fleet.lies == {}
    (work,) = answer.workloads
    assert work.port is not None
    assert await status(work.port) == 200


async def test_one_replays_what_it_signed_for_another_probe(fleet: Fleet) -> None:
    asked, answer = told(fleet, fleet.nodes[-1], "replay")
    assert not answer.answers(asked)
    domain = fleet.scene.deployment.domain(COMMITTEE_DOMAIN)
    assert answer.verify(domain) == fleet.nodes[-1].signer.address


async def test_one_is_well_by_its_own_account_and_runs_nothing(fleet: Fleet) -> None:
    asked, answer = told(fleet, fleet.nodes[-1], "idle")
    assert answer.answers(asked)
    (work,) = answer.workloads
    assert work.healthy
    assert work.port is not None
    assert await status(work.port) == 0


async def test_one_shows_the_instance_of_another(fleet: Fleet) -> None:
    node = fleet.nodes[-1]
    asked, answer = told(fleet, node, "double")
    of = fleet.lies[node.license_id, asked.window].of
    assert answer.answers(asked)
    assert answer.instance_id in {one.instance for one in fleet.nodes if one.license_id == of}
    assert fleet.caught(node.license_id, asked.window, {node.license_id, of})
    assert not fleet.caught(node.license_id, asked.window, {node.license_id})


async def test_of_two_that_show_the_instance_of_one_that_is_away_the_lower_is_paid(
    fleet: Fleet,
) -> None:
    away, *_, lower, higher = (one.license_id for one in fleet.nodes)
    fleet.lies = {(one, 5): Lie("double", away) for one in (lower, higher)}
    assert not fleet.caught(lower, 5, {lower, higher})
    assert fleet.caught(higher, 5, {lower, higher})
    assert not fleet.caught(higher, 5, {higher})
    assert fleet.caught(lower, 5, {away, lower, higher})


async def test_all_kinds_are_told_and_taken_down(fleet: Fleet) -> None:
    for window in range(1, 30):
        for node in fleet.nodes:
            for text in ("one", "two"):
                fleet.answer(node, probe(window, text))
    assert {lie.kind for lie in fleet.lies.values()} == set(KINDS)
    assert all(
        fleet.caught(license_id, window, fleet.scene.licenses) for license_id, window in fleet.lies
    )
    assert not fleet.caught(fleet.nodes[0].license_id, 1, fleet.scene.licenses)
    assert isinstance(next(iter(fleet.lies.values())), Lie)
