"""A project of two files and a suite with a hole, for the tests of the tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.project import Project

COUNTER = '''# pragma version 0.4.3
"""
@title Counter
"""

from modules import step

LIMIT: constant(uint256) = 10
UNUSED: constant(uint256) = 0

total: public(uint256)


@external
def add(amount: uint256):
    """
    @notice Adds twice an amount below 10.
    @param amount The amount.
    """
    assert amount < LIMIT, "counter: 10 or more"
    self.total += step._doubled(amount)
'''

STEP = '''# pragma version 0.4.3
"""
@title Step
"""


@internal
@pure
def _doubled(amount: uint256) -> uint256:
    """
    @dev Doubles.
    @param amount What.
    @return uint256 Twice that.
    """
    return 2 * amount
'''

TESTS = '''"""Never near the limit: nobody notices if it moves by one."""

import pytest

from tests.contracts import evm


@pytest.fixture
def counter():
    return evm.load("Counter").deploy()


def test_adds(counter):
    counter.add(3)
    assert counter.total() == 6


def test_limit(counter):
    with evm.reverts("counter: 10 or more"):
        counter.add(20)
'''


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A contract, a module of it, and two tests."""
    contracts, tests = tmp_path / "contracts", tmp_path / "tests"
    for path, text in (
        (contracts / "Counter.vy", COUNTER),
        (contracts / "modules" / "step.vy", STEP),
        (tests / "counter" / "test_counter.py", TESTS),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Project(contracts, tests, {"Counter": ("counter",)})
