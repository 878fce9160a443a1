"""The agent's end of the channel to a native plugin; the other end may do anything."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from workdeed.node.errors import RequestRefusedError, RunnerError
from workdeed.node.native.order import CHANNEL, SOCKET
from workdeed.node.native.wire import frame
from workdeed.node.runners.native_control import NativeControl

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., Awaitable[NativeControl]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree whose socket has a longer path than sockets may have."""
    made = tmp_path / ("deep" * 30)
    (made / CHANNEL).mkdir(parents=True)
    return made


@pytest.fixture
async def serve(tree: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []

    async def begin(answer: Answer, seconds: float = 20.0) -> NativeControl:
        listener = socket.socket(socket.AF_UNIX)
        folder = os.open(tree / CHANNEL, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/{SOCKET}")
        os.close(folder)
        servers.append(await asyncio.start_unix_server(answer, sock=listener))
        return NativeControl(tree, seconds=seconds)

    yield begin
    for server in servers:
        server.close()


def saying(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)
        writer.write(data)
        writer.close()

    return answer


async def test_an_answer_is_given_as_json(serve: Serve):
    control = await serve(saying(frame({"ok": True, "value": {"b": 1.5, "a": None}})))
    assert await control.command("main", "x", {}) == b'{"a":null,"b":1.5}'


async def test_what_the_host_refuses_goes_to_the_asker(serve: Serve):
    control = await serve(saying(frame({"ok": False, "error": "rate: it is negative"})))
    with pytest.raises(RequestRefusedError, match=r"^rate: it is negative$"):
        await control.configure("main", {"rate": -1})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "hung up"),
        (b"HTTP/1.1 400 Bad Request\r\n", "its answer is none"),
        (b"\0\0\0\2[]", "its answer is none"),
        (frame({"ok": True, "value": "x" * (32 * 1024 - 1)}), "its answer has 32769 bytes"),
        (b"\xff\xff\xff\xff", "its answer is none"),
        (b'\0\0\0\x20{"ok":true,"value":"\\ud800"}     ', "its answer is no JSON"),
    ],
)
async def test_an_answer_that_is_none_is_told_apart(serve: Serve, data: bytes, sentence: str):
    control = await serve(saying(data))
    with pytest.raises(RunnerError, match=sentence):
        await control.command("main", "x", {})


async def test_a_host_that_hangs_is_given_up(serve: Serve):
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    control = await serve(hang, seconds=0.5)
    with pytest.raises(RunnerError, match=r"does not answer within 0\.5 s"):
        await control.command("main", "x", {})


async def test_a_host_that_sends_drop_by_drop_is_given_up(serve: Serve):
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\1\0\0")
        for _ in range(50):
            writer.write(b" ")
            await asyncio.sleep(0.1)

    control = await serve(drip, seconds=0.5)
    with pytest.raises(RunnerError, match=r"does not answer within 0\.5 s"):
        await control.command("main", "x", {})


async def test_without_a_host_it_says_so(tree: Path):
    with pytest.raises(RunnerError, match="does not take requests now"):
        await NativeControl(tree).command("main", "x", {})


async def test_a_host_that_ended_without_cleaning_up_is_not_running(tree: Path, serve: Serve):
    control = await serve(saying(b""))
    listener = tree / CHANNEL / SOCKET
    moved = listener.with_name("moved")
    listener.rename(moved)
    gone = socket.socket(socket.AF_UNIX)
    gone.bind(f"/proc/self/fd/{(folder := os.open(tree / CHANNEL, os.O_RDONLY))}/{SOCKET}")
    gone.close()
    os.close(folder)
    with pytest.raises(RunnerError, match="does not run now"):
        await control.command("main", "x", {})


async def test_too_large_an_argument_is_not_sent(tree: Path):
    with pytest.raises(RequestRefusedError, match="argument: it has"):
        await NativeControl(tree).command("main", "x", {"x": "y" * 200_000})


@pytest.mark.parametrize("what", ["socket", "channel", "file"])
async def test_a_tree_can_not_lead_the_agent_to_another_socket(
    tree: Path, tmp_path: Path, what: str
):
    reached = False

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached = True
        writer.close()

    other = tmp_path / "other"
    other.mkdir()
    server = await asyncio.start_unix_server(answer, path=str(other / SOCKET))
    if what == "socket":
        (tree / CHANNEL / SOCKET).symlink_to(other / SOCKET)
    elif what == "channel":
        (tree / CHANNEL).rmdir()
        (tree / CHANNEL).symlink_to(other)
    else:
        (tree / CHANNEL / SOCKET).write_text("no socket")
    with pytest.raises(RunnerError, match="does not take requests now"):
        await NativeControl(tree).command("main", "x", {})
    server.close()
    assert not reached
