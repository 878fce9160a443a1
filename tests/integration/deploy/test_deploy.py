"""`ape run deploy` on fresh chains: what it leaves, and what it takes up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractLogicError

from tests.integration.deploy.conftest import (
    PATIENCE_SECONDS,
    Chain,
    Deploy,
    Fault,
    Rpc,
    Standing,
    StartChain,
)
from workdeed.chain.deployment import Deployment, load_deployment

pytestmark = pytest.mark.anvil

ROOT = Path(__file__).resolve().parents[3]
APE = str(Path(sys.executable).with_name("ape"))
DEPLOYER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
GOVERNOR = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
GUARDIAN = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
ISSUER = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
SEPOLIA = 11_155_111
STEPS = (
    "TestUSD",
    "TrustRegistry",
    "ProtocolToken",
    "Tariff",
    "BurnAuction",
    "FeeVault",
    "NodeLicense",
    "bind_licenses",
    "OracleCommittee",
    "LicenseSale",
    "bind_committee",
    "JobDesk",
    "JobEscrow",
    "publish_tariff",
    "bind_desk",
    "JobLens",
)
"""What the local preset sends, in the order of the nonces."""

TIMELOCK_DELAY = 24
GOVERNED = f'preset = "local"\n[timing]\ntimelock_delay = {TIMELOCK_DELAY}\n'
BINDINGS = (
    ("TrustRegistry", "licenses"),
    ("NodeLicense", "committee"),
    ("Tariff", "escrow"),
    ("JobDesk", "escrow"),
)
ROLES = f"""
[roles]
governor = "{GOVERNOR}"
guardian = "{GUARDIAN}"
treasury = "{GOVERNOR}"
issuers = ["{ISSUER}"]
[[oracles]]
owner = "{ISSUER}"
signer = "{GUARDIAN}"
"""
PUBLIC = f'preset = "testnet"\n{ROLES}[protocol]\nholder = "{GOVERNOR}"\n'


def contract(chain: Chain, deployment: Deployment, name: str) -> Contract:
    abi = json.loads((ROOT / "src/workdeed/chain/abi" / f"{name}.json").read_text())
    return chain.web3.eth.contract(Web3.to_checksum_address(deployment.address(name)), abi=abi)


def assert_whole(chain: Chain, record: Path, steps: int = len(STEPS)) -> Deployment:
    """Everything stands once, and is wired."""
    deployment = load_deployment(record, chain.web3.eth.chain_id)
    assert chain.sent_by(DEPLOYER) == steps
    registry = contract(chain, deployment, "TrustRegistry")
    licenses = contract(chain, deployment, "NodeLicense")
    escrow = contract(chain, deployment, "JobEscrow")
    assert registry.functions.licenses().call() == deployment.address("NodeLicense")
    assert licenses.functions.committee().call() == deployment.address("OracleCommittee")
    assert escrow.functions.TOKEN().call() == deployment.address("TestUSD")
    assert escrow.functions.COMMITTEE().call() == deployment.address("OracleCommittee")
    return deployment


def test_a_fresh_chain_gets_everything(chain: Chain, deploy: Deploy, record: Path) -> None:
    result = deploy(chain.url)
    assert result.exit_code == 0, result.output
    deployment = assert_whole(chain, record)
    registry = contract(chain, deployment, "TrustRegistry").functions
    assert registry.governor().call() == GOVERNOR
    assert registry.guardian().call() == GUARDIAN
    assert registry.is_issuer(ISSUER).call()
    assert not registry.is_issuer(DEPLOYER).call()
    committee = contract(chain, deployment, "OracleCommittee").functions
    assert committee.quorum().call() == 3
    assert committee.GENESIS().call() == deployment.genesis
    assert deployment.genesis % deployment.window == 0
    desk = contract(chain, deployment, "JobDesk").functions
    assert desk.CLOSE_GRACE().call() == 12
    assert desk.escrow().call() == deployment.address("JobEscrow")
    assert deployment.start_block == 1


def test_a_second_run_sends_and_writes_nothing(
    standing: Standing, deploy: Deploy, record: Path
) -> None:
    record.write_text(json.dumps(standing.content))
    result = deploy(standing.chain.url)
    assert result.exit_code == 0, result.output
    assert record.read_text() == json.dumps(standing.content)
    assert_whole(standing.chain, record)


def test_a_run_that_breaks_at_every_step_is_taken_up(
    chain: Chain, rpc: Rpc, deploy: Deploy, record: Path
) -> None:
    """Each transaction is first dropped, then sent while its answer is lost."""
    for stands in range(len(STEPS)):
        for lost_answer in (False, True):
            rpc.fault = Fault(at=0, lost_answer=lost_answer)
            broken = deploy(rpc.url)
            assert rpc.fault.seen.is_set()
            assert broken.exit_code == 1
            assert isinstance(broken.exception, SystemExit), broken.output
            assert chain.sent_by(DEPLOYER) == stands + lost_answer
    rpc.fault = Fault()
    result = deploy(rpc.url)
    assert result.exit_code == 0, result.output
    assert rpc.fault.sent == 0
    assert_whole(chain, record)


@pytest.mark.parametrize(("stood", "back"), [(5, 2), (13, 9)])
def test_a_chain_that_went_back_is_taken_up(
    chain: Chain, rpc: Rpc, deploy: Deploy, record: Path, stood: int, back: int
) -> None:
    """In the order of the nonces: a step that was planned earlier may have been sent later."""
    rpc.fault = Fault(at=stood)
    deploy(rpc.url)
    assert chain.sent_by(DEPLOYER) == stood
    chain.web3.manager.request_blocking("anvil_rollback", [back])
    assert chain.sent_by(DEPLOYER) == stood - back
    result = deploy(rpc.url)
    assert result.exit_code == 0, result.output
    assert_whole(chain, record)


def test_a_killed_run_is_taken_up(chain: Chain, rpc: Rpc, deploy: Deploy, record: Path) -> None:
    rpc.fault = Fault(at=2, lost_answer=True, hold=threading.Event())
    command = [APE, "run", "deploy", "--network", rpc.url]
    killed = subprocess.Popen(
        [*command, "--output", str(record)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert rpc.fault.seen.wait(PATIENCE_SECONDS)
    killed.send_signal(signal.SIGSTOP)  # it gives up an answer that does not come
    second = deploy(chain.url)
    assert (second.exit_code, "another process" in second.output) == (1, True)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert rpc.fault.hold is not None
    rpc.fault.hold.set()
    result = deploy(rpc.url)
    assert result.exit_code == 0, result.output
    assert_whole(chain, record)


@pytest.mark.parametrize("kept", range(len(STEPS) + 1))
def test_a_file_that_knows_less_than_the_chain(
    standing: Standing, deploy: Deploy, record: Path, kept: int
) -> None:
    whole = Deployment.model_validate_json(json.dumps(standing.content))
    record.write_text(json.dumps(draft_of(standing.chain, whole, STEPS[:kept])))
    result = deploy(standing.chain.url)
    assert result.exit_code == 0, result.output
    assert assert_whole(standing.chain, record) == whole


def draft_of(chain: Chain, whole: Deployment, steps: tuple[str, ...]) -> dict[str, Any]:
    """The file as it was when only `steps` had been recorded."""
    begun = chain.web3.eth.get_block(whole.start_block - 1)
    sent = {}
    for nonce, step in enumerate(steps):
        # A chain that mines at once has one transaction in each block, in the order of the nonces.
        block = chain.web3.eth.get_block(whole.start_block + nonce)
        sent[step] = {
            "nonce": nonce,
            "tx": Web3.to_hex(block["transactions"][0]),
            "block": block["number"],
        }
    parameters = {key: value for key, value in whole.parameters.items() if key != "deployer"}
    return {
        "schema": "workdeed/unfinished-deployment@1",
        "chain_id": whole.chain_id,
        "deployer": DEPLOYER,
        "genesis": whole.genesis,
        "begun_block": begun["number"],
        "begun_hash": Web3.to_hex(begun["hash"]),
        "first_nonce": 0,
        "parameters": parameters,
        "steps": sent,
    }


def test_an_unfinished_file_is_no_deployment(
    chain: Chain, rpc: Rpc, deploy: Deploy, record: Path
) -> None:
    rpc.fault = Fault(at=3)
    deploy(rpc.url)
    with pytest.raises(Exception, match="schema"):
        load_deployment(record)


def test_a_restarted_chain_starts_anew(
    start_chain: StartChain, deploy: Deploy, record: Path
) -> None:
    first = start_chain()
    deploy(first.url)
    first.stop()
    second = start_chain("--timestamp", "2000000000")
    result = deploy(second.url)
    assert result.exit_code == 0, result.output
    assert "starting anew" in result.output
    assert assert_whole(second, record).genesis > 1_999_000_000


def test_what_the_governor_changed_is_told(chain: Chain, deploy: Deploy, record: Path) -> None:
    deploy(chain.url)
    registry = contract(chain, load_deployment(record), "TrustRegistry").functions
    registry.set_guardian(DEPLOYER).transact({"from": GOVERNOR})
    result = deploy(chain.url)
    assert result.exit_code == 0, result.output
    assert f"note: guardian: deployed as {GUARDIAN}, the governor made it {DEPLOYER}" in (
        result.output
    )


def test_a_timelock_governs_from_the_constructors_on(
    chain: Chain, deploy: Deploy, record: Path, tmp_path: Path
) -> None:
    """G26: the governor schedules, anyone executes, and not before the delay is over."""
    parameters = tmp_path / "parameters.toml"
    parameters.write_text(GOVERNED)
    result = deploy(chain.url, "--parameters", str(parameters))
    assert result.exit_code == 0, result.output
    assert f"governor {GOVERNOR}, by a timelock of {TIMELOCK_DELAY} s" in result.output
    deployment = assert_whole(chain, record, len(STEPS) + 1)
    timelock = contract(chain, deployment, "Timelock").functions
    registry = contract(chain, deployment, "TrustRegistry")
    assert registry.functions.governor().call() == deployment.address("Timelock")
    for role in (timelock.PROPOSER_ROLE(), timelock.CANCELLER_ROLE()):
        assert timelock.hasRole(role.call(), GOVERNOR).call()
        assert not timelock.hasRole(role.call(), DEPLOYER).call()

    change = registry.encode_abi("set_guardian", [ISSUER])
    call = (registry.address, 0, change, bytes(32), bytes(32))
    with pytest.raises(ContractLogicError, match="caller is not the owner"):
        registry.functions.set_guardian(ISSUER).transact({"from": GOVERNOR})
    timelock.schedule(*call, TIMELOCK_DELAY).transact({"from": GOVERNOR})
    with pytest.raises(ContractLogicError, match="operation is not ready"):
        timelock.execute(*call).transact({"from": ISSUER})
    chain.web3.manager.request_blocking("evm_increaseTime", [TIMELOCK_DELAY])
    chain.web3.manager.request_blocking("evm_mine", [])
    timelock.execute(*call).transact({"from": ISSUER})

    result = deploy(chain.url)
    assert result.exit_code == 0, result.output
    assert f"the governor made it {ISSUER}" in result.output


@pytest.mark.parametrize(("name", "view"), BINDINGS, ids=lambda part: part)
def test_a_binding_to_another_contract_is_refused(
    standing: Standing, deploy: Deploy, record: Path, name: str, view: str
) -> None:
    """Bindings are storage: what the code and its origin say does not cover them."""
    record.write_text(json.dumps(standing.content))
    chain, deployment = standing.chain, load_deployment(record)
    address = deployment.address(name)
    getter = contract(chain, deployment, name).functions[view]()
    bound, ask = getter.call(), chain.web3.manager.request_blocking
    read = {"to": address, "data": getter._encode_transaction_data()}
    (touched,) = ask("eth_createAccessList", [read, "latest"])["accessList"]
    (slot,) = touched["storageKeys"]
    kept = ask("evm_snapshot", [])
    ask("anvil_setStorageAt", [address, slot, Web3.to_hex(bytes(31) + b"\x01")])

    result = deploy(chain.url)

    ask("evm_revert", [kept])
    assert result.exit_code == 1
    assert f"{name}.{view}: 0x" in result.output
    assert f"the record says {bound}" in result.output


def test_other_parameters_are_refused(
    standing: Standing, deploy: Deploy, record: Path, tmp_path: Path
) -> None:
    record.write_text(json.dumps(standing.content))
    other = tmp_path / "other.toml"
    other.write_text('preset = "local"\n[policy]\nburn_bps = 0\n')
    result = deploy(standing.chain.url, "--parameters", str(other))
    assert result.exit_code == 1
    assert "policy.burn_bps: it is 0 in the parameter file and 1000 in" in result.output
    assert_whole(standing.chain, record)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('preset = "local"\n[timing]\nclose_grace = 9\n', "close_grace: 9 windows are 108 s"),
        ('preset = "lokal"\n', "preset: there is no 'lokal', only local, production"),
        ('preset = "testnet"\n', "roles: Field required"),
        ("[timing\n", "it is no TOML"),
        (PUBLIC + '[token]\naddress = "x"\n', "token"),
        (f'token = "{GOVERNOR}"\n{PUBLIC}', f"token: no contract at {GOVERNOR}"),
        (f"genesis = 9_000_000_000\n{PUBLIC}", "genesis: 9000000000 is later than"),
    ],
)
def test_a_wrong_parameter_file_is_told_before_anything_is_sent(
    chain: Chain, deploy: Deploy, record: Path, tmp_path: Path, content: str, sentence: str
) -> None:
    parameters = tmp_path / "parameters.toml"
    parameters.write_text(content)
    result = deploy(chain.url, "--parameters", str(parameters))
    assert (result.exit_code, chain.sent_by(DEPLOYER), record.exists()) == (1, 0, False)
    assert sentence in result.output


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("chain_id",), 5, "it is of chain 5, and the network is chain 31337"),
        (("genesis",), 12, "OracleCommittee: it was not deployed with the recorded parameters"),
        (("parameters", "policy.burn_bps"), 1, "Tariff: it was not deployed with"),
        (("parameters", "timing.close_grace"), 13, "JobDesk: it was not deployed with"),
        (("parameters", "bonds.min_node"), 1, "NodeLicense: it was not deployed with"),
        (("parameters", "auction.min_lot"), 1, "BurnAuction: it was not deployed with"),
        (("parameters", "sale.tiers.1.units"), 1, "LicenseSale: it was not deployed with"),
        (("parameters", "roles.treasury"), GOVERNOR, "TrustRegistry: it was not deployed with"),
        (("contracts", "JobEscrow", "block"), 6, "JobEscrow: block 13 created it"),
        (("contracts", "NodeLicense"), "TrustRegistry", "NodeLicense: the code at"),
    ],
)
def test_a_record_that_is_not_what_stands_is_refused(
    standing: Standing,
    deploy: Deploy,
    record: Path,
    path: tuple[str, ...],
    value: Any,
    sentence: str,
) -> None:
    content = table = deepcopy(standing.content)
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = content["contracts"].get(value, value) if path[0] == "contracts" else value
    record.write_text(json.dumps(content))
    result = deploy(standing.chain.url)
    assert result.exit_code == 1
    assert sentence in result.output
    assert standing.chain.sent_by(DEPLOYER) == len(STEPS)


def test_another_account_cannot_finish(
    chain: Chain, rpc: Rpc, deploy: Deploy, ape_home: Path
) -> None:
    rpc.fault = Fault(at=3)
    deploy(rpc.url)
    other = Account.create()
    write_account(ape_home, "other", other.key.hex(), "secret")
    result = deploy(rpc.url, "--account", "other")
    assert result.exit_code == 1
    assert f"{other.address} did not begin this deployment, {DEPLOYER} did" in result.output


def test_a_token_that_exists_is_used(
    chain: Chain, deploy: Deploy, record: Path, tmp_path: Path
) -> None:
    deploy(chain.url)
    token = load_deployment(record).address("TestUSD")
    record.unlink()
    parameters = tmp_path / "parameters.toml"
    parameters.write_text(f'preset = "local"\ntoken = "{token}"\n')
    result = deploy(chain.url, "--parameters", str(parameters))
    assert result.exit_code == 0, result.output
    deployment = load_deployment(record)
    assert contract(chain, deployment, "JobEscrow").functions.TOKEN().call() == token
    assert chain.sent_by(DEPLOYER) == 2 * len(STEPS) - 1
    assert deploy(chain.url).exit_code == 0


def test_a_public_testnet(
    start_chain: StartChain,
    deploy: Deploy,
    record: Path,
    ape_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sepolia's chain id, an encrypted account, and blocks that come by themselves."""
    sepolia = start_chain("--chain-id", str(SEPOLIA), "--block-time", "0.2")
    parameters = tmp_path / "parameters.toml"
    parameters.write_text(PUBLIC)
    key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    write_account(ape_home, "deployer", key, "secret")
    monkeypatch.setattr("scripts._deployment.node.LIVE_POLL_SECONDS", 0.1)
    monkeypatch.setenv("APE_ACCOUNTS_deployer_PASSPHRASE", "secret")
    network = f"ethereum:sepolia:{sepolia.url}"
    options = ("--parameters", str(parameters), "--account", "deployer")
    unasked = deploy(network, *options)
    assert (unasked.exit_code, record.exists()) == (1, False)
    result = deploy(network, *options, "--yes")
    assert result.exit_code == 0, result.output
    assert assert_whole(sepolia, record).window == 3_600
    assert deploy(network).exit_code == 0


