"""Frames between a host, its instances and the agent."""

import asyncio

import pytest

from workdeed.node.native.wire import MAX_FRAME, MAX_REPLY, WireError, encode, frame, read_frame
from workdeed.protocol.noderequest import MAX_ARGUMENT


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def test_what_is_written_is_read():
    reader = stream(frame({"b": "ü", "a": 1.5}) + frame({}))
    assert [await read_frame(reader) for _ in range(3)] == [{"a": 1.5, "b": "ü"}, {}, None]


def test_equal_values_give_equal_bytes():
    assert encode({"b": [1, None], "a": True}) == encode({"a": True, "b": [1, None]})
    assert encode({"b": 1, "a": 2}) == b'{"a":2,"b":1}'


@pytest.mark.parametrize("value", [object(), float("nan"), "\ud800", {1, 2}])
def test_what_json_can_not_hold_is_refused(value: object):
    with pytest.raises(WireError, match="can't be written as JSON"):
        encode(value)


def test_a_value_nested_too_deep_is_refused(usual_recursion: None):
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(WireError, match="can't be written as JSON"):
        encode(value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\0\0\0\5", "ends within"),
        (b"\0\0", "ends within"),
        (b"\0\0\0\2[]", "no JSON object"),
        (b"\0\0\0\2{]", "no JSON"),
        pytest.param(b"\0\1\0\0" + b"[" * 65_536, "no JSON", id="too deep"),
        (b"GET / HTTP/1.1\r\n\r\n", "at most"),
    ],
)
async def test_anything_else_is_told_apart(data: bytes, sentence: str, usual_recursion: None):
    with pytest.raises(WireError, match=sentence):
        await read_frame(stream(data))


async def test_a_frame_that_announces_too_much_is_not_waited_for():
    reader = asyncio.StreamReader()
    reader.feed_data((MAX_FRAME + 1).to_bytes(4))
    with pytest.raises(WireError, match="at most"):
        await asyncio.wait_for(read_frame(reader), 5)


def test_too_large_a_frame_is_not_sent():
    frame({"x": "y" * (MAX_FRAME - 8)})
    with pytest.raises(WireError, match=f"at most {MAX_FRAME}"):
        frame({"x": "y" * (MAX_FRAME - 7)})


def test_a_plugin_may_answer_as_much_as_a_node_may():
    assert MAX_REPLY == MAX_ARGUMENT
