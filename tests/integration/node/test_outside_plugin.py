"""A package of somebody else's: installed with pip alone, it works in an agent as it is."""

import asyncio
import base64
import json
import os
import re
import signal
import site
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from node_support import (
    CHAIN_ID,
    COMMITTEE,
    ESCROW,
    LICENSE_ID,
    LICENSES,
    NODE_KEY,
    Chain,
    ChainJob,
    FakeRpc,
    alive,
    eventually,
    has_sandbox,
    marked,
)

from workdeed.intent import encode_spec, load_spec, spec_hash
from workdeed.protocol.canonical import canonical_bytes
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN, Domain
from workdeed.protocol.hashing import keccak
from workdeed.protocol.messages import sign
from workdeed.protocol.noderequest import NodeRequest
from workdeed.protocol.signing import address_of, to_checksum

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "greeter-plugin"
PAGE = ROOT / "docs" / "plugins.md"
PIP = ("-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet")
DOMAIN = Domain(COMMITTEE_DOMAIN, CHAIN_ID, to_checksum(COMMITTEE))
DELEGATE = keccak(b"delegate")
GREETER, STATIC = 3, 4
_tick = count(1)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of its own that sees what the tests see, with the example installed by pip."""
    folder = tmp_path_factory.mktemp("outside") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    program = folder / "bin" / "python"
    place = run(str(program), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    lines = [f"import site; site.addsitedir({one!r})" for one in site.getsitepackages()]
    (Path(place.strip()) / "tests.pth").write_text("\n".join(lines) + "\n")
    run(str(program), *PIP, str(EXAMPLE), cwd=folder)
    return program


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Outside:
    """An agent in a process of its own, run by another interpreter."""

    def __init__(self, folder: Path, python: Path, rpcs: list[FakeRpc], chain: Chain) -> None:
        self._folder = folder
        self._python = python
        self._chain = chain
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.log = folder / "agent.log"
        (folder / "node.key").write_text(NODE_KEY.hex())
        rpc_urls = json.dumps([one.url for one in rpcs])
        (folder / "node.toml").write_text(
            f"[node]\nchain_id = {CHAIN_ID}\nrpc_urls = {rpc_urls}\nlicense_id = {LICENSE_ID}\n"
            'port = 0\nstale_seconds = 1800\nstate_dir = "state"\npoll_seconds = 0.1\n'
            f"allow_unsandboxed = {str(not has_sandbox()).lower()}\n"
            '[node.key]\nprivate_key_file = "node.key"\n'
            f'[node.contracts]\nescrow = "{ESCROW}"\nlicenses = "{LICENSES}"\n'
            f'committee = "{COMMITTEE}"\n'
            "[node.resources]\ncpu_milli = 1000\nmemory_mb = 1024\nstorage_mb = 1024\n"
            "[node.container]\nenabled = false\n"
        )

    async def start(self) -> None:
        began = self._launch()

        def up() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            found = re.search(rb"node: up .* port=(\d+)\n", self.log.read_bytes()[began:])
            self._port = int(found[1]) if found else 0
            return found is not None

        await eventually(up, "start of the agent")

    def _launch(self) -> int:
        """Start the process; return how long the log was before."""
        # Isolated: neither sources nor tests are on its path, only what is installed.
        begin = (str(self._python), "-I", "-c", "from workdeed.cli import main; main()")
        with self.log.open("ab") as log:
            began = self.log.stat().st_size
            self._process = subprocess.Popen(
                [*begin, "node", "run", "--config", "node.toml"],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
                stdout=log,
                stderr=log,
            )
        return began

    async def end(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._process.wait, 30)
        self._process = None

    def place(self, job_id: int, name: str, **changes: Any) -> bytes:
        """Put an example's spec on the chain."""
        return self.put(job_id, json.loads((EXAMPLE / name).read_text()) | changes)

    def put(self, job_id: int, document: dict[str, Any]) -> bytes:
        """Put a spec on the chain."""
        data = encode_spec(load_spec(document))
        self._chain.jobs[job_id] = ChainJob(spec_hash(data))
        return data

    async def dispatch(self, job_id: int, data: bytes) -> tuple[int, Any]:
        return await self._post(
            "/dispatch",
            json.dumps(
                {
                    "schema": "workdeed/dispatch@1",
                    "escrow": to_checksum(ESCROW),
                    "job_id": job_id,
                    "revision": 0,
                    "spec": base64.b64encode(data).decode(),
                }
            ).encode(),
        )

    async def ask(self, action: str, **argument: Any) -> Any:
        """Have the greeter do something; return its own answer, or the agent's error."""
        request = NodeRequest(
            escrow=to_checksum(ESCROW),
            job_id=GREETER,
            license_id=LICENSE_ID,
            revision=0,
            action=action,  # type: ignore[arg-type]
            argument=canonical_bytes(argument).decode(),
            asked_at=int(time.time() * 1_000) + next(_tick),
            account=address_of(DELEGATE),
        )
        _, body = await self._post("/requests", sign(request, DOMAIN, DELEGATE).to_json())
        return json.loads(base64.b64decode(body["data"])) if "data" in body else body

    async def running(self, job_id: int) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        async def well() -> bool:
            body = await self.get("/status")
            found[:] = [one for one in body["workloads"] if one["job_id"] == job_id]
            return [one["state"] for one in found] == ["running"]

        await self.eventually(well, "health", found)
        return found[0]

    async def eventually(
        self, condition: Callable[[], Awaitable[bool]], what: str, seen: list[Any]
    ) -> None:
        """Wait as `eventually`; a failure tells what was `seen` last, and what the agent logged."""
        try:
            await eventually(condition, what)
        except pytest.fail.Exception as error:
            pytest.fail(f"{error.msg}: {seen}\n{self.log.read_text()[-4000:]}")

    async def get(self, path: str, port: int | None = None) -> Any:
        url = f"http://127.0.0.1:{port or self._port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
            return json.loads(text) if text.startswith("{") else text

    async def _post(self, path: str, body: bytes) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json()


