"""The committee at a moment: who counts, who leads, and how many must agree."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from workdeed.chain.books import Books
from workdeed.protocol.quorum import faults, quorum
from workdeed.protocol.windows import leader


@dataclass(frozen=True, slots=True)
class Committee:
    """The members of one epoch.

    Attributes:
        epoch: the committee epoch that messages name.
        members: signers in the order of their seats, in which leaders are counted.
        seats: the seat of each.

    """

    epoch: int
    members: tuple[str, ...]
    seats: tuple[int, ...]

    @classmethod
    def of(cls, books: Books) -> Self:
        """Read the committee from the books."""
        taken = books.members
        return cls(
            epoch=books.committee_epoch,
            members=tuple(seat.signer for seat in taken),
            seats=tuple(seat.seat for seat in taken),
        )

    @property
    def size(self) -> int:
        """How many members there are."""
        return len(self.members)

    @property
    def quorum(self) -> int:
        """How many must sign."""
        return quorum(self.size)

    @property
    def faults(self) -> int:
        """How many may be faulty."""
        return faults(self.size)

    def leader(self, window: int, turn: int) -> str:
        """Return who leads a turn of a window's round."""
        return self.members[leader(window, turn, self.size)]

    def rank(self, member: str, window: int, turn: int) -> int:
        """Return how far `member` sits behind the leader of a turn, 0 for the leader."""
        distance = self.members.index(member) - leader(window, turn, self.size)
        return distance % self.size

    def holds(self, signers: Iterable[str]) -> bool:
        """Tell whether these signers are all members, none twice, and a quorum."""
        found = list(signers)
        distinct = set(found)
        return (
            len(distinct) == len(found)
            and distinct <= set(self.members)
            and len(found) >= self.quorum
        )
