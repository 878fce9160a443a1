"""A deployment that asks for bonds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.node_license.bonds import TERMS
from tests.contracts.system import System, deploy_system


@pytest.fixture(scope="session")
def deployed_with_bonds() -> System:
    """A deployment with a minimum bond for each kind, made once."""
    return deploy_system(bond_terms=TERMS)


@pytest.fixture
def bonded(deployed_with_bonds: System) -> System:
    """The deployment with bonds, as good as new."""
    return replace(deployed_with_bonds, node_keys={}, reports=[])
