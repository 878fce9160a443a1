"""Who is attacked: a job that runs on nodes of three operators."""

from __future__ import annotations

import pytest

from tests.contracts.system import System


@pytest.fixture
def nodes(system: System) -> list[int]:
    """A linked node license of each of the first three operators."""
    return [system.issue_node(operator) for operator in system.operators[:3]]
