"""What goes wrong around a whole agent: disks, ports, commits, secrets, specs and clocks."""

import asyncio
import base64
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from agent_process import agent_process
from git_server import GitServer
from node_support import (
    CHAIN_ID,
    ESCROW,
    JOB,
    LICENSE_ID,
    NODE_KEY,
    PAYER,
    Chain,
    ChainJob,
    Client,
    FakeRpc,
    Launch,
    Repository,
    alive,
    eventually,
    has_sandbox,
    settings,
    spec_bytes,
    stranger,
)
from test_signed_requests import DELEGATE, ask, signed

from workdeed.intent import spec_hash
from workdeed.protocol.hashing import keccak
from workdeed.protocol.sealing import Owner, seal
from workdeed.protocol.signing import address_of, public_key_of, to_checksum

OWNER = Owner(CHAIN_ID, to_checksum(ESCROW), to_checksum(PAYER))
# Held to less, builds and interpreters take seconds.
WHOLE_CORE = {"cpu_milli": 1_000, "memory_mb": 256, "storage_mb": 64}
READER, PASSWORD = "reader", "s3cret-of-the-repository"


def place(chain: Chain, data: bytes, job_id: int = JOB) -> None:
    chain.jobs[job_id] = ChainJob(spec_hash(data))
    chain.grants = {address_of(DELEGATE).lower(): (8, chain.now + 10_000)}


async def says(client: Client, words: str) -> None:
    async def so() -> bool:
        return any(words in one["reason"] for one in await client.workloads())

    try:
        await eventually(so, f"reason {words!r}")
    except pytest.fail.Exception:
        pytest.fail(f"nothing says {words!r}: {await client.workloads()}")


def commit_of(status: dict[str, Any]) -> str:
    return str(status["services"][0]["version"])


# --- Services that go wrong -----------------------------------------------------------------------


async def test_a_crash_loop_slows_down_and_ends_with_its_tries(
    launch: Launch, chain: Chain, repository: Repository, tmp_path: Path
):
    starts, healed = tmp_path / "starts", tmp_path / "healed"
    run = f"date +%s.%N >> {starts}; [ -e {healed} ] && exec sleep 1000; echo no luck; exit 3"
    restart = {"policy": "on-failure", "first_ms": 200, "longest_ms": 400, "tries": 4}
    commit = repository.commit({"file": "content"})
    data = spec_bytes(
        repository, commit, run=["sh", "-c", run], restart=restart, health=None, port=None
    )
    place(chain, data)
    client = await launch()
    await client.dispatch(data)

    def times() -> list[float]:
        return [float(one) for one in starts.read_text().split()] if starts.exists() else []

    await eventually(lambda: len(times()) == 4, "all tries")
    await says(client, "code 3 (no luck)")
    await asyncio.sleep(0.8)
    assert len(times()) == 4
    pauses = [later - earlier for earlier, later in pairwise(times())]
    # The pause doubles and then stays; how long a start takes comes on top.
    assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.4), strict=True))
    assert (await client.get("/healthz"))[0] == 200
    healed.touch()
    assert (await ask(client, signed("resume")))[0] == 202
    await eventually(lambda: len(times()) == 5, "another try")
    await client.reaches("running")


async def test_a_port_that_somebody_took_meanwhile_is_given_up_for_another(
    launch: Launch, chain: Chain, repository: Repository, hello: str
):
    data = spec_bytes(repository, hello, restart={"first_ms": 1_000, "longest_ms": 1_000})
    place(chain, data)
    client = await launch()
    await client.dispatch(data)
    before = await client.reaches("running")
    os.kill(before["pid"], signal.SIGKILL)
    await eventually(lambda: not alive(before["pid"]), "the end of the service")
    async with stranger(before["port"]):
        await client.reaches_another(before["port"])