@pytest.fixture
async def agent(
    tmp_path: Path, python: Path, rpcs: list[FakeRpc], chain: Chain
) -> AsyncIterator[Outside]:
    chain.grants = {address_of(DELEGATE).lower(): (8, chain.now + 10_000)}
    made = Outside(tmp_path, python, rpcs, chain)
    try:
        await made.start()
        yield made
        chain.jobs.clear()

        async def gone() -> bool:
            chain.go_on()
            return (await made.get("/status"))["workloads"] == []

        await eventually(gone, "end of the jobs")
    finally:
        await made.end()
    instance = (tmp_path / "state" / "instance").read_text()
    assert [*marked(instance), *marked(f"{instance}-niced")] == []


async def test_a_plugin_a_runner_and_a_driver_work_by_pip_install_alone(agent: Outside):
    assert {"native", "static"} <= set((await agent.get("/profile"))["runners"])
    for job_id, name in ((GREETER, "greeter.json"), (STATIC, "static.json")):
        status, body = await agent.dispatch(job_id, agent.place(job_id, name))
        assert status == 202, body
    greeter, static = await agent.running(GREETER), await agent.running(STATIC)

    # The plugin: a command to each of its instances.
    for instance, text in (("english", "Good morning, Ada!"), ("french", "Bonjour, Ada!")):
        asked = {"instance": instance, "command": "greet", "arguments": {"name": "Ada"}}
        assert await agent.ask("command", **asked) == {"text": text}
    health = await agent.get("/healthz", greeter["port"])
    assert [one["well"] for one in health.values()] == [True, True]
    assert len(bytes.fromhex(greeter["services"][0]["version"])) == 32

    # The runner: pages of the spec; the driver: how nice their process is.
    assert await agent.get("/news/today.txt", static["port"]) == "Nothing happened.\n"
    assert os.getpriority(os.PRIO_PROCESS, deepest(static["pid"])) == 19


