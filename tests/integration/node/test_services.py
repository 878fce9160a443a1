"""Jobs of several services, volumes, followed branches and rollouts, with real processes."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from node_support import (
    CHAIN_ID,
    COMMITTEE,
    ESCROW,
    HELLO,
    JOB,
    LICENSE_ID,
    Chain,
    ChainJob,
    Client,
    Launch,
    Repository,
    alive,
    eventually,
    has_sandbox,
    revise,
    spec_bytes,
)

from workdeed.intent import spec_hash
from workdeed.protocol.eip712 import Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import sign
from workdeed.protocol.noderequest import NodeRequest
from workdeed.protocol.signing import address_of, to_checksum

DOMAIN = Domain("OracleCommittee", CHAIN_ID, COMMITTEE)
MEMBER_KEY = keccak(b"a member of the committee")
# Where control groups hold it to less, an interpreter takes seconds to start.
SHARE = {"cpu_milli": 400, "memory_mb": 100, "storage_mb": 4}
WHOLE = {"cpu_milli": 800, "memory_mb": 356, "storage_mb": 64}


def request(action: str, revision: int, key: bytes = MEMBER_KEY, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "escrow": to_checksum(ESCROW),
        "job_id": JOB,
        "license_id": LICENSE_ID,
        "revision": revision,
        "action": action,
        "asked_at": int(time.time() * 1000),
        "account": address_of(key),
    }
    return sign(NodeRequest(**(values | changes)), DOMAIN, key).to_json()


@pytest.fixture
def member(chain: Chain) -> None:
    """Seat the holder of `MEMBER_KEY`."""
    chain.members[address_of(MEMBER_KEY).lower()] = 0


def place(chain: Chain, data: bytes) -> ChainJob:
    chain.jobs[JOB] = ChainJob(spec_hash(data))
    return chain.jobs[JOB]


async def status(client: Client, revision: int) -> dict[str, Any]:
    return next(one for one in await client.workloads() if one["revision"] == revision)


async def says(client: Client, revision: int, key: str, value: Any) -> None:
    async def so() -> bool:
        found = [one for one in await client.workloads() if one["revision"] == revision]
        return bool(found) and bool(found[0][key] == value)

    await eventually(so, f"{key} {value} of revision {revision}")


# --- Several services -----------------------------------------------------------------------------

STORE = """
import os, socket
with open(os.environ["WORKDEED_EXPORTS"] + "/greeting", "w") as file:
    file.write("from the store")
with socket.create_server((os.environ["HOST"], int(os.environ["PORT"]))) as server:
    while True:
        server.accept()[0].close()
