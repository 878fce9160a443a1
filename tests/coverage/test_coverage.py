"""What the report says of a small contract, way by way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boa
import pytest
from boa.environment import Env

from tests.coverage.recorder import Recorder, merged, watch
from tests.coverage.report import covered

SOURCE = """
LIMIT: immutable(uint256)
kept: public(uint256)

@deploy
def __init__(limit: uint256):
    assert limit > 0, "zero limit"
    LIMIT = limit

@external
def keep(amount: uint256, twice: bool):
    assert amount > 0 and amount < LIMIT, "out of range"
    kept: uint256 = amount
    if twice:
        kept *= 2
    self.kept = kept

@external
@view
def limit() -> uint256:
    return LIMIT
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = (tmp_path / "Keeper.vy").resolve()
    path.write_text(SOURCE)
    return path


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setattr(Env, "_coverage_enabled", Env._coverage_enabled)
    monkeypatch.setattr(Env, "_trace_computation", Env._trace_computation)
    with boa.swap_env(Env()):
        yield watch(Recorder())


def missing(source: Path, recorder: Recorder) -> dict[str, list[str]]:
    found: dict[str, list[str]] = covered([source], [source], recorder).content(source.parent)[
        "missing"
    ]
    return found


def fails(call: Any, *arguments: Any) -> None:
    with pytest.raises(boa.BoaError):
        call(*arguments)


def test_nothing_is_reached_where_nothing_ran(source: Path, recorder: Recorder) -> None:
    content = covered([source], [source], recorder).content(source.parent)

    assert (content["statements"], content["reached"]) == (8, 0)
    # Two asserts, one of them of two conditions, and an if.
    assert (content["ways"], content["taken"]) == (8, 0)


def test_one_way_of_an_if_is_not_both(source: Path, recorder: Recorder) -> None:
    keeper = boa.load_partial(str(source)).deploy(5)
    keeper.keep(1, True)

    found = missing(source, recorder)
    assert found["statements"] == ["Keeper.vy:21 limit"]
    assert found["branches"] == [
        "Keeper.vy:7 Assert 0: 1 of 2 ways",
        "Keeper.vy:12 Assert 0: 1 of 2 ways",
        "Keeper.vy:12 BoolOp 0: 1 of 2 ways",
        "Keeper.vy:14 If 0: 1 of 2 ways",
    ]


def test_a_body_that_is_left_out_is_missing(source: Path, recorder: Recorder) -> None:
    boa.load_partial(str(source)).deploy(5).keep(1, False)

    assert missing(source, recorder)["statements"] == [
        "Keeper.vy:15 keep",
        "Keeper.vy:21 limit",
    ]


def test_everything_is_reached_once_each_condition_went_both_ways(
    source: Path, recorder: Recorder
) -> None:
    fails(boa.load_partial(str(source)).deploy, 0)
    keeper = boa.load_partial(str(source)).deploy(5)
    for twice in (True, False):
        keeper.keep(1, twice)
    for wrong in (0, 5):
        fails(keeper.keep, wrong, True)
    assert keeper.limit() == 5

    assert missing(source, recorder) == {"statements": [], "branches": []}


def test_a_loop_that_took_a_way_later_is_not_missed(source: Path, recorder: Recorder) -> None:
    """titanoboa's own plugin sees only an instruction's first visit."""
    source.write_text(
        "@external\ndef count(limit: uint256) -> uint256:\n"
        "    found: uint256 = 0\n"
        "    for at: uint256 in range(4):\n"
        "        if at >= limit:\n"
        "            found += 1\n"
        "    return found\n"
    )
    assert boa.load_partial(str(source)).deploy().count(2) == 2

    assert missing(source, recorder) == {"statements": [], "branches": []}


def test_parts_of_a_run_add_up(source: Path, recorder: Recorder, tmp_path: Path) -> None:
    keeper = boa.load_partial(str(source)).deploy(5)
    keeper.keep(1, True)
    recorder.write(tmp_path / "one.json")
    second = watch(Recorder())
    keeper.keep(1, False)
    second.write(tmp_path / "two.json")

    both = missing(source, merged([tmp_path / "one.json", tmp_path / "two.json"]))
    assert "Keeper.vy:14 If 0: 1 of 2 ways" in missing(source, recorder)["branches"]
    assert "Keeper.vy:14 If 0: 1 of 2 ways" not in both["branches"]
