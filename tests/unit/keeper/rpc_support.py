"""An RPC that knows the blocks of a chain of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from books_support import Chain

from workdeed.chain.rpc import BlockId, Head, Rpc


class BlockRpc(Rpc):
    """Answers for the blocks of a chain.

    Attributes:
        others: further blocks by hash: those not read yet, and those not on the chain any more.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.others: dict[bytes, Head] = {}

    @property
    def origin(self) -> str:
        return "http://fake"

    async def block(self, block: BlockId) -> Head | None:
        heads = self._chain.heads
        if isinstance(block, bytes):
            found = (head for head in heads if head.hash == block)
            return next(found, self.others.get(block))
        assert isinstance(block, int)
        return heads[block - 1] if 0 < block <= len(heads) else None

    async def call(self, method: str, params: Sequence[object] = ()) -> Any:
        raise NotImplementedError(method)

    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        raise NotImplementedError

    async def close(self) -> None:
        """There is nothing to close."""