async def test_a_port_that_is_taken_after_it_was_given_costs_one_try(
    launch: Launch, chain: Chain, repository: Repository, tmp_path: Path
):
    """Between the choice of a port and the service's own bind, another program may be first."""
    code = f"""
import http.server, os, pathlib, socket, subprocess, sys
port, mark = int(os.environ["PORT"]), pathlib.Path({str(tmp_path / "ports")!r})
first = not mark.exists()
with mark.open("a") as ports:
    print(port, file=ports)
if first:
    stranger = socket.create_server(("127.0.0.1", port))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer.allow_reuse_address = False
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
    data = spec_bytes(repository, repository.commit({"server.py": code}))
    place(chain, data)
    client = await launch()
    await client.dispatch(data)
    found = await client.reaches("running")
    assert found["services"][0]["restarts"] == 1
    assert len((tmp_path / "ports").read_text().split()) == 2


# --- A disk that is full --------------------------------------------------------------------------


@pytest.mark.sandbox
@pytest.mark.skipif(
    not has_sandbox(), reason="bubblewrap is not installed or can't make a sandbox here"
)
async def test_a_disk_without_a_free_byte_ends_nothing_and_stops_what_the_chain_ends(
    chain: Chain, repository: Repository, hello: str, tmp_path: Path, rpcs: list[FakeRpc]
):
    """It ended what followed a branch, and what the chain had ended ran on for nothing."""
    wanted = settings(
        tmp_path, rpcs, disk={"reserve_mb": 1}, overcommit=True, stop_workloads_on_exit=True
    )
    small = ["bwrap", "--dev-bind", "/", "/", "--size", "16000000", "--tmpfs", wanted.state_dir]
    source = {"git": {"url": str(repository.path), "branch": "main", "follow": True}}
    data = spec_bytes(repository, hello, source=source, resources=WHOLE_CORE)
    place(chain, data)
    async with agent_process(wanted, within=small, first=LOOK_OFTEN) as agent:
        client, disk = agent.client, Path(f"/proc/{agent.pid}/root{wanted.state_dir}")
        assert (await client.dispatch(data))[0] == 202
        before = await client.reaches("running")

        fill(disk)
        later = repository.commit({"more": "more"})
        for _ in range(20):
            await client.get("/", before["port"])  # it logs, too
            await asyncio.sleep(0.1)
            (now,) = await client.workloads()
            assert (now["state"], now["pid"]) == ("running", before["pid"])
        status, body = await client.get("/readyz")
        assert (status, body["error"].partition(":")[0]) == (503, "disk.reserve_mb")
        fill(disk)  # once more: the agent has given up what it could
        os.kill(before["pid"], signal.SIGKILL)
        await says(client, "No space left")

        (disk / "fill").unlink()
        await client.reaches("running")

        async def taken() -> bool:
            (one,) = await client.workloads()
            return (commit_of(one), one["state"]) == (later, "running")

        await eventually(taken, "the commit that there was no room for")

        fill(disk)
        chain.jobs[JOB].closed = True
        await client.gone(chain)


LOOK_OFTEN = """
import workdeed.node.runners.war as war
war.WarRunner.poll_seconds = lambda *_: 0.3
"""
"""A spec can't ask for looks at its branch every 0.3 s."""


