"""What a whole agent takes: no more than is paid, than it has, and than its disk has room for."""

import asyncio
from pathlib import Path

import psutil
import pytest
from node_support import (
    JOB,
    Chain,
    ChainJob,
    Launch,
    Repository,
    alive,
    eventually,
    revise,
    spec_bytes,
)

from workdeed.intent import spec_hash
from workdeed.node.drivers.cgroups import ControlGroups
from workdeed.node.errors import SettingsError

SIZE = {"cpu_milli": 100, "memory_mb": 256, "storage_mb": 64}


@pytest.mark.parametrize("name", SIZE)
async def test_a_spec_that_asks_for_more_than_its_class_gives_is_refused(
    launch: Launch, placed: ChainJob, chain: Chain, data: bytes, name: str
):
    chain.paid = tuple(size - (one == name) for one, size in SIZE.items())  # type: ignore[assignment]
    client = await launch()
    status, body = await client.dispatch(data)
    assert (status, body["field"]) == (409, f"spec.resources.{name}")
    assert f"asks for {SIZE[name]}, and class 1, which is paid for, gives" in body["error"]
    assert await client.workloads() == []


async def test_a_revision_beyond_its_class_leaves_the_one_before_serving(
    launch: Launch,
    placed: ChainJob,
    chain: Chain,
    data: bytes,
    repository: Repository,
    hello: str,
):
    chain.paid = (100, 256, 64)
    client = await launch()
    await client.dispatch(data)
    old = await client.reaches("running")
    more = spec_bytes(repository, hello, resources=SIZE | {"cpu_milli": 101})
    revise(placed, more)
    status, body = await client.dispatch(more, revision=1)
    assert (status, body["field"]) == (409, "spec.resources.cpu_milli")
    chain.go_on()
    await client.rounds()
    (one,) = await client.workloads()
    assert (one["revision"], one["state"], one["pid"]) == (0, "running", old["pid"])
    assert alive(old["pid"])


async def test_a_class_that_the_tariff_lacks_is_no_class(
    launch: Launch, placed: ChainJob, data: bytes
):
    placed.class_id = 2
    client = await launch()
    status, body = await client.dispatch(data)
    assert (status, "no class 2" in body["error"]) == (503, True)


async def test_on_a_full_disk_no_new_work_is_taken_and_what_runs_goes_on(
    launch: Launch,
    placed: ChainJob,
    data: bytes,
    repository: Repository,
    hello: str,
    tmp_path: Path,
):
    client = await launch()
    await client.dispatch(data)
    old = await client.reaches("running")
    builds = tmp_path / "state" / "runners" / "war" / "builds"
    assert list(builds.iterdir())
    await client.node.close()

    free_mb = await asyncio.to_thread(lambda: psutil.disk_usage(str(tmp_path)).free // 10**6)
    client = await launch(disk={"reserve_mb": 2 * free_mb}, overcommit=True)
    assert (await client.reaches("running"))["pid"] == old["pid"]
    other = spec_bytes(repository, hello, env={"GREETING": "Hello"})
    revise(placed, other)
    status, body = await client.dispatch(other, revision=1)
    assert (status, body["error"].partition(":")[0]) == (503, "disk.reserve_mb")
    assert list(builds.iterdir()) == []  # given up first
    await client.rounds()
    status, body = await client.get("/readyz")
    assert (status, body["error"].partition(":")[0]) == (503, "disk.reserve_mb")
    assert (await client.workloads())[0]["pid"] == old["pid"]


async def test_a_node_that_offers_more_than_it_has_does_not_start(launch: Launch, tmp_path: Path):
    greedy = {"cpu_milli": 10**9, "memory_mb": 1, "storage_mb": 1}
    with pytest.raises(SettingsError, match=r"resources\.cpu_milli: 1000000000 is offered"):
        await launch(resources=greedy)
    await launch(resources=greedy, overcommit=True, state_dir=tmp_path / "other")


async def test_the_logs_of_a_revision_go_with_it(
    launch: Launch,
    placed: ChainJob,
    data: bytes,
    repository: Repository,
    hello: str,
    tmp_path: Path,
):
    client = await launch()
    await client.dispatch(data)
    await client.reaches("running")
    other = spec_bytes(repository, hello, env={"GREETING": "Hello"})
    revise(placed, other)
    await client.dispatch(other, revision=1)
    await client.reaches("running", revision=1)

    async def only_the_new() -> bool:
        return len(await client.workloads()) == 1

    await eventually(only_the_new, "end of the old revision")
    tasks = tmp_path / "state" / "tasks"
    kept = sorted(one.name for one in tasks.glob("*-run"))
    assert [name.split("-")[1:4] for name in kept] == [[str(JOB), "7", "1"]]
    assert not list(tasks.glob("*-0-main-*"))


HOG = ["python3", "-c", "x = b'x' * 400_000_000; print(len(x))"]


async def test_a_workload_that_takes_too_much_memory_says_so(
    launch: Launch, placed: ChainJob, repository: Repository, hello: str, owner: str
):
    missing = ControlGroups.find(owner).missing
    if "memory" in missing:
        pytest.skip(f"no control group bounds memory here: {missing['memory']}")
    placed_spec = spec_bytes(repository, hello, run=["/usr/bin/env", *HOG])
    placed.spec_hash = spec_hash(placed_spec)
    client = await launch()
    await client.dispatch(placed_spec)
    workload = await client.reaches("failed")
    assert "took more memory than it may" in workload["reason"]
    assert workload["services"][0]["cause"] == "memory"
    assert (await client.get("/healthz"))[0] == 200
