"""A protocol token with room below its cap."""

from __future__ import annotations

import pytest

from tests.contracts.evm import Contract
from tests.contracts.protocol_token.tokens import deploy_token
from tests.contracts.system import System


@pytest.fixture
def token(system: System) -> Contract:
    """A token of which the holder has the first supply."""
    return deploy_token(system)
