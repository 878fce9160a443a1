"""The followed chain in memory: a follower's events with the books that they add up to."""

from collections.abc import Callable
from dataclasses import dataclass

from workdeed.chain.bindings.codec import LoggedEvent
from workdeed.chain.books import Books
from workdeed.chain.follower import Follower, FollowerUpdate
from workdeed.chain.history import History
from workdeed.chain.rpc import Head


@dataclass(frozen=True, slots=True)
class MirrorUpdate:
    """What a refresh found.

    Attributes:
        head: the latest block of the node, confirmed or not.
        block: the last block that is read now.
        events: those that are new since the last refresh, or since `rewound_to`.
        rewound_to: after a reorg the last block that still counts.

    """

    head: Head
    block: int
    events: tuple[LoggedEvent, ...]
    rewound_to: int | None


def _unobserved(_: FollowerUpdate) -> None:
    """Take no note of a page."""


class Mirror:
    """Keeps a history equal to the database of a follower, whoever moves it.

    Args:
        follower: reads the chain.
        escrow_address: the escrow, which pairs and leaves name.
        keep_seconds: for how long before the head events are kept in memory and books can be had;
            None for ever.

    """

    def __init__(
        self, follower: Follower, escrow_address: str, *, keep_seconds: int | None = None
    ) -> None:
        self._follower = follower
        self._keep_seconds = keep_seconds
        self._escrow = escrow_address
        self._history = self._blank()
        self._generation = -1
        # Kept over failed refreshes, so that the next one that succeeds tells of all.
        self._new: list[LoggedEvent] = []
        self._cut: int | None = None

    @property
    def history(self) -> History:
        """The events and the books at any block."""
        return self._history

    @property
    def books(self) -> Books:
        """The books after the last block that was read."""
        return self._history.tip

    async def refresh(
        self, on_page: Callable[[FollowerUpdate], None] = _unobserved
    ) -> MirrorUpdate:
        """Read all that is new.

        Args:
            on_page: told of each page once it is taken.

        Raises:
            as `Follower.poll`; what was read before stays, and the next refresh goes on from there.
            BooksError: if the events do not add up.

        """
        while True:
            update = await self._follower.poll()
            await self._take(update)
            on_page(update)
            if update.caught_up:
                break
        if self._keep_seconds is not None:
            self._history.drop_older(update.head.timestamp - self._keep_seconds)
        found = MirrorUpdate(update.head, self._history.block, tuple(self._new), self._cut)
        self._new, self._cut = [], None
        return found

    async def _take(self, update: FollowerUpdate) -> None:
        """Bring the history to where the database is."""
        known = update.generation == self._generation
        if known and update.from_block == self._history.block + 1:
            self._history.extend(update.events, update.to_block)
            self._new += update.events
        elif update.rewound_to is not None and self._can_rewind(update, update.rewound_to):
            self._history.rewind(update.rewound_to)
            self._generation = update.generation
            self._rewound(update.rewound_to)
        else:
            await self._reload()

    def _can_rewind(self, update: FollowerUpdate, block: int) -> bool:
        history = self._history
        is_next = update.generation == self._generation + 1
        return is_next and history.floor <= block <= history.block

    async def _reload(self) -> None:
        """Take from the database what this mirror did not see happen.

        That is all of it at the start and after a rewind by someone else, and what is above the
        last block after a poll that was interrupted, or that someone else made.
        """
        last = self._history.block
        cursor, events = await self._follower.book.events(last + 1)
        moved = cursor.generation != self._generation or cursor.number < last
        if self._generation >= 0 and moved:
            cursor, events = await self._follower.book.events()
            self._history = self._blank()
            self._rewound(self._follower.book.base.number)
        self._history.extend(events, cursor.number)
        self._generation = cursor.generation
        self._new += events

    def _rewound(self, block: int) -> None:
        self._cut = block if self._cut is None else min(self._cut, block)
        self._new = [logged for logged in self._new if logged.block <= block]

    def _blank(self) -> History:
        return History(self._escrow, self._follower.book.base.number + 1)
