"""The body of a request: short ones are kept to be sent again, others pass through once."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import HttpVersion11, web

from workdeed.sdk.gateway.replies import RefusedError
from workdeed.sdk.gateway.settings import GatewaySettings

KEPT_BYTES: Final = 64 * 1024
"""Bodies up to this size, if the client tells it, are read before anything is sent."""


_GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Body:
    """What a client sends.

    Args:
        request: the client's.
        settings: how large and how slow it may be.

    """

    def __init__(self, request: web.BaseRequest, settings: GatewaySettings) -> None:
        self._request = request
        self._settings = settings
        self._kept: bytes | None = None
        self._begun = False
        self._size = 0
        self._waited = 0.0
        self._is_awaited = _awaits_word(request)
        self.refused: RefusedError | None = None
        """Why it was cut off, None if it was not."""

    async def open(self) -> None:
        """Look at its size, and read it if it is short.

        Raises:
            RefusedError: if it is too large, or does not come.

        """
        length = self._request.content_length
        if length is not None and length > self._settings.max_body:
            raise self._too_large()
        if not self._request.body_exists:
            self._kept = b""
        elif length is not None and length <= KEPT_BYTES:
            self._kept = b"".join([chunk async for chunk in self._read()])

    @property
    def is_kept(self) -> bool:
        """Whether it can be sent more than once."""
        return self._kept is not None

    @property
    def may_be_sent(self) -> bool:
        """Whether nothing of it is lost yet."""
        return self.is_kept or not self._begun

    def data(self) -> bytes | AsyncIterator[bytes] | None:
        """Return what is to be sent; a long one once only."""
        if self._kept is not None:
            return self._kept or None
        return self._pass()

    def answered(self) -> None:
        """Take note that an answer has begun: the client needs no word to go on any more."""
        self._is_awaited = False

    async def _pass(self) -> AsyncIterator[bytes]:
        self._begun = True
        try:
            async for chunk in self._read():
                yield chunk
        except RefusedError as error:
            self.refused = error
            raise

    async def _read(self) -> AsyncIterator[bytes]:
        await self._call_for()
        while chunk := await self._part():
            self._size += len(chunk)
            if self._size > self._settings.max_body:
                raise self._too_large()
            yield chunk

    async def _call_for(self) -> None:
        """Tell a client that waits for it that its body is wanted."""
        if self._is_awaited:
            self._is_awaited = False
            await self._request.writer.write(_GO_ON)
            # What is counted from here on is the answer.
            self._request.writer.output_size = 0

    async def _part(self) -> bytes:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience()):
                return await self._request.content.readany()
        except TimeoutError:
            raise RefusedError(408, "body: it did not come in time; send it again") from None
        except web.RequestPayloadError as error:
            raise RefusedError(400, "body: it is malformed; send it by its own length") from error
        finally:
            # Not what a replica takes its time for.
            self._waited += time.monotonic() - began

    def _patience(self) -> float:
        """Return the seconds until the next part has to be here."""
        upload = self._settings.upload
        if self._request.content_length is None:
            return upload
        return min(upload, upload + self._size / self._settings.upload_rate - self._waited)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"body: it exceeds {self._settings.max_body} bytes; send less")


def _awaits_word(request: web.BaseRequest) -> bool:
    # RFC 9110, 10.1.1: not to clients of HTTP/1.0, which do not know it.
    expected = request.headers.get("Expect", "").strip().lower()
    return expected == "100-continue" and request.version >= HttpVersion11
