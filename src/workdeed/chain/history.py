"""The events of a chain, and the books at any block of it."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from workdeed.chain.bindings.codec import LoggedEvent
from workdeed.chain.books import Books, BooksError

CACHED_BOOKS: Final = 8

DROPPED_AT_ONCE: Final = 10_000
"""Events that are worth the work of dropping them, which copies the books."""


class History:
    """Events in chain order, and the books after any block up to the last that was read.

    Books along the way are kept and built upon, so that following the chain costs each event once.

    Args:
        escrow_address: the escrow, which pairs and leaves name.
        start_block: the first block that events can be of.

    """

    def __init__(self, escrow_address: str, start_block: int = 0) -> None:
        self._escrow = escrow_address
        self._events: list[LoggedEvent] = []
        self._floor = start_block - 1
        self._block = self._floor
        self._kept: dict[int, Books] = {self._floor: Books(escrow_address)}

    @property
    def block(self) -> int:
        """The last block that was read."""
        return self._block

    @property
    def floor(self) -> int:
        """The first block whose books can be had; what is below was dropped."""
        return self._floor

    @property
    def tip(self) -> Books:
        """The books after the last block that was read."""
        return self.at(self._block)

    def extend(self, events: Sequence[LoggedEvent], to_block: int) -> None:
        """Add the events of the blocks after the last one, up to `to_block`.

        Raises:
            BooksError: if they are not of these blocks or not in chain order; nothing is added.

        """
        last = (self._block + 1, -1)
        for logged in events:
            position = logged.block, logged.log_index
            if position <= last or logged.block > to_block:
                raise BooksError(f"block {logged.block}: its events are out of place")
            last = position
        if to_block < self._block:
            raise BooksError(f"block {to_block}: it was read before; rewind first")
        self._events += events
        self._block = to_block

    def rewind(self, block: int) -> None:
        """Forget what is above `block`.

        Raises:
            BooksError: if what is below was dropped by `drop_before`.

        """
        self._check(block)
        del self._events[self._count(block) :]
        self._kept = {number: books for number, books in self._kept.items() if number <= block}
        self._block = block

    def at(self, block: int) -> Books:
        """Return the books after all events up to and with `block`; to be read only.

        Raises:
            BooksError: if it was not read yet, or was dropped by `drop_before`.

        """
        self._check(block)
        base = max(number for number in self._kept if number <= block)
        start, stop = self._count(base), self._count(block)
        books = self._kept[base]
        if start != stop:
            books = books.copy()
            for logged in self._events[start:stop]:
                books.apply(logged)
        self._keep(block, books)
        return books

    def drop_before(self, block: int) -> None:
        """Forget the events up to `block`; books of earlier blocks can't be had any more."""
        books = self.at(block)
        del self._events[: self._count(block)]
        self._floor = block
        self._kept = {number: kept for number, kept in self._kept.items() if number > block}
        self._kept[block] = books

    def drop_older(self, timestamp: int) -> None:
        """Forget events from before a time (Unix seconds), once there are many of them.

        Books from that time on can still be had.
        """
        count = bisect_left(self._events, timestamp, key=lambda logged: logged.timestamp)
        if count >= DROPPED_AT_ONCE:
            self.drop_before(self._events[count - 1].block)

    def events(self, first: int, last: int) -> Sequence[LoggedEvent]:
        """Return the events of the blocks `first`..`last`."""
        return self._events[self._count(first - 1) : self._count(last)]

    def _check(self, block: int) -> None:
        if block > self._block:
            raise BooksError(f"block {block}: not read yet; the last one is {self._block}")
        if block < self._floor:
            raise BooksError(f"block {block}: its events were dropped; read them anew")

    def _count(self, block: int) -> int:
        """Return how many events there are up to and with `block`."""
        return bisect_right(self._events, block, key=lambda logged: logged.block)

    def _keep(self, block: int, books: Books) -> None:
        self._kept.pop(block, None)
        self._kept[block] = books
        surplus = [number for number in self._kept if number != self._floor]
        for number in surplus[: max(0, len(surplus) - CACHED_BOOKS)]:
            del self._kept[number]