async def test_a_configuration_given_at_run_time_outlives_agent_and_service(agent: Outside):
    await agent.dispatch(GREETER, agent.place(GREETER, "greeter.json"))
    before = await agent.running(GREETER)
    new = {"instance": "french", "config": {"greeting": "Salut"}}
    assert await agent.ask("configure", **new) == {"applied": True}
    refused = await agent.ask("configure", instance="french", config={"greeting": ""})
    assert refused["error"] == "greeting: it is no text; write one"
    await agent.end()
    await agent.start()
    assert (await agent.running(GREETER))["pid"] == before["pid"]
    greet = {"instance": "french", "command": "greet", "arguments": {"name": "Ada"}}
    assert await agent.ask("command", **greet) == {"text": "Salut, Ada!"}
    os.kill(before["pid"], signal.SIGTERM)
    await eventually(lambda: not alive(before["pid"]), "end of the service")

    answers: list[Any] = []

    async def again() -> bool:
        answers[:] = [await agent.ask("command", **greet)]
        return answers == [{"text": "Salut, Ada!"}]

    await agent.eventually(again, "the next life of the service", answers)
    assert (await agent.running(GREETER))["pid"] != before["pid"]
    # It had its time to stop, though SIGTERM goes to each of its processes: it knows its past.
    counted = await agent.ask("command", instance="french", command="count", arguments={})
    assert counted["said"] >= 2


async def test_a_plugin_reports_its_health_by_a_command_too(agent: Outside):
    health = {"kind": "command", "run": [".workdeed/check"], "timeout_ms": 10_000}
    data = agent.place(GREETER, "greeter.json", health=health, port=None)
    assert (await agent.dispatch(GREETER, data))[0] == 202
    await agent.running(GREETER)


def page_file(name: str) -> str:
    """Return the file `name` that the page on plugins shows."""
    found = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)\n```\n", PAGE.read_text(), re.DOTALL)
    assert found, f"the page shows no {name}"
    return found[1] + "\n"


async def test_the_plugin_of_the_page_works_as_typed(agent: Outside, python: Path, tmp_path: Path):
    """It is installed while the agent runs, as the page says it may be."""
    folder = tmp_path / "adder"
    folder.mkdir()
    for name in ("pyproject.toml", "workdeed_adder.py", "try_adder.py"):
        (folder / name).write_text(page_file(name))
    printed = run(str(python), "try_adder.py", cwd=folder)
    assert f"$ python try_adder.py\n{printed}```" in PAGE.read_text()

    data = agent.put(GREETER, json.loads(page_file("adder.json")))
    assert (await agent.dispatch(GREETER, data))[0] == 409
    run(str(python), *PIP, ".", cwd=folder)
    try:
        assert (await agent.dispatch(GREETER, data))[0] == 202
        await agent.running(GREETER)
        assert await agent.ask("command", command="add", arguments={"value": 2}) == {"sum": 42}
    finally:
        run(str(python), "-m", "pip", "uninstall", "--yes", "--quiet", "workdeed-adder")


async def test_a_plugin_that_is_not_installed_is_refused_with_those_that_are(agent: Outside):
    source = {"plugin": {"name": "missing"}}
    status, body = await agent.dispatch(
        GREETER, agent.place(GREETER, "greeter.json", source=source)
    )
    assert status == 409
    assert "missing is not installed on this node, which has greeter" in body["error"]


@pytest.mark.sandbox
@pytest.mark.skipif(not has_sandbox(), reason="bubblewrap can't make a sandbox here")
async def test_a_plugin_sees_its_code_and_tree_and_nothing_of_the_agent(agent: Outside):
    await agent.dispatch(GREETER, agent.place(GREETER, "greeter.json"))
    found = await agent.running(GREETER)
    state = agent.log.parent / "state"
    # As the instance sees it.
    inside = Path(f"/proc/{deepest(found['pid'])}/root")
    assert names(inside, state.parent / "node.key") is None
    assert names(inside, state) == ["runners"]
    tasks = state / "runners" / "native" / "tasks"
    (task,) = names(inside, tasks) or []
    assert names(inside, tasks / task) == ["code"]
    assert names(inside, Path("/app/.workdeed")) == ["check", "control"]


def names(root: Path, folder: Path) -> list[str] | None:
    """Return what lies in `folder` below `root`, None if it is not there."""
    place = root / folder.relative_to("/")
    return sorted(one.name for one in place.iterdir()) if place.exists() else None


def deepest(pid: int) -> int:
    """Return a process below `pid` that has none below itself."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid
