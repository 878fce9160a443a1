"""Compiled contracts are kept under a key that covers whatever they are compiled from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "contracts", tmp_path / "contracts"))


@pytest.mark.parametrize(
    "name", ["JobEscrow.vy", "modules/money_word.vy", "interfaces/IJobEscrow.vyi"]
)
def test_a_change_in_any_source_asks_for_a_compilation(contracts: Path, name: str) -> None:
    from scripts._deployment.artifacts import sources_key

    before = sources_key(contracts)
    source = contracts / name
    source.write_text(source.read_text() + "\n# changed\n")
    assert sources_key(contracts) != before


def test_a_new_source_asks_for_a_compilation(contracts: Path) -> None:
    from scripts._deployment.artifacts import sources_key

    before = sources_key(contracts)
    (contracts / "modules" / "unknown.vy").write_text("# pragma version 0.4.3\n")
    assert sources_key(contracts) != before


def test_test_doubles_do_not(contracts: Path) -> None:
    from scripts._deployment.artifacts import sources_key

    before = sources_key(contracts)
    (contracts / "testing").mkdir(exist_ok=True)
    (contracts / "testing" / "Unknown.vy").write_text("# pragma version 0.4.3\n")
    assert sources_key(contracts) == before


def test_the_kept_contracts_are_those_of_the_shipped_abi() -> None:
    from scripts._deployment.artifacts import load_artifacts

    for name, artifact in load_artifacts().items():
        shipped = json.loads((ROOT / "src/workdeed/chain/abi" / f"{name}.json").read_text())
        methods = {entry["name"] for entry in shipped if entry["type"] == "function"}
        assert {abi.name for abi in artifact.methods} == methods
