"""One instance of a plugin: the process that `member` starts and speaks to.

It is started with the number of its end of a socket. The first frame is `start`; each frame that
follows has an `id`, which its answer repeats. The last words of an instance that fails have id 0.

It ends when the host says so or is gone. SIGTERM, which goes to every process of a service, is for
the host: it would cut short what the plugin does to stop.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, Final

from workdeed.node.native.pipeline import Context, Pipeline, Refusal
from workdeed.node.native.wire import MAX_REPLY, WireError, encode, frame, read_frame

_MAX_ERROR: Final = 1_000
_MODULE: Final = "workdeed.node.native.instance"
_PART_SECONDS: Final = 1.0
_PIECE: Final = 65_536
_END: Final = (signal.SIGTERM,)
LAST_WORDS: Final = 0


def command_line(descriptor: int) -> list[str]:
    """Return the command that starts an instance, which speaks over `descriptor`."""
    # Isolated, so that neither variables nor the folder it starts in say what is imported.
    return [sys.executable, "-I", "-B", "-u", "-m", _MODULE, str(descriptor)]


class Instance:
    """Does what the frames ask of a pipeline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak over these streams."""
        self._reader = reader
        self._writer = writer
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> int:
        """Start, serve and stop; return the exit code."""
        first = await read_frame(self._reader)
        if first is None:
            return 0
        try:
            pipeline = _load(first)
            await pipeline.start(first["config"])
        except Exception as error:
            await self._part(_failure(LAST_WORDS, "start", error))
            return 1
        await self._send({"id": first["id"], "ok": True, "value": None})
        work = asyncio.create_task(pipeline.run())
        asking = asyncio.create_task(self._answer_all(pipeline))
        await asyncio.wait({work, asking}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await self._stop(pipeline, work, asking.result())
            return 0
        asking.cancel()
        await asyncio.wait({asking})
        raised = None if work.cancelled() else work.exception()
        problem = raised if isinstance(raised, Exception) else Refusal("run: it came to an end")
        await self._part(_failure(LAST_WORDS, "run", problem))
        return 1

    async def _answer_all(self, pipeline: Pipeline) -> dict[str, Any] | None:
        """Answer until `stop` comes, and return that; None when the host is gone."""
        while (asked := await read_frame(self._reader)) is not None:
            if asked["do"] == "stop":
                return asked
            task = asyncio.create_task(self._answer(pipeline, asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return None

    async def _answer(self, pipeline: Pipeline, asked: dict[str, Any]) -> None:
        what, seconds = str(asked["do"]), float(asked["seconds"])
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                value = await _do(pipeline, asked)
            reply = {"id": asked["id"], "ok": True, "value": _checked(value)}
        except Exception as error:
            late = Refusal(f"it took more than {seconds:g} s and was cancelled; ask for less")
            reply = _failure(asked["id"], what, late if limit.expired() else error)
        await self._send(reply)

    async def _stop(
        self, pipeline: Pipeline, work: asyncio.Task[None], asked: dict[str, Any] | None
    ) -> None:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await work
        try:
            await pipeline.stop()
        except Exception as error:
            reply = _failure(asked["id"] if asked else LAST_WORDS, "stop", error)
        else:
            reply = {"id": asked["id"] if asked else LAST_WORDS, "ok": True, "value": None}
        await self._part(reply)

    async def _part(self, reply: dict[str, Any]) -> None:
        """Send the last reply, and wait until the host has hung up.

        To leave with questions unread would break the channel before the host has read the reply.
        """
        await self._send(reply)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PART_SECONDS):
                while await self._reader.read(_PIECE):
                    pass

    async def _send(self, reply: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the host is gone, and this process goes too
            self._writer.write(frame(reply))
            await self._writer.drain()


async def _do(pipeline: Pipeline, asked: dict[str, Any]) -> Any:
    match asked["do"]:
        case "command":
            return await pipeline.command(asked["command"], asked["arguments"])
        case "configure":
            return await pipeline.configure(asked["config"])
        case "health":
            return _clean(str(await pipeline.health()))
        case other:
            raise Refusal(f"do: there is no {other}")


def _checked(value: Any) -> Any:
    """Return `value` if it may be sent back."""
    try:
        size = len(encode(value))
    except WireError as error:
        raise Refusal(f"reply: {error}; the plugin's author has to correct it") from error
    if size > MAX_REPLY:
        raise Refusal(f"reply: it has {size} bytes, and at most {MAX_REPLY} are sent; ask for less")
    return value


def _load(order: dict[str, Any]) -> Pipeline:
    """Make the pipeline that the first frame asks for."""
    sys.path.insert(0, order["packages"])
    module, _, name = order["plugin"].partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, Pipeline)):
        raise Refusal(
            f"{order['plugin']}: it is not derived from workdeed.node.native.Pipeline; correct it"
        )
    directory = Path(order["directory"])
    directory.mkdir(parents=True, exist_ok=True)
    return found(Context(order["name"], directory, _logger(order["name"])))


def _logger(name: str) -> logging.Logger:
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format=f"{name}: %(levelname)s: %(message)s"
    )
    return logging.getLogger(f"workdeed.native.{name}")


def _failure(number: int, what: str, error: Exception) -> dict[str, Any]:
    """Return the answer for `error`; one that is no refusal goes to the log in full."""
    text = str(error)
    if not isinstance(error, Refusal):
        text = f"{what} failed: {type(error).__name__}: {error}"
        traceback.print_exception(error)
    return {"id": number, "ok": False, "error": _clean(text)}


def _clean(text: str) -> str:
    return text[:_MAX_ERROR].encode(errors="replace").decode()


def _leave_end_to_host() -> None:
    """Do nothing on SIGTERM, but let what the plugin starts or forks end by it."""
    # A handler, as one that is ignored would be ignored by programs that are started too.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    # It is sent once to each process: held back until a fork can end by it, it is not lost there.
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _END),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _END),
        after_in_child=_end_by_sigterm,
    )


def _end_by_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _END)


async def _main(descriptor: int) -> int:
    # A fork of the plugin must not hold the channel open when this process is gone.
    os.set_inheritable(descriptor, False)
    end = socket.socket(fileno=descriptor)
    reader, writer = await asyncio.open_unix_connection(sock=end)
    return await Instance(reader, writer).serve()


if __name__ == "__main__":
    _leave_end_to_host()
    sys.exit(asyncio.run(_main(int(sys.argv[1]))))
