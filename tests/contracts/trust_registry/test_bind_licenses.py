"""The one-time binding of the license contract."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import ZERO_ADDRESS, System, deployer, event


@pytest.fixture
def trust(system: System) -> Contract:
    """A registry that knows no licenses yet."""
    return deployer("TrustRegistry").deploy(
        system.governor, system.guardian, system.treasury, [], 1, sender=system.deployer
    )


def test_deployer_binds(system: System, trust: Contract) -> None:
    trust.bind_licenses(system.licenses, sender=system.deployer)

    assert event(trust, "LicensesBound") == {"licenses": system.licenses.address}
    assert trust.licenses() == system.licenses.address


@pytest.mark.parametrize("role", ["governor", "guardian", "issuer", "stranger"])
def test_others_cannot_bind(system: System, trust: Contract, role: str) -> None:
    with evm.reverts("trust: not the deployer"):
        trust.bind_licenses(system.licenses, sender=getattr(system, role))


def test_zero_address_is_refused(system: System, trust: Contract) -> None:
    with evm.reverts("trust: zero licenses"):
        trust.bind_licenses(ZERO_ADDRESS, sender=system.deployer)


def test_binding_is_for_good(system: System) -> None:
    with evm.reverts("trust: already bound"):
        system.trust.bind_licenses(system.stranger, sender=system.deployer)
