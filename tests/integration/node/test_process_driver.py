"""The process driver with real processes, without and with bubblewrap."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from node_support import alive, eventually, marked

from workdeed.node.drivers.base import Handle, Limits, Phase, Task, TaskKey
from workdeed.node.drivers.cgroups import ControlGroups, Use
from workdeed.node.drivers.process import ProcessDriver
from workdeed.node.drivers.process_identity import ProcessIdentity, boot_id
from workdeed.node.errors import DriverError, SandboxMissingError
from workdeed.node.files import tree_bytes

KEY = TaskKey("0x" + "e5" * 20, 3, 7, 0)
SHELL = "/bin/sh"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app"
    path.mkdir()
    return path


def task(app: Path, script: str, *, key: TaskKey = KEY, memory_mb: int = 256) -> Task:
    return Task(key, (SHELL, "-c", script), {"COLOR": "blue"}, app, Limits(memory_mb, 64))


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no task."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


async def output(driver: ProcessDriver, key: TaskKey = KEY) -> str:
    handle = await driver.recover(key)
    assert handle is not None
    return (await driver.logs(handle, 1_000_000)).decode()


def supervisors(owner: str) -> list[int]:
    found = ((pid, Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in marked(owner))
    return [pid for pid, command in found if b"shim.py" in command]


async def printed(driver: ProcessDriver, text: str) -> None:
    async def has() -> bool:
        return text in await output(driver)

    await eventually(has, f"output of {text!r}")


async def test_a_task_runs_in_its_directory_and_its_end_is_known(driver: ProcessDriver, app: Path):
    handle = await driver.start(task(app, 'echo "$COLOR"; echo error >&2; touch made; exit 3'))
    inspection = await driver.wait(handle, 30)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, 3)
    assert (await output(driver)).split() == ["blue", "error"]
    assert (app / "made").exists()


async def test_start_is_idempotent(driver: ProcessDriver, app: Path):
    first, *others = await asyncio.gather(
        *(driver.start(task(app, "echo started; sleep 1000")) for _ in range(5))
    )
    assert set(others) == {first}
    await printed(driver, "started")
    assert (await output(driver)).count("started") == 1


async def test_a_task_that_ended_is_started_anew(driver: ProcessDriver, app: Path):
    first = await driver.start(task(app, "exit 0"))
    await driver.wait(first, 30)
    second = await driver.start(task(app, "sleep 1000"))
    assert second.reference != first.reference
    assert (await driver.inspect(second)).phase is Phase.RUNNING
    assert (await driver.inspect(first)).phase is Phase.LOST


async def test_stop_gives_time_to_finish(driver: ProcessDriver, app: Path):
    script = "trap 'echo finishing; exit 4' TERM; echo up; while :; do sleep 0.05; done"
    handle = await driver.start(task(app, script))
    await printed(driver, "up")
    inspection = await driver.stop(handle, 30)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, 4)
    assert "finishing" in await output(driver)


async def test_stop_ends_what_does_not_listen(driver: ProcessDriver, app: Path, owner: str):
    # A loop that forks would end by itself once it may make no more processes.
    handle = await driver.start(task(app, "trap '' TERM; echo up; while :; do :; done"))
    await printed(driver, "up")
    inspection = await driver.stop(handle, 0.2)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, 137)
    assert marked(owner) == []


@pytest.mark.parametrize("how", ["stopped", "ended by itself"])
async def test_no_descendant_is_left(driver: ProcessDriver, app: Path, owner: str, how: str):
    escape = "setsid sh -c 'trap \"\" TERM HUP; sleep 1001 & touch ready; sleep 1002' &"
    ready = "while [ ! -e ready ]; do sleep 0.02; done; echo up"
    ending = "" if how == "ended by itself" else "; wait"
    handle = await driver.start(task(app, f"{escape} (sleep 1003 &) ; {ready}{ending}"))
    await printed(driver, "up")
    if how == "stopped":
        await eventually(lambda: len(marked(owner)) > 4, "the marks of all")
        await driver.stop(handle, 0.2)
    else:
        await driver.wait(handle, 30)
    assert marked(owner) == []


async def test_a_task_sees_nothing_of_the_agents_environment(
    driver: ProcessDriver, app: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WORKDEED_NODE_KEY", "a secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    await driver.wait(await driver.start(task(app, "env")), 30)
    names = {line.partition("=")[0] for line in (await output(driver)).splitlines()}
    own = {"COLOR", "HOME", "LANG", "PATH", "TMPDIR", "WORKDEED_WORKLOAD"}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == own


async def test_a_task_may_not_redefine_its_marker(driver: ProcessDriver, app: Path, owner: str):
    one = Task(KEY, (SHELL, "-c", "sleep 1000"), {"WORKDEED_WORKLOAD": "x"}, app, Limits(64, 1))
    await driver.start(one)
    # A process is begun before the kernel shows its environment.
    await eventually(lambda: bool(marked(owner)), "the mark")


async def test_without_a_sandbox_nothing_runs(
    tmp_path: Path, app: Path, owner: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workdeed.node.drivers.sandbox.shutil.which", lambda name: None)
    driver = ProcessDriver(tmp_path / "tasks", owner)
    fingerprint = await driver.fingerprint()
    assert not fingerprint.available
    assert "not installed" in fingerprint.reason
    with pytest.raises(SandboxMissingError, match="install bubblewrap"):
        await driver.start(task(app, "true"))
    assert await driver.recover(KEY) is None


async def test_the_fingerprint_tells_whether_there_is_a_sandbox(
    driver: ProcessDriver, sandboxed: bool
):
    fingerprint = await driver.fingerprint()
    assert fingerprint.available
    assert fingerprint.sandboxed is sandboxed


async def test_the_log_is_capped(tmp_path: Path, app: Path, owner: str, driver: ProcessDriver):
    small = ProcessDriver(
        tmp_path / "state" / "tasks", owner, allow_unsandboxed=True, log_bytes=10_000
    )
    handle = await small.start(task(app, "seq 1 20000; echo last"))
    await small.wait(handle, 60)
    logs = list((tmp_path / "state" / "tasks" / KEY.name).glob("output.log*"))
    assert sum(one.stat().st_size for one in logs) <= 10_000
    assert (await small.logs(handle, 1_000_000)).endswith(b"20000\nlast\n")
    assert len(await small.logs(handle, 100)) == 100


async def test_a_command_that_does_not_exist_says_so(
    driver: ProcessDriver, app: Path, sandboxed: bool
):
    one = Task(KEY, ("/no/such/command",), {}, app, Limits(64, 1))
    handle = await driver.start(one)
    inspection = await driver.wait(handle, 30)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, 127)
    told = str(inspection) + (await driver.logs(handle, 1000)).decode()
    assert "/no/such/command" in told


async def test_without_control_groups_the_memory_of_a_process_is_limited(
    driver: ProcessDriver, app: Path, tmp_path: Path, owner: str
):
    lesser = ProcessDriver(
        tmp_path / "state" / "tasks", owner, allow_unsandboxed=True, cgroup=Use.OFF
    )
    script = "exec python3 -c 'x = bytearray(400_000_000); print(len(x))'"
    inspection = await lesser.wait(await lesser.start(task(app, script, memory_mb=100)), 60)
    assert inspection.code == 1
    assert "MemoryError" in await output(lesser)


async def test_a_file_is_limited(driver: ProcessDriver, app: Path):
    script = "head -c 90000000 /dev/zero > big"
    inspection = await driver.wait(await driver.start(task(app, script)), 60)
    assert inspection.code != 0
    assert (app / "big").stat().st_size <= 64_000_000


async def test_stats_count_all_processes(driver: ProcessDriver, app: Path):
    handle = await driver.start(task(app, "sleep 1000 & sleep 1000 & echo up; wait"))
    await printed(driver, "up")
    stats = await driver.stats(handle)
    assert stats.processes >= 3
    assert stats.memory_bytes > 0
    assert await driver.memory_bytes(handle) > 0
    await driver.stop(handle, 0)
    assert (await driver.stats(handle)).processes == 0
    assert await driver.memory_bytes(handle) == 0


async def test_deleted_files_that_a_task_holds_open_count_as_its_storage(
    driver: ProcessDriver, app: Path
):
    script = """
        head -c 3000000 /dev/zero > file; exec 3< file 4< file; rm file
        head -c 2000000 /dev/zero > "$TMPDIR/file"; exec 5< "$TMPDIR/file"; rm "$TMPDIR/file"
        sleep 1000 & echo held; wait
    """
    handle = await driver.start(task(app, script))
    await printed(driver, "held")
    assert tree_bytes(app) == 0
    assert 5_000_000 <= await driver.disk_bytes(handle) < 5_200_000
    await driver.stop(handle, 0)
    assert await driver.disk_bytes(handle) < 200_000


async def test_a_task_outlives_its_driver_and_is_found_again(
    driver: ProcessDriver, app: Path, tmp_path: Path, owner: str
):
    handle = await driver.start(task(app, "echo up; sleep 1000"))
    later = ProcessDriver(tmp_path / "state" / "tasks", owner, allow_unsandboxed=True)
    assert await later.sweep() == (KEY,)
    assert await later.recover(KEY) == handle
    assert await later.start(task(app, "echo second; sleep 1000")) == handle
    assert (await later.inspect(handle)).phase is Phase.RUNNING
    assert "second" not in await output(later)


async def test_another_process_under_a_recorded_number_is_never_signalled(
    driver: ProcessDriver, app: Path, tmp_path: Path, bystander: subprocess.Popen[bytes]
):
    handle = await driver.start(task(app, "exit 0"))
    await driver.wait(handle, 30)
    folder = tmp_path / "state" / "tasks" / KEY.name
    (folder / "exit.json").unlink()
    ticks = ProcessIdentity.of(bystander.pid).start_ticks
    for reused in (
        ProcessIdentity(bystander.pid, ticks + 1, boot_id()),
        ProcessIdentity(bystander.pid, ticks, "another boot"),
    ):
        (folder / "record.json").write_text(json.dumps({"process": str(reused)}))
        found = await driver.recover(KEY)
        assert found is not None
        assert (await driver.inspect(found)).phase is Phase.LOST
        await driver.stop(found, 0)
        assert bystander.poll() is None
    await driver.destroy(KEY)
    assert bystander.poll() is None


async def test_a_task_whose_supervisor_is_killed_is_lost_and_ended(
    driver: ProcessDriver, app: Path, owner: str
):
    handle = await driver.start(task(app, "setsid sleep 1000 & echo up; wait"))
    await printed(driver, "up")
    os.kill(handle.pid, signal.SIGKILL)
    assert (await driver.wait(handle, 30)).phase is Phase.LOST
    assert await driver.recover(KEY) == handle
    await eventually(lambda: marked(owner) == [], "end of the leftovers")


async def test_a_stray_that_takes_up_another_program_is_ended_too(
    driver: ProcessDriver, app: Path, owner: str, monkeypatch: pytest.MonkeyPatch
):
    """Its environment looks empty at that moment, and one look used to be all there was."""
    handle = await driver.start(task(app, "setsid sleep 1000 & echo up; wait"))
    await printed(driver, "up")
    looks, strays = count(1), ProcessDriver._strays

    def seldom(self: ProcessDriver, name: str = "") -> list[tuple[int, str]]:
        return strays(self, name) if next(looks) % 2 == 0 else []

    monkeypatch.setattr(ProcessDriver, "_strays", seldom)
    monkeypatch.setattr(ControlGroups, "remove", lambda *_: None)
    os.kill(handle.pid, signal.SIGKILL)
    await driver.wait(handle, 30)
    await driver.recover(KEY)
    await eventually(lambda: marked(owner) == [], "end of the leftovers")


async def test_a_forged_mark_costs_no_other_task_its_start(
    driver: ProcessDriver, app: Path, owner: str
):
    forger = replace(KEY, job_id=KEY.job_id + 1)
    forge = f"env WORKDEED_WORKLOAD={owner}"
    script = f"{forge}/{KEY.name} sleep 1000 & {forge}/../workdeed-agent sleep 1001 & echo up; wait"
    forged = await driver.start(task(app, script, key=forger))

    async def up() -> bool:
        return "up" in await output(driver, forger)

    await eventually(up, "the forger's start")
    victim = await driver.start(task(app, "sleep 1000"))
    os.kill(victim.pid, signal.SIGKILL)
    assert (await driver.wait(victim, 30)).phase is Phase.LOST
    before = (await driver.stats(forged)).processes
    assert await driver.recover(KEY) == victim
    victim = await driver.start(task(app, "sleep 1000"))
    assert set(await driver.sweep()) == {KEY, forger}
    assert (await driver.inspect(victim)).phase is Phase.RUNNING
    assert (await driver.stats(forged)).processes == before
    await driver.destroy(KEY)
    assert (await driver.stats(forged)).processes == before


async def test_a_recorded_number_that_is_a_threads_now_hinders_nothing(
    driver: ProcessDriver, app: Path, tmp_path: Path
):
    handle = await driver.start(task(app, "exit 0"))
    await driver.wait(handle, 30)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    assert thread.native_id is not None
    reused = ProcessIdentity(thread.native_id, 1, boot_id())
    record = tmp_path / "state" / "tasks" / KEY.name / "record.json"
    record.write_text(json.dumps({"process": str(reused)}))
    try:
        found = await driver.recover(KEY)
        assert found is not None
        assert (await driver.wait(found, 5)).phase is not Phase.RUNNING
        await driver.destroy(KEY)
    finally:
        over.set()
        thread.join()
    assert await driver.recover(KEY) is None


async def test_processes_without_a_record_are_swept(
    driver: ProcessDriver, app: Path, tmp_path: Path, owner: str
):
    handle = await driver.start(task(app, "sleep 1000"))
    (tmp_path / "state" / "tasks" / KEY.name / "record.json").unlink()
    assert await driver.sweep() == ()
    await eventually(lambda: not alive(handle.pid), "end of the process")
    await eventually(lambda: marked(owner) == [], "end of the leftovers")


async def test_a_damaged_record_costs_the_task_and_nothing_else(
    driver: ProcessDriver, app: Path, tmp_path: Path, owner: str
):
    await driver.start(task(app, "sleep 1000"))
    (tmp_path / "state" / "tasks" / KEY.name / "record.json").write_text("{")
    assert await driver.recover(KEY) is None
    await eventually(lambda: marked(owner) == [], "end of the leftovers")
    handle = await driver.start(task(app, "exit 0"))
    assert (await driver.wait(handle, 30)).code == 0


async def test_destroy_forgets_all_but_the_directory(
    driver: ProcessDriver, app: Path, tmp_path: Path, owner: str
):
    await driver.start(task(app, "mkdir -p locked/deep; chmod 0 locked; echo up; sleep 1000"))
    await printed(driver, "up")
    await driver.destroy(KEY)
    assert await driver.recover(KEY) is None
    assert not (tmp_path / "state" / "tasks" / KEY.name).exists()
    assert await asyncio.to_thread(app.exists)
    assert marked(owner) == []
    await driver.destroy(KEY)


async def test_a_task_that_is_destroyed_leaves_no_lock(driver: ProcessDriver, app: Path):
    await asyncio.gather(*(driver.start(task(app, "sleep 1000")) for _ in range(3)))
    await driver.destroy(KEY)
    await asyncio.sleep(0)
    assert len(driver._locks) == 0


async def test_a_start_that_was_given_up_can_be_stopped(
    driver: ProcessDriver, app: Path, owner: str
):
    await driver.fingerprint()
    starting = asyncio.create_task(driver.start(task(app, "sleep 1000")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await driver.destroy(KEY)
    assert marked(owner) == []


async def test_a_driver_is_closed_once_its_launches_have_ended(
    driver: ProcessDriver, app: Path, owner: str, monkeypatch: pytest.MonkeyPatch
):
    """Once an agent is closed another may come, and must find what this one has started."""
    launch, go_on = ProcessDriver._launch, threading.Event()

    def held_up(self: ProcessDriver, *arguments: Any) -> Handle:
        go_on.wait()
        return launch(self, *arguments)

    monkeypatch.setattr(ProcessDriver, "_launch", held_up)
    await driver.fingerprint()
    starting = asyncio.create_task(driver.start(task(app, "sleep 1000")))
    await eventually(lambda: bool(driver._launches._tasks), "the launch")
    starting.cancel()
    closing = asyncio.create_task(driver.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    go_on.set()
    await closing
    assert await driver.recover(KEY) is not None
    await driver.destroy(KEY)
    assert marked(owner) == []


async def test_a_start_folder_outside_is_refused(driver: ProcessDriver, app: Path, sandboxed: bool):
    (app / "out").symlink_to("/etc")
    one = Task(KEY, (SHELL, "-c", "pwd; ls"), {}, app, Limits(64, 1), subdirectory="out")
    if sandboxed:
        # Inside, the link leads to the sandbox's own /etc.
        inspection = await driver.wait(await driver.start(one), 30)
        assert "shadow" not in await output(driver)
        assert inspection.code == 0
    else:
        with pytest.raises(DriverError, match="leads out"):
            await driver.start(one)


CRASHING_AGENT = """
import asyncio, os, signal, sys
from pathlib import Path
from workdeed.node.drivers.base import Limits, Task, TaskKey
from workdeed.node.drivers.process import ProcessDriver

