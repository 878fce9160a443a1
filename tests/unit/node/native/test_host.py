"""The host of a plugin, with real instances in processes of their own."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from workdeed.node.errors import RequestRefusedError
from workdeed.node.native.check import check
from workdeed.node.native.host import Host
from workdeed.node.native.member import Bounds, Member
from workdeed.node.native.order import CHANNEL, Order
from workdeed.node.runners.native_control import NativeControl

from ..job_support import until

PLUGIN = '''
"""A plugin that does whatever a test wants."""
import asyncio, os, subprocess, time
from workdeed.node.native import Pipeline, Refusal

class Puppet(Pipeline):
    async def start(self, config):
        if config.get("refuse"):
            raise Refusal("config.refuse: it is set; remove it")
        if config.get("raise"):
            raise ValueError("no luck")
        if config.get("block"):
            time.sleep(1000)
        self.config, self.ill, self.fail = dict(config), "", asyncio.Event()
        (self.context.directory / "pid").write_text(str(os.getpid()))

    async def run(self):
        await self.fail.wait()
        if self.config.get("end"):
            return
        raise RuntimeError("broken")

    async def configure(self, config):
        if config.get("refuse"):
            raise Refusal("config.refuse: it is set; remove it")
        self.config = dict(config)

    async def health(self):
        return self.ill

    async def stop(self):
        if self.config.get("stubborn"):
            time.sleep(1000)
        print(self.context.name, "is out", flush=True)
        while os.path.exists(self.config.get("parting", "")):
            (self.context.directory / "parts").touch()
            await asyncio.sleep(0.01)
        with open(self.config["stops"], "a") as file:
            file.write(self.context.name + " ")

    async def command(self, name, arguments):
        return await getattr(self, "do_" + name)(arguments)

    async def do_echo(self, arguments): return arguments
    async def do_config(self, arguments): return self.config
    async def do_fail(self, arguments): self.fail.set()
    async def do_exit(self, arguments): os._exit(9)
    async def do_sicken(self, arguments): self.ill = "it has a cold"
    async def do_garble(self, arguments): self.ill = "\\ud800" + "x" * 5000
    async def do_block(self, arguments): time.sleep(1000)
    async def do_nap(self, arguments):
        (self.context.directory / "naps").touch()
        await asyncio.sleep(0.1)
        return "awake"
    async def do_wait(self, arguments): await asyncio.sleep(1000)
    async def do_big(self, arguments): return "x" * arguments["size"]
    async def do_odd(self, arguments): return object()
    async def do_refuse(self, arguments): raise Refusal("arguments: none will do")
    async def do_child(self, arguments): return subprocess.Popen(["sleep", "1000"]).pid
    async def do_fork(self, arguments):
        pid = os.fork()
        if not pid:
            time.sleep(1000)
        return pid

class Nothing:
    """No pipeline."""
'''

QUICK = Bounds(start=60, command=0.5, hang=20.0, look=0.05, first=0.05, longest=0.2, stop=2.0)
"""Short where a test waits for the end of it, and longer than any healthy instance is busy."""

IMPATIENT = replace(QUICK, hang=1.0)
"""For tests of instances that do hang."""


class Running:
    """A host that runs in this very process, and what may be asked of it."""

    def __init__(self, folder: Path, order: Order, bounds: Bounds) -> None:
        self.tree = folder / "tree"
        self.host = Host(order, self.tree, bounds)
        self.control = NativeControl(self.tree)
        self.stopped = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def begin(self, health: tuple[str, int] | None = None) -> None:
        self.task = asyncio.create_task(self.host.run(self.stopped, health))

    async def end(self) -> None:
        self.stopped.set()
        if self.task is not None:
            await self.task

    async def ask(self, name: str, instance: str = "main", **arguments: Any) -> Any:
        return json.loads(await self.control.command(instance, name, arguments))

    async def until(self, problem: str, instance: str = "main") -> None:
        for _ in range(3_000):
            if self.host.health()[instance]["problem"] == problem:
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"{instance} is not {problem!r}: {self.host.health()}")

    def restarts(self, instance: str = "main") -> int:
        return int(self.host.health()[instance]["restarts"])

    def pid(self, instance: str = "main") -> int:
        return int((self.tree / "instances" / instance / "pid").read_text())


Start = Callable[..., Awaitable[Running]]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "puppet.py").write_text(PLUGIN)
    (tmp_path / "tree" / CHANNEL).mkdir(parents=True)
    running: list[Running] = []

    async def begin(
        *names: str, well: bool = True, plugin: str = "puppet:Puppet", **config: Any
    ) -> Running:
        bounds, health = config.pop("bounds", QUICK), config.pop("health", None)
        config = {"stops": str(tmp_path / "stops"), **config}
        instances = dict.fromkeys(names or ("main",), config)
        one = Running(tmp_path, Order(plugin, packages, instances), bounds)
        running.append(one)
        one.begin(health)
        for name in instances if well else ():
            await one.until("", name)
        return one

    yield begin
    for one in running:
        await one.end()


async def test_a_command_gives_what_the_instance_says(start: Start):
    running = await start("left", "right")
    assert await running.ask("echo", "left", n=[1, 1.5, None]) == {"n": [1, 1.5, None]}
    assert running.pid("left") != running.pid("right")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("refuse", "^arguments: none will do$"),
        ("unknown", "AttributeError"),
        ("odd", "reply: it can't be written as JSON"),
    ],
)
async def test_a_command_that_goes_wrong_leaves_the_instance_running(
    start: Start, command: str, sentence: str
):
    running = await start()
    with pytest.raises(RequestRefusedError, match=sentence):
        await running.ask(command)
    assert await running.ask("echo", n=1) == {"n": 1}
    assert running.restarts() == 0


async def test_a_reply_may_be_so_large_and_no_larger(start: Start):
    running = await start()
    assert len(await running.ask("big", size=32 * 1024 - 2)) == 32 * 1024 - 2
    with pytest.raises(RequestRefusedError, match="at most 32768"):
        await running.ask("big", size=32 * 1024 - 1)
    assert running.restarts() == 0


async def test_an_instance_that_is_not_there_is_named(start: Start):
    running = await start("left", "right")
    with pytest.raises(RequestRefusedError, match="no main; name one of left, right"):
        await running.ask("echo")


@pytest.mark.parametrize(
    ("command", "reason"),
    [("fail", "run failed: RuntimeError: broken"), ("exit", "its process ended with code 9")],
)
async def test_a_crash_of_one_instance_is_told_and_leaves_the_others_alone(
    start: Start, command: str, reason: str, capsys: pytest.CaptureFixture[str]
):
    running = await start("left", "right", bounds=replace(QUICK, first=0.5))
    right = running.pid("right")
    with contextlib.suppress(RequestRefusedError):
        await running.ask(command, "left")
    await running.until(reason, "left")
    assert running.host.health()["right"]["well"]
    await running.until("", "left")
    assert running.restarts("left") == 1
    assert (running.restarts("right"), running.pid("right")) == (0, right)
    assert f"left: {reason}; it is started again in 0.5 s" in capsys.readouterr().out


async def test_work_that_comes_to_an_end_is_begun_anew(start: Start):
    running = await start(end=True, bounds=replace(QUICK, first=0.5))
    await running.ask("fail")
    await running.until("run: it came to an end")
    await running.until("")


async def test_a_plugin_that_blocks_is_ended_and_the_others_answer_meanwhile(start: Start):
    running = await start("left", "right", bounds=IMPATIENT)
    before = running.pid("left")
    hung = asyncio.create_task(running.ask("block", "left"))
    await asyncio.sleep(0.2)
    assert await running.ask("echo", "right", n=1) == {"n": 1}
    with pytest.raises(RequestRefusedError, match="no answer within"):
        await hung
    await running.until("", "left")
    assert not alive(before)
    assert running.restarts("left") == 1


async def test_a_host_that_stood_still_itself_finds_the_answers_that_came_meanwhile(start: Start):
    """The end of their time was seen first, and well instances were ended for it."""
    running = await start(bounds=replace(QUICK, hang=0.5))
    napping = asyncio.create_task(running.ask("nap"))
    await until((running.tree / "instances" / "main" / "naps").exists, "the nap")
    time.sleep(2)  # noqa: ASYNC251 - as on a machine that gives it no time
    assert await napping == "awake"
    assert running.restarts() == 0


async def test_a_plugin_that_hangs_unasked_is_found_out(start: Start):
    running = await start(bounds=IMPATIENT)
    os.kill(running.pid(), signal.SIGSTOP)
    await until(lambda: running.restarts() > 0, "a restart")
    await running.until("")
    assert running.restarts() == 1


async def test_a_command_that_takes_too_long_is_cancelled_and_the_instance_goes_on(start: Start):
    running = await start()
    with pytest.raises(RequestRefusedError, match=r"more than 0\.5 s and was cancelled"):
        await running.ask("wait")
    assert await running.ask("echo", n=1) == {"n": 1}
    assert running.restarts() == 0


async def test_a_plugin_that_blocks_at_its_start_is_ended_too(start: Start):
    running = await start(well=False, block=True, bounds=replace(QUICK, start=0.5))
    await running.until("start: no answer within 0.5 s; it was ended")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"refuse": True}, "config.refuse: it is set; remove it"),
        ({"raise": True}, "start failed: ValueError: no luck"),
        ({"plugin": "puppet:Nothing"}, "puppet:Nothing: it is not derived from"),
        ({"plugin": "puppet:Missing"}, "start failed: AttributeError"),
        ({"plugin": "no_such_module:X"}, "start failed: ModuleNotFoundError"),
    ],
)
async def test_an_instance_that_can_not_start_says_why_and_is_tried_again(
    start: Start, config: dict[str, Any], reason: str
):
    running = await start(well=False, **config)
    await until(lambda: running.restarts() > 1, "another try")
    health = running.host.health()["main"]
    assert not health["well"]
    assert str(health["problem"]).startswith(reason)
    with pytest.raises(RequestRefusedError, match="does not run"):
        await running.ask("echo")


async def test_a_new_configuration_is_in_force_and_outlives_the_instance_and_the_host(
    start: Start, tmp_path: Path
):
    running = await start("left", "right")
    new = {"stops": str(tmp_path / "stops"), "rate": 2}
    assert json.loads(await running.control.configure("left", new)) == {"applied": True}
    assert await running.ask("config", "left") == new
    with contextlib.suppress(RequestRefusedError):
        await running.ask("exit", "left")
    await running.until("its process ended with code 9", "left")
    await running.until("", "left")
    assert await running.ask("config", "left") == new
    await running.end()
    again = await start("left", "right")
    assert await again.ask("config", "left") == new
    assert "rate" not in await again.ask("config", "right")


async def test_a_configuration_that_is_refused_changes_nothing(start: Start):
    running = await start(rate=1)
    with pytest.raises(RequestRefusedError, match="it is set; remove it"):
        await running.control.configure("main", {"refuse": True})
    assert (await running.ask("config"))["rate"] == 1
    assert not (running.tree / CHANNEL / "configured.json").exists()


async def test_an_instance_that_can_not_start_is_cured_by_another_configuration(
    start: Start, tmp_path: Path
):
    running = await start(well=False, refuse=True, bounds=replace(QUICK, first=60, longest=60))
    await running.until("config.refuse: it is set; remove it")
    new = {"stops": str(tmp_path / "stops")}
    assert json.loads(await running.control.configure("main", new)) == {"applied": False}
    await running.until("")


async def test_a_damaged_memory_of_configurations_counts_as_none(start: Start, tmp_path: Path):
    (tmp_path / "tree" / CHANNEL / "configured.json").write_text("{")
    running = await start(rate=1)
    assert (await running.ask("config"))["rate"] == 1


async def test_all_stop_in_order_when_told_to(start: Start, tmp_path: Path):
    running = await start("a", "b", "c")
    pids = [running.pid(name) for name in "abc"]
    await running.end()
    assert (tmp_path / "stops").read_text() == "c b a "
    assert not any(alive(pid) for pid in pids)


async def test_one_that_does_not_stop_takes_only_its_part_of_the_time(start: Start, tmp_path: Path):
    running = await start("a", "b", bounds=replace(QUICK, stop=4.0))
    new = {"stops": str(tmp_path / "stops"), "stubborn": True}
    await running.control.configure("b", new)
    pid = running.pid("b")
    async with asyncio.timeout(60):
        await running.end()
    assert (tmp_path / "stops").read_text() == "a "
    assert not alive(pid)


async def test_processes_that_a_plugin_started_end_with_it(start: Start):
    running = await start()
    pid = await running.ask("child")
    assert alive(pid)
    await running.end()
    await until(lambda: not alive(pid), "its end")


async def test_sigterm_to_all_processes_of_a_service_cuts_no_stop_short(
    start: Start, tmp_path: Path
):
    """As the process driver ends a service."""
    parting = tmp_path / "parting"
    parting.touch()
    running = await start(parting=str(parting), bounds=replace(QUICK, stop=20.0))
    pid = running.pid()
    os.kill(pid, signal.SIGTERM)
    assert await running.ask("echo", n=1) == {"n": 1}
    assert running.pid() == pid
    ending = asyncio.create_task(running.end())
    parts = running.tree / "instances" / "main" / "parts"
    await until(parts.exists, "the stop")
    os.kill(pid, signal.SIGTERM)
    parting.unlink()
    await ending
    assert (tmp_path / "stops").read_text() == "main "


@pytest.mark.parametrize("how", ["child", "fork"])
async def test_what_a_plugin_started_ends_by_sigterm(start: Start, how: str):
    running = await start()
    pid = await running.ask(how)
    os.kill(pid, signal.SIGTERM)
    await until(lambda: not alive(pid), "its end")


FORKING = """
import os, signal, time
os.register_at_fork(after_in_child=lambda: time.sleep(0.3))
from workdeed.node.native import instance
instance._leave_end_to_host()
pid = os.fork()
if not pid:
    time.sleep(10)
    os._exit(0)
