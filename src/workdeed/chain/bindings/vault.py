"""FeeVault: shares of fees and slashed bonds in three pots, until anyone sends them on.

Amounts are base units of the token.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from workdeed.chain.bindings.codec import Call, Contract, Event, Values, integer, text

POTS: Final = ("oracles", "burn", "treasury")
"""The pots, as `Pulled` counts them."""


@dataclass(frozen=True, slots=True)
class Booked(Event):
    """A contract sent shares and booked them into the pots."""

    source: str
    oracles: int
    burn: int
    treasury: int


@dataclass(frozen=True, slots=True)
class Pulled(Event):
    """A pot (an index of `POTS`) was sent to its receiver."""

    pot: int
    receiver: str
    amount: int


class Pots(NamedTuple):
    """What the pots hold."""

    oracles: int
    burn: int
    treasury: int


class FeeVault(Contract):
    """The fee vault."""

    NAME = "FeeVault"
    EVENTS = (Booked, Pulled)

    def pots(self) -> Call[Pots]:
        """Read what each pot holds."""
        return self._call(_pots, "pots")

    def owed(self) -> Call[int]:
        """Read the sum of the pots."""
        return self._call(integer, "owed")

    def auction(self) -> Call[str]:
        """Read where the burn pot goes."""
        return self._call(text, "AUCTION")

    def pull_oracles(self) -> Call[int]:
        """Send the oracles' pot to their committee; the result of a simulation is the amount."""
        return self._call(integer, "pull_oracles")

    def pull_burn(self) -> Call[int]:
        """Send the burn pot to the auction; the result of a simulation is the amount."""
        return self._call(integer, "pull_burn")

    def pull_treasury(self) -> Call[int]:
        """Send the treasury's pot to the treasury; the result of a simulation is the amount."""
        return self._call(integer, "pull_treasury")


def _pots(values: Values) -> Pots:
    return Pots(*values)
