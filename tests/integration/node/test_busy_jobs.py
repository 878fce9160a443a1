"""A job that something is done to for long, as while an engine is down, holds up nothing else."""

import asyncio
from typing import Any

import pytest
from node_support import (
    JOB,
    Chain,
    ChainJob,
    Client,
    Launch,
    Repository,
    alive,
    eventually,
    revise,
    spec_bytes,
)

from workdeed.intent import spec_hash
from workdeed.node import agent
from workdeed.node.chain_view import ChainView
from workdeed.node.drivers.process import ProcessDriver
from workdeed.node.ports import PortAllocator

SOON = 30.0
"""Far more than anything takes here that does not wait for the job."""


@pytest.fixture
async def client(
    launch: Launch, data: bytes, placed: ChainJob, monkeypatch: pytest.MonkeyPatch
) -> Client:
    monkeypatch.setattr(agent, "PATIENCE_SECONDS", 0.2)
    found: Client = await launch()
    assert (await found.dispatch(data))[0] == 202
    await found.reaches("running")
    return found


@pytest.fixture
def later(repository: Repository, hello: str, placed: ChainJob) -> bytes:
    """The next revision of the job, on chain already."""
    data = spec_bytes(repository, hello, env={"GREETING": "Good evening"})
    revise(placed, data)
    return data


@pytest.fixture
def other(repository: Repository, hello: str, chain: Chain) -> bytes:
    """The spec of another job."""
    data = spec_bytes(repository, hello, env={"GREETING": "of another job"})
    chain.jobs[JOB + 1] = ChainJob(spec_hash(data))
    return data


async def test_a_command_that_hangs_holds_up_its_own_job_only(
    client: Client, later: bytes, other: bytes
):
    job = client.node.agent.job(JOB)
    async with job.lock, asyncio.timeout(SOON):
        status, body = await client.dispatch(later, revision=1)
        assert (status, "ask again in a moment" in body["error"]) == (503, True)
        both = await asyncio.gather(*(client.dispatch(later, revision=1) for _ in range(2)))
        assert [status for status, _ in both] == [503, 503]
        await client.rounds()
        assert (await client.dispatch(other, job_id=JOB + 1))[0] == 202
        await client.node.close()


async def test_what_was_busy_is_revised_afterwards(client: Client, later: bytes):
    async with client.node.agent.job(JOB).lock:
        assert (await client.dispatch(later, revision=1))[0] == 503
    assert (await client.dispatch(later, revision=1))[0] == 202
    await client.reaches("running", revision=1)


async def test_a_job_that_cannot_be_ended_holds_up_nothing_else(
    client: Client,
    data: bytes,
    placed: ChainJob,
    chain: Chain,
    other: bytes,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
):
    (workload,) = await client.workloads()
    stop = ProcessDriver.stop
    asked = asyncio.Event()

    async def hang(*_: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ProcessDriver, "stop", hang)
    placed.closed = True
    await client.rounds()
    chain.go_on()
    await client.rounds()
    async with asyncio.timeout(SOON):
        await asked.wait()
        placed.closed = False  # it is placed anew meanwhile
        chain.go_on()
        status, body = await client.dispatch(data)
        assert (status, "it is being ended" in body["error"]) == (503, True)
        await client.rounds()
        assert (await client.dispatch(other, job_id=JOB + 1))[0] == 202
        await client.node.close()
    assert alive(workload["pid"])
    monkeypatch.setattr(ProcessDriver, "stop", stop)
    await launch()  # it was written down that the job is over
    await eventually(lambda: not alive(workload["pid"]), "the end of the job")


async def test_an_engine_that_hangs_holds_up_no_decision(
    client: Client, placed: ChainJob, chain: Chain, monkeypatch: pytest.MonkeyPatch
):
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ProcessDriver, "fingerprint", hang)
    placed.closed = True
    async with asyncio.timeout(SOON):
        await client.rounds()
        chain.go_on()
        await client.rounds()
        await client.gone()
        assert (await client.get("/readyz"))[0] == 200  # as it was found last


async def test_a_job_gets_no_port_that_another_was_given(
    client: Client, other: bytes, monkeypatch: pytest.MonkeyPatch
):
    """Between that and the bind of the other nothing listens there."""
    assert (await client.dispatch(other, job_id=JOB + 1))[0] == 202
    first, second = (client.node.agent.job(one) for one in (JOB, JOB + 1))
    await eventually(lambda: second.wanted.port is not None, "a port")
    given = second.wanted.port
    monkeypatch.setattr(PortAllocator, "_free", lambda _, port: port or 1)
    assert first.allot([], given) != given
    assert first.allot([], first.wanted.port) == first.wanted.port


async def test_a_round_that_fails_starts_nothing(
    client: Client, chain: Chain, monkeypatch: pytest.MonkeyPatch
):
    async def fail(*_: Any) -> None:
        raise RuntimeError("nobody reckoned with it")

    with monkeypatch.context() as failing:
        failing.setattr(ChainView, "license", fail)
        await eventually(lambda: not client.node.agent._gate.is_open, "closing")
        assert (await client.get("/readyz"))[0] == 503
    await eventually(lambda: client.node.agent._gate.is_open, "opening")


async def test_what_a_bar_could_not_end_at_first_is_ended_later(
    launch: Launch,
    chain: Chain,
    repository: Repository,
    hello: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """With one try of its own, a service rests after that, and nobody watches its process."""
    restart = {"policy": "on-failure", "first_ms": 100, "longest_ms": 100, "tries": 1}
    data = spec_bytes(repository, hello, restart=restart)
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    client = await launch()
    assert (await client.dispatch(data))[0] == 202
    workload = await client.reaches("running")
    chain.standing = 1
    with monkeypatch.context() as down:

        async def fail(*_: Any) -> None:
            raise OSError("Too many open files")

        for name in ("stop", "recover"):
            down.setattr(ProcessDriver, name, fail)
        await client.rounds()
        chain.go_on()
        await client.reaches("failed")
        await client.rounds(3)
        assert not client.node.agent.job(JOB).runs
        assert alive(workload["pid"])
    await eventually(lambda: not alive(workload["pid"]), "the end of the job")
    chain.standing = 0
    chain.go_on()
    await client.reaches("running")