def write_account(home: Path, alias: str, key: str, passphrase: str) -> None:
    keystore = Account.encrypt(key, passphrase, kdf="pbkdf2", iterations=1)
    (home / "accounts").mkdir(exist_ok=True)
    (home / "accounts" / f"{alias}.json").write_text(json.dumps(keystore))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("http://127.0.0.1:1", "cannot connect"),
        ("http://192.0.2.1:8545", "on this machine only"),
        ("ethereum:nowhere:node", "No network in 'ethereum' named 'nowhere'"),
        ("ethereum:sepolia:node", "WORKDEED_RPC_SEPOLIA is not set"),
        ("base:sepolia:node", "WORKDEED_RPC_BASE_SEPOLIA is not set"),
        ("ethereum:mainnet:node", "no RPC address; set node.ethereum.mainnet.uri"),
    ],
)
def test_a_network_that_cannot_be_used(deploy: Deploy, network: str, sentence: str) -> None:
    result = deploy(network)
    assert result.exit_code == 1
    assert sentence in result.output


def test_another_chain_behind_the_address(chain: Chain, deploy: Deploy) -> None:
    result = deploy(f"ethereum:sepolia:{chain.url}")
    assert result.exit_code == 1
    assert "31337" in result.output


def test_a_public_chain_asks_for_parameters_and_account(
    start_chain: StartChain, deploy: Deploy, tmp_path: Path
) -> None:
    network = f"ethereum:sepolia:{start_chain('--chain-id', str(SEPOLIA)).url}"
    assert "--parameters: name a file" in deploy(network).output
    parameters = tmp_path / "parameters.toml"
    parameters.write_text(PUBLIC)
    options = ("--parameters", str(parameters))
    assert "--account: name the ape account" in deploy(network, *options).output
    assert "no account 'nobody'" in deploy(network, *options, "--account", "nobody").output


