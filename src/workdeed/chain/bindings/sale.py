"""LicenseSale: node licenses at prices that rise by tiers. Amounts are base units of the token."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from workdeed.chain.bindings.codec import Call, Contract, Event, Values, integer

MAX_COUNT: Final = 16
"""Licenses that one purchase may take."""


@dataclass(frozen=True, slots=True)
class TierSet(Event):
    """So many licenses are sold at one price; said at the deployment."""

    tier: int
    units: int
    price: int


@dataclass(frozen=True, slots=True)
class LicensesSold(Event):
    """A buyer got `count` licenses: `first_id` and the ids that follow it."""

    buyer: str
    first_id: int
    count: int
    cost: int


class Tier(NamedTuple):
    """Licenses that are sold at one price, sold already or not."""

    units: int
    price: int


class LicenseSale(Contract):
    """The sale of licenses, which not every deployment has."""

    NAME = "LicenseSale"
    EVENTS = (TierSet, LicensesSold)

    def sold(self) -> Call[int]:
        """Read how many licenses were sold."""
        return self._call(integer, "sold")

    def supply(self) -> Call[int]:
        """Read how many licenses there are in all tiers, sold or not."""
        return self._call(integer, "supply")

    def tier_count(self) -> Call[int]:
        """Read how many tiers there are."""
        return self._call(integer, "tier_count")

    def tier(self, index: int) -> Call[Tier]:
        """Read a tier, counted from 0; reverts if there is none."""
        return self._call(_tier, "tier", index)

    def limit(self) -> Call[int]:
        """Read how many licenses an account may buy."""
        return self._call(integer, "LIMIT")

    def buyer_level(self) -> Call[int]:
        """Read the attested level that a buyer needs; 0 asks for none."""
        return self._call(integer, "BUYER_LEVEL")

    def bought_by(self, buyer: str) -> Call[int]:
        """Read how many licenses an account bought."""
        return self._call(integer, "bought_by", buyer)

    def cost_of(self, count: int) -> Call[int]:
        """Read what the next licenses cost together; reverts if there are not so many."""
        return self._call(integer, "cost_of", count)

    def buy(self, count: int, max_cost: int) -> Call[int]:
        """Buy licenses, whose price the sender approved; a simulation returns the first id."""
        return self._call(integer, "buy", count, max_cost)


def _tier(values: Values) -> Tier:
    return Tier(*values[0])
