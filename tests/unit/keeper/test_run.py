"""Starts that fail: one sentence, and an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts._demo.ports import free_port
from workdeed.chain.deployment import REQUIRED, DeployedContract, Deployment, save_deployment
from workdeed.keeper.dryrun import dry
from workdeed.keeper.errors import StartError
from workdeed.keeper.run import CANNOT_START, main
from workdeed.keeper.settings import KeeperSettings
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum


def settings(folder: Path, **changes: object) -> KeeperSettings:
    content: dict[str, object] = {
        "chain": {
            "rpc_urls": [f"http://user:secret@127.0.0.1:{free_port()}"],
            "chain_id": 31_337,
            "deployment": folder / "31337.json",
        },
        "database": str(folder / "keeper.db"),
        "state_dir": folder / "state",
    }
    return KeeperSettings.model_validate(content | changes)


def deployed(folder: Path) -> None:
    contracts = {
        name: DeployedContract(
            address=to_checksum(keccak(name.encode())[:20]), tx=bytes(32), block=1
        )
        for name in REQUIRED
    }
    save_deployment(
        folder,
        Deployment(
            chain_id=31_337, genesis=0, window=12, challenge=3, start_block=1, contracts=contracts
        ),
    )


def reason(capsys: pytest.CaptureFixture[str]) -> str:
    """Return why the start failed; nothing else may look like a traceback."""
    lines = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line for line in lines)
    found: dict[str, str] = json.loads(lines[-1])
    assert found["event"] == "keeper_cannot_start"
    return found["reason"]


def test_a_missing_deployment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(settings(tmp_path)) == CANNOT_START
    assert "no such file" in reason(capsys)


def test_an_unreachable_rpc(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployed(tmp_path)
    assert main(settings(tmp_path)) == CANNOT_START
    text = reason(capsys)
    assert "check that it is up" in text
    assert "secret" not in text


def test_a_missing_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployed(tmp_path)
    keys = {"sender": {"private_key_env": "WORKDEED_TEST_NO_SUCH_KEY"}}
    assert main(settings(tmp_path, keys=keys)) == CANNOT_START
    assert "WORKDEED_TEST_NO_SUCH_KEY: not set" in reason(capsys)


def test_a_state_folder_that_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(settings(tmp_path, state_dir=tmp_path / "file" / "state")) == CANNOT_START
    assert "state_dir" in reason(capsys)


def test_dry_run_in_the_settings_signs_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set there, it once kept the outbox still and left the oracle signing."""
    opened: list[KeeperSettings] = []

    async def open_base(found: KeeperSettings, *_: object) -> None:
        opened.append(found)
        raise StartError("far enough")

    monkeypatch.setattr("workdeed.keeper.run.open_base", open_base)
    keys = {"member": {"private_key_env": "MEMBER"}}
    wanted = settings(tmp_path, dry_run=True, keys=keys, oracle={"enabled": True})
    assert main(wanted) == CANNOT_START
    assert opened == [dry(wanted)]
    assert not opened[0].oracle.enabled
