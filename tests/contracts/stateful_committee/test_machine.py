"""Run the machine over the committee under the profile in force, and say what it exercised."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.stateful_committee.base import CHECKED, EFFECTIVE, REFUSED, TRIED
from tests.contracts.stateful_committee.machine import CALLS, CommitteeMachine
from tests.contracts.stateful_committee.reports import WRONG_REPORTS, wrong_name

MUST_REFUSE = (
    "committee: last seat",
    "committee: no bond",
    "committee: no member then",
    "committee: nothing pending",
    "committee: payee held",
    "committee: record expired",
    "committee: report pending",
    "committee: signer on record",
    "committee: window not later",
    "committee: window not over",
    "committee: window vetoed",
    "license: evidence used",
    "license: seated",
    "license: unbond delay",
)
"""Refusals that money or members rest on: draws that never meet one would prove little."""


def test_committee_stays_right_in_any_order_of_calls(
    record_property: pytest.RecordProperty,
) -> None:
    """O16-O19, L22, L25, R33."""
    run_state_machine_as_test(CommitteeMachine)
    lines = [f"{name}: {EFFECTIVE[name]} of {TRIED[name]} took effect" for name in sorted(TRIED)]
    lines += [f"refused {count} times: {reason}" for reason, count in sorted(REFUSED.items())]
    lines += [f"{name}: checked {count} times" for name, count in sorted(CHECKED.items())]
    print("\n".join(lines))
    for name, count in CHECKED.items():
        record_property(f"checked {name}", count)
    calls = {*CALLS, *map(wrong_name, WRONG_REPORTS)}
    calls -= {"serve", "wrong_report", "come_back", "pursue"}
    without_effect = sorted(name for name in calls if not EFFECTIVE[name])
    assert not without_effect, f"never took effect, the draws miss them: {without_effect}"
    assert [reason for reason in MUST_REFUSE if not REFUSED[reason]] == []
    assert [name for name, count in CHECKED.items() if not count] == []
