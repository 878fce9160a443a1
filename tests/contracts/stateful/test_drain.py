"""From states reached at random everybody can leave by himself."""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.stateful.base import CHECKED, depth
from tests.contracts.stateful.drain import DrainMachine


def test_everybody_leaves_without_oracle_guardian_or_governor() -> None:
    """M11."""
    before = CHECKED["M11"]
    run_state_machine_as_test(DrainMachine, settings=depth())
    assert CHECKED["M11"] > before
