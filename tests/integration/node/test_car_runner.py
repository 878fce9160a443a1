"""The Container App Runner with Podman and a registry that asks for a login."""

import secrets
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from container_support import KEY, make_driver

from scripts._demo.ports import free_port
from tests.podman import PASSWORD, READER, Podman, Registry
from workdeed.intent import Spec, load_spec
from workdeed.node.drivers.base import Limits, Phase, Task, TaskKey
from workdeed.node.drivers.container import ContainerDriver
from workdeed.node.drivers.image_records import ImageRecords
from workdeed.node.errors import RunnerError
from workdeed.node.runners.base import Order, Plan, RunnerContext, RunnerOptions
from workdeed.node.runners.car import CarRunner

pytestmark = pytest.mark.container

OTHER = TaskKey(KEY.escrow, KEY.job_id + 1, KEY.license_id, 0)
MakeImage = Callable[..., str]


@pytest.fixture
async def driver(podman: Podman, tmp_path: Path, owner: str) -> AsyncIterator[ContainerDriver]:
    made = make_driver(podman, tmp_path, owner)
    yield made
    for key in await made.sweep():
        await made.destroy(key)
    await made.close()


@pytest.fixture
def make_runner(driver: ContainerDriver, tmp_path: Path) -> Callable[..., CarRunner]:
    def make(name: str = "car", **options: Any) -> CarRunner:
        allowed = RunnerOptions(**({"allow_private_endpoints": True} | options))
        made = CarRunner(RunnerContext({"container": driver}, tmp_path / name, allowed))
        made._pauses = (0.01, 0.02)
        return made

    return make


@pytest.fixture
def runner(make_runner: Callable[..., CarRunner]) -> CarRunner:
    return make_runner()


