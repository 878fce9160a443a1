"""Every error is one clear sentence on stderr and a non-zero exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import run
from click.testing import Result

from scripts._demo.ports import free_port
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import REQUIRED, DeployedContract, Deployment, save_deployment
from workdeed.cli.errors import TRACE, UNEXPECTED, Failure
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum
from workdeed.sdk.errors import SdkError

KEY = "0x" + keccak(b"key").hex()
SPEC = {
    "schema": "workdeed/spec@1",
    "name": "hello",
    "class_id": 1,
    "runner": "war",
    "source": {"git": {"url": "https://example.org/hello", "commit": "0" * 40}},
    "run": ["python3", "server.py"],
    "resources": {"cpu_milli": 100, "memory_mb": 64, "storage_mb": 64},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("WORKDEED_NETWORK", "WORKDEED_RPC", "WORKDEED_KEYSTORE", "WORKDEED_KEEPERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WORKDEED_PRIVATE_KEY", "WORKDEED_PRIVATE_KEY_FILE", "WORKDEED_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def deployment(folder: Path) -> Deployment:
    """A deployment file of the local network."""
    contracts = {
        name: DeployedContract(
            address=to_checksum(keccak(name.encode())[:20]), tx=bytes(32), block=1
        )
        for name in REQUIRED
    }
    made = Deployment(
        chain_id=31_337, genesis=0, window=12, challenge=3, start_block=1, contracts=contracts
    )
    save_deployment(folder / "deployments", made)
    Suite.of(made)
    return made


@pytest.fixture
def spec(folder: Path) -> Path:
    path = folder / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path


def sentence(result: Result, code: int = 1) -> str:
    """Return what stands on stderr, after checking that it is one line."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output + result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_unknown_network() -> None:
    assert sentence(run("status", "--network", "mars")).startswith("Error: --network: 'mars'")


def test_missing_deployment_file() -> None:
    assert "no such file; deploy the contracts" in sentence(run("status"))
    assert "absent.json: no such file" in sentence(run("status", "--network", "absent.json"))


def test_malformed_deployment_file(folder: Path) -> None:
    path = folder / "broken.json"
    path.write_text('{"schema": "workdeed/deployment@1"}')
    assert "broken.json" in sentence(run("status", "--network", str(path)))


def test_missing_rpc_of_a_far_chain(deployment: Deployment, folder: Path) -> None:
    far = deployment.model_copy(update={"chain_id": 5})
    save_deployment(folder / "deployments", far)
    assert "--rpc: chain 5 needs one" in sentence(run("status", "--network", "5"))


@pytest.mark.usefixtures("deployment")
def test_unreachable_rpc() -> None:
    url = f"http://user:secret@127.0.0.1:{free_port()}/key"
    text = sentence(run("status", "--rpc", url))
    assert "check that it is up" in text
    assert "secret" not in text
    assert "/key" not in text


@pytest.mark.usefixtures("deployment")
def test_rpc_that_is_no_address() -> None:
    assert "is not http:// or https://" in sentence(run("status", "--rpc", "ftp://x"))


@pytest.mark.usefixtures("deployment")
def test_missing_key(spec: Path) -> None:
    text = sentence(run("deploy", str(spec), "--windows", "3"))
    assert "key: none is named" in text
    assert "WORKDEED_PRIVATE_KEY" in text


