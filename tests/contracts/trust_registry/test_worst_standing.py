"""The standing of a license, its owner and its node as one, and what follows from it."""

from __future__ import annotations

from itertools import product

import pytest

from tests.contracts.system import (
    BLACKLISTED,
    FROZEN,
    GOOD,
    SUSPENDED,
    VERIFIED,
    ZERO_ADDRESS,
    System,
    account,
)

LICENSE = 77
OWNER, NODE = account("owner"), account("node")
STANDINGS = (GOOD, FROZEN, SUSPENDED, BLACKLISTED)


def hold(system: System, target: int | str, standing: int) -> None:
    """Bring a subject into a standing."""
    actions = {FROZEN: system.freeze, SUSPENDED: system.suspend, BLACKLISTED: system.blacklist}
    if standing != GOOD:
        actions[standing](target)


# A license that nobody owns can't be frozen; frozen ones are in `test_freeze.py`.
@pytest.mark.parametrize(
    ("license_standing", "owner_standing", "node_standing"),
    product((GOOD, SUSPENDED, BLACKLISTED), STANDINGS, STANDINGS),
)
def test_worst_of_the_three_counts(
    system: System, license_standing: int, owner_standing: int, node_standing: int
) -> None:
    hold(system, LICENSE, license_standing)
    hold(system, OWNER, owner_standing)
    hold(system, NODE, node_standing)

    worst = max(license_standing, owner_standing, node_standing)
    assert system.trust.worst_standing(LICENSE, OWNER, NODE) == worst
    assert system.trust.worst_standing(LICENSE, OWNER, ZERO_ADDRESS) == max(
        license_standing, owner_standing
    )
    assert not system.trust.admits(LICENSE, OWNER, NODE, 0) or worst == GOOD


def test_admitted_are_those_in_good_standing_whose_owner_is_verified(system: System) -> None:
    assert system.trust.admits(LICENSE, OWNER, NODE, 0)
    assert not system.trust.admits(LICENSE, OWNER, NODE, VERIFIED)

    system.attest(OWNER)

    assert system.trust.admits(LICENSE, OWNER, NODE, VERIFIED)
    assert not system.trust.admits(LICENSE, OWNER, NODE, VERIFIED + 1)
    system.suspend(NODE)
    assert not system.trust.admits(LICENSE, OWNER, NODE, VERIFIED)


def test_payer_is_admitted_by_standing_and_level_apart(system: System) -> None:
    assert tuple(system.trust.admits_payer(OWNER, 0)) == (True, True)
    assert tuple(system.trust.admits_payer(OWNER, VERIFIED)) == (True, False)

    system.attest(OWNER)
    system.freeze(OWNER)

    assert tuple(system.trust.admits_payer(OWNER, VERIFIED)) == (False, True)
