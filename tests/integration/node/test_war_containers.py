"""Workers built from git and run in containers, with Podman."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from container_support import KEY, make_driver, printed
from node_support import Repository, no_sandbox, spec_document

from tests.podman import Podman
from workdeed.intent import Spec, load_spec
from workdeed.node.drivers.base import Limits, Phase, Task
from workdeed.node.drivers.container import ContainerDriver
from workdeed.node.drivers.process import ProcessDriver
from workdeed.node.errors import RunnerError
from workdeed.node.runners.base import Order, Plan, RunnerContext, RunnerOptions
from workdeed.node.runners.war import WarRunner

pytestmark = pytest.mark.container

BUILD = [["sh", "-c", "cat /etc/mark > built; id -u >> built"]]
RUN = ["sh", "-c", "cat built; echo from $VERSION in $PWD; sleep 1000"]


@pytest.fixture
async def containers(podman: Podman, tmp_path: Path, owner: str) -> AsyncIterator[ContainerDriver]:
    made = make_driver(podman, tmp_path, owner)
    yield made
    for key in await made.sweep():
        await made.destroy(key)
    await made.close()


@pytest.fixture
async def processes(
    tmp_path: Path, owner: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ProcessDriver]:
    no_sandbox(monkeypatch)
    made = ProcessDriver(tmp_path / "state" / "tasks", owner, allow_unsandboxed=True)
    yield made
    for key in await made.sweep():
        await made.destroy(key)


@pytest.fixture
def runner(processes: ProcessDriver, containers: ContainerDriver, tmp_path: Path) -> WarRunner:
    return make_runner(tmp_path, process=processes, container=containers)


def make_runner(tmp_path: Path, **drivers: Any) -> WarRunner:
    allowed = RunnerOptions(allow_private_endpoints=True)
    return WarRunner(RunnerContext(drivers, tmp_path / "state" / "runners" / "war", allowed))


@pytest.fixture
def image(podman: Podman) -> str:
    """An image that a build can tell from the machine itself."""
    podman.image()
    podman.build("marked", "FROM localhost/base\nRUN mkdir -p /etc && echo the image > /etc/mark\n")
    return podman.digest("localhost/marked")


def spec(repository: Repository, commit: str, image: str, **changes: Any) -> Spec:
    source = {
        "git": {"url": str(repository.path), "commit": commit},
        "image": {"reference": image, "pull": "never"},
    }
    document = spec_document(repository.path, commit, source=source, run=RUN, build=BUILD)
    return load_spec(document | {"env": {"VERSION": "one"}} | changes)


async def prepare(runner: WarRunner, wanted: Spec) -> Plan:
    order = Order(KEY, wanted, wanted.resources, {"VERSION": "one"})
    return await runner.prepare(order, await runner.resolve(order))


def task(plan: Plan) -> Task:
    return Task(
        KEY,
        plan.argv,
        {**plan.env, "VERSION": "one"},
        plan.directory,
        Limits(64, 64),
        plan.subdirectory,
        image=plan.image,
        user=plan.user,
        mount_tree=plan.mount_tree,
    )


async def test_a_worker_is_built_and_run_in_its_image(
    runner: WarRunner, repository: Repository, image: str, tmp_path: Path
):
    commit = repository.commit({"deep/file": "content"})
    source = {
        "git": {"url": str(repository.path), "commit": commit, "path": "deep"},
        "image": {"reference": image, "pull": "never"},
    }
    plan = await prepare(runner, spec(repository, commit, image, source=source))
    assert plan.driver.name == "container"
    built = plan.directory / "deep" / "built"
    assert built.read_text().splitlines()[0] == "the image"
    handle = await plan.driver.start(task(plan))
    driver: Any = plan.driver
    await printed(driver, handle, "the image")
    await printed(driver, handle, "from one in /app/deep")
    await plan.driver.destroy(KEY)
    # What the container wrote is the agent's to remove.
    await runner.discard(KEY)
    assert not plan.directory.exists()


async def test_a_build_that_fails_in_its_image_says_why(
    runner: WarRunner, repository: Repository, hello: str, image: str
):
    build = [["sh", "-c", "echo no such module; exit 9"]]
    with pytest.raises(RunnerError, match=r"build command 1 of 1 failed: .*9 \(no such module\)"):
        await prepare(runner, spec(repository, hello, image, build=build))


async def test_without_an_engine_the_sandboxed_process_runs_it(
    processes: ProcessDriver, repository: Repository, hello: str, image: str, tmp_path: Path
):
    runner = make_runner(tmp_path, process=processes)
    plan = await prepare(runner, spec(repository, hello, image, build=[["true"]]))
    assert (plan.driver.name, plan.image) == ("process", "")


async def test_a_build_in_an_image_is_not_one_outside(
    runner: WarRunner, repository: Repository, hello: str, image: str, tmp_path: Path
):
    await prepare(runner, spec(repository, hello, image, build=[["true"]]))
    await runner.discard(KEY)
    git = {"url": str(repository.path), "commit": hello}
    await prepare(runner, spec(repository, hello, image, source={"git": git}, build=[["true"]]))
    assert len(list((tmp_path / "state/runners/war/builds").iterdir())) == 2


def test_an_image_beside_a_commit_is_named_by_its_digest(
    processes: ProcessDriver, tmp_path: Path, repository: Repository
):
    runner = make_runner(tmp_path, process=processes)
    with pytest.raises(RunnerError, match="needs its digest"):
        runner.check(spec(repository, "ab" * 20, "localhost/marked:latest"))


async def test_an_ended_container_says_so(
    runner: WarRunner, repository: Repository, hello: str, image: str
):
    plan = await prepare(runner, spec(repository, hello, image, run=["sh", "-c", "exit 4"]))
    handle = await plan.driver.start(replace(task(plan), argv=("sh", "-c", "exit 4")))
    ended = await plan.driver.wait(handle, 20)
    assert (ended.phase, ended.code) == (Phase.EXITED, 4)
