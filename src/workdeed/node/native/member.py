"""One instance as its host sees it: started, asked, and started again when it fails."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from asyncio import FIRST_COMPLETED
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from workdeed.node.native.instance import LAST_WORDS, command_line
from workdeed.node.native.order import Order
from workdeed.node.native.wire import WireError, frame, read_frame

_WAITING: Final = 8
_PARTING_SECONDS: Final = 0.5
_READ_SECONDS: Final = 0.1
_MAX_PROBLEM: Final = 1_000
_NOT_RUNNING: Final = "it does not run"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds.

    Attributes:
        start: that an instance may take to start.
        command: that a command or a new configuration may take.
        hang: without an answer, after which an instance is ended.
        look: between two questions for its health.
        first, longest: bounds of the pause before it is started again, which doubles.
        reset: after so long a life the pause is the first one again.
        stop: that all instances together may take to stop.

    """

    start: float = 60.0
    command: float = 3.0
    hang: float = 5.0
    look: float = 1.0
    first: float = 0.5
    longest: float = 30.0
    reset: float = 60.0
    stop: float = 8.0


class AnswerError(Exception):
    """An instance refused, or failed at what was asked, and runs on; the asker gets the text."""


class GoneError(AnswerError):
    """An instance is not there to answer, or was ended because it did not."""


class Child:
    """The process of an instance, with a session of its own that ends with it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Speak to `process`; `spawn` makes one."""
        self._process = process
        self._reader = reader
        self._writer = writer
        self._number = LAST_WORDS
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._reason = ""
        self._watching = asyncio.create_task(self._watch())

    @classmethod
    async def spawn(cls) -> Self:
        """Start a process; raises `OSError` if there can be none."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command_line(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, reader, writer)

    async def ask(self, what: str, limit: float, **body: Any) -> Any:
        """Return the answer to `what`.

        Args:
            what: is to be done.
            limit: seconds for it.
            body: further members of the question.

        Raises:
            AnswerError: if the instance refuses.
            GoneError: if it ends, or does not answer in time and is ended for that.

        """
        self._number += 1
        number = self._number
        answer = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        ends: set[asyncio.Future[Any]] = {answer, self._watching}
        try:
            self._writer.write(frame({**body, "id": number, "do": what}))
            done, _ = await asyncio.wait(ends, timeout=limit, return_when=FIRST_COMPLETED)
            if not done:
                # Where this process stood still, an answer may lie here unread.
                await asyncio.wait(ends, timeout=_READ_SECONDS, return_when=FIRST_COMPLETED)
        except WireError as error:
            raise AnswerError(f"{what}: {error}") from error
        finally:
            del self._asked[number]
        if answer.done():
            return answer.result()
        if not self._watching.done():
            self.end(f"{what}: no answer within {limit:g} s; it was ended")
        raise GoneError(self._reason)

    async def gone(self, seconds: float) -> None:
        """Wait for so long; raises `GoneError` once it is gone."""
        await asyncio.wait({self._watching}, timeout=seconds)
        if self._watching.done():
            raise GoneError(self._reason)

    def end(self, reason: str) -> None:
        """Kill it; `reason` is what those get who wait for it."""
        self._reason = self._reason or reason
        # The group outlives its leader where the plugin started processes of its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Hang up, and leave nothing of it."""
        self._writer.transport.abort()
        await self._watching

    async def _watch(self) -> None:
        """Take what it sends until it is gone."""
        reading = asyncio.create_task(self._read())
        ending = asyncio.create_task(self._process.wait())
        await asyncio.wait({reading, ending}, return_when=FIRST_COMPLETED)
        # Its last words may still be on their way, and a fork of it may hold the channel open.
        await asyncio.wait({reading}, timeout=_PARTING_SECONDS)
        reading.cancel()
        # One that said them waits for this, and then ends by itself.
        self._writer.transport.abort()
        await asyncio.wait({ending}, timeout=_PARTING_SECONDS)
        self.end("")
        code = await ending
        self._reason = self._reason or f"its process ended with code {code}"

    async def _read(self) -> None:
        with contextlib.suppress(WireError):
            while (reply := await read_frame(self._reader)) is not None:
                self._take(reply)
                if reply.get("id") == LAST_WORDS:
                    return

    def _take(self, reply: dict[str, Any]) -> None:
        number = reply.get("id")
        if number == LAST_WORDS:
            self._reason = self._reason or str(reply.get("error", ""))
            return
        answer = self._asked.get(number) if isinstance(number, int) else None
        if answer is None or answer.done():
            return
        if reply.get("ok") is True:
            answer.set_result(reply.get("value"))
        else:
            answer.set_exception(AnswerError(str(reply.get("error"))))


