"""Run the machine over all contracts under the profile in force, and say what it exercised."""

from __future__ import annotations

import time

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts import evm
from tests.contracts.stateful.base import CHECKED, EFFECTIVE, REFUSED, TRIED, depth
from tests.contracts.stateful.machine import WorkdeedMachine

CALLS = {
    "add_policy",
    "add_seat",
    "attest",
    "attest_result",
    "blacklist",
    "cancel_job",
    "claim",
    "claim_many",
    "claim_of_nobody",
    "close_job",
    "close_unattested",
    "extend_job",
    "flush_fees",
    "forfeit",
    "freeze",
    "grant",
    "open_batch",
    "open_job",
    "open_job_for",
    "pause",
    "place",
    "post_bond",
    "pull_pot",
    "reinstate",
    "remove_seat",
    "report",
    "request_close",
    "retire_class",
    "revise_job",
    "revoke",
    "scale_down",
    "scale_up",
    "set_class",
    "set_payout",
    "slash",
    "suspend",
    "transfer",
    "unlink",
    "veto",
}
"""Every call that the machine makes; what it tries in vain is in `REFUSED`."""


def test_money_stays_right_in_any_order_of_calls(record_property: pytest.RecordProperty) -> None:
    """M1-M12, P13-P15, O16-O19, L21-L25, G27."""
    calls, began = getattr(evm.env, "calls", 0), time.monotonic()
    run_state_machine_as_test(WorkdeedMachine, settings=depth())
    if evm.BACKEND == "revm":
        record_property("calls", evm.env.calls - calls)
        record_property("seconds", time.monotonic() - began)
    lines = [f"{name}: {EFFECTIVE[name]} of {TRIED[name]} took effect" for name in sorted(TRIED)]
    lines += [f"{name}: refused {count} times" for name, count in sorted(REFUSED.items())]
    lines += [f"{name}: checked {count} times" for name, count in sorted(CHECKED.items())]
    print("\n".join(lines))
    for name, count in CHECKED.items():
        record_property(f"checked {name}", count)
    for name in TRIED:
        record_property(f"rule {name}", [TRIED[name], EFFECTIVE[name]])
    for name, count in REFUSED.items():
        record_property(f"refused {name}", count)
    assert TRIED.keys() <= CALLS
    never = [name for name in sorted(CALLS) if not EFFECTIVE[name]]
    never += [name for name in CHECKED if not CHECKED[name]]
    assert not never, f"never took effect: {never}; the draws miss them"