"""


async def test_a_service_reads_what_its_sibling_hands_on(
    launch: Launch, chain: Chain, repository: Repository
):
    commit = repository.commit({"server.py": (HELLO / "server.py").read_text(), "store.py": STORE})
    store = {
        "name": "store",
        "runner": "war",
        "source": {"git": {"url": str(repository.path), "commit": commit}},
        "run": ["/usr/bin/env", "python3", "store.py"],
        "port": {},
        "health": {"kind": "tcp", "interval_ms": 100},
        "resources": SHARE,
    }
    env = {"GREETING": {"service": "store", "value": "greeting"}}
    data = spec_bytes(repository, commit, env=env, siblings=[store], resources=WHOLE)
    place(chain, data)
    client = await launch()
    assert (await client.dispatch(data))[0] == 202
    running = await client.reaches("running")
    assert [one["name"] for one in running["services"]] == ["store", "main"]
    _, page = await client.get("/", running["port"])
    assert page["greeting"] == "from the store"


@pytest.mark.sandbox
async def test_volumes_stay_with_the_job_and_files_are_those_of_the_spec(
    launch: Launch, chain: Chain, repository: Repository, hello: str, tmp_path: Path
):
    if not has_sandbox():
        pytest.skip("bubblewrap is not installed or can't make a sandbox here")
    run = ["/bin/sh", "-c", "date +%N >> /data/starts; cat /etc/greeting; exec sleep 1000"]
    volumes = [
        {"kind": "named", "name": "data", "path": "/data"},
        {"kind": "file", "path": "/etc/greeting", "content": "Good evening\n"},
    ]
    plain = {"port": None, "health": None, "run": run, "volumes": volumes}
    data = spec_bytes(repository, hello, **plain)
    placed = place(chain, data)
    client = await launch(sandboxed=True)
    assert (await client.dispatch(data))[0] == 202
    await client.reaches("running")
    (starts,) = (tmp_path / "state/volumes/kept").glob("*/data/starts")
    await eventually(lambda: len(starts.read_text().splitlines()) == 1, "the first start")
    later = spec_bytes(repository, hello, **plain, env={"NUMBER": "1"})
    revise(placed, later)
    chain.go_on()
    assert (await client.dispatch(later, revision=1))[0] == 202
    await client.reaches("running", revision=1)
    await eventually(lambda: len(starts.read_text().splitlines()) == 2, "the second start")
    (log,) = (tmp_path / "state/tasks").glob("*-1-main-run/output.log")
    await eventually(lambda: "Good evening" in log.read_text(), "the file")
    placed.cancelled, placed.end = True, 11
    chain.go_on(window=11)
    await client.rounds()
    chain.go_on()
    await client.gone()
    await eventually(lambda: not starts.exists(), "the end of the volume")


# --- A branch that is followed --------------------------------------------------------------------


async def test_a_followed_branch_moves_on_and_back_again(
    launch: Launch,
    chain: Chain,
    repository: Repository,
    hello: str,
    monkeypatch: pytest.MonkeyPatch,
):
    # A spec can't ask for less than 15 s.
    monkeypatch.setattr("workdeed.node.runners.war.WarRunner.poll_seconds", lambda *_: 0.3)
    source = {"git": {"url": str(repository.path), "branch": "main", "follow": True}}
    health = {"interval_ms": 100, "timeout_ms": 2000, "start_period_ms": 2_000}
    data = spec_bytes(repository, hello, source=source, health=health)
    place(chain, data)
    client = await launch(
        restart={"pause_seconds": 0.1, "settle_seconds": 0.1, "proven_seconds": 0.2}
    )
    assert (await client.dispatch(data))[0] == 202
    await client.reaches("running")

    async def runs(commit: str) -> None:
        async def so() -> bool:
            one = await status(client, 0)
            return (one["services"][0]["version"], one["state"]) == (commit, "running")

        await eventually(so, f"commit {commit}")

    await runs(hello)
    good = repository.commit({"more": "more"})
    await runs(good)
    await eventually(lambda: good in _memory(client), "the proof")
    ill = repository.commit({"server.py": "import time; time.sleep(1000)"})

    async def given_up() -> bool:
        return ill in json.dumps(_pins(client)["main"]["bad"])

    await eventually(given_up, "the end of the ill commit")
    await runs(good)


def _pins(client: Client) -> Any:
    record = client.node.agent.job(JOB).record.wanted
    return {name: {"good": pin.good, "bad": list(pin.bad)} for name, pin in record.pins.items()}


def _memory(client: Client) -> str:
    return str(_pins(client)["main"]["good"])


# --- Rollouts -------------------------------------------------------------------------------------


async def test_a_revision_that_never_gets_well_gives_way_to_the_last_good_one(
    launch: Launch, chain: Chain, repository: Repository, data: bytes, placed: ChainJob, hello: str
):
    client = await launch()
    await client.dispatch(data)
    old = await client.reaches("running")
    ill = spec_bytes(
        repository,
        hello,
        run=["/bin/sleep", "1000"],
        rollout={"policy": "recreate", "deadline_ms": 2_000},
    )
    revise(placed, ill)
    chain.go_on()
    assert (await client.dispatch(ill, revision=1))[0] == 202
    back = await client.reaches("running")
    await says(client, 1, "state", "stopped")
    back = await client.reaches("running")
    assert back["pid"] != old["pid"]
    assert "it was not well in time" in (await status(client, 1))["failed"]
    # The same dispatch again does not try it again.
    assert (await client.dispatch(ill, revision=1))[0] == 202
    assert (await client.reaches("running"))["pid"] == back["pid"]


@pytest.mark.usefixtures("member")
async def test_under_rolling_a_member_of_the_committee_says_when(
    launch: Launch, chain: Chain, repository: Repository, data: bytes, placed: ChainJob, hello: str
):
    client = await launch()
    await client.dispatch(data)
    old = await client.reaches("running")
    later = spec_bytes(
        repository,
        hello,
        env={"GREETING": "Good evening"},
        rollout={"policy": "rolling", "drain_ms": 100},
    )
    revise(placed, later)
    chain.go_on()
    assert (await client.dispatch(later, revision=1))[0] == 202
    await says(client, 1, "ready", True)
    await client.rounds()
    assert alive(old["pid"])
    code, body = await client.post("/requests", request("take", 1, keccak(b"a stranger")))
    assert (code, body["error"][:8]) == (403, "account:")
    assert (await client.post("/requests", request("take", 1)))[0] == 202
    await client.reaches("running", revision=1)
    assert not alive(old["pid"])
    assert (await status(client, 0))["state"] == "stopped"

    async def proven() -> bool:
        return bool((await client.post("/requests", request("settle", 1)))[0] == 202)

    await eventually(proven, "the end of the time in which the old one may be needed")
    await client.settled()


@pytest.mark.usefixtures("member")
async def test_a_rollout_that_is_abandoned_brings_the_old_revision_back(
    launch: Launch, chain: Chain, repository: Repository, data: bytes, placed: ChainJob, hello: str
):
    client = await launch()
    await client.dispatch(data)
    await client.reaches("running")
    later = spec_bytes(repository, hello, rollout={"policy": "rolling", "drain_ms": 0})
    revise(placed, later)
    chain.go_on()
    await client.dispatch(later, revision=1)
    await client.post("/requests", request("take", 1))
    await client.reaches("running", revision=1)
    abandon = request("abandon", 1, argument="a canary was ill")
    assert (await client.post("/requests", abandon))[0] == 202
    await client.reaches("running", revision=0)
    await says(client, 1, "failed", "a canary was ill")
    # An agent that is started anew knows it still.
    await client.node.close()
    second = await launch()
    await second.reaches("running", revision=0)
    assert (await status(second, 1))["failed"] == "a canary was ill"
