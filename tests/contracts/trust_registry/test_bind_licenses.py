"""The one-time binding of the license contract."""

from __future__ import annotations

import boa
import pytest
from boa.contracts.vyper.vyper_contract import VyperContract

from tests.contracts.system import ZERO_ADDRESS, System, deployer, event


@pytest.fixture
def trust(system: System) -> VyperContract:
    """A registry that knows no licenses yet."""
    return deployer("TrustRegistry").deploy(
        system.governor, system.guardian, system.treasury, [], 1, sender=system.deployer
    )


def test_deployer_binds(system: System, trust: VyperContract) -> None:
    trust.bind_licenses(system.licenses, sender=system.deployer)

    assert event(trust, "LicensesBound") == {"licenses": system.licenses.address}
    assert trust.licenses() == system.licenses.address


@pytest.mark.parametrize("role", ["governor", "guardian", "issuer", "stranger"])
def test_others_cannot_bind(system: System, trust: VyperContract, role: str) -> None:
    with boa.reverts("trust: not the deployer"):
        trust.bind_licenses(system.licenses, sender=getattr(system, role))


def test_zero_address_is_refused(system: System, trust: VyperContract) -> None:
    with boa.reverts("trust: zero licenses"):
        trust.bind_licenses(ZERO_ADDRESS, sender=system.deployer)


def test_binding_is_for_good(system: System) -> None:
    with boa.reverts("trust: already bound"):
        system.trust.bind_licenses(system.stranger, sender=system.deployer)
