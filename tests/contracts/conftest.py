"""Fixtures of the contract tests. titanoboa undoes what a test did to the chain after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts import fast_deploy
from tests.contracts.system import System, deploy_system

fast_deploy.install()


@pytest.fixture(scope="session")
def deployed() -> System:
    """The default deployment, made once."""
    return deploy_system()


@pytest.fixture
def system(deployed: System) -> System:
    """The default deployment, as good as new: what the helper itself remembers starts afresh."""
    return replace(deployed, node_keys={}, reports=[])


@pytest.fixture
def nodes(system: System) -> list[int]:
    """A linked node license of each of the first three operators."""
    return [system.issue_node(operator) for operator in system.operators[:3]]
