"""A command beside a running container, with a limit on its time.

Engines start such a command, but can't end it. So its process is ended by number, as the agent
sees it. Where it may not do that (no root, or an engine elsewhere), no further command is started
in that container until the one that hangs is over.
"""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any, Final

from workdeed.node.drivers.base import Inspection, Phase
from workdeed.node.drivers.container_engine import Engine, EngineRefusedError

_NOT_RUN: Final = 127
_END_SECONDS: Final = 2.0
_LOOK_AGAIN_SECONDS: Final = 0.02
_READ_BYTES: Final = 65_536


class Commands:
    """Runs commands in containers."""

    def __init__(self, engine: Engine) -> None:
        """Run them by way of `engine`."""
        self._engine = engine
        self._hanging: dict[str, str] = {}

    async def run(
        self, container: str, argv: list[str], seconds: float, folder: str | None
    ) -> Inspection:
        """Run `argv` in `container`; RUNNING when it had to be ended after `seconds`.

        Raises:
            DriverError: if the engine can't be asked, or the container doesn't run.

        """
        hanging = self._hanging.get(container)
        if hanging is not None and (await self._state(hanging)).get("Running"):
            return Inspection(Phase.RUNNING)
        self._hanging.pop(container, None)

        def create(client: Any) -> str:
            return str(client.exec_create(container, argv, workdir=folder)["Id"])

        command = await self._engine.call("making a command", create)
        try:
            output = await self._engine.call(
                "starting a command", lambda client: client.exec_start(command, socket=True)
            )
        except EngineRefusedError as error:
            return Inspection(Phase.EXITED, _NOT_RUN, str(error))
        try:
            await _drain(output, seconds)
        finally:
            output.close()
        return await self._ended(container, command)

    async def _ended(self, container: str, command: str) -> Inspection:
        state = await self._state(command)
        if state.get("Running"):
            # The output's end may be seen before the command's.
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            state = await self._state(command)
        if not state.get("Running"):
            return _exited(state)
        pid = int(state.get("Pid") or 0)
        if process_of(pid, container):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not await self._gone(command):
            self._hanging[container] = command
        return Inspection(Phase.RUNNING)

    async def _gone(self, command: str) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _END_SECONDS
        while loop.time() < deadline:
            if not (await self._state(command)).get("Running"):
                return True
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return False

    async def _state(self, command: str) -> dict[str, Any]:
        """Return the engine's view of a command; empty when it has forgotten it."""
        try:
            found: dict[str, Any] = await self._engine.call(
                "looking at a command", lambda client: client.exec_inspect(command)
            )
        except EngineRefusedError as error:
            if error.missing:
                return {}
            raise
        return found


def process_of(pid: int, container: str) -> bool:
    """Tell whether the process `pid`, as the agent sees it, is one of `container`.

    It is not where the engine counts processes otherwise: in a virtual machine, or when the agent
    itself is in a container.
    """
    try:
        return pid > 0 and container in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return False


def _exited(state: dict[str, Any]) -> Inspection:
    code = state.get("ExitCode")
    return Inspection(Phase.EXITED, int(code) if code is not None else _NOT_RUN)


async def _drain(output: Any, seconds: float) -> None:
    """Read and drop what a command prints until it closes its output or time is up."""
    loop = asyncio.get_running_loop()
    descriptor = output.fileno()
    os.set_blocking(descriptor, False)
    closed: asyncio.Future[None] = loop.create_future()

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                data = os.read(descriptor, _READ_BYTES)
            except ConnectionError:
                data = b""
            if not data and not closed.done():
                closed.set_result(None)

    loop.add_reader(descriptor, read)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closed, seconds)
    finally:
        loop.remove_reader(descriptor)
