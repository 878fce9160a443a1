"""Where a follower's logs come from: one RPC, or several that have to agree.

A page is taken only if one node, in one request, shows the block at its upper end before and after
the logs, and the block below its lower end still in place: an empty answer of a node that lags is
an error, never "no events". Against a node that lies only others help: `AgreeingRpcs` compares what
each of them says.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from workdeed.chain.errors import ChainError
from workdeed.chain.logbook import TOPIC_BYTES, Cursor, RawLog
from workdeed.chain.rpc import Head, Rpc, RpcError, RpcUnavailable
from workdeed.protocol.signing import to_checksum

H = TypeVar("H", bound=Hashable)
T = TypeVar("T")

HEAD_DEPTH: Final = 16
"""How many blocks below the newest one RPCs may agree instead, while they differ about that."""


@dataclass(frozen=True, slots=True)
class RawPage:
    """Logs in chain order, and the blocks that carry them; the last block is the upper end."""

    blocks: tuple[Head, ...]
    logs: tuple[RawLog, ...]


class LogSource(ABC):
    """What a follower reads."""

    @abstractmethod
    async def head(self) -> Head:
        """Return the latest block; raises `RpcUnavailable`, `RpcError`."""

    @abstractmethod
    async def hash_at(self, number: int) -> bytes:
        """Return the hash of a block at or below the head; raises `RpcUnavailable`, `RpcError`."""

    @abstractmethod
    async def page(self, addresses: Sequence[str], cursor: Cursor, last: int) -> RawPage:
        """Return the logs of `addresses` in the blocks behind `cursor` up to `last`.

        Raises:
            RpcUnavailable: if nodes lag, contradict themselves or each other, or do not answer.
            RpcError: if the page is more than they grant.

        """


class OneRpc(LogSource):
    """Believes one RPC."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def head(self) -> Head:
        """Return its latest block."""
        return await self._rpc.head()

    async def hash_at(self, number: int) -> bytes:
        """Return the hash of its block."""
        header = await self._rpc.block(number)
        if header is None:
            raise RpcUnavailable(self._rpc.origin, f"it lacks block {number} below its head")
        return header.hash

    async def page(self, addresses: Sequence[str], cursor: Cursor, last: int) -> RawPage:
        """Return its logs."""
        upper, answer = await self._ask(addresses, cursor, last)
        found = {self._parse(item, addresses, cursor.number + 1, last) for item in answer}
        logs = sorted(found, key=lambda log: (log.block, log.log_index))
        blocks = await self._blocks_of(logs, upper)
        hashes = {block.hash for block in blocks}
        if not all(log.block_hash in hashes for log in logs):
            raise self._changed()
        return RawPage(tuple(blocks), tuple(logs))

    async def _blocks_of(self, logs: Sequence[RawLog], upper: Head) -> list[Head]:
        numbers = sorted({log.block for log in logs} - {upper.number})
        blocks = await self._rpc.blocks(numbers) if numbers else []
        return [*(block for block in blocks if block is not None), upper]

    async def _ask(
        self, addresses: Sequence[str], cursor: Cursor, last: int
    ) -> tuple[Head, Sequence[Any]]:
        """Ask for logs between two looks at the upper block, in one request; check the cursor."""
        block = ("eth_getBlockByNumber", [hex(last), False])
        span = {
            "address": list(addresses),
            "fromBlock": hex(cursor.number + 1),
            "toBlock": hex(last),
        }
        calls: list[tuple[str, Sequence[object]]] = [block, ("eth_getLogs", [span]), block]
        if cursor.hash:
            calls.append(("eth_getBlockByNumber", [hex(cursor.number), False]))
        before, logs, *others = await self._rpc.batch(calls)
        upper, *checks = (self._rpc.header(answer) for answer in (before, *others))
        if upper is None or checks[0] is None or upper.number != last:
            raise RpcUnavailable(self._rpc.origin, f"it lags: it does not have block {last} yet")
        expected = [upper.hash, cursor.hash] if cursor.hash else [upper.hash]
        if [check.hash if check else b"" for check in checks] != expected:
            raise self._changed()
        if not isinstance(logs, list):
            raise RpcUnavailable(self._rpc.origin, "it sent malformed logs")
        return upper, logs

    def _parse(self, log: Any, addresses: Sequence[str], first: int, last: int) -> RawLog:
        """Read a log of the node; raises `RpcUnavailable` if it was not asked for."""
        rpc = self._rpc
        if not isinstance(log, Mapping) or not isinstance(log.get("topics"), list):
            raise RpcUnavailable(rpc.origin, "it sent malformed logs")
        row = RawLog(
            block=rpc.quantity(log.get("blockNumber")),
            block_hash=rpc.data(log.get("blockHash"), 32),
            tx_hash=rpc.data(log.get("transactionHash"), 32),
            log_index=rpc.quantity(log.get("logIndex")),
            address=to_checksum(rpc.data(log.get("address"), 20)),
            topics=b"".join(rpc.data(topic, TOPIC_BYTES) for topic in log["topics"]),
            data=rpc.data(log.get("data")),
        )
        wanted = first <= row.block <= last and row.address in addresses
        if log.get("removed") or not wanted:
            raise RpcUnavailable(rpc.origin, "it sent logs that were not asked for")
        return row

    def _changed(self) -> RpcUnavailable:
        return RpcUnavailable(self._rpc.origin, "its chain changed while it was read")