class Member:
    """Keeps an instance running from `begin` to `stop`."""

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any],
        order: Order,
        directory: Path,
        bounds: Bounds,
        say: Callable[[str], None],
    ) -> None:
        """Describe an instance.

        Args:
            name: of the instance.
            config: that it starts with.
            order: which plugin.
            directory: a folder of its own.
            bounds: how long things may take.
            say: writes a line to the log.

        """
        self.config = config
        self.restarts = 0
        self.problem = "it starts"
        """Why it is not well, "" when it is."""
        self._name = name
        self._order = order
        self._directory = directory
        self._bounds = bounds
        self._write = say
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._waiting = 0

    def begin(self) -> asyncio.Task[None]:
        """Start to keep it running; return the task that does, which ends with `stop` alone."""
        self._keeper = asyncio.create_task(self._keep())
        return self._keeper

    async def stop(self, seconds: float) -> None:
        """Ask it to stop, and end it after so long."""
        self._stopping = True
        if self._child is not None:
            try:
                await self._child.ask("stop", seconds)
            except AnswerError as error:
                self._say(f"it did not stop well: {error}")
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        self._say("stopped")

    async def command(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Return what the command `name` gives; raises `AnswerError`."""
        return await self._ask("command", command=name, arguments=arguments)

    async def configure(self, config: Mapping[str, Any]) -> bool:
        """Take another configuration; return whether it is in force, or will be at the next start.

        Raises:
            AnswerError: if the instance refuses it, or it can't be asked although it runs.

        """
        if self._child is None:
            self.config = config
            self._woken.set()
            return False
        await self._ask("configure", config=config)
        self.config = config
        return True

    async def _ask(self, what: str, **body: Any) -> Any:
        if self._waiting >= _WAITING:
            raise AnswerError(f"{what}: too many at once; send it again in a moment")
        self._waiting += 1
        try:
            async with self._turn:
                child = self._child
                if child is None:
                    raise GoneError(f"{what}: {_NOT_RUNNING} ({self.problem})")
                seconds = self._bounds.command
                # The instance keeps the time itself; one that can't is hung.
                limit = seconds + self._bounds.hang
                return await child.ask(what, limit, seconds=seconds, **body)
        except GoneError as error:
            if self._child is not None:
                self.problem = _clean(str(error))
            raise
        finally:
            self._waiting -= 1

    def _say(self, text: str) -> None:
        self._write(f"{self._name}: {text}")

    async def _keep(self) -> None:
        bounds = self._bounds
        pause = bounds.first
        while True:
            began = time.monotonic()
            try:
                await self._live()
            except (AnswerError, OSError) as error:
                self.problem = _clean(str(error)) or type(error).__name__
            if self._stopping:
                return
            if time.monotonic() - began > bounds.reset:
                pause = bounds.first
            self._say(f"{self.problem}; it is started again in {pause:g} s")
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            pause = min(pause * 2, bounds.longest)
            self.restarts += 1

    async def _live(self) -> None:
        """Run it to its end.

        Raises:
            AnswerError: always: why it ended, or was ended.

        """
        child = await Child.spawn()
        try:
            config = self.config
            await child.ask("start", self._bounds.start, **self._first_words())
            if self.config is not config:
                raise GoneError("another configuration was given while it started")
            self._child = child
            self._say("started")
            while True:
                await self._look(child)
                await child.gone(self._bounds.look)
        finally:
            self._child = None
            await child.close()

    async def _look(self, child: Child) -> None:
        """Ask how it is.

        Raises:
            GoneError: if it does not answer.

        """
        before = self.problem
        try:
            found = await child.ask("health", self._bounds.hang * 2, seconds=self._bounds.hang)
            self.problem = _clean(str(found))
        except GoneError:
            raise
        except AnswerError as error:
            self.problem = _clean(str(error))
        if self.problem != before:
            self._say(f"unwell: {self.problem}" if self.problem else "well")

    def _first_words(self) -> dict[str, Any]:
        return {
            "plugin": self._order.plugin,
            "packages": str(self._order.packages),
            "name": self._name,
            "directory": str(self._directory),
            "config": self.config,
        }


def _clean(text: str) -> str:
    """Return what of `text` can be shown anywhere; an instance may say anything."""
    return text[:_MAX_PROBLEM].encode(errors="replace").decode()
