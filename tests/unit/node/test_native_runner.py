"""The runner of native plugins."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workdeed.intent import Service, load_spec
from workdeed.node.drivers.base import Fingerprint, TaskKey
from workdeed.node.errors import RequestRefusedError, RunnerError
from workdeed.node.native.order import Order, instances_of
from workdeed.node.runners import native
from workdeed.node.runners.base import Controllable, RunnerContext, RunnerOptions
from workdeed.node.runners.base import Order as Wanted
from workdeed.node.runners.interpreter import Interpreter
from workdeed.node.runners.native import NativeRunner
from workdeed.protocol.canonical import canonical_bytes

from .native_support import PIPELINE, install

KEY = TaskKey("0x" + "e5" * 20, 3, 7, 0)


class Driver:
    """A process driver of which only the fingerprint is asked."""

    available = True

    async def fingerprint(self) -> Fingerprint:
        return Fingerprint("process", self.available, True, "there is no sandbox")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "site"
    made.mkdir()
    monkeypatch.syspath_prepend(str(made))
    return made


@pytest.fixture
def runner(tmp_path: Path) -> NativeRunner:
    return make_runner(tmp_path)


def make_runner(tmp_path: Path, driver: Any = None, **options: Any) -> NativeRunner:
    drivers: Any = {"process": driver or Driver()}
    return NativeRunner(RunnerContext(drivers, tmp_path / "native", RunnerOptions(**options)))


def service(config: dict[str, Any] | None = None, **changes: Any) -> Service:
    document = {
        "schema": "workdeed/spec@1",
        "name": "greeter",
        "class_id": 1,
        "runner": "native",
        "source": {"plugin": {"name": "greeter", "config": config or {}}},
        "resources": {"cpu_milli": 100, "memory_mb": 256, "storage_mb": 64},
    }
    return load_spec(document | changes).services["main"]


def order(config: dict[str, Any] | None = None, key: TaskKey = KEY, storage: int = 64) -> Wanted:
    document = service(config)
    resources = load_spec(
        {
            "schema": "workdeed/spec@1",
            "name": "greeter",
            "class_id": 1,
            "runner": "native",
            "source": {"plugin": {"name": "greeter"}},
            "resources": {"cpu_milli": 100, "memory_mb": 256, "storage_mb": storage},
        }
    ).resources
    return Wanted(key, document, resources)


def test_it_takes_commands(runner: NativeRunner):
    assert isinstance(runner, Controllable)


async def test_a_node_without_plugins_does_not_offer_it(runner: NativeRunner):
    assert await runner.problem() == "no native plugin is installed"


async def test_a_node_with_one_offers_it(runner: NativeRunner, site: Path):
    install(site)
    assert await runner.problem() == ""


async def test_without_a_sandbox_it_is_not_offered(tmp_path: Path, site: Path):
    install(site)
    driver = Driver()
    driver.available = False
    assert await make_runner(tmp_path, driver).problem() == "there is no sandbox"


async def test_where_the_key_would_be_shown_it_is_not_offered_and_says_why(
    tmp_path: Path, site: Path
):
    install(site)
    key = Path(native.__file__).parent / "node.key"
    assert f"holds {key}" in await make_runner(tmp_path, private=(key,)).problem()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"run": ["x"]}, "run: a native plugin brings its own; remove it"),
        ({"build": [["x"]]}, "build: "),
        ({"entrypoint": ["x"]}, "entrypoint: "),
        ({"user": "x"}, "user: "),
        ({"source": {"image": {"reference": "x"}}}, "source.plugin: the runner native needs it"),
        ({"source": {"plugin": {"name": "other"}}}, "other is not installed on this node"),
        (
            {"source": {"plugin": {"name": "greeter", "config": {"instances": {"A": {}}}}}},
            "source.plugin.config.instances: 'A' must be",
        ),
    ],
)
def test_what_it_can_not_run_is_refused_at_once(
    runner: NativeRunner, site: Path, changes: dict[str, Any], sentence: str
):
    install(site)
    runner.check(service())
    with pytest.raises(RunnerError) as caught:
        runner.check(service(**changes))
    assert sentence in str(caught.value)


async def test_a_plan_shows_the_code_read_only_and_gives_a_tree_of_its_own(
    runner: NativeRunner, site: Path
):
    install(site)
    config = {"instances": {"a": {"rate": 1}, "b": {}}}
    plan = await runner.prepare(order(config), await runner.resolve(order(config)))
    code = Path(plan.argv[-1])
    assert code in plan.mounts
    assert not code.is_relative_to(plan.directory)
    found = Order.read(code)
    assert found == Order("greeter:Greeter", code / "packages", instances_of(config))
    assert (found.packages / "greeter.py").read_text() == PIPELINE
    assert os.access(plan.directory / ".workdeed" / "check", os.X_OK)
    assert await runner.disk_bytes(KEY) > len(PIPELINE)


async def test_to_prepare_again_leaves_all_as_it_is(runner: NativeRunner, site: Path):
    install(site)
    version = await runner.resolve(order())
    plan = await runner.prepare(order(), version)
    (plan.directory / "state").write_text("kept")
    install(site, {"greeter.py": "# upgraded\n"})
    assert await runner.prepare(order(), version) == plan
    assert (plan.directory / "state").read_text() == "kept"
    assert (Path(plan.argv[-1]) / "packages" / "greeter.py").read_text() == PIPELINE


async def test_an_upgrade_counts_from_the_next_revision_on(runner: NativeRunner, site: Path):
    install(site)
    first = await runner.resolve(order())
    await runner.prepare(order(), first)
    install(site, {"greeter.py": "# upgraded\n"})
    later = order(key=replace(KEY, revision=1))
    second = await runner.resolve(later)
    assert second != first
    plan = await runner.prepare(later, second)
    assert (Path(plan.argv[-1]) / "packages" / "greeter.py").read_text() == "# upgraded\n"
    assert (await runner.prepare(order(), first)).directory != plan.directory


async def test_another_version_than_the_pinned_one_is_not_run(runner: NativeRunner, site: Path):
    install(site)
    version = await runner.resolve(order())
    install(site, {"greeter.py": "# upgraded\n"})
    with pytest.raises(RunnerError, match=f"not the version {version[:12]} that this revision"):
        await runner.prepare(order(), version)
    assert not (runner._tasks / KEY.name).exists()


async def test_what_is_larger_than_the_paid_storage_is_refused(runner: NativeRunner, site: Path):
    install(site, {"greeter.py": "#" * 1_100_000})
    version = await runner.resolve(order())
    with pytest.raises(RunnerError, match="has 1 MB; ask for more storage"):
        await runner.prepare(order(storage=1), version)


async def test_another_spec_under_the_same_key_is_made_anew(runner: NativeRunner, site: Path):
    install(site)
    version = await runner.resolve(order())
    plan = await runner.prepare(order({"rate": 1}), version)
    (plan.directory / "state").write_text("of the other spec")
    await runner.prepare(order({"rate": 2}), version)
    assert not (plan.directory / "state").exists()
    assert Order.read(Path(plan.argv[-1])).instances == {"main": {"rate": 2}}


async def test_what_a_crash_left_half_made_is_not_taken_for_whole(runner: NativeRunner, site: Path):
    install(site)
    partial = runner._tasks / f"{KEY.name}.partial"
    (partial / "code" / "packages").mkdir(parents=True)
    plan = await runner.prepare(order(), await runner.resolve(order()))
    assert (Path(plan.argv[-1]) / "packages" / "greeter.py").exists()
    assert not partial.exists()


async def test_trees_go_when_they_are_discarded_or_swept(runner: NativeRunner, site: Path):
    install(site)
    version = await runner.resolve(order())
    keys = [replace(KEY, job_id=number) for number in (1, 2, 3)]
    for key in keys:
        await runner.prepare(order(key=key), version)
    await runner.discard(keys[0])
    await runner.discard(keys[0])
    await runner.sweep([keys[1]])
    assert [one.name for one in runner._tasks.iterdir()] == [keys[1].name]


async def test_the_program_of_the_agent_runs_the_host_in_isolation(
    runner: NativeRunner, site: Path, monkeypatch: pytest.MonkeyPatch
):
    async def found(private: tuple[Path, ...]) -> Interpreter:
        return Interpreter("/opt/python/bin/python", (Path("/opt/python"),))

    monkeypatch.setattr(native, "find_interpreter", found)
    install(site)
    plan = await runner.prepare(order(), await runner.resolve(order()))
    assert plan.argv[:2] == ("/opt/python/bin/python", "-I")
    assert plan.mounts[0] == Path("/opt/python")


@pytest.mark.parametrize(
    ("action", "argument", "sentence"),
    [
        ("command", "", "argument: data: it is not JSON"),
        ("command", '{ "command":"x"}', "argument: data: it is JSON, but not canonical"),
        ("command", "[]", "argument: it is no JSON object"),
        ("command", "{}", "argument.command: it is no name"),
        ("command", {"command": 3}, "argument.command: it is no name"),
        ("command", {"command": "x" * 129}, "argument.command: it is no name"),
        ("command", {"command": "x", "arguments": []}, "argument.arguments: it is no JSON object"),
        ("command", {"command": "x", "config": {}}, "argument.config: nobody knows it"),
        ("command", {"command": "x", "instance": "../x"}, "argument.instances: "),
        ("command", {"command": "x", "instance": 3}, "argument.instances: "),
        ("command", "\ud800", "argument: "),
        ("configure", "{}", "argument.config: it is no JSON object"),
        ("configure", {"config": {}, "command": "x"}, "argument.command: nobody knows it"),
    ],
)
async def test_a_malformed_request_is_refused_with_the_field(
    runner: NativeRunner, action: Any, argument: Any, sentence: str
):
    text = argument if isinstance(argument, str) else canonical_bytes(argument).decode()
    with pytest.raises(RequestRefusedError) as caught:
        await runner.control(KEY, action, text)
    assert sentence in str(caught.value)
    assert caught.value.status == 409


async def test_a_request_to_a_service_that_does_not_run_says_so(runner: NativeRunner):
    with pytest.raises(RunnerError, match="does not take requests now"):
        await runner.control(KEY, "command", '{"command":"greet"}')
