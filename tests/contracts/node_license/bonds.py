"""What the tests of bonds repeat: the terms, what is read back, tokens that misbehave."""

from __future__ import annotations

from typing import NamedTuple

from tests.contracts.evm import Contract
from tests.contracts.system import NODE, ORACLE, BondTerms, System, deploy_system, deployer

MIN_NODE, MIN_ORACLE = 1_000_003, 2_000_003
"""Primes, so that no share of them comes out even."""

TERMS = BondTerms(MIN_NODE, MIN_ORACLE)
DELAY = TERMS.unbond_delay
MINIMUM = {NODE: MIN_NODE, ORACLE: MIN_ORACLE}
SEATED = 1
"""An oracle license that holds a seat from the start."""


class Bond(NamedTuple):
    """What `bond_of` returns."""

    bond: int
    unbonding: int
    requested_at: int


def bond_of(system: System, license_id: int) -> Bond:
    """Read a bond."""
    return Bond(*system.licenses.bond_of(license_id))


def balance(system: System, who: str | Contract) -> int:
    """Return an account's tokens."""
    return int(system.token.balanceOf(who))


def bonded_node(system: System, extra: int = 0) -> int:
    """Issue a node license, link it and post the minimum and `extra`; return its id."""
    license_id = system.issue_node()
    system.post_bond(license_id, MIN_NODE + extra)
    return license_id


def deploy_with(name: str) -> System:
    """Deploy a system with bonds whose token is the test double `name`."""
    token = deployer(f"testing/{name}").deploy(6)
    return deploy_system(oracles=1, bond_terms=TERMS, token=token)
