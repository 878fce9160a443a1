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
from typing import Any, TypeVar

from workdeed.chain.errors import ChainError
from workdeed.chain.logbook import TOPIC_BYTES, Cursor, RawLog
from workdeed.chain.rpc import Head, Rpc, RpcError, RpcUnavailable
from workdeed.protocol.signing import to_checksum

H = TypeVar("H", bound=Hashable)


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

    The head is the latest block that enough of them reached, so that neither one that lags nor one
    that runs ahead of all others counts. One that does not answer is left out; what one says alone
    is told to `on_odd` and not believed.

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
        """Return the latest block that enough RPCs reached."""
        found = await self._answers(lambda rpc: rpc.head())
        heads = sorted((head for _, head in found), key=lambda head: -head.number)
        return heads[self._agree - 1]

    async def hash_at(self, number: int) -> bytes:
        """Return the hash that enough RPCs have."""
        return await self._agreed(f"block {number}", lambda rpc: OneRpc(rpc).hash_at(number))

    async def page(self, addresses: Sequence[str], cursor: Cursor, last: int) -> RawPage:
        """Return the logs that enough RPCs have."""
        return await self._agreed(
            f"the logs up to block {last}", lambda rpc: OneRpc(rpc).page(addresses, cursor, last)
        )

    async def _agreed(self, what: str, ask: Callable[[Rpc], Awaitable[H]]) -> H:
        said: dict[H, list[Rpc]] = defaultdict(list)
        for rpc, answer in await self._answers(ask):
            said[answer].append(rpc)
        (answer, believed), *others = sorted(said.items(), key=lambda item: -len(item[1]))
        tie = bool(others) and len(others[0][1]) == len(believed)
        if tie or len(believed) < self._agree:
            counts = " to ".join(str(len(rpcs)) for rpcs in said.values())
            raise RpcUnavailable(believed[0].origin, f"RPCs disagree about {what}, {counts}")
        for _, odd in others:
            for rpc in odd:
                self._on_odd(rpc, f"it contradicts the others about {what}")
        return answer

    async def _answers(self, ask: Callable[[Rpc], Awaitable[H]]) -> list[tuple[Rpc, H]]:
        """Return what the RPCs say that answer; at least `agree` of them.

        Raises:
            RpcError: if so many refuse that too few are left, for the first reason.
            RpcUnavailable: if too few answer.

        """
        found = await asyncio.gather(*(ask(rpc) for rpc in self._rpcs), return_exceptions=True)
        answers, errors = list[tuple[Rpc, H]](), list[ChainError]()
        for rpc, answer in zip(self._rpcs, found, strict=True):
            if isinstance(answer, ChainError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                answers.append((rpc, answer))
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
