"""The one-time binding of the committee."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import BOND_TERMS, ZERO_ADDRESS, System, deployer, event


@pytest.fixture
def licenses(system: System) -> Contract:
    """A license contract that knows no committee yet."""
    return deployer("NodeLicense").deploy(
        system.trust, system.vault, 0, 0, BOND_TERMS, [], sender=system.deployer
    )


def test_deployer_binds(system: System, licenses: Contract) -> None:
    licenses.bind_committee(system.committee, sender=system.deployer)

    assert event(licenses, "CommitteeBound") == {"committee": system.committee.address}
    assert licenses.committee() == system.committee.address


@pytest.mark.parametrize("role", ["governor", "guardian", "issuer", "stranger"])
def test_others_cannot_bind(system: System, licenses: Contract, role: str) -> None:
    with evm.reverts("license: not the deployer"):
        licenses.bind_committee(system.committee, sender=getattr(system, role))


def test_zero_address_is_refused(system: System, licenses: Contract) -> None:
    with evm.reverts("license: zero committee"):
        licenses.bind_committee(ZERO_ADDRESS, sender=system.deployer)


def test_binding_is_for_good(system: System) -> None:
    with evm.reverts("license: already bound"):
        system.licenses.bind_committee(system.stranger, sender=system.deployer)
