"""What `check` says of the machine of a node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import run

FILE = """
[node]
chain_id = 31337
rpc_urls = ["http://127.0.0.1:1"]
min_rpcs = 1
license_id = 7
state_dir = "state"
{more}

[node.contracts]
escrow = "0x{a}"
licenses = "0x{a}"
committee = "0x{a}"

[node.key]
private_key_env = "NO_KEY_IS_NEEDED_TO_LOOK"

[node.container]
enabled = false

[node.resources]
cpu_milli = {cpu_milli}
memory_mb = 1
storage_mb = 1
"""


@pytest.fixture(autouse=True)
def _no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workdeed.node.drivers.sandbox.shutil.which", lambda name: None)


def found(folder: Path, more: str = "", cpu_milli: int = 1) -> dict[str, tuple[bool, str]]:
    """Return whether each finding is well, and its text."""
    path = folder / "node.toml"
    path.write_text(FILE.format(more=more, a="e5" * 20, cpu_milli=cpu_milli))
    result = run("check", "--config", str(path), "--json")
    findings = json.loads(result.stdout)
    assert result.exit_code == (0 if all(one["ok"] for one in findings) else 1)
    return {one["name"]: (one["ok"], one["text"]) for one in findings}


def test_it_names_every_limit_that_does_not_hold(tmp_path: Path) -> None:
    off = 'allow_unsandboxed = true\n[node.sandbox]\ncgroup = "off"'
    ok, text = found(tmp_path, off)["driver process"]
    assert ok
    assert "NOT sandboxed (bubblewrap is not installed)" in text
    assert "cpu: not enforced: kept to whole cores" in text
    assert "memory: not enforced for the sum" in text
    assert "processes: not enforced (sandbox.cgroup is off)" in text


def test_a_machine_that_can_run_nothing_is_to_be_mended(tmp_path: Path) -> None:
    findings = found(tmp_path)
    assert findings["driver process"] == (True, "not usable: bubblewrap is not installed")
    ok, text = findings["drivers"]
    assert not ok
    assert "install bubblewrap or a container engine" in text


def test_an_offer_beyond_the_machine_is_to_be_mended_unless_it_is_meant(tmp_path: Path) -> None:
    more = "allow_unsandboxed = true"
    assert found(tmp_path, more)["offer"] == (True, "the machine has what is offered")
    ok, text = found(tmp_path, more, cpu_milli=10**9)["offer"]
    assert (ok, text.partition(":")[0]) == (False, "resources.cpu_milli")
    ok, text = found(tmp_path, f"{more}\novercommit = true", cpu_milli=10**9)["offer"]
    assert (ok, text.partition(" (")[0]) == (True, "overcommit is set")


def test_a_disk_without_its_reserve_is_to_be_mended(tmp_path: Path) -> None:
    full = "allow_unsandboxed = true\novercommit = true\n[node.disk]\nreserve_mb = 1000000000000"
    ok, text = found(tmp_path, full)["disk"]
    assert (ok, text.partition(":")[0]) == (False, "disk.reserve_mb")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text("[node")
    result = run("check", "--config", str(path))
    assert result.exit_code != 0
    assert "node.toml: it is not TOML" in result.stderr
