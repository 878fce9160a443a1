"""An agent in a process of its own, for tests that kill it or set its clock wrong."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from node_support import NODE_KEY, Client, eventually

from workdeed.node.settings import NodeSettings

_PROGRAM = """
import sys, time
now, skew = time.time, float(sys.argv[3])
time.time = lambda: now() + skew
exec(sys.argv[4])
import asyncio, json, pathlib
from workdeed.node.run import run
from workdeed.node.settings import NodeSettings
import workdeed.node.drivers.sandbox as sandbox
sandbox.shutil.which = lambda name: None
settings, place = NodeSettings(**json.loads(sys.argv[1])), pathlib.Path(sys.argv[2])
asyncio.run(run(settings, lambda node: place.write_text(str(node.port))))
"""


@dataclass
class _Place:
    """As much of a `Node` as a `Client` needs to speak to it."""

    port: int


@dataclass
class AgentProcess:
    """A running agent; `log` holds what it printed, `within` whether it is another's child."""

    client: Client
    log: Path
    process: asyncio.subprocess.Process

    within: bool

    @property
    def pid(self) -> int:
        """The agent itself, not what it was started within."""
        inner = psutil.Process(self.process.pid).children() if self.within else []
        return inner[0].pid if inner else self.process.pid

    async def kill(self) -> None:
        """End it without a warning."""
        os.kill(self.pid, signal.SIGKILL)
        await self.process.wait()

    async def terminate(self) -> int:
        """Ask it to end; return its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return await self.process.wait()


@contextlib.asynccontextmanager
async def agent_process(
    wanted: NodeSettings, *, skew: float = 0.0, within: Sequence[str] = (), first: str = "pass"
) -> AsyncIterator[AgentProcess]:
    """Start an agent, and end it at the end if it still runs; what it runs follows its settings.

    Args:
        wanted: its settings; the key's file is written beside its state.
        skew: by how many seconds its clock is ahead.
        within: a command line that runs the rest of it, such as a sandbox.
        first: what it does before it is the agent.

    """
    folder = wanted.state_dir.parent
    (folder / "node.key").write_text(NODE_KEY.hex())
    place, log = folder / "agent.port", folder / "agent.log"
    place.unlink(missing_ok=True)
    words: list[Any] = [*within, sys.executable, "-c", _PROGRAM]
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *words, wanted.model_dump_json(), place, str(skew), first, stdout=output, stderr=output
        )

    node: Any = _Place(0)

    def listens() -> bool:
        assert process.returncode is None, log.read_text()
        if place.exists() and place.read_text():
            node.port = int(place.read_text())
        return node.port > 0

    async with aiohttp.ClientSession() as session:
        agent = AgentProcess(Client(node, session), log, process, bool(within))
        try:
            await eventually(listens, "the start of the agent")
            yield agent
        finally:
            if process.returncode is None:
                await agent.terminate()
