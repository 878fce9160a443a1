"""Speaks to the host of a native plugin, over the socket in its tree.

The tree is the workload's, which may put anything there: no link is followed out of it, and what
comes back is bounded in size and time.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from workdeed.node.errors import RequestRefusedError, RunnerError
from workdeed.node.native.order import CHANNEL, SOCKET
from workdeed.node.native.wire import WireError, encode, frame, read_frame
from workdeed.protocol.limits import MAX_TEXT
from workdeed.protocol.noderequest import MAX_ARGUMENT

REPLY_SECONDS: Final = 15.0
"""Time for an answer: above what the host gives a plugin, which then says itself what was late."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class NativeControl:
    """The channel to one running service."""

    def __init__(self, tree: Path, *, seconds: float = REPLY_SECONDS) -> None:
        """Speak to the host in `tree`; an answer may take so many `seconds`."""
        self._tree = tree
        self._seconds = seconds

    async def command(self, instance: str, name: str, arguments: Mapping[str, Any]) -> bytes:
        """Have an instance do the command `name`; return its answer as JSON.

        Raises:
            RequestRefusedError: if the host or the instance refuses it.
            RunnerError: if the service does not run or does not answer.

        """
        return await self._ask(
            {"do": "command", "instance": instance, "command": name, "arguments": arguments}
        )

    async def configure(self, instance: str, config: Mapping[str, Any]) -> bytes:
        """Give an instance another configuration.

        The answer is the JSON object `{"applied": ...}`: whether it is in force already, or from
        the instance's next start on. Raises as `command`.
        """
        return await self._ask({"do": "configure", "instance": instance, "config": config})

    async def _ask(self, question: dict[str, Any]) -> bytes:
        try:
            sent = frame(question)
        except WireError as error:
            raise RequestRefusedError(f"argument: {error}; correct it", 409) from error
        try:
            async with asyncio.timeout(self._seconds):
                reply = await self._exchange(sent)
        except TimeoutError:
            raise RunnerError(
                f"service: it does not answer within {self._seconds:g} s; restart it"
            ) from None
        except (OSError, WireError) as error:
            raise RunnerError(f"service: its answer is none ({error}); restart it") from error
        if reply is None:
            raise RunnerError("service: it hung up; send the request again")
        if reply.get("ok") is not True:
            raise RequestRefusedError(str(reply.get("error"))[:MAX_TEXT], 409)
        return _value(reply)

    async def _exchange(self, sent: bytes) -> dict[str, Any] | None:
        reader, writer = await asyncio.open_unix_connection(sock=await self._connect())
        try:
            writer.write(sent)
            await writer.drain()
            return await read_frame(reader)
        finally:
            writer.close()

    async def _connect(self) -> socket.socket:
        try:
            place = await asyncio.to_thread(_open_socket, self._tree)
        except OSError as error:
            raise RunnerError(
                f"service: it does not take requests now ({error.strerror}); see its status"
            ) from error
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        try:
            # By its descriptor: nothing can be swapped under it, and no path is too long.
            await asyncio.get_running_loop().sock_connect(client, f"/proc/self/fd/{place}")
        except BaseException as error:
            client.close()
            if isinstance(error, ConnectionRefusedError):
                raise RunnerError("service: it does not run now; see its status") from error
            raise
        finally:
            os.close(place)
        return client


def _open_socket(tree: Path) -> int:
    """Return a descriptor of the host's socket; raises `OSError` if there is none in the tree."""
    folder = os.open(tree, _FOLDER)
    try:
        channel = os.open(CHANNEL, _FOLDER, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        place = os.open(SOCKET, _PLACE, dir_fd=channel)
    finally:
        os.close(channel)
    if not stat.S_ISSOCK(os.fstat(place).st_mode):
        os.close(place)
        raise OSError(0, "no socket is there")
    return place


def _value(reply: Mapping[str, Any]) -> bytes:
    """Return the answer as JSON.

    Raises:
        RunnerError: if it is too large, which only a host that was tampered with sends.

    """
    try:
        value = encode(reply.get("value"))
    except WireError as error:
        raise RunnerError(f"service: its answer is no JSON ({error}); restart it") from error
    if len(value) > MAX_ARGUMENT:
        raise RunnerError(f"service: its answer has {len(value)} bytes; ask for less")
    return value