def fill(disk: Path) -> None:
    """Leave no room where `disk` is, not for one file more."""
    with (disk / "fill").open("ab", buffering=0) as file:
        for size in (1_000_000, 4_096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


# --- A branch and a repository on a server --------------------------------------------------------


async def test_a_new_commit_that_fails_to_build_leaves_the_one_before_serving(
    launch: Launch,
    chain: Chain,
    repository: Repository,
    hello: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("workdeed.node.runners.war.WarRunner.poll_seconds", lambda *_: 0.05)
    async with GitServer(repository).serving() as git:
        source = {"git": {"url": git.url, "branch": "main", "follow": True}}
        build = [["sh", "-c", "test ! -e broken || { echo it does not compile; exit 1; }"]]
        data = spec_bytes(repository, hello, source=source, build=build, resources=WHOLE_CORE)
        place(chain, data)
        client = await launch()
        await client.dispatch(data)
        before = await client.reaches("running")
        bad = repository.commit({"broken": "broken"})
        await says(client, f"{bad[:12]} is not taken: build command 1 of 1 failed")

        def given_up() -> bool:
            return client.node.agent.job(JOB).record.wanted.pins["main"].bad == (bad,)

        await eventually(given_up, "the end of the tries")
        (now,) = await client.workloads()
        assert (now["state"], now["pid"]) == ("running", before["pid"])
        assert commit_of(now) == hello
        _, page = await client.get("/", now["port"])
        assert page["commit"] == hello

        repository.git("rm", "--quiet", "broken")
        good = repository.commit({"fixed": "fixed"})

        async def serves() -> bool:
            (one,) = await client.workloads()
            return (commit_of(one), one["state"]) == (good, "running")

        await eventually(serves, "the commit that mends it")


def private_spec(
    repository: Repository, commit: str, url: str, password: str, key: bytes = NODE_KEY
) -> bytes:
    """Return a spec of a repository behind a login, whose password is sealed to the key's node."""
    box = seal({"password": password}, public_key_of(key), OWNER)
    boxes = {
        "license_id": LICENSE_ID,
        "node": address_of(key),
        "box": base64.b64encode(box).decode(),
    }
    login = {"username": READER, "secret": "password"}
    source = {"git": {"url": url, "commit": commit, "credentials": login}}
    secrets = {"names": ["password"], "boxes": [boxes]}
    return spec_bytes(repository, commit, source=source, secrets=secrets)


def files_with(folder: Path, *texts: bytes) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(text in path.read_bytes() for text in texts)]


@pytest.fixture
async def private(repository: Repository, hello: str) -> AsyncIterator[GitServer]:
    """The repository behind a login."""
    async with GitServer(repository, (READER, PASSWORD)).serving() as git:
        yield git


async def test_a_private_repository_is_fetched_with_a_sealed_password(
    launch: Launch,
    chain: Chain,
    repository: Repository,
    hello: str,
    private: GitServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
):
    data = private_spec(repository, hello, private.url, PASSWORD)
    place(chain, data)
    client = await launch()
    assert (await client.dispatch(data))[0] == 202
    found = await client.reaches("running")
    _, page = await client.get("/", found["port"])
    assert page["commit"] == hello
    pair = base64.b64encode(f"{READER}:{PASSWORD}".encode())
    assert files_with(tmp_path, PASSWORD.encode(), pair) == []
    assert PASSWORD not in "".join(capfd.readouterr())


@pytest.mark.parametrize("password", ["not the password", None])
async def test_a_private_repository_stays_closed_without_the_right_password(
    launch: Launch,
    chain: Chain,
    repository: Repository,
    hello: str,
    private: GitServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    password: str | None,
):
    data = private_spec(repository, hello, private.url, password or "unused")
    if password is None:
        source = {"git": {"url": private.url, "commit": hello}}
        data = spec_bytes(repository, hello, source=source)
    place(chain, data)
    client = await launch()
    assert (await client.dispatch(data))[0] == 202
    found = await client.reaches("failed")
    assert found["reason"].startswith("git fetch failed")
    assert "Authentication failed" in found["reason"] or "could not read" in found["reason"]
    assert "not the password" not in str(found)
    assert files_with(tmp_path, b"not the password") == []
    assert "not the password" not in "".join(capfd.readouterr())
    trees = tmp_path / "state" / "runners" / "war" / "trees"
    assert list(trees.iterdir()) == []


async def test_secrets_that_are_sealed_to_another_node_are_refused(
    launch: Launch, chain: Chain, repository: Repository, hello: str, private: GitServer
):
    other = keccak(b"the node that had the license before")
    data = private_spec(repository, hello, private.url, PASSWORD, key=other)
    place(chain, data)
    client = await launch()
    status, body = await client.dispatch(data)
    assert (status, body["field"]) == (409, "spec.secrets")
    assert f"sealed to {address_of(other)}" in body["error"]
    assert await client.workloads() == []
    assert private.asked == 0


async def test_the_spec_of_another_job_is_refused_though_the_chain_knows_it(
    launch: Launch, chain: Chain, repository: Repository, hello: str
):
    mine = spec_bytes(repository, hello)
    other = spec_bytes(repository, hello, env={"GREETING": "of another job"})
    place(chain, mine)
    place(chain, other, JOB + 1)
    client = await launch()
    status, body = await client.dispatch(other)
    assert (status, body["field"]) == (409, "spec")
    assert await client.workloads() == []
    assert (await client.dispatch(mine))[0] == 202
    before = await client.reaches("running")
    for revision in (0, 1):
        assert (await client.dispatch(other, revision=revision))[0] == 409
    (now,) = await client.workloads()
    assert (now["revision"], now["pid"]) == (0, before["pid"])


# --- Clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [7_200.0, -7_200.0], ids=["ahead", "behind"])
async def test_an_agent_whose_clock_is_wrong(
    chain: Chain,
    repository: Repository,
    hello: str,
    tmp_path: Path,
    rpcs: list[FakeRpc],
    launch: Launch,
    skew: float,
):
    """Windows follow the chain's clock; what is signed and how old a head is need the machine's."""
    data = spec_bytes(repository, hello)
    place(chain, data)
    right = await launch()
    assert (await right.dispatch(data))[0] == 202
    before = await right.reaches("running")
    await right.node.close()

    async with agent_process(settings(tmp_path, rpcs), skew=skew) as agent:
        client = agent.client
        assert (await client.reaches("running"))["pid"] == before["pid"]
        status, body = await client.post("/requests", signed("restart").to_json())
        side = "behind" if skew > 0 else "ahead of"
        assert status == 401
        assert f"s {side} this node's clock" in body["error"]
        assert body["error"].endswith("set the clock and sign anew")
        if skew > 0:  # to it, all heads are two hours old
            await eventually(lambda: unready(client, "its head is 7"), "a look at the chain")
            assert (await client.dispatch(data, job_id=JOB + 1))[0] == 503
        else:
            await eventually(lambda: ready(client), "readiness")
        chain.go_on()
        await asyncio.sleep(0.5)
        assert (await client.workloads())[0]["pid"] == before["pid"]
    assert alive(before["pid"])
    assert (await (await launch()).reaches("running"))["pid"] == before["pid"]


async def ready(client: Client) -> bool:
    return (await client.get("/readyz"))[0] == 200


async def unready(client: Client, words: str) -> bool:
    status, body = await client.get("/readyz")
    return status == 503 and words in body["error"]
