"""The test double that exposes the modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import deployer


@pytest.fixture(scope="session")
def words() -> Contract:
    """Every pure function of the modules as a call."""
    return deployer("testing/WordsMock").deploy()


@pytest.fixture(autouse=True)
def undone(words: Contract) -> Iterator[None]:
    """Undo what a test does; nothing but the double is compiled and deployed for it."""
    with evm.env.anchor():
        yield
