"""The test double that exposes the modules."""

from __future__ import annotations

import pytest
from boa.contracts.vyper.vyper_contract import VyperContract

from tests.contracts.system import deployer


@pytest.fixture(scope="session")
def words() -> VyperContract:
    """Every pure function of the modules as a call."""
    return deployer("testing/WordsMock").deploy()