def test_a_governor_without_a_delay_is_for_local_chains(
    start_chain: StartChain, deploy: Deploy, record: Path, tmp_path: Path
) -> None:
    """G26."""
    network = f"ethereum:sepolia:{start_chain('--chain-id', str(SEPOLIA)).url}"
    preset = (ROOT / "deployments/presets/testnet.toml").read_text()
    lines = [line for line in preset.splitlines() if not line.startswith("timelock_delay")]
    hasty = "\n".join(lines).replace("supply = ", f'holder = "{GOVERNOR}"\nsupply = ')
    parameters = tmp_path / "parameters.toml"
    parameters.write_text(hasty + ROLES)
    write_account(Path(os.environ["APE_DATA_FOLDER"]), "hasty", Account.create().key.hex(), "x")
    result = deploy(network, "--parameters", str(parameters), "--account", "hasty", "--yes")
    assert (result.exit_code, record.exists()) == (1, False)
    assert "timing.timelock_delay: without it the governor acts at once" in result.output


def test_an_account_without_ether(
    start_chain: StartChain,
    deploy: Deploy,
    record: Path,
    ape_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sepolia = start_chain("--chain-id", str(SEPOLIA))
    parameters = tmp_path / "parameters.toml"
    parameters.write_text(PUBLIC)
    write_account(ape_home, "poor", Account.create().key.hex(), "secret")
    options = ("--parameters", str(parameters), "--account", "poor", "--yes")
    network = f"ethereum:sepolia:{sepolia.url}"
    monkeypatch.setenv("APE_ACCOUNTS_poor_PASSPHRASE", "wrong")
    assert "--account: poor: Invalid password" in deploy(network, *options).output
    monkeypatch.setenv("APE_ACCOUNTS_poor_PASSPHRASE", "secret")
    assert "cannot send it with a balance of 0 wei" in deploy(network, *options).output
    assert not record.exists()


def test_the_command_as_typed_shows_no_traceback(record: Path) -> None:
    command = [APE, "run", "deploy", "--network", "http://127.0.0.1:1"]
    environment = {name: value for name, value in os.environ.items() if name != "PATH"}
    result = subprocess.run(
        [*command, "--output", str(record)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Error: network http://127.0.0.1:1: cannot connect" in result.stderr
    assert "Traceback" not in result.stderr
