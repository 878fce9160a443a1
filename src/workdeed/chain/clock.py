"""The chain's time: what contracts see, carried on between blocks by this machine's clock."""

import time
from collections.abc import Callable

from workdeed.chain.errors import ChainError
from workdeed.chain.rpc import Head, Rpc, RpcUnavailable
from workdeed.protocol.windows import WindowClock


class ClockError(ChainError):
    """The chain's time is not known."""


class ChainClock:
    """The time of the chain, in Unix seconds.

    Args:
        windows: the calendar.
        max_drift: seconds that `now` runs ahead of the head at most, so that it stands still when
            the chain does. A few blocks' time.
        monotonic: seconds of a clock that never goes back.

    """

    def __init__(
        self,
        windows: WindowClock,
        *,
        max_drift: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.windows = windows
        self._max_drift = max_drift
        self._monotonic = monotonic
        self._head: Head | None = None
        self._seen = 0.0

    def observe(self, head: Head) -> None:
        """Take note of a head. A lower one than before is a node that lags, and is passed over."""
        known = self._head
        if known is not None and (head.number < known.number or head.hash == known.hash):
            return
        self._head = head
        self._seen = self._monotonic()

    @property
    def head(self) -> Head:
        """The head that time is taken from; raises `ClockError` before the first `observe`."""
        if self._head is None:
            raise ClockError("clock: no block was seen yet; poll the chain first")
        return self._head

    def now(self) -> float:
        """Return the time: of the head, plus the time since it was seen, at most `max_drift`."""
        passed = self._monotonic() - self._seen
        return self.head.timestamp + min(max(passed, 0.0), self._max_drift)

    def window(self) -> int:
        """Return the window of the head, which is the one that contracts see; 0 before genesis."""
        return self.windows.at(self.head.timestamp)

    def window_over(self, window: int) -> bool:
        """Tell whether the head is past the end of `window`; never decided by this machine."""
        return self.head.timestamp >= self.windows.end(window)


async def last_block_before(rpc: Rpc, timestamp: int, *, first: int, last: Head) -> Head | None:
    """Return the last block with a timestamp below `timestamp`, by bisection.

    Args:
        rpc: the chain.
        timestamp: Unix seconds.
        first: the lowest block to look at; None is returned if it is not earlier.
        last: the highest block to look at, at the depth where blocks count as settled.

    Raises:
        RpcUnavailable: if the node lacks a block below `last`, or the chain changed meanwhile.

    """
    if last.timestamp < timestamp:
        return last
    low, high = first - 1, last.number  # `low` is earlier, or below the range; `high` is not
    found: Head | None = None
    while high - low > 1:
        middle = (low + high) // 2
        header = await rpc.block(middle)
        if header is None:
            raise RpcUnavailable(rpc.origin, f"it lacks block {middle} below its head")
        if header.timestamp < timestamp:
            low, found = middle, header
        else:
            high = middle
    return found
