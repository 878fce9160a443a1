"""Secrets on a real agent: the workload gets them, and nothing else shows them."""

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
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
    eventually,
    spec_bytes,
)

from workdeed.intent import spec_hash
from workdeed.protocol.messages import Probe
from workdeed.protocol.sealing import Owner, seal
from workdeed.protocol.signing import address_of, public_key_of, to_checksum

VALUE = "s3cret-Zv9QxW-grüße"
OWNER = Owner(CHAIN_ID, to_checksum(ESCROW), to_checksum(PAYER))
SPELLINGS = (
    VALUE.encode(),
    json.dumps(VALUE)[1:-1].encode(),
    base64.b64encode(VALUE.encode()),
    VALUE.encode().hex().encode(),
    b"s3cret-Zv9QxW",
)
"""How the value might be written down somewhere."""


def sealed_spec(
    repository: Repository, commit: str, *, owner: Owner = OWNER, **changes: Any
) -> bytes:
    box = seal({"greeting": VALUE}, public_key_of(NODE_KEY), owner)
    secrets = {
        "names": ["greeting"],
        "boxes": [
            {
                "license_id": LICENSE_ID,
                "node": address_of(NODE_KEY),
                "box": base64.b64encode(box).decode(),
            }
        ],
    }
    env = {"GREETING": {"secret": "greeting"}}
    return spec_bytes(repository, commit, env=env, secrets=secrets, **changes)


def place(chain: Chain, data: bytes) -> None:
    chain.jobs[JOB] = ChainJob(spec_hash(data))


def shows(data: bytes) -> bool:
    return any(one in data for one in SPELLINGS)


def files_that_show(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and shows(path.read_bytes())]


def command_lines() -> Iterator[bytes]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield (entry / "cmdline").read_bytes()
            except OSError:
                continue


async def greeting(port: int) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as got:
        return str((await got.json())["greeting"])


async def nothing_shows(client: Client, folder: Path, printed: str) -> None:
    """Look everywhere but in the workload's own environment."""
    assert files_that_show(folder) == []
    assert not any(shows(line) for line in command_lines())
    assert not shows(printed.encode())
    probe = Probe(nonce=os.urandom(32), window=11, block_hash=os.urandom(32))
    for body in (
        await client.get("/status"),
        await client.get("/readyz"),
        await client.get("/profile"),
        await client.post("/probe", probe.to_json()),
    ):
        assert not shows(json.dumps(body, ensure_ascii=False).encode())


async def test_the_workload_gets_them_and_nothing_else_shows_them(
    launch: Launch,
    repository: Repository,
    hello: str,
    chain: Chain,
    tmp_path: Path,
    sandboxed: bool,
    capfd: pytest.CaptureFixture[str],
):
    data = sealed_spec(repository, hello)
    place(chain, data)
    client = await launch(sandboxed=sandboxed)
    status, body = await client.dispatch(data)
    assert status == 202, body
    workload = await client.reaches("running")
    assert await greeting(workload["port"]) == VALUE
    await nothing_shows(client, tmp_path, "".join(capfd.readouterr()))

    # A later agent finds it running, and can start it anew without having written anything down.
    await client.node.close()
    client = await launch(sandboxed=sandboxed)
    running = await client.reaches("running")
    assert running["pid"] == workload["pid"]
    os.kill(running["pid"], signal.SIGKILL)

    async def another() -> bool:
        found = await client.workloads()
        return bool(found) and found[0]["state"] == "running" and found[0]["pid"] != running["pid"]

    await eventually(another, "a new start")
    (workload,) = await client.workloads()
    assert await greeting(workload["port"]) == VALUE
    await nothing_shows(client, tmp_path, "".join(capfd.readouterr()))


async def test_a_reason_that_quotes_output_hides_values(
    launch: Launch, repository: Repository, chain: Chain, capfd: pytest.CaptureFixture[str]
):
    crash = 'import os, sys\nsys.exit("no login with " + os.environ["GREETING"])\n'
    data = sealed_spec(repository, repository.commit({"server.py": crash}))
    place(chain, data)
    client = await launch()
    await client.dispatch(data)

    async def told() -> bool:
        found = await client.workloads()
        return bool(found) and "no login with ***" in found[0]["reason"]

    await eventually(told, "a reason")
    _, body = await client.get("/status")
    assert not shows(json.dumps(body, ensure_ascii=False).encode())
    assert not shows("".join(capfd.readouterr()).encode())


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        (Owner(CHAIN_ID, OWNER.escrow, to_checksum(b"\xab" * 20)), "another payer"),
        (Owner(CHAIN_ID, to_checksum(b"\xef" * 20), OWNER.payer), "another escrow"),
        (Owner(1, OWNER.escrow, OWNER.payer), "another chain_id"),
    ],
    ids=["payer", "escrow", "chain"],
)
async def test_a_box_out_of_another_spec_is_refused(
    launch: Launch, repository: Repository, hello: str, chain: Chain, owner: Owner, reason: str
):
    """Whoever copies a box from a public spec into his own must not get it opened."""
    data = sealed_spec(repository, hello, owner=owner)
    place(chain, data)
    client = await launch()
    status, body = await client.dispatch(data)
    assert (status, body["field"]) == (409, "spec.secrets")
    assert reason in body["error"]
    assert await client.workloads() == []


async def test_an_agent_that_restarts_without_the_chain_opens_what_it_serves(
    launch: Launch, repository: Repository, hello: str, chain: Chain, rpcs: list[FakeRpc]
):
    """Who pays is written down: the chain can't be asked, and the job is one that may run."""
    data = sealed_spec(repository, hello)
    place(chain, data)
    first = await launch()
    assert (await first.dispatch(data))[0] == 202
    before = await first.reaches("running")
    await first.node.close()
    for rpc in rpcs:
        rpc.down = True
    second = await launch()
    assert (await second.reaches("running"))["pid"] == before["pid"]
    pod = second.node.agent.job(JOB).serving
    assert pod.secrets()["greeting"] == VALUE


async def test_who_pays_is_learned_for_a_job_of_an_earlier_release(
    launch: Launch, repository: Repository, hello: str, chain: Chain, tmp_path: Path
):
    data = sealed_spec(repository, hello)
    place(chain, data)
    first = await launch()
    assert (await first.dispatch(data))[0] == 202
    await first.reaches("running")
    await first.node.close()
    (path,) = (tmp_path / "state" / "jobs").iterdir()
    record = json.loads(path.read_text())
    del record["payer"]
    path.write_text(json.dumps(record))
    second = await launch()
    await second.rounds()
    assert json.loads(path.read_text())["payer"] == OWNER.payer
    assert second.node.agent.job(JOB).serving.secrets()["greeting"] == VALUE
