"""Frames between a host, its instances and the agent: four bytes of length, then a JSON object."""

import asyncio
import json
from typing import Any, Final

MAX_FRAME: Final = 128 * 1024
"""Bytes of one JSON object: the largest configuration of a spec and its frame fit."""

MAX_REPLY: Final = 32 * 1024
"""Bytes of what a command returns, as JSON."""

_LENGTH_BYTES: Final = 4


class WireError(Exception):
    """What came, or is to be sent, is no frame."""


def encode(value: Any) -> bytes:
    """Return `value` as compact JSON with sorted names.

    Raises:
        WireError: if JSON can't hold it.

    """
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"it can't be written as JSON ({error})") from error


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object in `data`.

    Raises:
        WireError: if there is none.

    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"it is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise WireError("it is no JSON object")
    return value


def frame(value: dict[str, Any]) -> bytes:
    """Return `value` as a frame; raises `WireError` if it does not fit one."""
    data = encode(value)
    if len(data) > MAX_FRAME:
        raise WireError(f"it has {len(data)} bytes; at most {MAX_FRAME} are taken")
    return len(data).to_bytes(_LENGTH_BYTES) + data


async def read_frame(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Return the next object, None at the end of the stream.

    Raises:
        WireError: if something else comes, or the stream ends within a frame.

    """
    try:
        head = await reader.readexactly(_LENGTH_BYTES)
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise WireError("it ends within a frame") from error
    except OSError:
        return None  # the other end is gone
    size = int.from_bytes(head)
    if size > MAX_FRAME:
        raise WireError(f"it has {size} bytes; at most {MAX_FRAME} are taken")
    try:
        return decode(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, OSError) as error:
        raise WireError("it ends within a frame") from error
