"""Announcing endpoint and profile."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.system import System, event

PROFILE = bytes([9]) * 32


def test_owner_sets_them(system: System) -> None:
    license_id = system.issue_node()
    endpoint = "https://node.example:8443".ljust(128, "x")

    system.licenses.set_profile(license_id, endpoint, PROFILE, sender=system.operators[0])

    assert event(system.licenses, "ProfileSet") == {
        "license_id": license_id,
        "profile_hash": PROFILE,
        "endpoint": endpoint,
    }
    assert system.licenses.endpoint_of(license_id) == endpoint
    assert system.licenses.profile_hash_of(license_id) == PROFILE


def test_longer_endpoint_is_refused(system: System) -> None:
    license_id = system.issue_node()

    with evm.reverts():
        system.licenses.set_profile(license_id, "x" * 129, PROFILE, sender=system.operators[0])


def test_only_the_owner_sets_them(system: System) -> None:
    license_id = system.issue_node()

    for sender in (system.node_of(license_id), system.governor, system.stranger):
        with evm.reverts("license: not the owner"):
            system.licenses.set_profile(license_id, "http://node:1", PROFILE, sender=sender)
