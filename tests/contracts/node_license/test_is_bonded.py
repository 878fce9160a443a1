"""Whether a bond counts, as placements and committees ask."""

from __future__ import annotations

import pytest

from tests.contracts.node_license.bonds import MIN_NODE, MIN_ORACLE, bonded_node
from tests.contracts.system import (
    NODE,
    ORACLE,
    BondTerms,
    System,
    deploy_system,
    event,
    private_key,
)


@pytest.mark.parametrize("kind", [NODE, ORACLE])
def test_license_without_a_bond_is_not_where_one_is_asked(bonded: System, kind: int) -> None:
    assert not bonded.licenses.is_bonded(bonded.issue(bonded.operators[0], kind))


@pytest.mark.parametrize("license_id", [0, 1_000, 2**256 - 1])
def test_unknown_license_is_not(bonded: System, license_id: int) -> None:
    assert not bonded.licenses.is_bonded(license_id)
    assert tuple(bonded.licenses.bond_of(license_id)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("minimum", "kind", "bonded"),
    [((0, 5), NODE, True), ((0, 5), ORACLE, False), ((5, 0), NODE, False), ((5, 0), ORACLE, True)],
)
def test_kind_that_needs_no_bond_counts_from_its_issue_on(
    minimum: tuple[int, int], kind: int, bonded: bool
) -> None:
    system = deploy_system(oracles=1, bond_terms=BondTerms(*minimum))

    license_id = system.issue(system.operators[0], kind)

    if bonded:
        assert event(system.licenses, "BondedSet") == {"license_id": license_id, "bonded": True}
    assert system.licenses.is_bonded(license_id) is bonded
    assert system.licenses.is_bonded(1) is (minimum[1] == 0)


def test_kind_that_needs_no_bond_stays_bonded_whatever_is_withdrawn(system: System) -> None:
    license_id = system.issue_node()
    system.post_bond(license_id, 5)
    system.licenses.request_unbond(license_id, 5, sender=system.operators[0])

    assert system.licenses.is_bonded(license_id)
    assert system.licenses.eligible(license_id)


def test_links_payouts_and_profiles_leave_the_bond_alone(bonded: System) -> None:
    license_id = bonded_node(bonded)
    owner = bonded.operators[0]
    bonded.licenses.set_payout(license_id, bonded.stranger, sender=owner)
    bonded.licenses.set_profile(license_id, "http://node:1", bytes(32), sender=owner)
    bonded.licenses.unlink_node(license_id, sender=owner)
    assert bonded.licenses.is_bonded(license_id)
    assert not bonded.licenses.eligible(license_id)

    bonded.link(license_id, private_key("another node"))

    assert bonded.licenses.eligible(license_id)


def test_bond_of_an_oracle_makes_no_license_eligible(bonded: System) -> None:
    license_id = bonded.issue(bonded.operators[0], ORACLE)
    bonded.link(license_id, private_key("node of an oracle"))
    bonded.post_bond(license_id, MIN_ORACLE + MIN_NODE)

    assert bonded.licenses.is_bonded(license_id)
    assert not bonded.licenses.eligible(license_id)


def test_one_license_without_a_bond_spoils_a_placement(bonded: System) -> None:
    good, bare = bonded_node(bonded), bonded.issue_node()

    assert bonded.licenses.all_eligible([good, good])
    assert not bonded.licenses.all_eligible([good, bare])
