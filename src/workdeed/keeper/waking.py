"""What may wake a keeper before its next look at the chain: a websocket, or somebody's request.

Neither is believed: a round that comes early reads the chain as any other does.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
from pydantic_core import from_json

from workdeed.chain.rpc import origin_of
from workdeed.keeper.logs import OnceLog

LEAST_SECONDS: Final = 0.2
"""Time between two rounds at least, however often somebody calls."""

RETRY_SECONDS: Final = (1.0, 60.0)
"""Pause before a lost connection is opened again: it doubles from the first to the second."""

SILENCE_SECONDS: Final = 120.0
"""Silence after which a connection counts as lost; no chain that this serves has slower blocks."""

_SUBSCRIBE: Final = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}


class Alarm:
    """A pause that can be cut short."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """End the pause under way, or the next one."""
        self._event.set()

    async def pause(self, seconds: float, stopping: asyncio.Event) -> None:
        """Wait, at most `seconds`; less if the alarm rings, or `stopping` is set."""
        if await _is_set(stopping, min(seconds, LEAST_SECONDS)) or seconds <= LEAST_SECONDS:
            return
        waits = [asyncio.create_task(one.wait()) for one in (self._event, stopping)]
        await asyncio.wait(
            waits, timeout=seconds - LEAST_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        self._event.clear()


class HeadWatch:
    """Rings an alarm at each new head that a node tells over a websocket; `run` until cancelled.

    Args:
        url: the node's `ws(s)://` address; it is shown without credentials.
        ring: called at each head.
        once: told when the connection is lost, and when it is back.

    """

    def __init__(self, url: str, ring: Callable[[], None], once: OnceLog) -> None:
        self._url = url
        self._ring = ring
        self._once = once
        self._where = f"websocket {origin_of(url)}"

    async def run(self) -> None:
        """Listen, and connect again whenever the connection is lost."""
        pause, longest = RETRY_SECONDS
        while True:
            heard = await self._listen()
            pause = RETRY_SECONDS[0] if heard else min(2 * pause, longest)
            await asyncio.sleep(pause)

    async def _listen(self) -> bool:
        """Listen until the connection is lost; return whether any head came."""
        heard, reason = False, "it was closed"
        # The cause is not quoted: its text may hold the address with its credentials.
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(self._url, heartbeat=30) as socket,
            ):
                await socket.send_json(_SUBSCRIBE)
                while True:
                    message = await socket.receive(timeout=SILENCE_SECONDS)
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    if _is_head(message.data):
                        heard = True
                        self._once.fine(self._where)
                        self._ring()
        except Exception as error:  # nothing that a node sends may end the watch
            reason = type(error).__name__
        self._once.trouble(self._where, f"{reason}; the chain is polled meanwhile")
        return heard


def _is_head(text: str) -> bool:
    try:
        # It bounds the depth itself; `json` leaves that to the interpreter's stack.
        found = from_json(text)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("method") == "eth_subscription"


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, at most so long; tell whether it is."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
