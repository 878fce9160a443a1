"""The agent's configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from workdeed.chain.deployment import (
    REQUIRED,
    DeployedContract,
    Deployment,
    DeploymentError,
    save_deployment,
)
from workdeed.node.chain_view import Contracts
from workdeed.node.errors import SettingsError
from workdeed.node.settings import load_settings
from workdeed.protocol.signing import to_checksum

ESCROW, LICENSES, COMMITTEE = ("0x" + pair * 20 for pair in ("e5", "11", "c0"))
FILE = f"""
[node]
chain_id = 31337
rpc_urls = ["http://127.0.0.1:8545", "http://127.0.0.1:9545"]
license_id = 7
state_dir = "state"

[node.key]
private_key_file = "keys/node.key"

[node.contracts]
escrow = "{ESCROW}"
licenses = "{LICENSES}"
committee = "{COMMITTEE}"

[node.resources]
cpu_milli = 2000
memory_mb = 4096
storage_mb = 10000
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(FILE)
    return path


def refused(config: Path, **overrides: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, **overrides)
    return str(caught.value)


def test_a_small_file_is_enough_and_strict_by_default(config: Path):
    settings = load_settings(config)
    assert (settings.license_id, settings.host, settings.min_rpcs) == (7, "127.0.0.1", 2)
    assert not settings.allow_unsandboxed
    assert not settings.allow_private_endpoints
    assert not settings.stop_workloads_on_exit
    expected = Contracts(*(to_checksum(one) for one in (ESCROW, LICENSES, COMMITTEE)))
    assert settings.addresses() == expected


def test_paths_are_taken_from_the_files_folder(config: Path, tmp_path: Path):
    settings = load_settings(config)
    assert settings.state_dir == tmp_path / "state"
    assert settings.key.private_key_file == tmp_path / "keys" / "node.key"


def test_the_environment_is_above_the_file(config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORKDEED_NODE__LICENSE_ID", "9")
    monkeypatch.setenv("WORKDEED_NODE__RESOURCES__CPU_MILLI", "500")
    monkeypatch.setenv("WORKDEED_NODE__TAGS", '["eu"]')
    settings = load_settings(config)
    assert (settings.license_id, settings.resources.cpu_milli) == (9, 500)
    assert settings.resources.memory_mb == 4096
    assert settings.tags == ("eu",)
    assert load_settings(config, license_id=11).license_id == 11


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    values = {
        "CHAIN_ID": "1",
        "RPC_URLS": '["http://a.example.org", "http://b.example.org"]',
        "LICENSE_ID": "1",
        "STATE_DIR": str(tmp_path),
        "KEY__PRIVATE_KEY_ENV": "NODE_KEY",
        "CONTRACTS": json.dumps({"escrow": ESCROW, "licenses": LICENSES, "committee": COMMITTEE}),
        "RESOURCES": '{"cpu_milli": 1, "memory_mb": 1, "storage_mb": 1}',
    }
    for name, value in values.items():
        monkeypatch.setenv(f"WORKDEED_NODE__{name}", value)
    assert load_settings(None).key.private_key_env == "NODE_KEY"


def test_addresses_of_rpcs_may_stand_in_a_file(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    urls = tmp_path / "urls"
    urls.write_text("http://a.example.org/secret\n\nhttp://b.example.org\n")
    monkeypatch.setenv("WORKDEED_NODE__RPC_URLS_FILE", str(urls))
    expected = ("http://a.example.org/secret", "http://b.example.org")
    assert load_settings(config).rpc_urls == expected
    assert "secret" not in repr(load_settings(config))
    monkeypatch.setenv("WORKDEED_NODE__RPC_URLS_FILE", str(tmp_path / "missing"))
    assert "can't be read" in refused(config)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"license_id": 0}, "license_id: "),
        ({"rpc_urls": ()}, "rpc_urls: "),
        ({"rpc_urls": ("http://127.0.0.1:8545",)}, "add another RPC"),
        ({"rpc_urls": ("http://a.example.org/1", "http://a.example.org/2")}, "add another RPC"),
        ({"contracts": None}, "deployment: set either it or contracts"),
        ({"deployment": "x.json"}, "deployment: set either it or contracts"),
        ({"port": 70_000}, "port: "),
        ({"port_range": (30_000, 20_000)}, "port_range: the first port is above"),
        ({"tags": ("EU",)}, "tags.0: "),
        ({"unknown": 1}, "unknown: "),
        ({"key": {"private_key_env": "NODE_KEY"}}, "key: set exactly one of"),
        ({"git": {"ssh_key": "x"}}, "git.ssh_key: set it together"),
        ({"contracts": {"escrow": "x", "licenses": LICENSES, "committee": COMMITTEE}}, "contracts"),
    ],
)
def test_what_is_wrong_is_named(config: Path, overrides: dict[str, Any], sentence: str):
    assert sentence in refused(config, **overrides)


def test_what_is_missing_is_named_with_both_places_to_set_it(tmp_path: Path):
    path = tmp_path / "node.toml"
    path.write_text(FILE.replace("license_id = 7\n", ""))
    expected = "license_id: it is not set; set it in the file or as WORKDEED_NODE__LICENSE_ID"
    assert refused(path) == expected


def test_errors_do_not_quote_values(config: Path):
    secret = "0x" + "ab" * 31  # a key of the wrong kind at the wrong place
    text = refused(config, key=secret)
    assert secret not in text
    assert "key: " in text


