"""Run the machine over licenses and bonds under the profile in force, and say what it exercised."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.stateful_licenses.machine import (
    CALLS,
    CHECKED,
    EFFECTIVE,
    REFUSED,
    TRIED,
    LicenseMachine,
)

MUST_REFUSE = (
    "license: evidence used",
    "license: not a slasher",
    "license: not in good standing",
    "license: nothing requested",
    "license: seated",
    "license: unbond delay",
    "trust: freeze cooldown",
)
"""Refusals that protect a bond: draws that never meet one would prove little."""


def test_bonds_and_links_stay_right_in_any_order_of_calls(
    record_property: pytest.RecordProperty,
) -> None:
    run_state_machine_as_test(LicenseMachine)
    lines = [f"{name}: {EFFECTIVE[name]} of {TRIED[name]} took effect" for name in sorted(TRIED)]
    lines += [f"refused {count} times: {reason}" for reason, count in sorted(REFUSED.items())]
    lines += [f"{name}: checked {count} times" for name, count in sorted(CHECKED.items())]
    print("\n".join(lines))
    for name, count in CHECKED.items():
        record_property(f"checked {name}", count)
    calls = {*CALLS, "post_bond"} - {"post", "flee"}
    without_effect = [name for name in calls if not EFFECTIVE[name]]
    assert not without_effect, f"never took effect, the draws miss them: {without_effect}"
    assert [reason for reason in MUST_REFUSE if not REFUSED[reason]] == []
    assert [name for name, count in CHECKED.items() if not count] == []
