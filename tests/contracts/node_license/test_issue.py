"""Issuing licenses."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import NODE, ORACLE, ZERO_ADDRESS, System, event


@pytest.mark.parametrize("kind", [NODE, ORACLE])
def test_issuer_issues_the_next_license(system: System, kind: int) -> None:
    owner = system.operators[0]
    last = system.licenses.totalSupply()

    license_id = system.licenses.issue(owner, kind, sender=system.issuer)

    assert license_id == last + 1
    assert event(system.licenses, "LicenseIssued") == {
        "license_id": license_id,
        "owner": owner,
        "kind": kind,
    }
    assert event(system.licenses, "Transfer") == {
        "sender": ZERO_ADDRESS,
        "receiver": owner,
        "token_id": license_id,
    }
    assert system.licenses.ownerOf(license_id) == owner
    assert system.licenses.kind_of(license_id) == kind
    assert system.licenses.node_of(license_id) == ZERO_ADDRESS
    assert system.licenses.relink_at(license_id) == 0
    assert tuple(system.licenses.payee_of(license_id)) == (owner, 0)
    assert not system.licenses.eligible(license_id)


@pytest.mark.parametrize("kind", [0, 3, 255, 2**256 - 1])
def test_unknown_kind_is_refused(system: System, kind: int) -> None:
    with evm.reverts("license: unknown kind"):
        system.issue(system.operators[0], kind)


def test_zero_owner_is_refused(system: System) -> None:
    with evm.reverts("license: zero owner"):
        system.issue(ZERO_ADDRESS)


@pytest.mark.parametrize("role", ["governor", "guardian", "deployer", "stranger"])
def test_others_cannot(system: System, role: str) -> None:
    with evm.reverts("roles: not an issuer"):
        system.licenses.issue(system.operators[0], NODE, sender=getattr(system, role))


def test_dropped_issuer_cannot(system: System) -> None:
    system.trust.set_issuer(system.issuer, False, sender=system.governor)

    with evm.reverts("roles: not an issuer"):
        system.issue(system.operators[0])
