"""Deployment files: the round trip, and one clear sentence for whatever is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_support import address

from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import (
    REQUIRED,
    Deployment,
    DeploymentError,
    deployment_path,
    load_deployment,
    save_deployment,
)
from workdeed.protocol.eip712 import Domain

CHAIN_ID = 31337


def document() -> dict[str, Any]:
    """Return a deployment as its file has it."""
    return {
        "schema": "workdeed/deployment@1",
        "chain_id": CHAIN_ID,
        "genesis": 1_700_000_000,
        "window": 12,
        "challenge": 3,
        "start_block": 4,
        "contracts": {
            name: {"address": address(n + 1), "tx": "0x" + f"{n:064x}", "block": 4 + n}
            for n, name in enumerate(REQUIRED)
        },
        "parameters": {"close_grace": 12, "token": "test dollar"},
    }


def write(directory: Path, content: object) -> Path:
    path = directory / f"{CHAIN_ID}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_deployment_survives_the_round_trip(tmp_path: Path) -> None:
    deployment = Deployment.model_validate_json(json.dumps(document()))
    path = save_deployment(tmp_path / "deployments", deployment)
    assert path == deployment_path(tmp_path / "deployments", CHAIN_ID)
    assert json.loads(path.read_text()) == document()
    assert load_deployment(path) == deployment
    assert load_deployment(tmp_path / "deployments", CHAIN_ID) == deployment
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    old = Deployment.model_validate_json(json.dumps(document()))
    new = old.model_copy(update={"window": 60})
    save_deployment(tmp_path, old)
    save_deployment(tmp_path, new)
    assert load_deployment(tmp_path, CHAIN_ID).window == 60


def test_it_gives_addresses_clock_and_domains(tmp_path: Path) -> None:
    deployment = load_deployment(write(tmp_path, document()), CHAIN_ID)
    escrow = deployment.contracts["JobEscrow"].address
    assert deployment.address("JobEscrow") == escrow
    assert deployment.clock.at(1_700_000_000) == 1
    assert deployment.domain("JobEscrow") == Domain("JobEscrow", CHAIN_ID, escrow)
    assert Suite.of(deployment).escrow.address == escrow
    with pytest.raises(DeploymentError, match="BurnAuction"):
        deployment.address("BurnAuction")


def without(*keys: str) -> dict[str, Any]:
    """Return the document less the key at this path."""
    changed = document()
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return changed


def with_value(value: object, *keys: str) -> dict[str, Any]:
    """Return the document with another value at this path."""
    changed = document()
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Invalid JSON"),
        ("[]", "object"),
        (without("genesis"), "genesis: Field required"),
        (without("contracts", "JobEscrow"), "contracts: JobEscrow missing"),
        (without("contracts", "TestUSD", "address"), r"contracts.TestUSD.address: Field required"),
        (with_value("workdeed/deployment@2", "schema"), "schema: "),
        (with_value("0xdead", "contracts", "JobEscrow", "address"), "JobEscrow.address: must be"),
        (with_value("0x12", "contracts", "JobEscrow", "tx"), "JobEscrow.tx: must be"),
        (with_value(-1, "start_block"), "start_block: "),
        (with_value(5, "start_block"), "start_block: TrustRegistry is older"),
        (with_value(0, "window"), "window: "),
        (with_value(12, "challenge"), "challenge: it must be shorter"),
        (with_value("12", "window"), "window: "),
        (with_value(1, "surprise"), "surprise: "),
    ],
)
def test_a_malformed_file_names_the_field(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DeploymentError, match=message) as caught:
        load_deployment(path)
    assert str(path) in str(caught.value)


def test_the_file_of_another_chain_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, document())
    with pytest.raises(DeploymentError, match="chain_id is 31337, the chain in use is 1"):
        load_deployment(path, 1)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda path: load_deployment(path / "31337.json"), "no such file"),
        (lambda path: load_deployment(path, 31337), "no such file"),
        (lambda path: load_deployment(path), "give the chain id"),
    ],
)
def test_a_missing_file_says_what_to_do(
    tmp_path: Path, load: Callable[[Path], Deployment], message: str
) -> None:
    with pytest.raises(DeploymentError, match=message):
        load(tmp_path)


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    deployment = Deployment.model_validate_json(json.dumps(document()))
    with pytest.raises(DeploymentError, match="cannot write"):
        save_deployment(blocked, deployment)