os.kill(pid, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_sigterm_that_comes_before_a_fork_is_under_way_is_not_lost():
    """It is sent to each process once, and used to be dropped with the handler of the parent."""
    command = [sys.executable, "-c", FORKING]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"-15\n"


async def test_health_is_told_over_http_and_by_a_command(
    start: Start, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
):
    running = await start("left", "right", health=("127.0.0.1", unused_tcp_port))
    monkeypatch.chdir(running.tree)  # where the command is run
    url = f"http://127.0.0.1:{unused_tcp_port}/healthz"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert answer.status == 200
        assert await check(Path()) == ""
        await running.ask("sicken", "left")
        await running.until("it has a cold", "left")
        async with session.get(url) as answer:
            assert answer.status == 503
            assert (await answer.json())["left"]["problem"] == "it has a cold"
        assert await check(Path()) == "left: it has a cold"
    await running.end()
    assert "can't be asked" in await check(Path())


async def test_a_problem_of_odd_characters_can_be_told_all_the_same(
    start: Start, unused_tcp_port: int
):
    running = await start(health=("127.0.0.1", unused_tcp_port))
    await running.ask("garble")
    await running.until("?" + "x" * 999)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{unused_tcp_port}/") as answer,
    ):
        assert answer.status == 503
    assert running.restarts() == 0


async def test_a_fault_of_the_host_itself_ends_it_so_that_a_new_one_is_started(
    start: Start, monkeypatch: pytest.MonkeyPatch
):
    running = await start("left", "right")
    left, right = running.pid("left"), running.pid("right")

    async def fail(self: Member, child: object) -> None:
        if self._name == "left":
            raise RuntimeError("a fault")

    monkeypatch.setattr(Member, "_look", fail)
    assert running.task is not None
    with pytest.raises(RuntimeError, match="a fault"):
        await asyncio.wait_for(running.task, 20)
    running.task = None
    assert not alive(left)
    assert not alive(right)


async def test_an_odd_health_request_does_no_harm(start: Start, unused_tcp_port: int):
    running = await start(health=("127.0.0.1", unused_tcp_port))
    reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
    writer.write(b"x" * 100_000)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert await running.ask("echo", n=1) == {"n": 1}
