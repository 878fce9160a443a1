"""The container driver with Podman: what it starts, finds again, sees and ends."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from container_support import KEY, LOG_BYTES, fetch, make_driver, printed, shell, task
from node_support import eventually

from scripts._demo.ports import free_port
from tests.podman import Podman
from workdeed.node.drivers.base import Bind, Limits, Phase, Published, TaskKey
from workdeed.node.drivers.container import Container, ContainerDriver
from workdeed.node.drivers.container_spec import CAPABILITIES, container_name
from workdeed.node.errors import DriverError

pytestmark = pytest.mark.container

HERE = Path(__file__).resolve().parent


@pytest.fixture
async def driver(podman: Podman, tmp_path: Path, owner: str) -> AsyncIterator[ContainerDriver]:
    """A driver whose containers end with the test."""
    made = make_driver(podman, tmp_path, owner)
    yield made
    for key in await made.sweep():
        await made.destroy(key)
    await made.close()
    assert containers_of(podman, owner) == []
    assert owner not in podman.run("network", "ls", "--format", "{{.Name}}")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tmp_path / "app"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def restarted(podman: Podman) -> Iterator[None]:
    """The service runs again after a test that stops it."""
    yield
    podman.stop()
    podman.start()


def containers_of(podman: Podman, owner: str) -> list[str]:
    label = f"label=workdeed.owner={owner}"
    return podman.run("ps", "--all", "--quiet", "--no-trunc", "--filter", label).split()


def inspected(podman: Podman, container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(podman.run("inspect", container))[0]
    return found


async def output(driver: ContainerDriver, task_: Any) -> str:
    """Run a task to its end; return what it printed."""
    handle = await driver.start(task_)
    await driver.wait(handle, 120)
    return (await driver.logs(handle, 1_000_000)).decode()


async def test_it_knows_its_engine(driver: ContainerDriver):
    found = await driver.fingerprint()
    assert (found.available, found.sandboxed, found.attributes["engine"]) == (True, True, "podman")


async def test_a_task_runs_and_its_end_is_known(podman: Podman, driver: ContainerDriver, app: Path):
    script = 'echo "$COLOR"; echo error >&2; exit 3'
    handle = await driver.start(shell(podman.image(), app, script))
    inspection = await driver.wait(handle, 30)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, 3)
    assert sorted((await driver.logs(handle, 1000)).decode().split()) == ["blue", "error"]


async def test_an_image_brings_its_own_command(podman: Podman, driver: ContainerDriver, app: Path):
    handle = await driver.start(task(podman.image("crash"), app))
    assert (await driver.wait(handle, 30)).code == 3
    assert await driver.logs(handle, 1000) == b"about to fail\n"


@pytest.mark.parametrize(
    ("entrypoint", "argv", "expected"),
    [
        (("echo", "first"), ("second",), "first second"),
        (("echo", "only"), (), "only"),
        ((), ("echo", "command"), "command"),
    ],
)
async def test_entrypoints(
    podman: Podman,
    driver: ContainerDriver,
    app: Path,
    entrypoint: tuple[str, ...],
    argv: tuple[str, ...],
    expected: str,
):
    made = task(podman.image("crash"), app, *argv, entrypoint=entrypoint)
    assert (await output(driver, made)).strip() == expected


async def test_start_is_idempotent(podman: Podman, driver: ContainerDriver, app: Path, owner: str):
    made = task(podman.image("ill"), app)
    first, *others = await asyncio.gather(*(driver.start(made) for _ in range(5)))
    assert set(others) == {first}
    assert containers_of(podman, owner) == [first.reference]


async def test_a_task_that_ended_is_started_anew_and_its_output_stays(
    podman: Podman, driver: ContainerDriver, app: Path
):
    first = await driver.start(shell(podman.image(), app, "echo first life; exit 1"))
    await driver.wait(first, 30)
    seen = await driver.logs_after(first, "", 1000)
    second = await driver.start(shell(podman.image(), app, "echo second life; exit 2"))
    assert (await driver.wait(second, 30)).code == 2
    assert (await driver.inspect(first)).phase is Phase.LOST
    assert await driver.logs(second, 1000) == b"first life\nsecond life\n"
    assert (await driver.logs_after(second, seen.cursor, 1000)).data == b"second life\n"


async def test_crash_loop_exit_codes(podman: Podman, driver: ContainerDriver, app: Path):
    codes = []
    for code in (1, 2, 126, 137, 255):
        handle = await driver.start(shell(podman.image(), app, f"exit {code}"))
        codes.append((await driver.wait(handle, 30)).code)
    assert codes == [1, 2, 126, 137, 255]


async def test_stop_gives_time_to_finish(podman: Podman, driver: ContainerDriver, app: Path):
    handle = await driver.start(task(podman.image("polite"), app))
    await printed(driver, handle, "up")
    inspection = await driver.stop(handle, 30)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, 5)
    assert b"bye" in await driver.logs(handle, 1000)


async def test_stop_ends_what_does_not_listen(podman: Podman, driver: ContainerDriver, app: Path):
    handle = await driver.start(task(podman.image("ill"), app))
    began = time.monotonic()
    inspection = await driver.stop(handle, 0.3)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, 137)
    assert not inspection.out_of_memory
    assert time.monotonic() - began < 8
    assert await driver.stop(handle, 0.3) == inspection


@pytest.mark.parametrize(("image", "code"), [("polite", 5), ("ill", 137)])
async def test_an_image_whose_stop_signal_is_nonsense_is_ended_all_the_same(
    podman: Podman,
    driver: ContainerDriver,
    app: Path,
    monkeypatch: pytest.MonkeyPatch,
    image: str,
    code: int,
):
    # Docker takes any word from an image; Podman reads it when the container is made.
    parse = Container.parse
    monkeypatch.setattr(
        Container, "parse", lambda found: replace(parse(found), stop_signal="SIGNONSENSE")
    )
    handle = await driver.start(task(podman.image(image), app))
    if image == "polite":
        await printed(driver, handle, "up")
    inspection = await driver.stop(handle, 2)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, code)


async def test_a_signal_is_told_by_its_code(podman: Podman, driver: ContainerDriver, app: Path):
    handle = await driver.start(shell(podman.image(), app, "kill -SEGV $$; sleep 5"))
    podman.run("kill", "--signal", "KILL", handle.reference)
    assert (await driver.wait(handle, 30)).code == 137


async def test_too_much_memory_is_seen_as_such(podman: Podman, driver: ContainerDriver, app: Path):
    """Podman before version 5 never says so itself."""
    handle = await driver.start(task(podman.image("greedy"), app, limits=Limits(24, 64)))
    inspection = await driver.wait(handle, 60)
    assert (inspection.phase, inspection.code) == (Phase.EXITED, 137)
    assert inspection.out_of_memory
    assert "memory" in str(inspection)


async def test_limits_are_set(podman: Podman, driver: ContainerDriver, app: Path):
    limits = Limits(64, 64, cpu_milli=250, processes=20, open_files=100)
    handle = await driver.start(task(podman.image("ill"), app, limits=limits))
    config = inspected(podman, handle.reference)["HostConfig"]
    assert (config["Memory"], config["MemorySwap"]) == (64_000_000, 64_000_000)
    assert config["CpuQuota"] / config["CpuPeriod"] == 0.25
    assert config["PidsLimit"] == 20
    told = podman.run("exec", handle.reference, "cat", "/proc/1/limits")
    assert [line.split()[3] for line in told.splitlines() if "open files" in line] == ["100"]


async def test_the_processor_is_limited(podman: Podman, driver: ContainerDriver, app: Path):
    made = shell(podman.image(), app, "while :; do :; done", limits=Limits(64, 64, cpu_milli=100))
    handle = await driver.start(made)
    before, began = await driver.stats(handle), time.monotonic()
    await asyncio.sleep(2)
    used = (await driver.stats(handle)).cpu_seconds - before.cpu_seconds
    assert 0.02 < used / (time.monotonic() - began) < 0.2


async def test_the_number_of_processes_is_limited(
    podman: Podman, driver: ContainerDriver, app: Path
):
    script = "i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done; echo all"
    made = shell(podman.image(), app, script, limits=Limits(64, 64, processes=10))
    assert "can't fork" in await output(driver, made)


async def test_no_file_is_larger_than_the_storage(
    podman: Podman, driver: ContainerDriver, app: Path
):
    script = "dd if=/dev/zero of=/tmp/file bs=1000000 count=5; stat -c %s /tmp/file"
    made = shell(podman.image(), app, script, limits=Limits(64, 3))
    lines = (await output(driver, made)).splitlines()
    assert {"3000000", "File size limit exceeded"} <= set(lines)


async def test_little_is_left_of_root(podman: Podman, driver: ContainerDriver, app: Path):
    script = "grep -E 'CapBnd|NoNewPrivs' /proc/self/status; id -u"
    bounding, privileges, user = (
        await output(driver, shell(podman.image(), app, script))
    ).splitlines()
    assert bin(int(bounding.split()[1], 16)).count("1") == len(CAPABILITIES)
    assert (privileges.split()[1], user) == ("1", "0")


async def test_a_user_other_than_root_writes_its_folders_and_takes_low_ports(
    podman: Podman, driver: ContainerDriver, app: Path, tmp_path: Path, port: int
):
    volume = tmp_path / "volume"
    volume.mkdir(mode=0o700)
    script = "id -u > /data/user; exec httpd -f -p 80 -h /data"
    made = shell(
        podman.image(),
        app,
        script,
        user="worker",
        binds=(Bind(volume, "/data"),),
        ports=(Published(port, 80),),
    )
    await driver.start(made)
    assert await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/user") == "1000\n"
    assert (volume / "user").read_text() == "1000\n"


async def test_binds_mounts_and_the_tree(
    podman: Podman, driver: ContainerDriver, app: Path, tmp_path: Path
):
    (app / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("content\n")
    script = "pwd; cat /etc/file; touch /etc/file && echo wrote; touch made; cat $SEEN"
    made = shell(
        podman.image(),
        app,
        script,
        binds=(Bind(tmp_path / "file", "/etc/file", read_only=True),),
        mounts=(tmp_path / "file",),
        env={"SEEN": str(tmp_path / "file")},
        subdirectory="inner",
        mount_tree=True,
    )
    printed_ = await output(driver, made)
    assert printed_.splitlines()[:2] == ["/app/inner", "content"]
    assert printed_.splitlines()[-1] == "content"
    assert "wrote" not in printed_
    assert (app / "inner" / "made").exists()


async def test_a_port_is_published_on_the_workload_host_alone(
    podman: Podman, driver: ContainerDriver, app: Path, port: int
):
    handle = await driver.start(task(podman.image("http"), app, ports=(Published(port, 8080),)))
    assert await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/") == "hello\n"
    found = inspected(podman, handle.reference)["NetworkSettings"]["Ports"]
    assert found == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}


async def test_a_port_that_is_taken(podman: Podman, driver: ContainerDriver, app: Path, owner: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = int(taken.getsockname()[1])
        made = task(podman.image("http"), app, ports=(Published(number, 8080),))
        with pytest.raises(DriverError, match=r"^ports: .* taken"):
            await driver.start(made)
    assert containers_of(podman, owner) == []
    assert await driver.start(made)


async def test_a_command_that_is_not_there(
    podman: Podman, driver: ContainerDriver, app: Path, owner: str
):
    with pytest.raises(DriverError, match=r"^run: "):
        await driver.start(task(podman.image(), app, "no-such-program"))
    assert containers_of(podman, owner) == []


async def test_an_image_is_never_pulled_by_a_start(
    podman: Podman, driver: ContainerDriver, app: Path
):
    with pytest.raises(DriverError, match="image"):
        await driver.start(task("localhost/absent@sha256:" + "0" * 64, app))
    with pytest.raises(DriverError, match="not pinned"):
        await driver.start(task("localhost/base:latest", app))


async def test_services_of_a_job_reach_each_other_and_no_other_job(
    podman: Podman, driver: ContainerDriver, app: Path
):
    await driver.start(task(podman.image("http"), app))
    server = await driver.recover(KEY)
    assert server is not None
    address = await driver.address(server)
    ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} 8080"
    sibling = TaskKey(KEY.escrow, KEY.job_id, KEY.license_id, 1, "sibling")
    stranger = TaskKey(KEY.escrow, KEY.job_id + 1, KEY.license_id, 0)
    # It takes a moment to listen; who comes second asks one that does.
    scripts = {sibling: f"until {ask}; do sleep 0.1; done", stranger: f"{ask} || echo unreachable"}
    lines = [
        (await output(driver, shell(podman.image(), app, script, key=key))).splitlines()
        for key, script in scripts.items()
    ]
    assert [one[-1] for one in lines] == ["hello", "unreachable"]


async def test_a_command_beside_the_task(podman: Podman, driver: ContainerDriver, app: Path):
    handle = await driver.start(
        shell(podman.image(), app, "echo healthy > /run/state; sleep 1000000")
    )
    check = shell(podman.image(), app, "grep -q healthy /run/state", key=KEY.at("check"))
    assert (await driver.execute(handle, check, 60)).code == 0
    failing = shell(podman.image(), app, "exit 9", key=KEY.at("check"))
    assert (await driver.execute(handle, failing, 60)).code == 9
    absent = task(podman.image(), app, "no-such-program", key=KEY.at("check"))
    assert (await driver.execute(handle, absent, 60)).code == 127


async def test_a_command_that_hangs_is_ended(podman: Podman, driver: ContainerDriver, app: Path):
    handle = await driver.start(task(podman.image("ill"), app))
    hanging = shell(podman.image(), app, "sleep 12345", key=KEY.at("check"))
    assert (await driver.execute(handle, hanging, 0.5)).phase is Phase.RUNNING

    async def gone() -> bool:
        return "12345" not in podman.run("top", handle.reference, "args")

    await eventually(gone, "the end of the command")
    # What it had started itself may go on, but with the next command there is no harm.
    check = shell(podman.image(), app, "exit 0", key=KEY.at("check"))
    assert (await driver.execute(handle, check, 60)).code == 0


async def test_output_has_a_cap(podman: Podman, driver: ContainerDriver, app: Path):
    handle = await driver.start(task(podman.image("chatty"), app))
    await asyncio.sleep(1)
    log = Path(inspected(podman, handle.reference)["HostConfig"]["LogConfig"]["Path"])
    # Written in pieces: the last one may be over it.
    assert await asyncio.to_thread(lambda: log.stat().st_size) < 2 * LOG_BYTES
    assert len(await driver.logs(handle, 1000)) <= 1000
    assert len(await driver.logs(handle, 10_000_000)) < 2 * LOG_BYTES


async def test_output_is_read_on_from_a_cursor(podman: Podman, driver: ContainerDriver, app: Path):
    script = "for i in 1 2 3 4 5 6 7 8; do echo line $i; done; printf end"
    handle = await driver.start(shell(podman.image(), app, script))
    await driver.wait(handle, 30)
    read, cursor = b"", ""
    for _ in range(100):
        chunk = await driver.logs_after(handle, cursor, 5)
        assert len(chunk.data) <= 5
        if not chunk.data:
            break
        read, cursor = read + chunk.data, chunk.cursor
    assert read == b"".join(b"line %d\n" % i for i in range(1, 9)) + b"end"


async def test_what_it_uses(podman: Podman, driver: ContainerDriver, app: Path):
    script = "sleep 1000 & dd if=/dev/zero of=/tmp/file bs=1000000 count=3; sleep 1000"
    handle = await driver.start(shell(podman.image(), app, script))
    await printed(driver, handle, "records out")
    found = await driver.stats(handle)
    assert found.processes == 2
    assert 0 < found.cpu_seconds < 10
    assert 0 < found.memory_bytes < 64_000_000
    assert 3_000_000 <= await driver.disk_bytes(handle) < 4_000_000
    await driver.stop(handle, 0)
    found = await driver.stats(handle)
    assert (found.memory_bytes, found.processes) == (0, 0)


async def test_volumes_of_an_image_count_as_disk_and_go_with_the_container(
    podman: Podman, driver: ContainerDriver, app: Path
):
    made = shell(
        podman.image("keeper"), app, "dd if=/dev/zero of=/data/file bs=1000000 count=3; sleep 1000"
    )
    handle = await driver.start(made)
    await printed(driver, handle, "records out")
    assert await driver.disk_bytes(handle) >= 3_000_000
    assert podman.run("volume", "ls", "--quiet") != ""
    await driver.destroy(KEY)
    assert podman.run("volume", "ls", "--quiet") == ""


async def test_it_is_found_again_after_a_restart_of_the_agent(
    podman: Podman, driver: ContainerDriver, app: Path, tmp_path: Path, owner: str
):
    handle = await driver.start(task(podman.image("ill"), app))
    again = make_driver(podman, tmp_path, owner)
    assert await again.sweep() == (KEY,)
    assert await again.recover(KEY) == handle
    assert await again.start(task(podman.image("ill"), app)) == handle
    podman.run("kill", "--signal", "KILL", handle.reference)
    assert (await again.wait(handle, 30)).code == 137
    await again.close()
    third = make_driver(podman, tmp_path, owner)
    found = await third.recover(KEY)
    assert found is not None
    assert (await third.inspect(found)).code == 137
    await third.close()


@pytest.mark.usefixtures("restarted")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_service_is_restarted_under_a_container(
    podman: Podman, driver: ContainerDriver, app: Path, owner: str, number: int
):
    handle = await driver.start(task(podman.image("polite"), app))
    await printed(driver, handle, "up")
    podman.stop(number)
    assert (await driver.inspect(handle)).phase is Phase.RUNNING
    assert (await driver.wait(handle, 0.2)).phase is Phase.RUNNING
    found = await driver.fingerprint()
    assert (found.available, "start Podman or Docker" in found.reason) == (False, True)
    with pytest.raises(DriverError, match="start Podman or Docker"):
        await driver.stats(handle)
    podman.start()
    assert (await driver.fingerprint()).available
    assert await driver.start(task(podman.image("polite"), app)) == handle
    assert containers_of(podman, owner) == [handle.reference]
    assert (await driver.stop(handle, 30)).code == 5


@pytest.mark.usefixtures("restarted")
async def test_an_end_while_the_service_is_down_is_seen_later(
    podman: Podman, driver: ContainerDriver, app: Path
):
    handle = await driver.start(shell(podman.image(), app, "sleep 1.5; exit 6"))
    podman.stop()
    with pytest.raises(DriverError, match="start Podman or Docker"):
        await driver.wait(handle, 30)
    podman.start()
    assert (await driver.wait(handle, 30)).code == 6


@pytest.mark.usefixtures("restarted")
async def test_without_an_engine_only_its_own_tasks_wait(
    podman: Podman, driver: ContainerDriver, app: Path, tmp_path: Path
):
    handle = await driver.start(task(podman.image("ill"), app))
    podman.stop()
    other = make_driver(podman, tmp_path / "other", "other")
    assert await other.recover(KEY) is None
    assert await other.sweep() == ()
    await other.destroy(KEY)
    await other.close()
    again = make_driver(podman, tmp_path, driver._owner)
    for ask in (again.recover(KEY), again.destroy(KEY), again.sweep(), again.inspect(handle)):
        with pytest.raises(DriverError, match="start Podman or Docker"):
            await ask
    await again.close()
    podman.start()


CRASH = """
import asyncio, os, sys
from pathlib import Path
sys.path[:0] = [{here!r}, {root!r}]
from container_support import make_driver, task
from workdeed.node.drivers.container_engine import Engine

