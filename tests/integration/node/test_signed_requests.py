"""Signed requests to a real agent: who is heard, what comes of it, that nothing is done twice."""

import asyncio
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import node_support
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
    eventually,
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

    async def another() -> bool:
        (after,) = await client.workloads()
        return after["state"] == "running" and after["pid"] not in (None, before["pid"])

    await eventually(another, "another process")


async def test_logs_and_a_look_inside(client: Client):
    (workload,) = await client.workloads()
    await client.get("/", workload["port"])
    replies: list[LogReply] = []

    async def told() -> bool:
        # What a service prints is in its log once its supervisor has put it there.
        status, body = await ask(client, signed("logs"))
        assert status == 200
        replies[:] = [LogReply.model_validate(body)]
        return b"GET / HTTP" in replies[0].data

    await eventually(told, "the line of the request")
    (reply,) = replies
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
        ({"job_id": JOB + 1}, 409, "does not run it"),
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


async def test_a_request_about_a_job_that_is_not_here_leaves_no_trace(
    client: Client, tmp_path: Path
):
    """A member may ask for rollouts of any job: made-up ones must not fill the node's memory."""
    status, body = await ask(client, signed("take", key=MEMBER, job_id=JOB + 1))
    assert (status, "does not run it" in body["error"]) == (409, True)
    assert not (tmp_path / "state/requests/last.json").exists()
    assert (await ask(client, signed("take", key=MEMBER)))[0] == 202
    assert (tmp_path / "state/requests/last.json").exists()


CACHE = {
    "name": "cache",
    "runner": "war",
    "run": ["sleep", "1000"],
    "resources": {"cpu_milli": 50, "memory_mb": 50, "storage_mb": 4},
}


@pytest.fixture
async def pair(launch: Launch, chain: Chain, repository: Repository, hello: str) -> Client:
    """An agent whose job has two services."""
    source = {"git": {"url": str(repository.path), "commit": hello}}
    restart = {"policy": "unless-stopped", "first_ms": 100, "longest_ms": 1_000}
    data = spec_bytes(repository, hello, siblings=[CACHE | {"source": source}], restart=restart)
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    chain.grants = {address_of(DELEGATE).lower(): (8, chain.now + 10_000)}
    found: Client = await launch()
    assert (await found.dispatch(data))[0] == 202
    await found.reaches("running")
    return found


async def test_a_stop_of_one_service_is_not_lifted_by_a_restart_of_another(
    pair: Client, launch: Launch
):
    """While its payer keeps one stopped, the job can't serve, and counts as served all the same."""
    stop = signed("stop")
    assert (await ask(pair, stop))[0] == 202
    assert (await ask(pair, signed("restart", service="cache")))[0] == 202
    await pair.reaches("stopped")
    assert (await pair.get(f"/jobs/{JOB}/hold"))[0] == 200
    await pair.node.close()
    client = await launch()
    status, body = await client.get(f"/jobs/{JOB}/hold")
    assert (status, NodeRequest.model_validate(body)) == (200, stop)
    assert (await ask(client, signed("resume")))[0] == 202
    assert (await client.get(f"/jobs/{JOB}/hold"))[0] == 404
    await client.reaches("running")


PAYING = keccak(b"payer")


async def held(client: Client) -> NodeRequest:
    status, body = await client.get(f"/jobs/{JOB}/hold")
    assert status == 200
    return NodeRequest.model_validate(body)


async def test_no_stop_by_a_delegate_takes_the_proof_of_the_payers_stop_away(
    pair: Client, monkeypatch: pytest.MonkeyPatch
):
    """Its payer may end a grant at any time, and then the delegate's word counts no more."""
    monkeypatch.setattr(node_support, "PAYER", address_of(PAYING).lower())
    await pair.rounds()
    stop = signed("stop", key=PAYING)
    assert (await ask(pair, stop))[0] == 202
    for service in ("main", "cache"):
        assert (await ask(pair, signed("stop", service=service)))[0] == 202
        assert [await held(pair) for _ in range(5)] == [stop] * 5
    assert (await ask(pair, signed("resume", service="cache")))[0] == 202
    assert await held(pair) == stop
    assert (await ask(pair, signed("resume")))[0] == 202
    assert (await pair.get(f"/jobs/{JOB}/hold"))[0] == 404


async def test_of_several_words_of_delegates_each_is_shown(pair: Client, chain: Chain):
    """Which of them may still act the chain says, not the node."""
    chain.grants[address_of(STRANGER).lower()] = (8, chain.now + 10_000)
    stops = [signed("stop"), signed("stop", key=STRANGER, service="cache")]
    for stop in stops:
        assert (await ask(pair, stop))[0] == 202
    shown = {(await held(pair)).account for _ in range(50)}
    assert shown == {stop.account for stop in stops}


async def test_a_word_that_no_service_keeps_any_more_is_dropped_at_the_start(
    client: Client, launch: Launch
):
    """As when the agent is killed between a command and the file of the payer's word."""
    client.node._parts.holds.note(signed("stop"))
    assert (await client.get(f"/jobs/{JOB}/hold"))[0] == 200
    await client.node.close()
    again = await launch()
    assert (await again.get(f"/jobs/{JOB}/hold"))[0] == 404


async def test_a_command_that_waited_for_the_end_of_its_job_starts_nothing(
    client: Client, chain: Chain
):
    job = client.node.agent.job(JOB)
    async with job.lock:
        asked = asyncio.create_task(ask(client, signed("restart")))
        await asyncio.sleep(0.5)
        job.record = replace(job.record, retired=11)
    status, body = await asked
    assert (status, "does not run it" in body["error"]) == (409, True)
    job.record = replace(job.record, retired=None)


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
