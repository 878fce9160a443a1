"""One chain over several RPC addresses: how each of them does, and the one that is asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, TypeVar, get_args

from workdeed.chain.errors import ChainError
from workdeed.chain.rpc import Rpc, RpcError, RpcUnavailable
from workdeed.keeper.logs import OnceLog
from workdeed.keeper.metrics import Metrics

T = TypeVar("T")

ErrorKind = Literal["unavailable", "refused", "odd"]
"""No usable answer, an error object that is no verdict, one that contradicts the others."""

RETURN_SECONDS = 60.0
"""How long another RPC is used before the preferred one is tried again."""

SEND_SECONDS = 10.0
"""How long an RPC may take to accept a transaction."""

_SEND: Final = "eth_sendRawTransaction"
_LOGS: Final = "eth_getLogs"


class CheckedRpc(Rpc):
    """Asks an RPC only once it has shown that it serves the right chain.

    A wrong address in a list must not mix two chains.

    Args:
        rpc: the RPC.
        chain_id: what it must serve.

    """

    def __init__(self, rpc: Rpc, chain_id: int) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._checked = False

    @property
    def origin(self) -> str:
        """The address, without credentials."""
        return self._rpc.origin

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """Call one method; see `Rpc.call`."""
        await self._check()
        return await self._rpc.call(method, params)

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Call several methods; see `Rpc.batch`."""
        await self._check()
        return await self._rpc.batch(calls)

    async def close(self) -> None:
        """Close its connections."""
        await self._rpc.close()

    async def _check(self) -> None:
        if self._checked:
            return
        chain_id = await self._rpc.chain_id()
        if chain_id != self._chain_id:
            raise RpcUnavailable(self.origin, f"it serves chain {chain_id}, not {self._chain_id}")
        self._checked = True


class Health:
    """Which RPCs answer, and agree with the others.

    Args:
        log: told what is wrong with one, and when it is over.
        metrics: 1 or 0 for each.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self, log: OnceLog, metrics: Metrics, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._now = now
        self._avoided: dict[Rpc, float] = {}

    def fine(self, rpc: Rpc) -> None:
        """Tell that an RPC answered."""
        if not self.is_avoided(rpc):
            self._log.fine(f"rpc {rpc.origin}")
            self._metrics.rpc_up.labels(rpc=rpc.origin).set(1)

    def down(self, rpc: Rpc, reason: str) -> None:
        """Tell that an RPC did not answer."""
        self._log.trouble(f"rpc {rpc.origin}", reason)
        self._metrics.rpc_up.labels(rpc=rpc.origin).set(0)

    def odd(self, rpc: Rpc, reason: str) -> None:
        """Tell that an RPC contradicts the others: for a while it is asked last."""
        self.failed(rpc, "odd")
        self._avoided[rpc] = self._now() + RETURN_SECONDS
        self.down(rpc, reason)

    def knows(self, rpc: Rpc) -> None:
        """Show an RPC's counts before its first error."""
        for kind in get_args(ErrorKind):
            self._metrics.rpc_errors.labels(rpc=rpc.origin, kind=kind)

    def failed(self, rpc: Rpc, kind: ErrorKind) -> None:
        """Count an error of an RPC."""
        self._metrics.rpc_errors.labels(rpc=rpc.origin, kind=kind).inc()

    def took(self, rpc: Rpc, seconds: float) -> None:
        """Tell how long a request took, answered or not."""
        self._metrics.rpc_seconds.labels(rpc=rpc.origin).observe(seconds)

    def is_avoided(self, rpc: Rpc) -> bool:
        """Say whether an RPC contradicted the others lately."""
        return self._now() < self._avoided.get(rpc, 0.0)


class MeteredRpc(Rpc):
    """Tells how an RPC does, whoever asks it.

    Args:
        rpc: the RPC.
        health: what is told.
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self, rpc: Rpc, health: Health, *, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self._rpc = rpc
        self._health = health
        self._now = now
        health.knows(self)

    @property
    def origin(self) -> str:
        """The address, without credentials."""
        return self._rpc.origin

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """Call one method; see `Rpc.call`."""
        return await self._metered(self._rpc.call(method, params), method == _LOGS)

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Call several methods; see `Rpc.batch`."""
        about_logs = any(method == _LOGS for method, _ in calls)
        return await self._metered(self._rpc.batch(calls), about_logs)

    async def close(self) -> None:
        """Close its connections."""
        await self._rpc.close()

    async def _metered(self, request: Awaitable[T], about_logs: bool) -> T:
        began = self._now()
        try:
            answer = await request
        except RpcUnavailable as error:
            self._health.failed(self, "unavailable")
            self._health.down(self, str(error))
            raise
        except RpcError as error:
            if error.is_verdict:
                self._health.fine(self)
            else:
                self._refused(error, about_logs)
            raise
        finally:
            self._health.took(self, self._now() - began)
        self._health.fine(self)
        return answer

    def _refused(self, error: RpcError, about_logs: bool) -> None:
        self._health.failed(self, "refused")
        # Logs of too many blocks are refused by good ones, too: the reader finds out how many.
        if not about_logs:
            self._health.down(self, str(error))


