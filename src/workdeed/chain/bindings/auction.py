"""BurnAuction: lots of the settlement token at a falling price in burned protocol tokens.

Amounts are base units of the settlement token, prices base units of the protocol token. A rate is
how many of the latter one of the former costs, times `WAD`.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from workdeed.chain.bindings.codec import Call, Contract, Event, Values, integer, nothing, text

WAD: Final = 10**18
"""What rates are multiplied by."""


@dataclass(frozen=True, slots=True)
class TermsSet(Event):
    """The terms of later lots were set; those of an open one stay."""

    start_rate: int
    floor_rate: int
    duration: int
    min_lot: int


@dataclass(frozen=True, slots=True)
class LotKicked(Event):
    """A lot is for sale; an earlier one that was still open is part of it and is gone."""

    lot_id: int
    amount: int
    start_rate: int
    floor_rate: int
    duration: int


@dataclass(frozen=True, slots=True)
class LotSold(Event):
    """A buyer took the whole lot, and its price was burned."""

    lot_id: int
    buyer: str
    amount: int
    price: int


class AuctionTerms(NamedTuple):
    """How lots are sold: both rates, the seconds of a fall, the least that makes a lot."""

    start_rate: int
    floor_rate: int
    duration: int
    min_lot: int


@dataclass(frozen=True, slots=True)
class Lot:
    """The latest lot.

    Attributes:
        amount: what is for sale; 0 once it is sold, and before the first lot.
        kicked_at: when it was put up, Unix seconds.
        start_rate, floor_rate: between which its rate falls.
        duration: how many seconds that takes; a second later it starts over.

    """

    amount: int
    kicked_at: int
    start_rate: int
    floor_rate: int
    duration: int


class BurnAuction(Contract):
    """The burn auction."""

    NAME = "BurnAuction"
    EVENTS = (TermsSet, LotKicked, LotSold)

    def terms(self) -> Call[AuctionTerms]:
        """Read the terms of the next lot."""
        return self._call(_terms, "terms")

    def lot_id(self) -> Call[int]:
        """Read the number of the latest lot; 0 before the first."""
        return self._call(integer, "lot_id")

    def lot(self) -> Call[Lot]:
        """Read the latest lot."""
        return self._call(_lot, "lot")

    def price_of(self, lot_id: int) -> Call[int]:
        """Read what the open lot costs now; reverts if it is another or sold."""
        return self._call(integer, "price_of", lot_id)

    def protocol_token(self) -> Call[str]:
        """Read the address of the token that buyers pay with."""
        return self._call(text, "PROTOCOL_TOKEN")

    def kick(self) -> Call[int]:
        """Put up all that is here; a simulation returns the lot's number."""
        return self._call(integer, "kick")

    def buy(self, lot_id: int, max_price: int) -> Call[int]:
        """Buy the whole lot, whose price the sender approved; a simulation returns the price."""
        return self._call(integer, "buy", lot_id, max_price)

    def set_terms(self, terms: AuctionTerms) -> Call[None]:
        """Set the terms of later lots; for the governor."""
        return self._call(nothing, "set_terms", tuple(terms))


def _terms(values: Values) -> AuctionTerms:
    return AuctionTerms(*values[0])


def _lot(values: Values) -> Lot:
    return Lot(*values[0])
