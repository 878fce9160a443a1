"""Run the machine over all contracts under the profile in force, and say what it exercised."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.stateful.machine import CHECKED, EFFECTIVE, TRIED, WorkdeedMachine


def test_money_stays_right_in_any_order_of_calls(record_property: pytest.RecordProperty) -> None:
    run_state_machine_as_test(WorkdeedMachine)
    lines = [f"{name}: {EFFECTIVE[name]} of {TRIED[name]} took effect" for name in sorted(TRIED)]
    lines += [f"{name}: checked {count} times" for name, count in sorted(CHECKED.items())]
    print("\n".join(lines))
    for name, count in CHECKED.items():
        record_property(name, count)
    for name in ("open_job", "place", "report", "claim", "claim_many", "close_job"):
        assert EFFECTIVE[name] > 0, f"{name} never took effect: the draws miss it"
    assert CHECKED["claims that paid"] > 0
