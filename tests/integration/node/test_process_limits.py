"""What holds a task of the process driver to its limits, without and with bubblewrap."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_support import eventually, marked

from workdeed.node.drivers.base import Handle, Limits, Phase, Task, TaskKey
from workdeed.node.drivers.cgroups import CONTROLLERS, ControlGroups, Use
from workdeed.node.drivers.process import ProcessDriver
from workdeed.node.errors import DriverError

KEY = TaskKey("0x" + "e5" * 20, 3, 7, 0)
OTHER = TaskKey("0x" + "e5" * 20, 4, 7, 0)
NOBODY = 65_534
PYTHON = "python3 -c"
BUSY = "while :; do :; done"
TAKE = f'{PYTHON} "x = b\\"x\\" * 400_000_000; print(len(x))"'


BOMB = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
"""


@pytest.fixture
def groups(owner: str) -> ControlGroups:
    """The control groups of the driver's tasks."""
    found = ControlGroups.find(owner)
    if found.missing:
        pytest.skip(f"no control groups can be made here: {found.missing}")
    return found


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app"
    path.mkdir()
    return path


@pytest.fixture
def lesser(tmp_path: Path, owner: str, sandboxed: bool) -> ProcessDriver:
    """A driver without control groups."""
    return another(tmp_path, owner, Use.OFF)


def another(tmp_path: Path, owner: str, cgroup: Use = Use.AUTO) -> ProcessDriver:
    """Return a driver as a later agent would have it."""
    tasks = tmp_path / "state" / "tasks"
    return ProcessDriver(tasks, owner, allow_unsandboxed=True, cgroup=cgroup)


def task(app: Path, script: str, key: TaskKey = KEY, **limits: int) -> Task:
    bounds = {"memory_mb": 100, "storage_mb": 64} | limits
    return Task(key, ("/bin/sh", "-c", script), {}, app, Limits(**bounds))


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """Go on as nobody, who may make no groups."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def throttled(groups: ControlGroups, key: TaskKey = KEY) -> int:
    """Return how often the task had to wait for its next share of the processor."""
    for folder in groups.folders(key.name):
        with contextlib.suppress(FileNotFoundError):
            lines = (Path(folder) / "cpu.stat").read_text().splitlines()
            figures = dict(line.split() for line in lines)
            return int(figures["nr_throttled"])
    pytest.fail("no group bounds the processor")


async def printed(driver: ProcessDriver, handle: Handle, text: str) -> None:
    async def has() -> bool:
        return text in (await driver.logs(handle, 100_000)).decode()

    await eventually(has, f"output of {text!r}")


async def test_all_processes_together_get_the_share_of_the_processor_that_is_paid(
    driver: ProcessDriver, app: Path, groups: ControlGroups
):
    handle = await driver.start(task(app, f"({BUSY}) & {BUSY}", cpu_milli=200))
    began, before = time.monotonic(), await driver.stats(handle)
    await eventually(lambda: throttled(groups) > 10, "throttling")
    await asyncio.sleep(1)
    took = (await driver.stats(handle)).cpu_seconds - before.cpu_seconds
    share = took / (time.monotonic() - began)
    assert 0 < share < 0.5  # two loops would take up to two cores


async def test_a_share_below_a_hundredth_of_a_core_is_held_too(
    driver: ProcessDriver, app: Path, groups: ControlGroups
):
    await driver.start(task(app, BUSY, cpu_milli=1))
    await eventually(lambda: throttled(groups) > 0, "throttling")


async def test_what_takes_too_much_memory_is_killed_and_says_so(
    driver: ProcessDriver, app: Path, groups: ControlGroups
):
    other = await driver.start(task(app, "echo up; sleep 1000", OTHER))
    await printed(driver, other, "up")
    found = await driver.wait(await driver.start(task(app, f"exec {TAKE}")), 60)
    assert (found.phase, found.code, found.out_of_memory) == (Phase.EXITED, 137, True)
    assert str(found) == "it took more memory than it may and was killed"
    assert (await driver.inspect(other)).phase is Phase.RUNNING
    # What happened to it says nothing of its next life.
    again = await driver.wait(await driver.start(task(app, "exit 3")), 60)
    assert (again.code, again.out_of_memory) == (3, False)


async def test_a_part_that_is_killed_for_memory_ends_the_whole(
    driver: ProcessDriver, app: Path, groups: ControlGroups, owner: str
):
    script = f"{TAKE}; while :; do echo alive; sleep 0.1; done"
    found = await driver.wait(await driver.start(task(app, script)), 60)
    assert (found.phase, found.out_of_memory) == (Phase.EXITED, True)
    assert marked(owner) == []


async def test_memory_counts_over_all_processes(
    driver: ProcessDriver, app: Path, groups: ControlGroups
):
    piece = f'{PYTHON} "import time; x = b\\"x\\" * 60_000_000; time.sleep(1000)" &'
    found = await driver.wait(await driver.start(task(app, f"{piece} {piece} wait")), 60)
    assert found.out_of_memory


async def test_files_that_are_read_and_written_cost_no_memory(
    driver: ProcessDriver, app: Path, groups: ControlGroups
):
    # The kernel caches them, and gives that up before it kills.
    once = "head -c 60000000 /dev/zero > file$i; cat file$i > /dev/null"
    script = f"for i in 1 2 3 4; do {once}; done"
    found = await driver.wait(await driver.start(task(app, script)), 60)
    assert (found.code, found.out_of_memory) == (0, False)


async def test_a_fork_bomb_is_bounded_and_ended(
    driver: ProcessDriver, app: Path, groups: ControlGroups, owner: str
):
    other = await driver.start(task(app, "echo up; sleep 1000", OTHER))
    (app / "bomb.py").write_text(BOMB)
    bomb = task(app, "exec python3 bomb.py", processes=40, cpu_milli=300)
    handle = await driver.start(bomb)
    await eventually(lambda: len(groups.processes(KEY.name)) >= 40, "growth of the bomb")
    await asyncio.sleep(1)
    assert len(groups.processes(KEY.name)) <= 42  # two are the sandbox's own
    await driver.stop(handle, 0)
    assert len(marked(owner)) == len(marked_of(owner, OTHER)) > 0
    assert (await driver.inspect(other)).phase is Phase.RUNNING


def marked_of(owner: str, key: TaskKey) -> list[int]:
    mark = f"WORKDEED_WORKLOAD={owner}/{key.name}".encode()
    return [pid for pid in marked(owner) if mark in Path(f"/proc/{pid}/environ").read_bytes()]


@pytest.mark.parametrize("how", ["stopped", "ended by itself", "can't be executed"])
async def test_the_group_ends_with_the_task(
    driver: ProcessDriver, app: Path, groups: ControlGroups, how: str
):
    one = task(app, "sleep 1000" if how == "stopped" else "exit 0")
    if how == "can't be executed":
        one = Task(KEY, ("/no/such/command",), {}, app, one.limits)
    handle = await driver.start(one)
    if how == "stopped":
        assert groups.names() == {KEY.name}
        await driver.stop(handle, 5)
    else:
        await driver.wait(handle, 30)
    assert groups.names() == set()
    await driver.destroy(KEY)
    # Nor is the folder left in which the groups of all tasks are.
    assert not any((one.place / groups._folder).exists() for one in groups._hierarchies)


async def test_what_hides_its_mark_is_ended_too_when_its_supervisor_is_gone(
    driver: ProcessDriver, app: Path, groups: ControlGroups, tmp_path: Path, owner: str
):
    script = "env -i /bin/sh -c 'setsid sleep 1000 & echo up; wait'"
    handle = await driver.start(task(app, script))
    await printed(driver, handle, "up")
    left = groups.processes(KEY.name)
    os.kill(handle.pid, signal.SIGKILL)
    assert (await driver.wait(handle, 30)).phase is Phase.LOST
    (tmp_path / "state" / "tasks" / KEY.name / "record.json").unlink()
    assert left
    await another(tmp_path, owner).sweep()
    assert groups.names() == set()
    assert groups.processes(KEY.name) == set()


async def test_a_group_without_a_task_is_swept(
    driver: ProcessDriver, app: Path, groups: ControlGroups, tmp_path: Path, owner: str
):
    living = await driver.start(task(app, "sleep 1000"))
    # An agent killed at the wrong moment leaves a group whose task never ran.
    groups.make(OTHER.name, Limits(memory_mb=10, storage_mb=1))
    await another(tmp_path, owner).sweep()
    assert groups.names() == {KEY.name}
    assert (await driver.inspect(living)).phase is Phase.RUNNING


CRASHING_AGENT = """
import asyncio, os, signal, sys
from pathlib import Path
from workdeed.node.drivers.base import Limits, Task, TaskKey
from workdeed.node.drivers.process import ProcessDriver

tasks, app, owner = sys.argv[1:]
driver = ProcessDriver(Path(tasks), owner, allow_unsandboxed=True)
driver._record = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
key = TaskKey("0x" + "e5" * 20, 3, 7, 0)
asyncio.run(driver.start(Task(key, ("sleep", "1000"), {}, Path(app), Limits(64, 1))))
"""


async def test_the_group_of_an_agent_killed_at_a_start_is_swept(
    driver: ProcessDriver, app: Path, groups: ControlGroups, tmp_path: Path, owner: str
):
    arguments = [str(tmp_path / "state" / "tasks"), str(app), owner]
    agent = await asyncio.create_subprocess_exec(sys.executable, "-c", CRASHING_AGENT, *arguments)
    assert await agent.wait() == -signal.SIGKILL
    assert groups.names() == {KEY.name}
    await driver.sweep()
    assert groups.names() == set()


async def test_a_later_agent_bounds_anew_what_runs_on(
    driver: ProcessDriver, app: Path, groups: ControlGroups, tmp_path: Path, owner: str
):
    await driver.start(task(app, "sleep 1000", processes=30))
    (bound,) = (
        path for one in groups.folders(KEY.name) if (path := Path(one, "pids.max")).exists()
    )
    assert bound.read_text() == "32\n"
    bound.write_text("max")
    await another(tmp_path, owner).sweep()
    assert bound.read_text() == "32\n"


async def test_a_command_beside_a_task_shares_its_group_and_leaves_it(
    driver: ProcessDriver, app: Path, groups: ControlGroups
):
    # `exec`: or its last process might begin only after they are counted.
    handle = await driver.start(task(app, "echo up; exec sleep 1000"))
    await printed(driver, handle, "up")
    alone = groups.processes(KEY.name)
    beside = task(app, "touch began; sleep 1000", KEY.at("health"))
    running = asyncio.create_task(driver.execute(handle, beside, 2))
    await eventually((app / "began").exists, "the command")
    assert groups.names() == {KEY.name}
    assert alone < groups.processes(KEY.name)
    assert (await running).phase is Phase.RUNNING
    assert groups.processes(KEY.name) == alone
    assert (await driver.inspect(handle)).phase is Phase.RUNNING


async def test_stats_count_the_memory_of_the_group(
    driver: ProcessDriver, app: Path, groups: ControlGroups
):
    script = f'exec {PYTHON} "x = b\\"x\\" * 50_000_000; print(1, flush=True); input()"'
    handle = await driver.start(task(app, f"sleep 1000 | {script.removeprefix('exec ')}"))
    await printed(driver, handle, "1")
    assert 50_000_000 < (await driver.stats(handle)).memory_bytes < 100_000_000
    assert 50_000_000 < await driver.memory_bytes(handle) < 100_000_000


async def test_where_the_group_lost_count_of_the_memory_processes_are_asked(
    driver: ProcessDriver,
    app: Path,
    groups: ControlGroups,
    tmp_path: Path,
    owner: str,
    monkeypatch: pytest.MonkeyPatch,
):
    handle = await driver.start(task(app, "echo up; sleep 1000"))
    await printed(driver, handle, "up")
    monkeypatch.setattr(ControlGroups, "memory_bytes", lambda *_: 1)
    monkeypatch.setattr(ControlGroups, "apply", lambda *_: False)
    later = another(tmp_path, owner)
    assert (await later.stats(handle)).memory_bytes == 1
    await later.sweep()
    assert (await later.stats(handle)).memory_bytes > 100_000
    assert await later.memory_bytes(handle) > 100_000
    # What is started anew is counted from its first page on.
    await later.destroy(KEY)
    fresh = await later.start(task(app, "sleep 1000"))
    assert (await later.stats(fresh)).memory_bytes == 1


async def test_the_fingerprint_says_what_is_held(driver: ProcessDriver, groups: ControlGroups):
    attributes = (await driver.fingerprint()).attributes
    for word in ("cpu", "memory", "processes"):
        assert attributes[word].startswith("cgroup v")


async def test_without_control_groups_the_fingerprint_says_what_is_not_held(
    lesser: ProcessDriver, sandboxed: bool
):
    found = await lesser.fingerprint()
    assert found.available
    assert found.attributes["cpu"].startswith("not enforced: kept to whole cores")
    assert found.attributes["memory"].startswith("not enforced for the sum")
    assert all(
        "(sandbox.cgroup is off)" in found.attributes[word]
        for word in ("cpu", "memory", "processes")
    )


@pytest.mark.parametrize(("user", "held"), [(0, False), (1000, True)])
async def test_the_kernel_counts_processes_in_a_sandbox_but_those_of_root(
    lesser: ProcessDriver, sandboxed: bool, monkeypatch: pytest.MonkeyPatch, user: int, held: bool
):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = (await lesser.fingerprint()).attributes["processes"]
    assert found.startswith("in each" if sandboxed and held else "not enforced")
    if sandboxed and not held:
        assert "no processes of root" in found


async def test_without_control_groups_a_task_is_kept_to_whole_cores(
    lesser: ProcessDriver, app: Path
):
    have = len(os.sched_getaffinity(0))
    show = f'exec {PYTHON} "import os; print(len(os.sched_getaffinity(0)))"'
    for milli in (1, 1_000, 1_001, 1_000_000):
        await lesser.wait(handle := await lesser.start(task(app, show, cpu_milli=milli)), 60)
        seen = int(await lesser.logs(handle, 100))
        assert seen == min(have, -(-milli // 1_000))
        await lesser.destroy(KEY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can go on without rights")
async def test_an_agent_without_rights_falls_back(
    tmp_path: Path, owner: str, sandboxed: bool, app: Path
):
    driver = another(tmp_path, owner)
    with without_rights():
        groups = await driver._groups()
    assert groups.missing.keys() == set(CONTROLLERS)
    assert "Permission denied" in (await driver.fingerprint()).attributes["cpu"]
    found = await driver.wait(await driver.start(task(app, f"exec {TAKE}")), 60)
    assert (found.code, found.out_of_memory) == (1, False)
    await driver.destroy(KEY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can go on without rights")
async def test_where_control_groups_are_required_nothing_runs_without(
    tmp_path: Path, owner: str, sandboxed: bool, app: Path
):
    driver = another(tmp_path, owner, Use.REQUIRED)
    with without_rights():
        await driver._groups()
    found = await driver.fingerprint()
    assert not found.available
    assert "sandbox.cgroup: required and not all there (cpu" in found.reason
    with pytest.raises(DriverError, match=r"sandbox\.cgroup: required"):
        await driver.start(task(app, "true"))
    assert await driver.recover(KEY) is None


async def test_where_control_groups_are_required_and_there_tasks_run(
    tmp_path: Path, owner: str, sandboxed: bool, app: Path, groups: ControlGroups
):
    driver = another(tmp_path, owner, Use.REQUIRED)
    assert (await driver.fingerprint()).available
    assert (await driver.wait(await driver.start(task(app, "exit 0")), 60)).code == 0
    await driver.destroy(KEY)
