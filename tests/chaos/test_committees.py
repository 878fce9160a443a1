"""The bounds of a committee: held with up to f faulty members, and seen to break with more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.committees import KINDS, Committee


@pytest.mark.parametrize("kind", KINDS)
async def test_one_faulty_member_of_four_changes_nothing(kind: str, tmp_path: Path) -> None:
    committee = Committee(1, tmp_path)
    assert committee.size == 4
    committee.faulty = {2: kind}
    committee.windows = committee.size  # each member leads one of them
    await committee.play()
    assert committee.wrong == []
    assert committee.done[kind] >= (1 if kind == "equivocating" else committee.windows)


async def test_more_liars_than_a_committee_bears_are_noticed(tmp_path: Path) -> None:
    committee = Committee(1, tmp_path)
    committee.faulty = dict.fromkeys(range(committee.size - 1), "lying")
    await committee.play()
    assert committee.wrong
