"""Who of several keepers acts first, so that not all of them pay gas for one effect.

The first acts at once, the next a pause later if the effect is still missing, and so on: nobody has
to be alive for the others to get their turn.
"""

from dataclasses import dataclass

from workdeed.keeper.view import View


@dataclass(frozen=True)
class Stagger:
    """The order of this keeper among the committee's.

    Attributes:
        member: this keeper's signer, None without a seat; it then comes after all members.
        pause: seconds that each keeper leaves to the one before it.

    """

    member: str | None
    pause: float

    def delay(self, view: View, lot: int) -> float:
        """Return the seconds that this keeper waits with a matter whose turn is drawn by `lot`."""
        signers = [seat.signer for seat in view.books.members]
        if self.member not in signers:
            return len(signers) * self.pause
        return (signers.index(self.member) - lot) % len(signers) * self.pause
