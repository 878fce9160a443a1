"""How many oracle licenses an account owns: what the gate for payers asks."""

from __future__ import annotations

from tests.contracts.system import NODE, ORACLE, System


def counts(system: System) -> list[int]:
    """Return the oracle licenses of each operator."""
    return [system.licenses.oracle_licenses_of(owner) for owner in system.operators]


def test_issue_counts_oracle_licenses_only(system: System) -> None:
    system.issue(system.operators[0], NODE)
    system.issue(system.operators[0], ORACLE)
    system.issue(system.operators[0], ORACLE)
    system.issue(system.operators[1], ORACLE)

    assert counts(system) == [2, 1, 0, 0]


def test_first_oracles_are_counted(system: System) -> None:
    assert [system.licenses.oracle_licenses_of(owner) for owner in system.oracle_owners] == [1] * 4


def test_transfer_moves_the_count(system: System) -> None:
    owner, buyer = system.operators[:2]
    license_id = system.issue(owner, ORACLE)

    system.licenses.transferFrom(owner, buyer, license_id, sender=owner)
    assert counts(system) == [0, 1, 0, 0]
    system.licenses.safeTransferFrom(buyer, owner, license_id, sender=buyer)
    assert counts(system) == [1, 0, 0, 0]


def test_transfer_to_oneself_changes_no_count(system: System) -> None:
    owner = system.operators[0]
    license_id = system.issue(owner, ORACLE)

    system.licenses.transferFrom(owner, owner, license_id, sender=owner)

    assert counts(system) == [1, 0, 0, 0]


def test_transfer_of_a_node_license_moves_no_count(system: System) -> None:
    owner, buyer = system.operators[:2]
    system.issue(owner, ORACLE)
    license_id = system.issue_node(owner)

    system.licenses.transferFrom(owner, buyer, license_id, sender=owner)

    assert counts(system) == [1, 0, 0, 0]
