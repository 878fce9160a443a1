"""An agent killed in every state of its work: the next one never runs two, and loses none."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from agent_process import AgentProcess, agent_process
from git_server import GitServer
from node_support import (
    JOB,
    Chain,
    ChainJob,
    Client,
    FakeRpc,
    Launch,
    Repository,
    alive,
    eventually,
    marked,
    revise,
    settings,
    spec_bytes,
)
from test_signed_requests import DELEGATE, signed

from workdeed.intent import spec_hash
from workdeed.protocol.signing import address_of

SERVER = """
import fcntl, http.server, os, pathlib, signal, sys, time
place, revision = pathlib.Path({place!r}), os.environ["WORKDEED_REVISION"]
lock = open(place / "lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    (place / "twice").touch()
with open(place / "starts", "a") as starts:
    print(revision, file=starts)
if (place / "crash").exists():
    sys.exit("it crashes")
if (place / "stubborn").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ill = (place / "ill").exists() or (place / ("ill-" + revision)).exists()
        self.send_response(500 if ill else 200)
        self.end_headers()
    def log_message(self, *args):
        pass
while (place / "slow").exists():
    time.sleep(0.05)
address = ("127.0.0.1", int(os.environ["PORT"]))
http.server.HTTPServer(address, Handler).serve_forever()
"""
"""A service that notices when it runs twice, and is as ill as the files in a folder say."""

STOP_SECONDS = 1.0
"""Of the next agent. The one that is killed gives so much time that nothing stops before that."""

LONG_SECONDS = 600.0
SIZE = {"cpu_milli": 1_000, "memory_mb": 256, "storage_mb": 64}
"""A whole core: held to less, an interpreter takes seconds to start."""
RESTART = {"policy": "unless-stopped", "first_ms": 100, "longest_ms": 1_000}


@dataclass
class Scene:
    """A job on an agent that is to be killed, and on the one that comes after it."""

    folder: Path
    chain: Chain
    rpcs: list[FakeRpc]
    repository: Repository
    commit: str
    git: GitServer
    client: Client
    kept: list[int] = field(default_factory=list)
    """Processes of the service that must still run under the next agent."""
    taken_over: bool = False
    """Whether the next agent is there."""
    _asking: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def job(self) -> ChainJob:
        return self.chain.jobs[JOB]

    def make(self, *names: str) -> None:
        """Make the service ill, slow or whatever files of these names tell it to be."""
        for name in names:
            (self.folder / name).touch()

    def heal(self) -> None:
        """Take back what `make` did."""
        for name in ("building", "crash", "ill", "slow", "stubborn"):
            (self.folder / name).unlink(missing_ok=True)

    def starts(self) -> list[str]:
        """Return the revisions of all starts of the service, in their order."""
        place = self.folder / "starts"
        return place.read_text().split() if place.exists() else []

    def spec(self, **changes: Any) -> bytes:
        basis = {"restart": RESTART, "resources": SIZE}
        return spec_bytes(self.repository, self.commit, **(basis | changes))

    async def serve(self, **changes: Any) -> None:
        """Place the job and send its first spec."""
        data = self.spec(**changes)
        self.chain.jobs[JOB] = ChainJob(spec_hash(data))
        assert (await self.client.dispatch(data))[0] == 202

    async def revise(self, **changes: Any) -> None:
        """Revise the job once its first revision runs."""
        self.kept = [(await self.client.reaches("running"))["pid"]]
        data = self.spec(**({"env": {"REVISION": "1"}} | changes))
        revise(self.job, data)
        self.chain.go_on()
        assert (await self.client.dispatch(data, revision=1))[0] == 202

    async def says(self, revision: int, **wanted: Any) -> None:
        """Wait until the status of a revision holds what is wanted."""

        async def so() -> bool:
            found = [one for one in await self.client.workloads() if one["revision"] == revision]
            return bool(found) and wanted.items() <= found[0].items()

        try:
            await eventually(so, f"{wanted} of revision {revision}")
        except pytest.fail.Exception:
            pytest.fail(f"no {wanted} of revision {revision}: {await self.client.workloads()}")

    def ask(self, action: str, revision: int = 0) -> None:
        """Ask for something as the payer's delegate, and do not wait for what comes of it."""
        body = signed(action, revision=revision).to_json()
        self._asking.append(asyncio.create_task(self.client.post("/requests", body)))

    async def close(self) -> None:
        """Forget the requests that the killed agent never answered.

        Where a test failed before there was a next agent, nobody else ends the service.
        """
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        if not self.taken_over:
            for pid in marked((self.folder.parent / "state" / "instance").read_text()):
                os.kill(pid, signal.SIGKILL)


# --- States in which the first agent is killed ----------------------------------------------------


async def fetching(scene: Scene) -> None:
    scene.git.answering.clear()
    await scene.serve(source={"git": {"url": scene.git.url, "commit": scene.commit}})
    await eventually(lambda: scene.git.asked > 0, "the fetch")
    await scene.says(0, state="pending")


async def building(scene: Scene) -> None:
    scene.make("building")
    gate, begun = scene.folder / "building", scene.folder / "begun"
    build = f"touch {begun}; while [ -e {gate} ]; do sleep 0.05; done"
    await scene.serve(build=[["sh", "-c", build]])
    await eventually(begun.exists, "the build")
    await scene.says(0, state="pending")


async def starting(scene: Scene) -> None:
    scene.make("slow")
    await scene.serve()
    await eventually(lambda: scene.starts() == ["0"], "the start")
    scene.kept = [(await scene.client.reaches("starting"))["pid"]]


async def running(scene: Scene) -> None:
    await scene.serve()
    scene.kept = [(await scene.client.reaches("running"))["pid"]]


async def unhealthy(scene: Scene) -> None:
    await running(scene)
    scene.make("ill")
    await scene.client.reaches("unhealthy")


async def pausing_after_a_failure(scene: Scene) -> None:
    scene.make("crash")
    await scene.serve(restart={"first_ms": 600_000, "longest_ms": 600_000})
    await scene.client.reaches("failed")


async def stopping_by_command(scene: Scene) -> None:
    scene.make("stubborn")
    await running(scene)
    scene.ask("stop")
    await scene.client.reaches("stopping")
    scene.kept = []


async def stopped_by_command(scene: Scene) -> None:
    await running(scene)
    scene.ask("stop")
    await scene.client.reaches("stopped")
    scene.kept = []


async def restarting_by_command(scene: Scene) -> None:
    scene.make("stubborn")
    await running(scene)
    scene.ask("restart")
    await scene.client.reaches("stopping")


async def ending_by_the_chain(scene: Scene) -> None:
    scene.make("stubborn")
    await running(scene)
    scene.job.closed = True

    async def stopping() -> bool:
        # The end must stand in two blocks that the agent looks at, whenever it does.
        scene.chain.go_on()
        return [one["state"] for one in await scene.client.workloads()] == ["stopping"]

    await eventually(stopping, "the end of the job")
    scene.kept = []


async def draining(scene: Scene) -> None:
    await scene.serve()
    await scene.revise(rollout={"policy": "recreate", "drain_ms": 3_000})
    await scene.says(0, draining=True, state="running")


async def replacing(scene: Scene) -> None:
    scene.make("stubborn")
    await scene.serve()
    await scene.revise(rollout={"policy": "recreate", "drain_ms": 0})
    await scene.says(0, state="stopping")


async def between_old_and_new(scene: Scene) -> None:
    await replacing(scene)
    # Without the chain the end of the old one, which has begun, goes on, and the new one waits.
    scene.rpcs[0].down = True

    async def knows() -> bool:
        return (await scene.client.get("/readyz"))[0] == 503

    await eventually(knows, "the look at the chain that fails")
    for pid in services(scene):
        os.kill(pid, signal.SIGKILL)
    await scene.says(0, state="stopped")
    await scene.says(1, state="pending")
    assert scene.starts() == ["0"]


async def proving_the_new(scene: Scene) -> None:
    scene.make("ill-1")
    await scene.serve()
    await scene.revise(rollout={"policy": "recreate", "drain_ms": 0, "deadline_ms": 5_000})
    await scene.says(1, state="starting")
    await eventually(lambda: scene.starts() == ["0", "1"], "the start of the new one")


async def given_up(scene: Scene) -> None:
    await proving_the_new(scene)
    await scene.says(1, state="stopped")
    scene.kept = [(await scene.client.reaches("running"))["pid"]]


async def waiting_for_a_word(scene: Scene) -> None:
    await scene.serve()
    await scene.revise(rollout={"policy": "rolling", "drain_ms": 0})
    await scene.says(1, ready=True)


# --- What the next agent must come to -------------------------------------------------------------


async def runs(scene: Scene) -> None:
    found = await scene.client.reaches("running")
    assert found["pid"] in scene.kept or not scene.kept


async def stays_stopped(scene: Scene) -> None:
    await scene.says(0, state="stopped")
    await scene.client.rounds(3)
    await scene.says(0, state="stopped")
    assert scene.starts() == ["0"]
    scene.ask("resume")
    await runs(scene)
    assert scene.starts() == ["0", "0"]


async def is_gone(scene: Scene) -> None:
    await scene.client.gone()
    assert services(scene) == []


async def runs_the_new(scene: Scene) -> None:
    await scene.client.reaches("running", revision=1)
    await scene.client.settled()
    assert not any(alive(pid) for pid in scene.kept)
    assert scene.starts() == ["0", "1"]


async def is_back_at_the_old(scene: Scene) -> None:
    await scene.says(1, state="stopped")
    await scene.says(0, state="running")
    assert scene.starts() == ["0", "1", "0"]


async def stays_at_the_old(scene: Scene) -> None:
    await runs(scene)
    await scene.client.rounds(3)
    (reason,) = [one["failed"] for one in await scene.client.workloads() if one["revision"] == 1]
    assert reason.startswith("it was not well in time")
    assert scene.starts() == ["0", "1", "0"]


async def takes_the_word(scene: Scene) -> None:
    await scene.says(1, ready=True)
    assert all(alive(pid) for pid in scene.kept)
    scene.ask("take", revision=1)
    await scene.client.reaches("running", revision=1)
    assert scene.starts() == ["0", "1"]


Step = Callable[[Scene], Awaitable[None]]
STATES: list[tuple[Step, Step]] = [
    (fetching, runs),
    (building, runs),
    (starting, runs),
    (running, runs),
    (unhealthy, runs),
    (pausing_after_a_failure, runs),
    (stopping_by_command, stays_stopped),
    (stopped_by_command, stays_stopped),
    (restarting_by_command, runs),
    (ending_by_the_chain, is_gone),
    (draining, runs_the_new),
    (replacing, runs_the_new),
    (between_old_and_new, runs_the_new),
    (proving_the_new, is_back_at_the_old),
    (given_up, stays_at_the_old),
    (waiting_for_a_word, takes_the_word),
]


def services(scene: Scene) -> list[int]:
    """Return the processes of the service itself, without supervisors."""
    owner = (scene.folder.parent / "state" / "instance").read_text()
    found = []
    for pid in marked(owner):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[1:2] == [b"server.py"]:
                found.append(pid)
    return found


@pytest.fixture
async def first(tmp_path: Path, rpcs: list[FakeRpc], chain: Chain) -> AsyncIterator[AgentProcess]:
    """The agent that is to be killed; the chain knows a delegate of the payer."""
    chain.grants = {address_of(DELEGATE).lower(): (8, chain.now + 10_000)}
    async with agent_process(settings(tmp_path, rpcs, stop_seconds=LONG_SECONDS)) as agent:
        yield agent


@pytest.fixture
async def scene(
    first: AgentProcess, tmp_path: Path, rpcs: list[FakeRpc], chain: Chain, repository: Repository
) -> AsyncIterator[Scene]:
    folder = tmp_path / "scene"
    folder.mkdir()
    commit = repository.commit({"server.py": SERVER.format(place=str(folder))})
    async with GitServer(repository).serving() as git:
        made = Scene(folder, chain, rpcs, repository, commit, git, first.client)
        yield made
        await made.close()


@pytest.mark.parametrize(("state", "outcome"), STATES, ids=[state.__name__ for state, _ in STATES])
async def test_an_agent_killed_in_any_state_is_taken_over_from(
    first: AgentProcess, scene: Scene, launch: Launch, state: Step, outcome: Step
):
    await state(scene)
    await first.kill()
    scene.rpcs[0].down = False
    scene.chain.go_on()
    scene.client = await launch(stop_seconds=STOP_SECONDS)
    scene.taken_over = True
    scene.git.answering.set()
    scene.heal()
    await outcome(scene)
    assert len(services(scene)) == (outcome is not is_gone)
    assert not (scene.folder / "twice").exists()