tasks, app, owner, moment, sandboxed = sys.argv[1:]
driver = ProcessDriver(Path(tasks), owner, allow_unsandboxed=sandboxed == "no")
if sandboxed == "no":
    import workdeed.node.drivers.sandbox as sandbox
    sandbox.shutil.which = lambda name: None
record = driver._record

def die(*arguments):
    if moment == "after the record":
        record(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    if moment != "after the start":
        driver._record = die
    key = TaskKey("0x" + "e5" * 20, 3, 7, 0)
    argv = ("/bin/sh", "-c", "echo run >> runs; sleep 1000")
    await driver.start(Task(key, argv, {}, Path(app), Limits(64, 1)))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", ["before the record", "after the record", "after the start"])
async def test_an_agent_killed_while_it_starts_a_task_never_runs_it_twice(
    driver: ProcessDriver, app: Path, tmp_path: Path, owner: str, moment: str, sandboxed: bool
):
    arguments = [str(tmp_path / "state" / "tasks"), str(app), owner, moment]
    arguments.append("yes" if sandboxed else "no")
    agent = await asyncio.create_subprocess_exec(sys.executable, "-c", CRASHING_AGENT, *arguments)
    assert await agent.wait() == -signal.SIGKILL

    runs = app / "runs"
    if moment == "after the start":
        await eventually(runs.exists, "the first run")
    else:
        # The supervisor, still without an order, ends with its agent and has run nothing.
        await eventually(lambda: marked(owner) == [], "end of the supervisor")
        assert not runs.exists()

    await driver.sweep()
    await driver.start(task(app, "echo run >> runs; sleep 1000"))
    # The shell makes the file before it writes into it.
    await eventually(lambda: runs.exists() and runs.read_text() != "", "a run")
    assert runs.read_text() == "run\n"
    assert len(supervisors(owner)) == 1
