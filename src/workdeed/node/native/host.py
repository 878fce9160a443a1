"""Runs all instances of a plugin as one service: `python -m workdeed.node.native.host FOLDER`.

It starts in the service's tree. Each instance has a process of its own, so that one that crashes,
hangs or blocks leaves the others alone. The agent speaks to the host over a socket in the tree. On
SIGTERM the instances stop one after another, the last one first.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from workdeed.node.native.member import AnswerError, Bounds, Member
from workdeed.node.native.order import CHANNEL, HEALTH_VARIABLE, SOCKET, Order, OrderError
from workdeed.node.native.wire import WireError, decode, encode, frame, read_frame

_CONFIGURED: Final = "configured.json"
_INSTANCES: Final = "instances"
_ASK_SECONDS: Final = 5.0
_CALLERS: Final = 32
_HEADER_BYTES: Final = 8 * 1024


class Host:
    """See the module."""

    def __init__(self, order: Order, tree: Path, bounds: Bounds | None = None) -> None:
        """Run `order` in `tree`, which must hold the folder of the channel."""
        self._order = order
        self._channel = tree / CHANNEL
        self._bounds = bounds or Bounds()
        self._configured = _read_configured(self._channel / _CONFIGURED)
        self._callers = 0
        self._members = {
            name: Member(
                name,
                self._configured.get(name, config),
                order,
                tree / _INSTANCES / name,
                self._bounds,
                _say,
            )
            for name, config in order.instances.items()
        }

    async def run(self, stopped: asyncio.Event, health: tuple[str, int] | None = None) -> None:
        """Run until `stopped` is set.

        Args:
            stopped: ends it.
            health: host and port to answer health checks at.

        Raises:
            OSError: if it can't listen.

        """
        servers = [await asyncio.start_unix_server(self._serve, sock=_listener(self._channel))]
        if health is not None:
            servers.append(await asyncio.start_server(self._check, *health, limit=_HEADER_BYTES))
        keepers = [member.begin() for member in self._members.values()]
        waiting = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({waiting, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            for server in servers:
                server.close()
            await self._stop()
        for keeper in keepers:
            # One that ended unasked has a fault that only a new host may cure.
            if not keeper.cancelled():
                keeper.result()

    async def _stop(self) -> None:
        deadline = time.monotonic() + self._bounds.stop
        left = len(self._members)
        for member in reversed(self._members.values()):
            # What is left of the time is shared out, so that one that hangs takes its part only.
            await member.stop(max(0.0, deadline - time.monotonic()) / left)
            left -= 1

    # --- The channel ----------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question, and hang up."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                asked = await read_frame(reader)
            data = frame(await self._reply(asked)) if asked is not None else b""
        except (TimeoutError, WireError) as error:
            problem = str(error) or "it did not come in time"
            data = frame({"ok": False, "error": f"request: {problem}"})
        with contextlib.suppress(OSError):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _reply(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if self._callers >= _CALLERS:
            return {"ok": False, "error": "request: too many at once; send it again in a moment"}
        self._callers += 1
        try:
            return {"ok": True, "value": await self._do(asked)}
        except AnswerError as error:
            return {"ok": False, "error": str(error)}
        finally:
            self._callers -= 1

    async def _do(self, asked: Mapping[str, Any]) -> Any:
        what = asked.get("do")
        if what == "health":
            return self.health()
        name = str(asked.get("instance"))
        member = self._members.get(name)
        if member is None:
            there = ", ".join(sorted(self._members))
            raise AnswerError(f"instance: there is no {name[:40]}; name one of {there}")
        if what == "command":
            arguments = _object(asked, "arguments")
            return await member.command(str(asked.get("command")), arguments)
        if what == "configure":
            config = _object(asked, "config")
            applied = await member.configure(config)
            self._remember(name, config)
            return {"applied": applied}
        raise AnswerError("do: it is neither command nor configure; correct it")

    def _remember(self, name: str, config: Mapping[str, Any]) -> None:
        """Keep a configuration for later lives of this service, durably."""
        self._configured[name] = config
        path = self._channel / _CONFIGURED
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(encode(self._configured))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise AnswerError(
                f"config: it is in force but can't be kept ({error.strerror}); see to the storage"
            ) from error

    # --- Health ---------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Return how each instance is."""
        return {
            name: {
                "well": not member.problem,
                "problem": member.problem,
                "restarts": member.restarts,
            }
            for name, member in self._members.items()
        }

    async def _check(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer any HTTP request with how the instances are: 200 if all are well, else 503."""
        with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(_ASK_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                found = self.health()
                well = all(one["well"] for one in found.values())
                body = encode(found)
                status = "200 OK" if well else "503 Service Unavailable"
                head = (
                    f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        writer.close()


def _object(asked: Mapping[str, Any], field: str) -> dict[str, Any]:
    value = asked.get(field)
    if not isinstance(value, dict):
        raise AnswerError(f"{field}: it is no JSON object; write one")
    return value


def _read_configured(path: Path) -> dict[str, Any]:
    """Return the configurations that were given at run time; a damaged file counts as none."""
    try:
        found = decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, WireError) as error:
        _say(f"configurations given at run time are lost: {error}")
        return {}
    return {name: config for name, config in found.items() if isinstance(config, dict)}


def _listener(channel: Path) -> socket.socket:
    """Return a socket that listens in the folder `channel`, however long its path is."""
    folder = os.open(channel, os.O_RDONLY | os.O_DIRECTORY)
    listener = socket.socket(socket.AF_UNIX)
    try:
        # The path of a socket has 108 bytes at most; that of the folder's descriptor is short.
        path = Path(f"/proc/self/fd/{folder}/{SOCKET}")
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_CALLERS)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


def _say(text: str) -> None:
    print(text, flush=True)


def _health_address(env: Mapping[str, str]) -> tuple[str, int] | None:
    port = env.get(HEALTH_VARIABLE)
    return (env.get("HOST", "127.0.0.1"), int(port)) if port else None


async def _main(folder: Path) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        host = Host(Order.read(folder), Path.cwd())
        await host.run(stopped, _health_address(os.environ))
    except (OrderError, OSError) as error:
        _say(f"host: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(Path(sys.argv[1]))))
