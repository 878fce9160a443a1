"""A short campaign: each kind of fault in a world of its own, and nothing lost or done twice."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

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
    "postgres": 4,
    "nodes": 4,
    "leaders": 1,
    "committees": 4,
}
"""How many of each: minutes in all. `make chaos` does many more."""


def _case(part: Part) -> ParameterSet:
    marks = [pytest.mark.postgres] if part.name == "postgres" else []
    return pytest.param(part, id=part.name.replace(" ", "-"), marks=marks)


@pytest.mark.parametrize("part", [_case(part) for part in PARTS])
async def test_nothing_is_lost_or_done_twice(part: Part, tmp_path: Path) -> None:
    lines: list[str] = []
    short = replace(part, count=FAULTS[part.name])
    try:
        tally = await run([short], 7, tmp_path / "chaos", lines.append)
    except WorldError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    if tally.skipped:
        pytest.skip(tally.skipped[0])
    assert tally.to_json()["complaints"] == []
    assert sum(tally.faults.values()) >= FAULTS[part.name]
    assert tally.wanted > len(lines)
