"""Settings that make no sense are refused."""

from __future__ import annotations

from typing import Any

import pytest

from workdeed.oracle.settings import ProbeSettings, RoundRules, max_skew


@pytest.mark.parametrize(
    "bad",
    [
        {"turn_seconds": 0.0},
        {"open_windows": 0},
        {"open_windows": 64},
        {"recovery_windows": -1},
    ],
)
def test_rules(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        RoundRules(**({"turn_seconds": 1.5, "open_windows": 2} | bad))


@pytest.mark.parametrize("bad", [{"interval": 0.0}, {"timeout": -1.0}, {"concurrency": 0}])
def test_probes(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        ProbeSettings(**bad)


def test_the_clock_may_be_off_by_three_blocks_or_a_tenth_of_a_window() -> None:
    assert max_skew(1, 12) == 3
    assert max_skew(12, 86_400) == 8_640
