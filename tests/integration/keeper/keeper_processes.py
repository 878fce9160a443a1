"""Keepers as processes of their own, started from settings files as an operator starts them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
from click.testing import CliRunner, Result
from keeper_support import CHAIN_ID, LocalChain, key_of

from scripts._demo.ports import free_port
from workdeed.chain.bindings.codec import Call, read
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.rpc import RpcClient
from workdeed.cli.root import root

T = TypeVar("T")

PATIENCE = 120
"""Seconds after which a test gives up: many times what it takes."""

WORKDEED = (sys.executable, "-c", "from workdeed.cli import main; main()")


async def eventually(probe: Callable[[], Awaitable[T | None]]) -> T:
    """Return what `probe` returns at last that is neither None nor False."""
    for _ in range(PATIENCE * 5):
        found = await probe()
        if found is not None and found is not False:
            return found
        await asyncio.sleep(0.2)
    pytest.fail("it did not come to pass")


@dataclass
class KeeperProcess:
    """One keeper: its settings file, and its process while it runs.

    Attributes:
        config: the settings file.
        port: where it answers.
        environment: passphrases.
        lines: what it has logged.

    """

    config: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    process: Process | None = None
    reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and wait until it has read the chain."""
        command = [*WORKDEED, "keeper", "run", "--config", str(self.config)]
        self.process = await asyncio.create_subprocess_exec(
            *command, stderr=PIPE, env=os.environ | self.environment
        )
        self.reading = asyncio.create_task(self._read(self.process))
        seen = len(self.lines)

        async def opened() -> bool:
            if self.process is None or self.process.returncode is not None:
                pytest.fail(f"the keeper ended: {self.lines[seen:]}")
            return "keeper_opened" in self.events(seen)

        await eventually(opened)

    def add(self, section: str) -> None:
        """Add a section to its settings."""
        self.config.write_text(f"{self.config.read_text()}\n{section}\n")

    def events(self, since: int = 0) -> list[str]:
        """Return the names of what it logged."""
        return [str(line["event"]) for line in self.lines[since:]]

    async def end(self, number: signal.Signals) -> int:
        """Send it a signal that ends it, and return its exit code."""
        assert self.process is not None
        assert self.reading is not None
        self.process.send_signal(number)
        code = await self.process.wait()
        await self.reading
        self.process = None
        return code

    def send(self, number: signal.Signals) -> None:
        """Send it a signal that it outlives."""
        assert self.process is not None
        self.process.send_signal(number)

    async def ask(self, path: str) -> tuple[int, Any]:
        """Return status and body of an answer."""
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            body = await answer.text()
        return answer.status, json.loads(body) if answer.content_type.endswith("json") else body

    async def is_active(self) -> bool:
        """Tell whether it acts for its member, as a proxy asks."""
        return (await self.ask("/activez"))[0] == 200

    async def signers(self, window: int) -> int | None:
        """Return how many members signed the report of a window, None before it is read."""
        status, body = await self.ask("/status")
        reports = body["reports"] if status == 200 else []
        return next((one["signers"] for one in reports if one["window"] == window), None)

    async def _read(self, process: Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"event": line.decode().strip()})


@dataclass
class Site:
    """A chain, and who types commands and starts keepers on it."""

    chain: LocalChain
    folder: Path
    rpc: RpcClient
    keepers: list[KeeperProcess] = field(default_factory=list)

    def keeper(self, name: str, keys: str, more: str = "", head: str = "") -> KeeperProcess:
        """Write the settings of an oracle with a folder of its own.

        Args:
            name: of its folder.
            keys: lines of the section `keys`.
            more: further sections.
            head: what stands above the first section.

        """
        folder, port = self.folder / name, free_port()
        folder.mkdir()
        config = folder / "keeper.toml"
        config.write_text(
            f"""
state_dir = "state"
allow_private_endpoints = true
{head}

[chain]
rpc_urls = ["{self.chain.url}"]
chain_id = {CHAIN_ID}
deployment = "{self.chain.file}"
confirmations = 0
poll_seconds = 0.3
block_seconds = 0.5

[keys]
{keys}

[http]
port = {port}

{more}
"""
        )
        made = KeeperProcess(config, port)
        self.keepers.append(made)
        return made

    def key_file(self, name: str, account: int) -> str:
        """Write a clear key and return how settings name it."""
        path = self.folder / f"{name}.key"
        path.write_text(key_of(account).hex())
        return f'{{ private_key_file = "{path}" }}'

    async def type(self, *words: str, by: int | None = None, **env: str) -> str:
        """Run a command that knows the network and maybe a key; return what it prints."""
        network = ["--network", str(self.chain.file), "--rpc", self.chain.url]
        if by is not None:
            env |= {"WORKDEED_PRIVATE_KEY": key_of(by).hex()}
        return await typed(*words, *network, **env)

    async def view(self, call: Callable[[Suite], Call[T]]) -> T:
        """Return what a view of the contracts answers."""
        return await read(self.rpc, call(Suite.of(self.chain.deployment)))

    async def reported(self) -> int:
        """Return the window of the latest report on chain, 0 before the first."""
        return await self.view(lambda suite: suite.committee.latest_window())

    async def next_report(self, after: int | None = None) -> int:
        """Wait for a report of a window later than `after`, by default than the latest one."""
        last = await self.reported() if after is None else after

        async def later() -> int | None:
            window = await self.reported()
            return window if window > last else None

        return await eventually(later)


async def typed(*words: str, **env: str) -> str:
    """Run a command in a thread of its own, since it runs a loop of its own; it must succeed."""
    result: Result = await asyncio.to_thread(CliRunner().invoke, root, [*words], env=env)
    assert result.exit_code == 0, result.output
    return result.output.strip()


@asynccontextmanager
async def site_on(chain: LocalChain, folder: Path) -> AsyncIterator[Site]:
    """Yield a site whose keepers end with the block."""
    async with RpcClient(chain.url) as rpc:
        site = Site(chain, folder, rpc)
        try:
            yield site
        finally:
            for keeper in site.keepers:
                if keeper.process is not None:
                    await keeper.end(signal.SIGKILL)
