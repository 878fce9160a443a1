"""A sale that may issue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.evm import Contract
from tests.contracts.license_sale.sales import deploy_sale
from tests.contracts.system import System, deploy_system


@pytest.fixture(scope="session")
def deployed_with_sale() -> tuple[System, Contract]:
    """A deployment and its sale, made once."""
    system = deploy_system(oracles=1)
    return system, deploy_sale(system)


@pytest.fixture
def system(deployed_with_sale: tuple[System, Contract]) -> System:
    """The deployment, as good as new."""
    return replace(deployed_with_sale[0], node_keys={}, reports=[])


@pytest.fixture
def sale(deployed_with_sale: tuple[System, Contract]) -> Contract:
    """The sale."""
    return deployed_with_sale[1]