class AgreeingRpcs(LogSource):
    """Believes what enough RPCs say, and more of them than say anything else.

    The head is the latest block that enough of them reached and show the same, so that neither one
    that lags nor one that runs ahead of all others counts. One that does not answer is left out;
    what one says alone is told to `on_odd` and not believed.

    Args:
        rpcs: the RPCs, at least `agree` of them.
        agree: how many have to say the same.
        on_odd: told an RPC that contradicts the others, and about what.

    """

    def __init__(self, rpcs: Sequence[Rpc], agree: int, on_odd: Callable[[Rpc, str], None]) -> None:
        self._rpcs = tuple(rpcs)
        self._agree = agree
        self._on_odd = on_odd

    async def head(self) -> Head:
        """Return the latest block that enough RPCs reached, as enough of them show it."""
        tips = await self._answers(lambda rpc: rpc.head())
        number = sorted((head.number for _, head in tips), reverse=True)[self._agree - 1]
        what = f"block {number}"
        shown = [(rpc, head) for rpc, head in tips if head.number == number]
        ahead = [rpc for rpc, head in tips if head.number > number]
        # Too few to outvote those that stand there, they are asked only if these do not do.
        head = self._winner(what, shown)
        if head is None and ahead:
            shown += await self._headers(ahead, number)
            head = self._winner(what, shown)
        if head is None:
            head = await self._below(number, [rpc for rpc, _ in tips])
        if head is None:
            raise self._disagreement(what, shown)
        return head

    async def hash_at(self, number: int) -> bytes:
        """Return the hash that enough RPCs have."""
        return await self._agreed(f"block {number}", lambda rpc: OneRpc(rpc).hash_at(number))

    async def page(self, addresses: Sequence[str], cursor: Cursor, last: int) -> RawPage:
        """Return the logs that enough RPCs have."""
        return await self._agreed(
            f"the logs up to block {last}", lambda rpc: OneRpc(rpc).page(addresses, cursor, last)
        )

    async def _headers(self, rpcs: Sequence[Rpc], number: int) -> list[tuple[Rpc, Head]]:
        """Return a block as these show it, those that do."""
        found, _ = await self._found(rpcs, lambda rpc: rpc.block(number))
        return [(rpc, head) for rpc, head in found if head is not None and head.number == number]

    async def _below(self, number: int, rpcs: Sequence[Rpc]) -> Head | None:
        """Return the highest block of those just below `number` that enough RPCs show the same.

        At the end of the chain honest RPCs may be on different blocks for a while. Without this,
        one that lies could then hold up the reading.
        """
        numbers = range(number - 1, max(-1, number - 1 - HEAD_DEPTH), -1)
        found, _ = await self._found(rpcs, lambda rpc: rpc.blocks(numbers))
        for place, below in enumerate(numbers):
            shown = [
                (rpc, head)
                for rpc, heads in found
                if (head := heads[place]) is not None and head.number == below
            ]
            winner = self._winner(f"block {below}", shown)
            if winner is not None:
                return winner
        return None

    async def _agreed(self, what: str, ask: Callable[[Rpc], Awaitable[H]]) -> H:
        answers = await self._answers(ask)
        winner = self._winner(what, answers)
        if winner is None:
            raise self._disagreement(what, answers)
        return winner

    def _winner(self, what: str, answers: Sequence[tuple[Rpc, H]]) -> H | None:
        """Return what enough RPCs say, and tell those that say something else; None if few do."""
        ranked = sorted(_by_answer(answers).items(), key=lambda item: -len(item[1]))
        counts = [len(rpcs) for _, rpcs in ranked]
        if not counts or counts[0] < self._agree or counts[0] in counts[1:]:
            return None
        for _, odd in ranked[1:]:
            for rpc in odd:
                self._on_odd(rpc, f"it contradicts the others about {what}")
        return ranked[0][0]

    def _disagreement(self, what: str, answers: Sequence[tuple[Rpc, H]]) -> RpcUnavailable:
        said = _by_answer(answers)
        counts = " to ".join(str(len(rpcs)) for rpcs in said.values())
        most = max(said.values(), key=len)
        return RpcUnavailable(most[0].origin, f"RPCs disagree about {what}, {counts}")

    async def _answers(self, ask: Callable[[Rpc], Awaitable[T]]) -> list[tuple[Rpc, T]]:
        """Return what the RPCs say that answer; at least `agree` of them.

        Raises:
            RpcError: if so many refuse that too few are left, for the first reason.
            RpcUnavailable: if too few answer.

        """
        answers, errors = await self._found(self._rpcs, ask)
        if len(answers) >= self._agree:
            return answers
        for error in errors:
            if isinstance(error, RpcError):
                raise error
        raise RpcUnavailable(
            self._rpcs[0].origin,
            f"{len(answers)} of {len(self._rpcs)} RPCs answer, {self._agree} have to agree"
            f" ({'; '.join(map(str, errors))})",
        )

    async def _found(
        self, rpcs: Sequence[Rpc], ask: Callable[[Rpc], Awaitable[T]]
    ) -> tuple[list[tuple[Rpc, T]], list[ChainError]]:
        """Return what these RPCs say, and why those that say nothing do not."""
        found = await asyncio.gather(*(ask(rpc) for rpc in rpcs), return_exceptions=True)
        answers, errors = list[tuple[Rpc, T]](), list[ChainError]()
        for rpc, answer in zip(rpcs, found, strict=True):
            if isinstance(answer, ChainError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                answers.append((rpc, answer))
        return answers, errors


def _by_answer(answers: Sequence[tuple[Rpc, H]]) -> dict[H, list[Rpc]]:
    said: dict[H, list[Rpc]] = defaultdict(list)
    for rpc, answer in answers:
        said[answer].append(rpc)
    return said