class FailoverRpc(Rpc):
    """Asks one RPC, and the next where it does not answer or refuses to.

    A transaction goes to all of them: one may take it and drop it.

    Args:
        rpcs: the RPCs, the preferred one first.
        health: which of them to ask last; whoever makes them lets them tell it (`MeteredRpc`).
        now: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        rpcs: Sequence[Rpc],
        health: Health,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpcs = tuple(rpcs)
        self._health = health
        self._now = now
        self._current = 0
        self._until = 0.0
        self._sending: set[asyncio.Task[Any]] = set()

    @property
    def origin(self) -> str:
        """The address in use, without credentials."""
        return self._rpcs[self._current].origin

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """Call one method; see `Rpc.call`."""
        if method == _SEND:
            return await self._send(params)
        return await self._first(lambda rpc: rpc.call(method, params))

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Call several methods of one RPC; see `Rpc.batch`."""
        return await self._first(lambda rpc: rpc.batch(calls))

    async def close(self) -> None:
        """Close all connections."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        for rpc in self._rpcs:
            await rpc.close()

    async def _first(self, ask: Callable[[Rpc], Awaitable[T]]) -> T:
        """Return the first answer; what an RPC says about the call itself is one, too."""
        errors = list[ChainError]()
        for index in self._order():
            rpc = self._rpcs[index]
            try:
                answer = await ask(rpc)
            except (RpcUnavailable, RpcError) as error:
                if _is_verdict(error):
                    raise
                errors.append(error)
                continue
            self._use(index)
            return answer
        raise _first_reason(errors)

    async def _send(self, params: Sequence[object]) -> Any:
        """Offer a transaction to all RPCs that are not avoided, and return the first answer.

        The others go on beside: what becomes of it there shows in their health.
        """
        rpcs = [self._rpcs[index] for index in self._order()]
        chosen = [rpc for rpc in rpcs if not self._health.is_avoided(rpc)] or rpcs
        errors = list[ChainError]()
        for offer in asyncio.as_completed([self._offer(rpc, params) for rpc in chosen]):
            try:
                return await offer
            except (RpcUnavailable, RpcError) as error:
                if _is_verdict(error):
                    raise
                errors.append(error)
        raise _first_reason(errors)

    def _offer(self, rpc: Rpc, params: Sequence[object]) -> asyncio.Task[Any]:
        async def send() -> Any:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    return await rpc.call(_SEND, params)
            except TimeoutError:
                error = RpcUnavailable(rpc.origin, "it does not take a transaction in time")
                self._health.down(rpc, str(error))
                raise error from None

        task = asyncio.create_task(send())
        self._sending.add(task)
        task.add_done_callback(self._sent)
        return task

    def _sent(self, task: asyncio.Task[Any]) -> None:
        self._sending.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, so that asyncio does not miss it

    def _order(self) -> list[int]:
        """Return whom to ask: from the one in use on, those that contradict the others last."""
        if self._now() >= self._until:
            self._current = 0
        count = len(self._rpcs)
        turn = [(self._current + step) % count for step in range(count)]
        return sorted(turn, key=lambda index: self._health.is_avoided(self._rpcs[index]))

    def _use(self, index: int) -> None:
        if index != self._current:
            self._current = index
            self._until = self._now() + RETURN_SECONDS


def _is_verdict(error: ChainError) -> bool:
    return isinstance(error, RpcError) and error.is_verdict


def _first_reason(errors: Sequence[ChainError]) -> ChainError:
    """Return why nobody answers; a refusal tells more than silence."""
    refusals = [error for error in errors if isinstance(error, RpcError)]
    silent = RpcUnavailable("http://", "no address is set")
    return next(iter([*refusals, *errors]), silent)