@pytest.mark.parametrize("private", ["state_dir", "key"])
def test_a_folder_shown_to_workloads_must_not_hold_state_or_key(
    config: Path, tmp_path: Path, private: str
):
    shown = tmp_path if private == "state_dir" else tmp_path / "keys"
    text = refused(config, sandbox={"read_only": [str(shown)]})
    assert "which workloads must not see" in text
    assert load_settings(config, sandbox={"read_only": ["/opt"]}).sandbox.read_only


KEYS = {"keystore": "/run/keys/node.json", "passphrase_env": "NODE_PASSPHRASE"}
SSH = {"ssh_key": "/run/keys/ssh", "ssh_known_hosts": "/etc/known_hosts"}


@pytest.mark.parametrize(
    ("overrides", "variables", "path"),
    [
        ({"git": SSH}, {}, "/run/keys/ssh"),
        ({"key": {"private_key_file": None, **KEYS}}, {}, "/run/keys/node.json"),
        (
            {"key": {"private_key_file": None, **KEYS, "keystore": "/run/node.json"}},
            {"NODE_PASSPHRASE_FILE": "/run/keys/passphrase"},
            "/run/keys/passphrase",
        ),
        (
            {"key": {"private_key_file": None, "private_key_env": "NODE_KEY"}},
            {"NODE_KEY_FILE": "/run/keys/clear"},
            "/run/keys/clear",
        ),
    ],
)
def test_a_folder_shown_to_workloads_must_hold_no_secret_of_any_kind(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: dict[str, Any],
    variables: dict[str, str],
    path: str,
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shown = {"read_only": ["/run/keys"]}
    assert refused(config, sandbox=shown, **overrides) == (
        f"sandbox.read_only: /run/keys holds {path}, which workloads must not see; name a "
        "narrower folder"
    )


def test_a_folder_shown_to_workloads_must_not_hold_the_addresses_of_rpcs(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    urls = tmp_path / "rpc" / "urls"
    urls.parent.mkdir()
    urls.write_text("http://a.example.org/secret\nhttp://b.example.org\n")
    monkeypatch.setenv("WORKDEED_NODE__RPC_URLS_FILE", str(urls))
    text = refused(config, sandbox={"read_only": [str(urls.parent)]})
    assert text.startswith(f"sandbox.read_only: {urls.parent} holds {urls}, which")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"state_dir": "/usr/local/state"}, "state_dir: /usr/local/state lies in /usr, which"),
        ({"state_dir": "/usr/../lib/state"}, "state_dir: /usr/../lib/state lies in /"),
        ({"key": {"private_key_file": "/usr/share/key"}}, "key.private_key_file: /usr/share/key"),
        ({"git": {**SSH, "ssh_key": "/etc/ssl/certs/key"}}, "git.ssh_key: /etc/ssl/certs/key"),
    ],
)
def test_nothing_private_lies_in_what_every_workload_sees(
    config: Path, overrides: dict[str, Any], sentence: str
):
    assert refused(config, **overrides).startswith(sentence)


def test_a_passphrase_that_every_workload_sees_is_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "link").symlink_to("/usr/share")
    monkeypatch.setenv("NODE_PASSPHRASE_FILE", str(tmp_path / "link" / "passphrase"))
    text = refused(config, key={"private_key_file": None, **KEYS})
    assert text.startswith("NODE_PASSPHRASE_FILE: ")
    assert text.endswith("lies in /usr, which workloads see; move it elsewhere")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("", "has no table [node]"), ("[node", "is no TOML"), (None, "can't be read")],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: str | None, sentence: str):
    path = tmp_path / "node.toml"
    if content is not None:
        path.write_text(content)
    assert sentence in refused(path)


def deployed(folder: Path, chain_id: int = 31337) -> Path:
    contracts = {"JobEscrow": ESCROW, "NodeLicense": LICENSES, "OracleCommittee": COMMITTEE}
    other = dict.fromkeys(set(REQUIRED) - contracts.keys(), "0x" + "22" * 20)
    places = {
        name: DeployedContract(address=to_checksum(address), tx=bytes(32), block=1)
        for name, address in (contracts | other).items()
    }
    made = Deployment(
        chain_id=chain_id, genesis=1, window=12, challenge=3, start_block=1, contracts=places
    )
    return save_deployment(folder, made)


def test_contracts_come_from_a_deployment(tmp_path: Path, config: Path):
    settings = load_settings(config, contracts=None, deployment=deployed(tmp_path))
    expected = Contracts(*(to_checksum(one) for one in (ESCROW, LICENSES, COMMITTEE)))
    assert settings.addresses() == expected


def test_a_deployment_that_does_not_fit_is_refused(tmp_path: Path, config: Path):
    for path, sentence in (
        (deployed(tmp_path, 1), "chain_id is 1"),
        (tmp_path / "missing.json", "missing.json"),
    ):
        settings = load_settings(config, contracts=None, deployment=path)
        with pytest.raises(DeploymentError, match=sentence):
            settings.addresses()


def test_options_for_runners_follow_the_settings(config: Path):
    git = {"fetch_seconds": 3, "keep_builds": 2}
    options = load_settings(config, git=git, allow_private_endpoints=True).runner_options()
    assert (options.fetch_seconds, options.keep_builds) == (3, 2)
    assert options.allow_private_endpoints


def test_runners_are_told_what_no_workload_may_see(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    state = tmp_path / "state"
    found = load_settings(config).runner_options().private
    assert set(found) == {state, tmp_path / "keys" / "node.key"}
    monkeypatch.setenv("NODE_KEY_FILE", "/run/keys/node")
    key = {"private_key_env": "NODE_KEY", "private_key_file": None}
    assert set(load_settings(config, key=key).runner_options().private) == {
        state,
        Path("/run/keys/node"),
    }