@pytest.fixture
def name() -> str:
    """Of an image that only this test has."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def publish(podman: Podman, image_registry: Registry, name: str) -> MakeImage:
    """Build an image of its own, push it, forget it here; return its digest in the registry."""

    def make(tag: str = "v1", recipe: str = 'CMD ["sh", "-c", "echo first"]') -> str:
        podman.image()
        podman.build(name, f"FROM localhost/base\nENV MARK={secrets.token_hex(8)}\n{recipe}\n")
        digest = image_registry.push(name, f"team/{name}:{tag}")
        podman.run("rmi", f"localhost/{name}")
        return digest

    return make


@pytest.fixture
def wanted(image_registry: Registry, name: str) -> Callable[..., Spec]:
    """A spec that runs the image of this test."""

    def make(tag: str = ":v1", *, login: bool = True, **image: Any) -> Spec:
        reference = f"{image_registry.address}/team/{name}{tag}"
        source: dict[str, Any] = {"reference": reference, "tries": 2, **image}
        if login:
            source["credentials"] = {"username": READER, "secret": "registry"}
        return spec(source)

    return make


def spec(image: dict[str, Any], **changes: Any) -> Spec:
    credentials = image.get("credentials")
    names = [credentials["secret"]] if credentials else []
    box = {"license_id": 7, "node": "0x" + "11" * 20, "box": "AAAA"}
    sealed = {"secrets": {"names": names, "boxes": [box]}} if names else {}
    document = {
        "schema": "workdeed/spec@1",
        "name": "hello",
        "class_id": 1,
        "runner": "car",
        "source": {"image": image},
        "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
        **sealed,
    }
    return load_spec(document | changes)


def order(wanted: Spec, key: TaskKey = KEY, password: str | None = PASSWORD) -> Order:
    opened = {} if password is None else {"registry": password}
    return Order(key, wanted, wanted.resources, {}, opened)


async def prepare(runner: CarRunner, asked: Order) -> Plan:
    return await runner.prepare(asked, await runner.resolve(asked))


async def printed(plan: Plan, key: TaskKey) -> str:
    """Run what was planned to its end; return what it printed."""
    task = Task(
        key,
        plan.argv,
        plan.env,
        plan.directory,
        Limits(64, 64),
        image=plan.image,
        entrypoint=plan.entrypoint,
        user=plan.user,
        mount_tree=plan.mount_tree,
    )
    handle = await plan.driver.start(task)
    assert (await plan.driver.wait(handle, 30)).phase is Phase.EXITED
    return (await plan.driver.logs(handle, 1000)).decode()


def files_with(folder: Path, text: str) -> str:
    found = subprocess.run(["grep", "-rlaF", text, folder], capture_output=True, text=True)
    assert found.stderr == ""
    return found.stdout


def there(podman: Podman, name: str) -> bool:
    return name in podman.run("images", "--all", "--digests")


async def test_a_tag_is_resolved_to_the_digest_of_the_registry_and_run(
    runner: CarRunner, publish: MakeImage, wanted: Callable[..., Spec]
):
    digest = publish()
    asked = order(wanted())
    assert await runner.problem() == ""
    version = await runner.resolve(asked)
    assert f"sha256:{version}" == digest
    plan = await runner.prepare(asked, version)
    assert plan.image.endswith(f"@{digest}")
    assert await printed(plan, KEY) == "first\n"


async def test_the_digest_stays_though_the_tag_moved(
    podman: Podman,
    runner: CarRunner,
    publish: MakeImage,
    wanted: Callable[..., Spec],
):
    first = publish()
    version = await runner.resolve(order(wanted()))
    second = publish(recipe='CMD ["sh", "-c", "echo second"]')
    assert second != first
    plan = await runner.prepare(order(wanted()), version)
    assert await printed(plan, KEY) == "first\n"
    # What is there is what the tag was; only `always` asks the registry again.
    assert await runner.resolve(order(wanted())) == version
    later = await runner.resolve(order(wanted(pull="always"), OTHER))
    assert f"sha256:{later}" == second
    plan = await runner.prepare(order(wanted(pull="always"), OTHER), later)
    assert await printed(plan, OTHER) == "second\n"
    assert await printed(await runner.prepare(order(wanted()), version), KEY) != "second\n"


async def test_a_pinned_image_is_brought_by_its_digest(
    podman: Podman, runner: CarRunner, publish: MakeImage, wanted: Callable[..., Spec], name: str
):
    digest = publish()
    publish()
    asked = order(wanted(f"@{digest}"))
    assert await runner.resolve(asked) == digest.removeprefix("sha256:")
    assert not there(podman, name)
    assert await printed(await prepare(runner, asked), KEY) == "first\n"


async def test_an_image_that_is_gone_is_brought_again(
    podman: Podman, runner: CarRunner, publish: MakeImage, wanted: Callable[..., Spec], name: str
):
    publish()
    version = await runner.resolve(order(wanted()))
    plan = await runner.prepare(order(wanted()), version)
    podman.run("rmi", "--force", plan.image)
    assert not there(podman, name)
    assert (await runner.prepare(order(wanted()), version)).image == plan.image
    assert await printed(plan, KEY) == "first\n"


async def test_a_wrong_password_is_refused_at_once_and_told_nowhere(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    publish: MakeImage,
    wanted: Callable[..., Spec],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
):
    publish()
    runner = make_runner()
    # With another try it would sleep for as long as a test may take.
    runner._pauses = (10_000.0, 10_000.0)
    with pytest.raises(RunnerError, match=r"^source.image: .*unauthorized") as refused:
        await runner.resolve(order(wanted(), password="not the password"))
    assert "not the password" not in str(refused.value)
    await runner.resolve(order(wanted()))
    shown = capfd.readouterr()
    for password in ("not the password", PASSWORD):
        assert password not in shown.out + shown.err
        for folder in (tmp_path, podman.folder):
            assert files_with(folder, password) == ""


async def test_a_login_that_was_not_sealed(runner: CarRunner, wanted: Callable[..., Spec]):
    with pytest.raises(RunnerError, match=r"credentials: the secret registry"):
        await runner.resolve(order(wanted(), password=None))


async def test_without_a_login_a_closed_image_stays_closed(
    runner: CarRunner, publish: MakeImage, wanted: Callable[..., Spec]
):
    publish()
    with pytest.raises(RunnerError, match="unauthorized"):
        await runner.resolve(order(wanted(login=False)))


async def test_what_one_jobs_login_brought_no_other_job_gets_without(
    runner: CarRunner, publish: MakeImage, wanted: Callable[..., Spec]
):
    digest = publish()
    version = await runner.resolve(order(wanted()))
    await runner.prepare(order(wanted()), version)
    for tag in (":v1", f"@{digest}"):
        for pull in ("missing", "always", "never"):
            thief = order(wanted(tag, login=False, pull=pull), OTHER)
            with pytest.raises(RunnerError):
                await prepare(runner, thief)
    assert (await prepare(runner, order(wanted(), OTHER))).image.endswith(digest)


async def test_what_one_runner_brought_by_a_login_the_other_gives_to_nobody_else(
    make_runner: Callable[..., CarRunner], publish: MakeImage, wanted: Callable[..., Spec]
):
    digest = publish()
    runner, other = make_runner("car"), make_runner("war/images")
    await prepare(runner, order(wanted()))
    for tag in (":v1", f"@{digest}"):
        for pull in ("missing", "never"):
            with pytest.raises(RunnerError):
                await prepare(other, order(wanted(tag, login=False, pull=pull), OTHER))
    assert (await prepare(other, order(wanted(), OTHER))).image.endswith(digest)


async def test_what_one_runner_needs_the_other_keeps(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    publish: MakeImage,
    wanted: Callable[..., Spec],
    name: str,
):
    publish()
    runner, other = make_runner("car", keep_builds=0), make_runner("war/images", keep_builds=0)
    await prepare(runner, order(wanted()))
    await prepare(other, order(wanted(), OTHER))
    await runner.discard(KEY)
    for one in (runner, other):
        await one.sweep([OTHER])
    await runner.shrink()
    assert there(podman, name)
    await other.discard(OTHER)
    assert not there(podman, name)


async def test_what_an_older_agent_brought_stays_closed_and_is_cleaned_up(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    driver: ContainerDriver,
    publish: MakeImage,
    wanted: Callable[..., Spec],
    name: str,
    tmp_path: Path,
):
    publish()
    await prepare(make_runner(), order(wanted()))
    # It kept the record of each runner in the runner's folder.
    records = tmp_path / "driver" / "images.json"
    old = tmp_path / "war" / "images" / "images.json"
    old.parent.mkdir(parents=True)
    records.rename(old)
    driver.image_records = ImageRecords(records)
    runner = make_runner("war/images", keep_builds=0)
    with pytest.raises(RunnerError):
        await prepare(make_runner("car"), order(wanted(login=False), OTHER))
    await runner.sweep([KEY])
    assert there(podman, name)
    await runner.sweep([])
    assert not there(podman, name)


async def test_what_is_never_pulled_must_be_there(
    podman: Podman, runner: CarRunner, publish: MakeImage, wanted: Callable[..., Spec], name: str
):
    publish()
    with pytest.raises(RunnerError, match="pull is never"):
        await prepare(runner, order(wanted(pull="never")))
    assert not there(podman, name)


async def test_an_image_that_the_operator_built_is_run_by_its_digest(
    podman: Podman, make_runner: Callable[..., CarRunner], name: str
):
    podman.image()
    podman.build(name, f'FROM localhost/base\nENV MARK={name}\nCMD ["sh", "-c", "echo built here"]')
    runner = make_runner(keep_builds=0, allow_private_endpoints=False)
    asked = order(spec({"reference": f"localhost/{name}:latest", "pull": "never"}))
    plan = await prepare(runner, asked)
    assert f"localhost/{name}@sha256:" in plan.image
    assert await printed(plan, KEY) == "built here\n"
    await plan.driver.destroy(KEY)
    await runner.discard(KEY)
    await runner.sweep(())
    assert there(podman, name)
    podman.run("rmi", f"localhost/{name}")


@pytest.mark.parametrize("tag", ["tag", "digest"])
async def test_an_image_that_is_too_large_is_refused_and_removed(
    podman: Podman,
    runner: CarRunner,
    publish: MakeImage,
    wanted: Callable[..., Spec],
    name: str,
    tag: str,
):
    digest = publish(recipe='RUN ["dd", "if=/dev/urandom", "of=/big", "bs=1000000", "count=8"]')
    asked = order(wanted(":v1" if tag == "tag" else f"@{digest}"))
    small = replace(asked, resources=asked.resources.model_copy(update={"storage_mb": 5}))
    with pytest.raises(RunnerError, match=r"^resources.storage_mb: .* MB"):
        await prepare(runner, small)
    assert not there(podman, name)
    await prepare(runner, asked)
    with pytest.raises(RunnerError, match=r"^resources.storage_mb: .* MB"):
        await prepare(runner, replace(small, key=OTHER))
    assert there(podman, name)


async def test_a_registry_that_is_down_is_asked_again(runner: CarRunner):
    port = free_port()
    pulls = 0
    pull = runner._images.pull

    async def counted(*arguments: Any, **more: Any) -> str:
        nonlocal pulls
        pulls += 1
        return await pull(*arguments, **more)

    runner._images.pull = counted  # type: ignore[method-assign]
    asked = order(spec({"reference": f"127.0.0.1:{port}/team/x:v1", "tries": 2}))
    with pytest.raises(RunnerError, match="connection refused"):
        await runner.resolve(asked)
    assert pulls == 2


async def test_private_registries_are_refused(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    publish: MakeImage,
    wanted: Callable[..., Spec],
    name: str,
):
    publish()
    runner = make_runner(allow_private_endpoints=False)
    with pytest.raises(RunnerError, match=r"^source.image.*private address 127.0.0.1"):
        await prepare(runner, order(wanted()))
    assert not there(podman, name)


async def test_what_nobody_needs_is_removed_but_for_the_newest(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    publish: MakeImage,
    wanted: Callable[..., Spec],
    name: str,
):
    runner = make_runner(keep_builds=1)
    digests = []
    for number in range(3):
        digests.append(publish(f"v{number}"))
        key = TaskKey(KEY.escrow, number, KEY.license_id, 0)
        await prepare(runner, order(wanted(f":v{number}"), key))
        assert (await runner.disk_bytes(key)) == 0
    images = podman.run("images", "--digests")
    assert all(digest in images for digest in digests)
    for number in (0, 2, 1):
        await runner.discard(TaskKey(KEY.escrow, number, KEY.license_id, 0))
    assert [digest in podman.run("images", "--digests") for digest in digests] == [
        False,
        False,
        True,
    ]


async def test_an_image_in_use_stays(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    publish: MakeImage,
    wanted: Callable[..., Spec],
    name: str,
):
    publish()
    runner = make_runner(keep_builds=0)
    plan = await prepare(runner, order(wanted()))
    await printed(plan, KEY)
    again = make_runner(keep_builds=0)
    await again.sweep([KEY])
    assert there(podman, name)
    # Its container is still there when its record is not.
    await again.sweep([])
    assert await printed(plan, KEY) == "first\nfirst\n"
    await plan.driver.destroy(KEY)
    await again.sweep([])
    assert not there(podman, name)


async def test_an_image_that_the_operator_tagged_stays(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    publish: MakeImage,
    wanted: Callable[..., Spec],
    name: str,
):
    publish()
    runner = make_runner(keep_builds=0)
    plan = await prepare(runner, order(wanted()))
    podman.run("tag", plan.image, f"localhost/kept-{name}:v1")
    await runner.discard(KEY)
    assert there(podman, f"localhost/kept-{name}")
    podman.run("rmi", "--force", f"localhost/kept-{name}:v1")


async def test_an_image_that_was_there_before_stays(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    image_registry: Registry,
    publish: MakeImage,
    wanted: Callable[..., Spec],
    name: str,
):
    publish()
    reference = f"{image_registry.address}/team/{name}:v1"
    podman.run("pull", "--quiet", "--creds", f"{READER}:{PASSWORD}", reference)
    runner = make_runner(keep_builds=0)
    await prepare(runner, order(wanted(pull="always")))
    await runner.discard(KEY)
    await runner.sweep([])
    assert there(podman, name)
    podman.run("rmi", "--force", reference)


async def test_a_pull_that_a_crash_cut_off_is_cleaned_up(
    podman: Podman,
    make_runner: Callable[..., CarRunner],
    image_registry: Registry,
    publish: MakeImage,
    name: str,
):
    publish()
    reference = f"{image_registry.address}/team/{name}:v1"
    records = make_runner(keep_builds=0)._records
    records.begin(reference, None)
    podman.run("pull", "--quiet", "--creds", f"{READER}:{PASSWORD}", reference)
    records.fail(reference)  # the next run of the agent knows of no pull that is under way
    await make_runner(keep_builds=0).sweep([])
    assert not there(podman, name)


async def test_the_plan_says_what_the_spec_says(podman: Podman, runner: CarRunner, tmp_path: Path):
    podman.image()
    more = {"run": ["two"], "entrypoint": ["echo", "one"], "user": "worker"}
    asked = order(spec({"reference": "localhost/base:latest"}, **more))
    plan = await prepare(runner, asked)
    assert (plan.user, plan.mount_tree) == ("worker", False)
    assert oct((tmp_path / "car" / "trees" / KEY.name).stat().st_mode & 0o777) == "0o700"
    assert await printed(plan, KEY) == "one two\n"
    await runner.discard(KEY)
    assert not (tmp_path / "car" / "trees" / KEY.name).exists()


async def test_it_needs_the_driver(tmp_path: Path):
    runner = CarRunner(RunnerContext({}, tmp_path / "car", RunnerOptions()))
    assert "container is not installed" in await runner.problem()
    await runner.sweep([])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": {}}, "source.image"),
        ({"source": {"image": {"reference": "a"}, "plugin": {"name": "b"}}}, "source: "),
        ({"build": [["make"]]}, "build: "),
    ],
)
def test_what_it_can_not_run(tmp_path: Path, changes: dict[str, Any], message: str):
    runner = CarRunner(RunnerContext({}, tmp_path / "car", RunnerOptions()))
    with pytest.raises(RunnerError, match=message):
        runner.check(spec({"reference": "a"}, **changes))


async def test_an_image_under_a_second_name_is_no_way_around_the_login(
    podman: Podman, runner: CarRunner, publish: MakeImage, wanted: Callable[..., Spec], name: str
):
    """Podman tells all digests and names of an image, whatever it was asked for."""
    publish()
    version = await runner.resolve(order(wanted()))
    plan = await runner.prepare(order(wanted()), version)
    podman.run("tag", plan.image, f"localhost/second-{name}:v1")
    thief = order(spec({"reference": f"localhost/second-{name}:v1", "pull": "never"}), OTHER)
    with pytest.raises(RunnerError, match="pull is never"):
        await prepare(runner, thief)
    podman.run("rmi", "--force", f"localhost/second-{name}:v1")


async def test_disk_that_is_short_takes_all_that_nobody_needs(
    podman: Podman, runner: CarRunner, publish: MakeImage, wanted: Callable[..., Spec], name: str
):
    publish()
    await prepare(runner, order(wanted()))
    await runner.shrink()
    assert there(podman, name)
    await runner.discard(KEY)
    assert there(podman, name)
    await runner.shrink()
    assert not there(podman, name)
