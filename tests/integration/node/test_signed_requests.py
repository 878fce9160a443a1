"""Signed requests to a real agent: who is heard, what comes of it, that nothing is done twice."""

import asyncio
import time
from itertools import count
from typing import Any

import pytest
from node_support import (
    CHAIN_ID,
    COMMITTEE,
    ESCROW,
    JOB,
    LICENSE_ID,
    Chain,
    ChainJob,
    Client,
    Launch,
    Repository,
    spec_bytes,
)

from workdeed.intent import spec_hash
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import sign
from workdeed.protocol.noderequest import InspectionReply, LogReply, NodeRequest
from workdeed.protocol.signing import address_of, to_checksum

DOMAIN = Domain(COMMITTEE_DOMAIN, CHAIN_ID, to_checksum(COMMITTEE))
DELEGATE, MEMBER, STRANGER = keccak(b"delegate"), keccak(b"member"), keccak(b"stranger")
_tick = count(1)


def signed(action: str, key: bytes = DELEGATE, **changes: Any) -> NodeRequest:
    content = {
        "escrow": to_checksum(ESCROW),
        "job_id": JOB,
        "license_id": LICENSE_ID,
        "revision": 0,
        "action": action,
        # Later than all before, as far as the clock's resolution goes.
        "asked_at": int(time.time() * 1_000) + next(_tick),
        "account": address_of(key),
    }
    return sign(NodeRequest(**(content | changes)), DOMAIN, key)


@pytest.fixture
async def client(launch: Launch, chain: Chain, repository: Repository, hello: str) -> Client:
    """An agent whose job runs, and a chain that knows a delegate and a member."""
    restart = {"policy": "unless-stopped", "first_ms": 100, "longest_ms": 1_000}
    data = spec_bytes(repository, hello, restart=restart)
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    chain.grants = {address_of(DELEGATE).lower(): (8, chain.now + 10_000)}
    chain.members = {address_of(MEMBER).lower(): 0}
    found: Client = await launch()
    await found.dispatch(data)
    await found.reaches("running")
    return found


async def ask(client: Client, request: NodeRequest) -> tuple[int, Any]:
    return await client.post("/requests", request.to_json())


async def test_a_stop_lasts_and_shows_whose_word_it_is_until_it_is_lifted(
    client: Client, launch: Launch
):
    stop = signed("stop")
    assert (await client.get(f"/jobs/{JOB}/hold"))[0] == 404
    assert (await ask(client, stop))[0] == 202
    await client.reaches("stopped")
    await client.node.close()
    client = await launch()
    await client.rounds()
    await asyncio.sleep(0.5)
    await client.reaches("stopped")
    status, body = await client.get(f"/jobs/{JOB}/hold")
    assert status == 200
    shown = NodeRequest.model_validate(body)
    assert shown == stop
    assert shown.verify(DOMAIN) == address_of(DELEGATE)

    status, body = await ask(client, stop)
    assert (status, "a later request was taken" in body["error"]) == (409, True)

    assert (await ask(client, signed("resume")))[0] == 202
    await client.reaches("running")
    assert (await client.get(f"/jobs/{JOB}/hold"))[0] == 404


async def test_a_restart_begins_another_process(client: Client):
    (before,) = await client.workloads()
    assert (await ask(client, signed("restart")))[0] == 202
    for _ in range(200):
        (after,) = await client.workloads()
        if after["state"] == "running" and after["pid"] != before["pid"]:
            break
        await asyncio.sleep(0.05)
    assert after["pid"] not in (None, before["pid"])


async def test_logs_and_a_look_inside(client: Client):
    (workload,) = await client.workloads()
    await client.get("/", workload["port"])
    status, body = await ask(client, signed("logs"))
    assert status == 200
    reply = LogReply.model_validate(body)
    assert b"GET / HTTP" in reply.data
    status, body = await ask(client, signed("logs", argument=reply.cursor))
    assert (status, LogReply.model_validate(body).data) == (200, b"")
    status, body = await ask(client, signed("inspect"))
    assert status == 200
    seen = InspectionReply.model_validate(body)
    assert (seen.state, seen.service) == ("running", "main")
    assert seen.memory_bytes > 10**6
    assert [one.port for one in seen.ports] == [workload["port"]]


@pytest.mark.parametrize(
    ("asked", "status", "reason"),
    [
        ({"action": "logs", "key": STRANGER}, 403, "may not ask for logs"),
        ({"key": MEMBER}, 403, "may not ask for stop"),
        ({"asked_at": 1}, 401, "clock"),
        ({"license_id": LICENSE_ID + 1}, 403, "license_id"),
        ({"revision": 9}, 409, "revision"),
        ({"service": "cache"}, 409, "service"),
        ({"job_id": JOB + 1}, 403, "may not ask"),
    ],
    ids=["stranger", "member", "old", "node", "revision", "service", "job"],
)
async def test_what_may_not_be_asked_for_changes_nothing(
    client: Client, asked: dict[str, Any], status: int, reason: str
):
    found, body = await ask(client, signed(**({"action": "stop"} | asked)))
    assert (found, reason in body["error"]) == (status, True), body
    await client.rounds()
    (workload,) = await client.workloads()
    assert workload["state"] == "running"
    assert (await client.get(f"/jobs/{JOB}/hold"))[0] == 404


async def test_a_changed_request_is_signed_by_nobody(client: Client):
    changed = signed("inspect").model_copy(update={"action": "stop"})
    status, body = await ask(client, changed)
    assert (status, "it is by" in body["error"]) == (401, True)


async def test_without_the_chain_nobody_is_heard(client: Client, rpcs: list[Any]):
    for rpc in rpcs:
        rpc.down = True
    assert (await ask(client, signed("logs")))[0] == 503
    for rpc in rpcs:
        rpc.down = False
    assert (await ask(client, signed("logs")))[0] == 200
