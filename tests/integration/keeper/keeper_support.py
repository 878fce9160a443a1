"""A real local chain with the real contracts, for tests of the keeper, the SDK and the CLI."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import eth_abi
from eth_account import Account

from workdeed.chain.bindings.codec import load_abi
from workdeed.chain.deployment import DeployedContract, Deployment
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.protocol.signing import to_checksum

ROOT = Path(__file__).resolve().parents[3]
CONTRACTS = ROOT / "contracts"
ANVIL = ROOT / "node_modules" / ".bin" / "anvil"
CACHE = ROOT / ".cache" / "keeper-tests"
NAMES = ("TestUSD", "TrustRegistry", "NodeLicense", "OracleCommittee", "JobEscrow")
MNEMONIC = "test test test test test test test test test test test junk"
WINDOW, CHALLENGE, CLOSE_GRACE, FREEZE = 6, 1, 12, 60
PRICE = 100_003
CLASSES = [(PRICE, 500, 512, 1_024)]
POLICY = (500, 1_000, 500, 5_000, 0)
CHAIN_ID = 31_337

DEPLOYER, GOVERNOR, GUARDIAN, ISSUER, PAYER, OPERATOR, KEEPER = range(7)
"""Accounts of the chain by role."""

ORACLE_KEYS = 10
"""The first account that is an oracle's member key."""


def key_of(index: int) -> bytes:
    """Return the private key of a test account of the chain."""
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return bytes(account.key)


def signer_of(index: int) -> LocalSigner:
    """Return the signer of a test account of the chain."""
    return LocalSigner(key_of(index))


class Anvil:
    """An anvil process of one's own; without `block_time` it mines every transaction at once."""

    def __init__(self, block_time: float | None) -> None:
        pace = [] if block_time is None else ["--block-time", str(block_time)]
        self._process = subprocess.Popen(
            [
                str(ANVIL),
                "--port",
                "0",
                *pace,
                "--hardfork",
                "cancun",
                "--accounts",
                "20",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://{self._listening()}"

    def _listening(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Listening on "):
                return line.split()[2]
        raise RuntimeError("anvil ended before it listened")

    def drain(self) -> None:
        """Read what it prints, so that it never waits for a reader."""
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            pass

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)


@dataclass(frozen=True)
class LocalChain:
    """A chain on which a deployment stands."""

    url: str
    deployment: Deployment
    folder: Path

    @cached_property
    def file(self) -> Path:
        """The deployment as a file."""
        path = self.folder / f"{self.deployment.chain_id}.json"
        content = self.deployment.model_dump(mode="json", by_alias=True)
        path.write_text(json.dumps(content))
        return path


async def deploy(url: str, folder: Path, oracles: int = 1) -> LocalChain:
    """Deploy every contract and return where it stands; seat i is held by license i + 1."""
    bytecode = compiled()
    async with RpcClient(url) as rpc:
        deployer = Deployer(rpc, bytecode)
        account = [to_checksum(one) for one in await rpc.call("eth_accounts")]
        token = await deployer.create("TestUSD")
        trust = await deployer.create(
            "TrustRegistry", account[GOVERNOR], account[GUARDIAN], [account[ISSUER]], FREEZE
        )
        owners = [account[OPERATOR]] * oracles
        licenses = await deployer.create("NodeLicense", trust.address, 0, 0, owners)
        seats = [(index + 1, signer_of(ORACLE_KEYS + index).address) for index in range(oracles)]
        genesis = (await rpc.head()).timestamp
        committee = await deployer.create(
            "OracleCommittee", trust.address, licenses.address, genesis, WINDOW, CHALLENGE, seats
        )
        escrow = await deployer.create(
            "JobEscrow",
            token.address,
            trust.address,
            licenses.address,
            committee.address,
            CLOSE_GRACE,
            CLASSES,
            POLICY,
        )
        await deployer.call("TrustRegistry", trust.address, "bind_licenses", licenses.address)
        await deployer.call("NodeLicense", licenses.address, "bind_committee", committee.address)
    deployment = Deployment(
        chain_id=CHAIN_ID,
        genesis=genesis,
        window=WINDOW,
        challenge=CHALLENGE,
        start_block=token.block,
        contracts=dict(zip(NAMES, (token, trust, licenses, committee, escrow), strict=True)),
    )
    return LocalChain(url, deployment, folder)


@dataclass(frozen=True)
class Deployer:
    """Creates contracts from the chain's first account, whose key anvil holds."""

    rpc: RpcClient
    bytecode: dict[str, str]

    async def create(self, name: str, *arguments: object) -> DeployedContract:
        """Create a contract."""
        inputs = next((e["inputs"] for e in load_abi(name) if e["type"] == "constructor"), [])
        data = self.bytecode[name] + eth_abi.encode(_types(inputs), arguments).hex()
        receipt = await self._send({"data": data})
        return DeployedContract(
            address=to_checksum(receipt["contractAddress"]),
            tx=bytes.fromhex(receipt["transactionHash"][2:]),
            block=int(receipt["blockNumber"], 16),
        )

    async def call(self, name: str, address: str, function: str, argument: str) -> None:
        """Call a function of one address."""
        from workdeed.protocol.hashing import keccak

        selector = keccak(f"{function}(address)".encode())[:4]
        data = selector + eth_abi.encode(["address"], [argument])
        await self._send({"to": address, "data": "0x" + data.hex()})

    async def _send(self, transaction: dict[str, str]) -> dict[str, Any]:
        sender = (await self.rpc.call("eth_accounts"))[DEPLOYER]
        tx_hash = await self.rpc.call("eth_sendTransaction", [{"from": sender, **transaction}])
        while True:
            receipt: dict[str, Any] | None = await self.rpc.call(
                "eth_getTransactionReceipt", [tx_hash]
            )
            if receipt is not None:
                assert receipt["status"] == "0x1", f"{transaction} reverted"
                return receipt
            await asyncio.sleep(0.05)


def compiled() -> dict[str, str]:
    """Return the creation code of every contract, compiled anew only when a source changed."""
    sources = sorted(path for path in CONTRACTS.rglob("*.vy*") if "testing" not in path.parts)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    kept = CACHE / f"{digest}.json"
    if kept.exists():
        found: dict[str, str] = json.loads(kept.read_text())
        return found
    from vyper.cli.vyper_compile import compile_files

    paths = [str(CONTRACTS / f"{name}.vy") for name in NAMES]
    output = compile_files(paths, ["bytecode"], paths=[str(CONTRACTS)])
    found = {
        Path(str(path)).stem: content["bytecode"]
        for path, content in output.items()
        if Path(str(path)).stem in NAMES
    }
    CACHE.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(found))
    part.replace(kept)
    return found


def _types(inputs: list[dict[str, Any]]) -> list[str]:
    from workdeed.chain.bindings.codec import _type

    return [_type(argument) for argument in inputs]
