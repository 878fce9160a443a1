"""A client for peers that tests script."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from workdeed.keeper.rules import Rules
from workdeed.protocol.limits import MAX_BODY
from workdeed.sdk.endpoints import Endpoints
from workdeed.sdk.errors import EndpointError

Handler = Callable[[bytes], bytes | Awaitable[bytes]]

RULES = Rules(turn_seconds=120, open_windows=3, recovery_windows=2, grace_windows=1, k=2)
"""What the keepers of these tests go by."""


@dataclass
class FakeEndpoints(Endpoints):
    """Answers by (method, address and path); what has no handler is down.

    Attributes:
        handlers: take a request's body and return the answer's, or raise `EndpointError`.
        asked: every request, in order.
    """

    handlers: dict[tuple[str, str], Handler] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(allow_private=True)

    def on(self, method: str, url: str, answer: Handler | bytes) -> None:
        """Answer requests of one kind."""
        self.handlers[method, url] = answer if callable(answer) else lambda _: answer

    async def get(self, base: str, path: str, max_bytes: int = MAX_BODY) -> bytes:
        return await self.send("GET", base, path, b"", max_bytes)

    async def send(
        self, method: str, base: str, path: str, body: bytes, max_bytes: int = MAX_BODY
    ) -> bytes:
        key = (method, base + path)
        self.asked.append(key)
        if key not in self.handlers:
            raise EndpointError(f"{base}: connection refused")
        answer = self.handlers[key](body)
        if inspect.isawaitable(answer):
            answer = await answer
        if len(answer) > max_bytes:
            raise EndpointError(f"{base}: its answer exceeds {max_bytes} bytes")
        return answer