@pytest.mark.usefixtures("deployment")
def test_malformed_key(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKDEED_PRIVATE_KEY", "0x1234secret")
    text = sentence(run("deploy", str(spec), "--windows", "3"))
    assert "it holds no key" in text
    assert "1234secret" not in text


@pytest.mark.usefixtures("deployment")
def test_missing_keystore(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKDEED_PASSPHRASE", "pass")
    text = sentence(run("deploy", str(spec), "--windows", "3", "--keystore", "absent.json"))
    assert "absent.json: cannot read it" in text


@pytest.mark.usefixtures("deployment")
def test_keystore_without_passphrase_and_terminal(spec: Path) -> None:
    text = sentence(run("deploy", str(spec), "--windows", "3", "--keystore", "sender.json"))
    assert "set WORKDEED_PASSPHRASE or WORKDEED_PASSPHRASE_FILE" in text


def test_spec_files(spec: Path, folder: Path) -> None:
    assert "absent.json: cannot read it" in sentence(run("deploy", "absent.json", "--windows", "1"))
    broken = folder / "broken.toml"
    broken.write_text("name = ")
    assert "it is not TOML" in sentence(run("deploy", str(broken), "--windows", "1"))
    spec.write_text(json.dumps(SPEC | {"runner": "War!"}))
    assert "spec.json: runner: " in sentence(run("deploy", str(spec), "--windows", "1"))
    spec.write_bytes(b"\xff\xfe")
    assert "it is not text" in sentence(run("deploy", str(spec), "--windows", "1"))


def test_wrong_usage_names_the_option(spec: Path) -> None:
    result = run("deploy", str(spec))
    assert result.exit_code == 2
    assert "Missing option '--windows'" in result.stderr
    assert run("status", "0").exit_code == 2
    assert run("unknown").exit_code == 2
    text = sentence(run("deploy", str(spec), "--windows", "1", "--slots", "1", "--min-slots", "2"))
    assert "--min-slots" in text


def test_addresses_and_hashes() -> None:
    assert "OWNER: 'me' is no address" in sentence(run("license", "issue", "me"))
    wrong = "0x" + "aB" * 20
    assert "the checksum of" in sentence(run("license", "issue", wrong))
    account = "0x" + "ab" * 20
    assert "--evidence: '0x12' is no hash" in sentence(
        run("trust", "attest", account, "--evidence", "0x12")
    )
    assert "SUBJECT: license ids count from 1" in sentence(run("trust", "show", "0"))


def test_link_needs_exactly_one_consent() -> None:
    assert "exactly one of --consent" in sentence(run("license", "link", "1"))
    assert "--consent: it is malformed" in sentence(
        run("license", "link", "1", "--consent", "0x12")
    )


def test_cancel_asks_first() -> None:
    result = run("cancel", "1", typed="n\n")
    assert result.exit_code == 1
    assert "final" in result.stderr


def test_keeper_and_node_settings(folder: Path) -> None:
    assert "absent.toml: cannot read it" in sentence(
        run("keeper", "run", "--config", "absent.toml")
    )
    path = folder / "keeper.toml"
    path.write_text("[chain]\nchain_id = 1\n")
    assert "chain.rpc_urls: it is not set" in sentence(run("keeper", "run", "--config", str(path)))
    assert "absent.toml can't be read" in sentence(run("node", "run", "--config", "absent.toml"))


def test_check_names_a_missing_deployment(folder: Path) -> None:
    path = folder / "keeper.toml"
    path.write_text(
        '[chain]\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:1"]\ndeployment = "absent.json"\n'
    )
    result = run("check", "--config", str(path))
    assert "1 of 1 checks failed" in sentence(result)
    assert "MEND\tdeployment\t" in result.stdout


def test_what_others_say_does_nothing_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise SdkError("http://node: \x1b]0;title\x07\nno\u202e")

    def failed(*_: object) -> None:
        raise Failure("http://node: \x1b]0;title\x07\nno\u202e")

    for one in (refused, failed):
        monkeypatch.setattr("workdeed.cli.jobs.with_client", one)
        assert sentence(run("status")) == r"Error: http://node: \x1b]0;title\x07 no\u202e"


def test_a_fault_of_our_own_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody\nthought of this")

    monkeypatch.setattr("workdeed.cli.jobs.with_client", broken)
    text = sentence(run("status"), UNEXPECTED)
    assert (
        text
        == f"Error: unexpected RuntimeError: nobody thought of this; set {TRACE}=1 to see where"
    )
    monkeypatch.setenv(TRACE, "1")
    assert isinstance(run("status").exception, RuntimeError)
