"""The gateway as a command, and what rollouts look like; the rest needs a chain."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cli_support import run

from workdeed.cli import rollouts as module
from workdeed.cli.errors import Failure
from workdeed.cli.rollouts import _address, _headline, _rows, _table
from workdeed.protocol.rollouts import (
    Endpoint,
    EndpointList,
    ReplicaProgress,
    RolloutProgress,
)

FOUND = RolloutProgress(
    job_id=7,
    revision=2,
    policy="rolling",
    phase="rolling",
    reason="license 3 is starting",
    replicas=(
        ReplicaProgress(license_id=3, state="starting", revision=None, well_ms=0, reason="[red]x"),
        ReplicaProgress(license_id=4, state="ready", revision=1, well_ms=61_400, reason=""),
    ),
)


def test_a_rollout_is_told_in_a_line_and_a_row_for_each_replica() -> None:
    assert _headline(FOUND) == "job 7 revision 2 (rolling) rolling: license 3 is starting"
    assert _rows(FOUND) == [
        (3, "starting", "-", "0 s", "[red]x"),
        (4, "ready", 1, "61 s", ""),
    ]
    bare = FOUND.model_copy(update={"policy": "", "reason": "", "phase": "starting"})
    assert _headline(bare) == "job 7 revision 2 starting"


@dataclass
class FakeClient:
    """A job in one state after the other, of which the last one stays."""

    states: list[str]
    asked: int = 0

    async def job(self, job_id: int) -> Any:
        assert job_id == 7
        self.asked += 1
        return SimpleNamespace(state=self.states[min(self.asked, len(self.states)) - 1])


@pytest.mark.parametrize("state", ["ended", "closed"])
async def test_a_rollout_of_a_job_that_is_over_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    bare = FOUND.model_copy(update={"phase": "starting", "replicas": ()})
    looks = iter([FOUND, bare, bare])
    client: Any = FakeClient(["running", state])
    following = module._Following(client, 7, 2)

    async def look() -> RolloutProgress:
        return next(looks)

    monkeypatch.setattr(following, "look", look)
    told: list[RolloutProgress] = []
    with pytest.raises(Failure, match=f"job 7: it is {state}, and so is its rollout"):
        await following.to_the_end(told.append)
    assert (told, client.asked) == ([FOUND, bare, bare], 2)


def test_what_nodes_say_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from workdeed.cli.rollouts import _plain_fields, _teller

    reason = "\x1b[2J\x07"
    one = FOUND.replicas[0].model_copy(update={"reason": reason})
    found = FOUND.model_copy(update={"reason": reason, "replicas": (one,)})
    console = Console(width=100)
    with console.capture() as capture:
        console.print(_table(found))
    _teller(silent=False)(found)
    for text in (capture.get(), capsys.readouterr().err):
        assert r"\x1b[2J\x07" in text
        assert reason not in text
        assert "\x07" not in text
    assert _plain_fields(None, "info", {"reason": reason, "replicas": 1}) == {
        "reason": r"\x1b[2J\x07",
        "replicas": 1,
    }


def test_what_nodes_say_is_no_markup() -> None:
    from rich.console import Console

    console = Console(width=100)
    with console.capture() as capture:
        console.print(_table(FOUND))
    assert "[red]x" in capture.get()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:0", ("::1", 0)),
        ("host:65535", ("host", 65_535)),
    ],
)
def test_an_address_is_host_and_port(text: str, found: tuple[str, int]) -> None:
    assert _address(text) == found


@pytest.mark.parametrize("text", ["", "80", ":80", "host:", "host:x", "host:65536", "::1:80"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Failure, match=r"--listen: .* is no address"):
        _address(text)


def test_wrong_options_are_told_before_anything_starts() -> None:
    wrong = run("gateway", "7", "--keeper", "keeper")
    assert (wrong.exit_code, "endpoint 'keeper'" in wrong.stderr) == (1, True)
    assert run("gateway", "7").exit_code == 2


@pytest.fixture
async def keeper() -> AsyncIterator[str]:
    """A keeper that tells of one replica, which says hello."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def endpoints(_: web.Request) -> web.Response:
        one = Endpoint(license_id=1, host="127.0.0.1", port=server.port, revision=0, version="")
        body = EndpointList(job_id=7, replicas=1, endpoints=(one,))
        return web.Response(body=body.to_json())

    app = web.Application()
    app.router.add_get("/jobs/7/endpoints", endpoints)
    app.router.add_get("/", hello)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


async def listening(process: Process) -> str:
    """Return where a gateway listens, as it says."""
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        if line.startswith("job 7 at "):
            return line.split()[-1]
    raise AssertionError("it ended before it listened")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_gateway_serves_until_it_is_told_to_stop(
    keeper: str, number: signal.Signals
) -> None:
    words = ["gateway", "7", "--keeper", keeper, "--listen", "127.0.0.1:0", "--allow-private"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from workdeed.cli import main; main()",
        *words,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        where = await asyncio.wait_for(listening(process), 30)
        async with aiohttp.ClientSession() as session, session.get(where) as response:
            assert await response.text() == "hello"
        process.send_signal(number)
        stdout, _ = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, stdout) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
