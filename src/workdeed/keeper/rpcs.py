"""One chain over several RPC addresses: the first that answers is used."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from workdeed.chain.rpc import Rpc, RpcUnavailable
from workdeed.keeper.logs import OnceLog

T = TypeVar("T")

RETURN_SECONDS = 60.0
"""How long another RPC is used before the preferred one is tried again."""


class FailoverRpc(Rpc):
    """Asks one RPC, and the next where it does not answer.

    One that serves another chain is passed over: a wrong address in a list must not mix two chains.

    Args:
        clients: the RPCs, the preferred one first.
        chain_id: what each must serve.
        log: told of those that are passed over.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        clients: Sequence[Rpc],
        chain_id: int,
        log: OnceLog,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = tuple(clients)
        self._chain_id = chain_id
        self._log = log
        self._now = now
        self._checked: set[Rpc] = set()
        self._current = 0
        self._until = 0.0

    @property
    def origin(self) -> str:
        """The address in use, without credentials."""
        return self._clients[self._current].origin

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """Call one method; see `Rpc.call`."""
        return await self._first(lambda client: client.call(method, params))

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Call several methods of one RPC; see `Rpc.batch`."""
        return await self._first(lambda client: client.batch(calls))

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.close()

    async def _first(self, ask: Callable[[Rpc], Awaitable[T]]) -> T:
        """Return the first answer; errors of a contract or a method are answers, too."""
        if self._now() >= self._until:
            self._current = 0
        start, error = self._current, None
        for step in range(len(self._clients)):
            index = (start + step) % len(self._clients)
            try:
                answer = await self._ask(self._clients[index], ask)
            except RpcUnavailable as found:
                error = error or found
                self._log.trouble(f"rpc {self._clients[index].origin}", str(found))
                continue
            self._use(index)
            return answer
        raise error or RpcUnavailable("http://", "no address is set")

    async def _ask(self, client: Rpc, ask: Callable[[Rpc], Awaitable[T]]) -> T:
        if client not in self._checked:
            chain_id = await client.chain_id()
            if chain_id != self._chain_id:
                raise RpcUnavailable(
                    client.origin, f"it serves chain {chain_id}, not {self._chain_id}"
                )
            self._checked.add(client)
        answer = await ask(client)
        self._log.fine(f"rpc {client.origin}")
        return answer

    def _use(self, index: int) -> None:
        if index != self._current:
            self._current = index
            self._until = self._now() + RETURN_SECONDS
