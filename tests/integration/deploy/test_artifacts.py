"""Compiled contracts are kept under a key that covers whatever they are compiled from."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from workdeed.chain.deployment import DeployedContract, Deployment
from workdeed.chain.parameters import load_parameters
from workdeed.protocol.signing import to_checksum

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


def test_compiling_for_a_deployment_drops_nobody_elses_results() -> None:
    """The tests of the contracts keep theirs beside it, and had to compile anew."""
    from scripts._deployment import artifacts
    from tests.contracts.evm import artifacts as tested

    assert not tested.CACHE.is_relative_to(artifacts.CACHE)
    assert not artifacts.CACHE.is_relative_to(tested.CACHE)


def test_vyper_is_found_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts._deployment.tools import find_tools

    monkeypatch.setenv("PATH", "/nowhere")
    assert shutil.which("vyper") is None
    find_tools()
    assert shutil.which("vyper") is not None


def test_the_kept_contracts_are_those_of_the_shipped_abi() -> None:
    from scripts._deployment.artifacts import load_artifacts

    for name, artifact in load_artifacts().items():
        shipped = json.loads((ROOT / "src/workdeed/chain/abi" / f"{name}.json").read_text())
        methods = {entry["name"] for entry in shipped if entry["type"] == "function"}
        assert {abi.name for abi in artifact.methods} == methods


def test_every_immutable_and_binding_is_checked(tmp_path: Path) -> None:
    """Each getter in capitals that is no constant, and each binding, of every contract."""
    from scripts._deployment.artifacts import NAMES
    from scripts._deployment.facts import fixed_views

    parameters = tmp_path / "parameters.toml"
    parameters.write_text('preset = "local"\n[timing]\ntimelock_delay = 24\n')
    presets = ROOT / "deployments" / "presets"
    loaded = load_parameters(parameters, presets, lambda index: address(100 + index))
    checked = fixed_views(deployment_of(NAMES), loaded)
    missing = {
        f"{name}.{getter}"
        for name in NAMES
        for getter in getters(name) - constants() - checked.get(name, {}).keys()
    }
    assert missing == set()
    bindings = {(name, view) for name, views in checked.items() for view in views if view.islower()}
    assert {
        ("TrustRegistry", "licenses"),
        ("NodeLicense", "committee"),
        ("Tariff", "escrow"),
        ("JobDesk", "escrow"),
    } <= bindings


def address(number: int) -> str:
    return to_checksum(f"0x{number:040x}")


def deployment_of(names: Iterable[str]) -> Deployment:
    """A deployment whose contracts have addresses and nothing else."""
    contracts = {
        name: DeployedContract(address=address(index), tx=bytes(32), block=1)
        for index, name in enumerate(names, start=1)
    }
    return Deployment(
        chain_id=1, genesis=1, window=12, challenge=3, start_block=1, contracts=contracts
    )


def getters(name: str) -> set[str]:
    """The views of a contract without arguments whose name is in capitals."""
    shipped = json.loads((ROOT / "src/workdeed/chain/abi" / f"{name}.json").read_text())
    functions = [entry for entry in shipped if entry["type"] == "function" and not entry["inputs"]]
    return {entry["name"] for entry in functions if entry["name"].isupper()}


def constants() -> set[str]:
    """What is in the code itself: the constants of contracts and snekmate, and EIP-712's domain."""
    found = {"DOMAIN_SEPARATOR", "DEFAULT_ADMIN_ROLE"}
    found |= {f"{role}_ROLE" for role in ("PROPOSER", "EXECUTOR", "CANCELLER")}
    for source in (ROOT / "contracts").rglob("*.vy"):
        found |= set(re.findall(r"^(\w+): public\(constant", source.read_text(), re.MULTILINE))
    return found
