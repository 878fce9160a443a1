"""Run the auction's machine under the profile in force, and say what it exercised."""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.burn_auction.machine import CALLS, EFFECTIVE, REFUSED, TRIED, AuctionMachine
from tests.contracts.system import System

MUST_REFUSE = (
    "auction: lot open",
    "auction: lot too small",
    "auction: lot not open",
    "auction: dearer than allowed",
)


def test_lots_and_burned_tokens_stay_right_in_any_order_of_calls(deployed: System) -> None:
    """M38."""
    AuctionMachine.system = deployed
    run_state_machine_as_test(AuctionMachine)
    lines = [f"{name}: {EFFECTIVE[name]} of {TRIED[name]} took effect" for name in sorted(TRIED)]
    lines += [f"refused {count} times: {reason}" for reason, count in sorted(REFUSED.items())]
    print("\n".join(lines))

    assert [name for name in (*CALLS, "kick of a stale lot") if not EFFECTIVE[name]] == []
    assert [reason for reason in MUST_REFUSE if not REFUSED[reason]] == []
