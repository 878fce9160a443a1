"""A short campaign: each kind of fault in a world of its own, and nothing lost or done twice."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.campaign import PARTS, Part, run
from tests.chaos.world import WorldError

pytestmark = pytest.mark.anvil

FAULTS = {
    "kills": 12,
    "reorgs": 6,
    "bad node": 60,
    "nonces": 4,
    "twins": 1,
    "machine": 4,
    "committees": 4,
}
"""How many of each: minutes in all. `make chaos` does many more."""


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name.replace(" ", "-"))
async def test_nothing_is_lost_or_done_twice(part: Part, tmp_path: Path) -> None:
    lines: list[str] = []
    short = replace(part, count=FAULTS[part.name])
    try:
        tally = await run([short], 7, tmp_path / "chaos", lines.append)
    except WorldError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    assert tally.to_json()["complaints"] == []
    assert sum(tally.faults.values()) >= FAULTS[part.name]
    assert tally.wanted > len(lines)
