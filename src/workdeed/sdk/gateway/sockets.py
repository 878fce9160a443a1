"""WebSockets through the gateway: what comes at one end goes out at the other."""

import asyncio
import contextlib
from typing import Final

import aiohttp
from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMessage, WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from workdeed.sdk.gateway.headers import without_handshake
from workdeed.sdk.gateway.settings import GatewaySettings

_CLOSE_SECONDS: Final = 2.0
_PROTOCOLS: Final = "Sec-WebSocket-Protocol"

Socket = ClientWebSocketResponse | web.WebSocketResponse


class Sockets:
    """The WebSockets that are open.

    Args:
        settings: how large a message may be, and how often both ends are asked for a sign of life.

    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._max_message = settings.max_message
        self._heartbeat = settings.heartbeat
        self._open: set[web.WebSocketResponse] = set()

    @staticmethod
    def is_wanted(request: web.BaseRequest) -> bool:
        """Tell whether a client asks for a WebSocket."""
        return request.method == "GET" and bool(web.WebSocketResponse().can_prepare(request))

    async def connect(
        self, session: aiohttp.ClientSession, url: URL, headers: "CIMultiDict[str]"
    ) -> ClientWebSocketResponse:
        """Open a WebSocket to a replica; raises what aiohttp does."""
        offered = ",".join(headers.getall(_PROTOCOLS, ()))
        return await session.ws_connect(
            url,
            headers=without_handshake(headers),
            protocols=[one.strip() for one in offered.split(",") if one.strip()],
            autoclose=False,
            autoping=False,
            heartbeat=self._heartbeat,
            max_msg_size=self._max_message,
        )

    async def join(
        self, request: web.BaseRequest, upstream: ClientWebSocketResponse
    ) -> web.StreamResponse:
        """Take the client's WebSocket and carry messages both ways until either end closes."""
        downstream = web.WebSocketResponse(
            protocols=(upstream.protocol,) if upstream.protocol else (),
            autoclose=False,
            autoping=False,
            heartbeat=self._heartbeat,
            compress=False,
            max_msg_size=self._max_message,
            timeout=_CLOSE_SECONDS,
        )
        try:
            await downstream.prepare(request)
            self._open.add(downstream)
            await _join(downstream, upstream)
        finally:
            self._open.discard(downstream)
            await upstream.close()
        return downstream

    async def close(self) -> None:
        """Tell all clients that the gateway goes away."""
        closing = (
            one.close(code=WSCloseCode.GOING_AWAY, message=b"the gateway ends")
            for one in list(self._open)
        )
        await asyncio.gather(*closing, return_exceptions=True)


async def _join(one: Socket, other: Socket) -> None:
    ways = [asyncio.create_task(_carry(one, other)), asyncio.create_task(_carry(other, one))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _carry(source: Socket, sink: Socket) -> None:
    """Carry messages until `source` closes or breaks off, and close `sink` alike."""
    while True:
        message = await source.receive()
        if message.type is WSMsgType.CLOSE:
            await _end(sink, message.data, (message.extra or "").encode())
            await _end(source, message.data)
            return
        if message.type in (WSMsgType.CLOSING, WSMsgType.CLOSED):
            await _end(sink, WSCloseCode.GOING_AWAY)
            return
        if message.type is WSMsgType.ERROR:
            code = source.close_code or WSCloseCode.INTERNAL_ERROR
            await _end(sink, code)
            return
        await _pass(message, sink)


async def _pass(message: WSMessage, sink: Socket) -> None:
    if message.type is WSMsgType.TEXT:
        await sink.send_str(message.data)
    elif message.type is WSMsgType.BINARY:
        await sink.send_bytes(message.data)
    elif message.type is WSMsgType.PING:
        await sink.ping(message.data)
    elif message.type is WSMsgType.PONG:
        await sink.pong(message.data)


async def _end(socket: Socket, code: int | None, reason: bytes = b"") -> None:
    # 1005 and 1006 tell of a close without a code, and are never sent.
    sent = WSCloseCode.OK if code in (None, 1005, 1006) else code
    with contextlib.suppress(ConnectionError, RuntimeError):
        await socket.close(code=sent or WSCloseCode.OK, message=reason)
