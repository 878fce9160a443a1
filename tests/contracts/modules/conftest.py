"""The test double that exposes the modules."""

from __future__ import annotations

import pytest

from tests.contracts.evm import Contract
from tests.contracts.system import deployer


@pytest.fixture(scope="session")
def words() -> Contract:
    """Every pure function of the modules as a call."""
    return deployer("testing/WordsMock").deploy()
