"""A timelock, and a system that it governs."""

from __future__ import annotations

import pytest

from tests.contracts.system import System
from tests.contracts.timelock.operations import Governed, deploy_timelock


@pytest.fixture
def governed(system: System) -> Governed:
    """A system with a timelock beside it, which governs nothing yet."""
    return deploy_timelock(system)
