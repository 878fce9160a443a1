"""What an agent finds of earlier runs, and what it can't remove."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from node_support import (
    ESCROW,
    JOB,
    LICENSES,
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
from workdeed.node import leftovers, run
from workdeed.node.drivers.process import ProcessDriver
from workdeed.node.errors import DriverError
from workdeed.node.runners.base import RunnerContext
from workdeed.node.runners.war import WarRunner
from workdeed.node.volumes import Volumes
from workdeed.protocol.signing import to_checksum


def failing(error: Exception) -> Callable[..., Any]:
    async def fail(*_: Any) -> NoReturn:
        raise error

    return fail


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    return tmp_path / "state/runners/war/trees"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume of the job."""
    return tmp_path / "state/volumes/kept" / f"{ESCROW.lower()[2:]}-{JOB}" / "data"


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def there(folder: Path, inside: str = "") -> bool:
    """Tell whether a folder, or what the pattern names inside of it, is there."""
    return bool(list(folder.glob(inside))) if inside else folder.exists()


async def begun(launch: Launch, data: bytes, volume: Path) -> tuple[Client, int]:
    """Return an agent whose job runs and has a volume, and the job's process."""
    client = await launch()
    assert (await client.dispatch(data))[0] == 202
    pid = (await client.reaches("running"))["pid"]
    make(volume)
    return client, pid


async def ended(client: Client, placed: ChainJob, chain: Chain) -> None:
    """Let the chain end the job."""
    placed.closed = True
    await client.rounds()
    chain.go_on()
    await client.gone()


async def test_one_bad_folder_keeps_no_tenant_down(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    volume: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    first, pid = await begun(launch, data, volume)
    await first.node.close()
    monkeypatch.setattr(ProcessDriver, "sweep", failing(OSError("a bad record")))
    monkeypatch.setattr(WarRunner, "sweep", failing(RecursionError("a deep tree")))
    monkeypatch.setattr(Volumes, "sweep", failing(OSError("a bad volume")))
    second = await launch()
    assert (await second.reaches("running"))["pid"] == pid


async def test_what_an_engine_that_was_down_still_runs_is_ended_when_it_is_up(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    volume: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    first, pid = await begun(launch, data, volume)
    await first.node.close()
    for record in (tmp_path / "state" / "jobs").iterdir():
        record.unlink()
    monkeypatch.setattr(leftovers, "FIRST_PAUSE", 0.05)
    with monkeypatch.context() as down:
        down.setattr(ProcessDriver, "sweep", failing(DriverError("the engine is down")))
        second = await launch()
        await second.rounds(3)
        assert alive(pid)
    await eventually(lambda: not alive(pid), "the end of what was left")


@pytest.mark.parametrize("part", ["tree", "volume"])
async def test_folders_that_cannot_be_removed_keep_no_room_booked(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    chain: Chain,
    repository: Repository,
    hello: str,
    trees: Path,
    volume: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
):
    monkeypatch.setattr(leftovers, "FIRST_PAUSE", 0.05)
    client, pid = await begun(launch, data, volume)
    with monkeypatch.context() as closed:
        if part == "tree":
            closed.setattr(WarRunner, "discard", failing(RecursionError("a deep tree")))
        else:
            closed.setattr(Volumes, "discard_job", failing(OSError("a closed folder")))
        await ended(client, placed, chain)
        assert not alive(pid)
        # The other of the two goes with the next try, which may have been already.
        assert there(volume) if part == "volume" else there(trees, f"*-{JOB}-*")
        whole = {"cpu_milli": 1000, "memory_mb": 1024, "storage_mb": 1024}
        other = spec_bytes(repository, hello, resources=whole)
        chain.jobs[JOB + 1] = ChainJob(spec_hash(other))
        assert (await client.dispatch(other, job_id=JOB + 1))[0] == 202
    await eventually(lambda: not volume.exists(), "the end of the volume")
    await eventually(lambda: not there(trees, f"*-{JOB}-*"), "the end of the tree")


async def test_what_a_job_left_is_not_removed_once_it_is_placed_anew(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    chain: Chain,
    volume: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(leftovers, "FIRST_PAUSE", 0.05)
    client, _ = await begun(launch, data, volume)
    with monkeypatch.context() as closed:
        closed.setattr(WarRunner, "discard", failing(OSError("a closed folder")))
        await ended(client, placed, chain)
        placed.closed = False
        chain.go_on()
        assert (await client.dispatch(data))[0] == 202
        pid = (await client.reaches("running"))["pid"]
        make(volume)
    await client.rounds(5)
    await eventually(lambda: not client.node.agent._leftovers._keys, "another look")
    assert alive(pid)
    assert there(volume)


# --- Jobs that are left alone ---------------------------------------------------------------------


def without_war(context: RunnerContext) -> dict[str, Any]:
    return {name: one for name, one in load_runners(context).items() if name != "war"}


load_runners = run.load_runners


async def test_a_job_whose_runner_is_missing_is_left_alone_and_found_again(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    volume: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
):
    first, pid = await begun(launch, data, volume)
    await first.node.close()
    with monkeypatch.context() as updated:
        updated.setattr(run, "load_runners", without_war)
        second = await launch()
        assert await second.workloads() == []
        assert alive(pid)
        assert there(volume)
        assert "agent: a job can't be resumed and is left alone" in said
        await second.node.close()
    third = await launch()
    assert (await third.reaches("running"))["pid"] == pid


async def test_a_job_of_another_escrow_is_left_alone_and_found_again(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    volume: Path,
    trees: Path,
    said: list[str],
):
    first, pid = await begun(launch, data, volume)
    await first.node.close()
    contracts = {"escrow": "0x" + "E6" * 20, "licenses": LICENSES, "committee": "0x" + "C0" * 20}
    second = await launch(contracts=contracts)
    assert await second.workloads() == []
    assert alive(pid)
    assert there(volume)
    assert there(trees, "*")
    assert "agent: a job of another escrow is left alone" in said
    await second.node.close()
    third = await launch()
    assert (await third.reaches("running"))["pid"] == pid


async def test_a_job_whose_spec_cannot_be_read_is_left_alone_until_it_is_revised(
    launch: Launch,
    data: bytes,
    placed: ChainJob,
    repository: Repository,
    hello: str,
    volume: Path,
    trees: Path,
    tmp_path: Path,
):
    first, pid = await begun(launch, data, volume)
    await first.node.close()
    (path,) = (tmp_path / "state" / "jobs").iterdir()
    record = json.loads(path.read_text())
    record["revisions"][0]["spec"] = base64.b64encode(b'{"schema": "another"}').decode()
    path.write_text(json.dumps(record))
    second = await launch()
    assert await second.workloads() == []
    assert alive(pid)
    assert there(volume)
    assert there(trees, "*")
    later = spec_bytes(repository, hello, env={"GREETING": "Good evening"})
    revise(placed, later)
    assert (await second.dispatch(later, revision=1, escrow=to_checksum(ESCROW)))[0] == 202
    assert not alive(pid)
    await second.reaches("running", revision=1)