class Service:
    socket = Path({socket!r})

call = Engine.call

async def die(self, what, function, **more):
    if what == "starting a container":
        os._exit(9)
    return await call(self, what, function, **more)

Engine.call = die
driver = make_driver(Service, Path({folder!r}), {owner!r})
asyncio.run(driver.start(task({image!r}, Path({folder!r}) / "app", "sleep", "1000000")))
"""


async def test_the_agent_is_killed_between_making_and_starting(
    podman: Podman, driver: ContainerDriver, app: Path, tmp_path: Path, owner: str
):
    code = CRASH.format(
        here=str(HERE),
        root=str(HERE.parents[2]),
        socket=str(podman.socket),
        folder=str(tmp_path),
        owner=owner,
        image=podman.image(),
    )
    for sweep in (True, False):
        done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=False)
        assert done.returncode == 9
        assert len(containers_of(podman, owner)) == 1
        if sweep:
            assert await driver.sweep() == ()
            assert containers_of(podman, owner) == []
    handle = await driver.start(task(podman.image("ill"), app))
    assert containers_of(podman, owner) == [handle.reference]
    assert (await driver.inspect(handle)).phase is Phase.RUNNING


async def test_two_agents_share_an_engine(
    podman: Podman, driver: ContainerDriver, app: Path, tmp_path: Path, owner: str
):
    other = make_driver(podman, tmp_path / "other", owner + "b")
    mine = await driver.start(task(podman.image("ill"), app))
    theirs = await other.start(task(podman.image("ill"), app))
    assert mine.reference != theirs.reference
    assert await driver.sweep() == (KEY,)
    await driver.destroy(KEY)
    assert (await other.inspect(theirs)).phase is Phase.RUNNING
    assert await other.sweep() == (KEY,)
    await other.destroy(KEY)
    await other.close()


async def test_sweep_removes_what_is_no_task(podman: Podman, driver: ContainerDriver, owner: str):
    podman.image()
    labels = ("--label", f"workdeed.owner={owner}", "--label", "workdeed.task=nonsense")
    podman.run("create", *labels, "localhost/base", "true")
    assert await driver.sweep() == ()
    assert containers_of(podman, owner) == []


async def test_a_container_of_that_name_which_is_somebody_elses(
    podman: Podman, driver: ContainerDriver, app: Path, owner: str
):
    podman.image()
    name = container_name(owner, KEY)
    podman.run("create", "--name", name, "localhost/base", "true")
    with pytest.raises(DriverError, match="is not this agent's"):
        await driver.start(task(podman.image("ill"), app))
    podman.run("rm", name)


async def test_what_was_removed_behind_its_back_is_lost(
    podman: Podman, driver: ContainerDriver, app: Path
):
    handle = await driver.start(task(podman.image("ill"), app))
    podman.run("rm", "--force", "--time", "0", handle.reference)
    assert (await driver.wait(handle, 30)).phase is Phase.LOST
    with pytest.raises(DriverError, match="address"):
        await driver.address(handle)
    assert await driver.disk_bytes(handle) == 0
    assert await driver.logs(handle, 100) == b""
    assert await driver.recover(KEY) is None
    await driver.destroy(KEY)


async def test_the_operators_proxy_and_login_stay_outside(
    podman: Podman,
    driver: ContainerDriver,
    app: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    config = {"proxies": {"default": {"httpProxy": "http://operator:secret@proxy.example"}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert "secret" not in await output(driver, task(podman.image(), app, "env"))
