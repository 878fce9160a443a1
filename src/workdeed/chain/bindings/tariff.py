"""Tariff: price classes with every price they ever had, and policy versions.

Prices are base units of the token for one slot and window at full availability, shares and parts
are basis points.
"""

from dataclasses import dataclass
from typing import NamedTuple

from workdeed.chain.bindings.codec import (
    Call,
    Contract,
    Event,
    Values,
    integer,
    nothing,
    text,
)


@dataclass(frozen=True, slots=True)
class ClassSet(Event):
    """A price class was set; a retired one refuses new money."""

    class_id: int
    price: int
    cpu_milli: int
    memory_mb: int
    storage_mb: int
    retired: bool


@dataclass(frozen=True, slots=True)
class PolicyAdded(Event):
    """A policy version was added, with the fields of `PolicyTerms`."""

    policy_version: int
    oracle_bps: int
    burn_bps: int
    treasury_bps: int
    sla_floor_bps: int
    payer_level: int
    payer_standing: bool
    payer_oracle: bool
    forfeit_payer_bps: int
    forfeit_burn_bps: int


@dataclass(frozen=True, slots=True)
class EscrowBound(Event):
    """The tariff learned the escrow that sells under it."""

    escrow: str


class ClassTerms(NamedTuple):
    """What a price class costs for a slot and window, and what a slot gives."""

    price: int
    cpu_milli: int
    memory_mb: int
    storage_mb: int


class PolicyTerms(NamedTuple):
    """The terms of a policy version.

    Attributes:
        oracle_bps, burn_bps, treasury_bps: the shares of a claim's gross.
        sla_floor_bps: the figure below which a window earns nothing.
        payer_level: the attested level that a payer needs; 0 asks for none.
        payer_standing, payer_oracle: whether a payer must be in good standing, and hold an oracle
            license.
        forfeit_payer_bps, forfeit_burn_bps: the parts of what a blacklisted license forfeits; the
            treasury gets the rest.

    """

    oracle_bps: int
    burn_bps: int
    treasury_bps: int
    sla_floor_bps: int
    payer_level: int
    payer_standing: bool
    payer_oracle: bool
    forfeit_payer_bps: int
    forfeit_burn_bps: int

    @property
    def fee_bps(self) -> int:
        """What is kept of a claim's gross in all."""
        return self.oracle_bps + self.burn_bps + self.treasury_bps


@dataclass(frozen=True, slots=True)
class Offer:
    """A price class as the tariff holds it."""

    price: int
    cpu_milli: int
    memory_mb: int
    storage_mb: int
    exists: bool
    retired: bool


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What a class cost from `since` (Unix seconds) on, and whether new money was refused."""

    price: int
    retired: bool
    since: int


class Tariff(Contract):
    """The tariff."""

    NAME = "Tariff"
    EVENTS = (ClassSet, PolicyAdded, EscrowBound)

    def class_of(self, class_id: int) -> Call[Offer]:
        """Read a price class."""
        return self._call(_offer, "class_of", class_id)

    def class_changes(self, class_id: int) -> Call[int]:
        """Read how often a class was set or retired."""
        return self._call(integer, "class_changes", class_id)

    def class_at(self, class_id: int, index: int) -> Call[PriceChange]:
        """Read one of the changes of a class, counted from 0; reverts if there is none."""
        return self._call(_change, "class_at", class_id, index)

    def policy_of(self, version: int) -> Call[PolicyTerms]:
        """Read the terms of a policy version; reverts if there is none."""
        return self._call(_policy, "policy_of", version)

    def policy_version(self) -> Call[int]:
        """Read the policy version of new jobs."""
        return self._call(integer, "policy_version")

    def escrow(self) -> Call[str]:
        """Read the address of the escrow that sells under this tariff."""
        return self._call(text, "escrow")

    def bind_escrow(self, escrow: str) -> Call[None]:
        """Name the escrow, once, and publish the first classes and policy; for the deployer."""
        return self._call(nothing, "bind_escrow", escrow)

    def set_class(self, class_id: int, terms: ClassTerms) -> Call[None]:
        """Set a price class; for the governor."""
        return self._call(nothing, "set_class", class_id, tuple(terms))

    def retire_class(self, class_id: int) -> Call[None]:
        """Refuse new money in a price class; for the governor."""
        return self._call(nothing, "retire_class", class_id)

    def add_policy(self, policy: PolicyTerms) -> Call[int]:
        """Add a policy version; for the governor."""
        return self._call(integer, "add_policy", tuple(policy))


def _offer(values: Values) -> Offer:
    return Offer(*values[0])


def _change(values: Values) -> PriceChange:
    return PriceChange(*values)


def _policy(values: Values) -> PolicyTerms:
    return PolicyTerms(*values[0])
