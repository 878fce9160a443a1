"""Answers of peers: no more of one is read than is wanted, and a refusal is one sentence."""

from typing import Any, Final

import aiohttp

from workdeed.protocol.errors import MessageError
from workdeed.protocol.limits import MAX_SMALL_BYTES
from workdeed.protocol.messages import ErrorBody

KEEP_ALIVE_SECONDS: Final = 2.0
"""Less than servers keep an idle connection, so that none is found dead when it is used."""

_CHUNK: Final = 1 << 16


class TooLongError(Exception):
    """An answer is longer than it may be."""


def session(connector: aiohttp.BaseConnector, **options: Any) -> aiohttp.ClientSession:
    """Return a session for JSON, in which a small compressed body can't become a big one.

    Args:
        connector: how its connections are made.
        options: others of `aiohttp.ClientSession`.

    """
    return aiohttp.ClientSession(
        connector=connector,
        headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        **options,
    )


async def read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the body of an answer.

    Raises:
        TooLongError: if it is longer than `max_bytes`.

    """
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > max_bytes:
            raise TooLongError(f"its answer exceeds {max_bytes} bytes")
    return bytes(data)


def refusal(status: int, data: bytes) -> str:
    """Return what a peer says with an error status."""
    try:
        return ErrorBody.parse(data[: MAX_SMALL_BYTES + 1]).error
    except MessageError:
        return f"HTTP {status}"
