"""A real local chain with the real contracts, for tests of the keeper, the SDK and the CLI."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import eth_abi
from aiohttp import web
from aiohttp.test_utils import TestServer
from eth_account import Account
from suite_support import Terms, deploy_suite

from tests.compiled import creation_code
from workdeed.chain.bindings.codec import Call, load_abi, read
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import DeployedContract, Deployment
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.chain.transactor import Transactor, TransactorSettings
from workdeed.keeper.run import Keeper
from workdeed.keeper.settings import KeeperSettings
from workdeed.protocol.candidates import Candidates, CandidatesRequest
from workdeed.protocol.eip712 import (
    COMMITTEE_DOMAIN,
    ESCROW_DOMAIN,
    placement_digest,
    report_digest,
)
from workdeed.protocol.merkle import leaf_hash
from workdeed.protocol.messages import NodeProfile, Proofs, ProvenLeaf
from workdeed.protocol.report import Leaf, report_tree
from workdeed.protocol.signing import to_checksum

ROOT = Path(__file__).resolve().parents[3]
ANVIL = ROOT / "node_modules" / ".bin" / "anvil"
MNEMONIC = "test test test test test test test test test test test junk"
WINDOW, CHALLENGE, CLOSE_GRACE, FREEZE, UNBOND_DELAY = 6, 1, 12, 60, 900
PRICE = 100_003
CLASSES = [(PRICE, 500, 512, 1_024)]
BOND = 1_000_000
"""The least bond of a node license on the calm chain."""
TIERS = ((2, 500_000), (9, 700_000))
"""Units and price of each tier of its sale of licenses."""
CHAIN_ID = 31_337

DEPLOYER, GOVERNOR, GUARDIAN, ISSUER, PAYER, OPERATOR, KEEPER = range(7)
DELEGATE, TREASURY, AUCTION = range(7, 10)
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


async def deploy(
    url: str,
    folder: Path,
    oracles: int = 1,
    *,
    window: int = WINDOW,
    min_node_bond: int = 0,
    tiers: Sequence[tuple[int, int]] = (),
) -> LocalChain:
    """Deploy every contract and return where it stands; seat i is held by license i + 1."""
    async with RpcClient(url) as rpc:
        deployer = Deployer(rpc)
        account = [to_checksum(one) for one in await rpc.call("eth_accounts")]
        genesis = (await rpc.head()).timestamp
        terms = Terms(
            governor=account[GOVERNOR],
            guardian=account[GUARDIAN],
            treasury=account[TREASURY],
            auction=account[AUCTION],
            issuers=[account[ISSUER]],
            owners=[account[OPERATOR]] * oracles,
            seats=[(one + 1, signer_of(ORACLE_KEYS + one).address) for one in range(oracles)],
            classes=CLASSES,
            genesis=genesis,
            window=window,
            challenge=CHALLENGE,
            close_grace=CLOSE_GRACE,
            freeze_period=FREEZE,
            tiers=tiers,
            bonds=(min_node_bond, 0, UNBOND_DELAY, 5_000, 4_000, 3_000),
        )
        contracts = await deploy_suite(deployer.create, deployer.call, terms)
    deployment = Deployment(
        chain_id=CHAIN_ID,
        genesis=genesis,
        window=window,
        challenge=CHALLENGE,
        start_block=min(one.block for one in contracts.values()),
        contracts=contracts,
    )
    return LocalChain(url, deployment, folder)


@dataclass(frozen=True)
class Deployer:
    """Creates contracts from the chain's first account, whose key anvil holds."""

    rpc: RpcClient

    async def create(self, name: str, *arguments: object) -> DeployedContract:
        """Create a contract."""
        inputs = next((e["inputs"] for e in load_abi(name) if e["type"] == "constructor"), [])
        data = creation_code(name) + eth_abi.encode(_types(inputs), arguments)
        receipt = await self._send({"data": "0x" + data.hex()})
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


def member_settings(
    chain: LocalChain, folder: Path, name: str = "keeper", **changes: Any
) -> KeeperSettings:
    """Return settings of a keeper with the committee's member key, and files in `folder`."""
    member = folder / "member.key"
    member.write_text(key_of(ORACLE_KEYS).hex())
    content: dict[str, Any] = {
        "chain": {
            "rpc_urls": [chain.url],
            "chain_id": CHAIN_ID,
            "deployment": chain.file,
            "confirmations": 0,
            "poll_seconds": 0.2,
            "block_seconds": 0.5,
        },
        "keys": {"member": {"private_key_file": member}},
        "database": str(folder / f"{name}.db"),
        "state_dir": folder / name,
        "http": {"port": 0},
        "allow_private_endpoints": True,
    }
    return KeeperSettings.model_validate(content | changes)


@asynccontextmanager
async def running(told: KeeperSettings) -> AsyncIterator[Keeper]:
    """Run a keeper until the end of the block."""
    keeper, stopping = await Keeper.open(told), asyncio.Event()
    task = asyncio.create_task(keeper.run(stopping))
    try:
        yield keeper
    finally:
        stopping.set()
        await task


class FakeKeeper:
    """Takes and gives specs, proves the leaves of the reports that it is told, and shows nodes."""

    def __init__(self) -> None:
        self.specs: dict[str, bytes] = {}
        self.proofs: dict[tuple[int, int, int], bytes] = {}
        self.profiles: list[NodeProfile] = []
        app = web.Application()
        app.add_routes(
            [
                web.put("/specs/{hash}", self._put),
                web.get("/specs/{hash}", self._get),
                web.post("/candidates", self._candidates),
                web.get("/reports/{window}/proofs/{job}/{license}", self._prove),
            ]
        )
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return str(self.server.make_url("")).rstrip("/")

    def tell(self, window: int, leaves: Sequence[Leaf]) -> None:
        """Prove these leaves from now on."""
        tree = report_tree(leaves)
        for leaf in leaves:
            proven = ProvenLeaf(**leaf._asdict(), proof=tuple(tree.proof(leaf_hash(*leaf))))
            proofs = Proofs(window=window, root=tree.root, leaves=(proven,))
            self.proofs[window, leaf.job_id, leaf.license_id] = proofs.to_json()

    async def _put(self, request: web.Request) -> web.Response:
        self.specs[request.match_info["hash"]] = await request.read()
        return web.Response(status=204)

    async def _get(self, request: web.Request) -> web.Response:
        found = self.specs.get(request.match_info["hash"])
        return web.Response(status=404) if found is None else web.Response(body=found)

    async def _candidates(self, request: web.Request) -> web.Response:
        asked = CandidatesRequest.parse(await request.read())
        placed = [one for one in self.profiles if one.license_id in asked.placed]
        others = [one for one in self.profiles if one not in placed][: asked.count]
        return web.Response(body=Candidates(profiles=(*placed, *others)).to_json())

    async def _prove(self, request: web.Request) -> web.Response:
        window, job, license_ = (
            int(request.match_info[name]) for name in ("window", "job", "license")
        )
        found = self.proofs.get((window, job, license_))
        return web.Response(status=404) if found is None else web.Response(body=found)


class Quorum:
    """The committee of one, whose signature is all that placements and reports need."""

    def __init__(self, chain: LocalChain, rpc: RpcClient) -> None:
        self._deployment = chain.deployment
        self._suite = Suite.of(chain.deployment)
        self._rpc = rpc
        self._member = signer_of(ORACLE_KEYS)

    async def window(self) -> int:
        """Return the current window."""
        return await read(self._rpc, self._suite.escrow.current_window())

    async def wait(self, seconds: int) -> None:
        """Let time pass."""
        await self._rpc.call("evm_increaseTime", [seconds])
        await self._rpc.call("evm_mine", [])

    async def to_next_window(self) -> int:
        """Go to the first second of the next window, and return it."""
        window = await self.window() + 1
        start = self._deployment.clock.start(window)
        await self._rpc.call("evm_setNextBlockTimestamp", [start])
        await self._rpc.call("evm_mine", [])
        return window

    async def place(self, job_id: int, assign: Sequence[int], release: Sequence[int] = ()) -> None:
        """Change the licenses of a job from the next window on."""
        job = await read(self._rpc, self._suite.desk.job(job_id))
        window, epoch = await self.window(), await self._epoch()
        domain = self._deployment.domain(ESCROW_DOMAIN)
        lists = list(release), list(assign)
        digest = placement_digest(domain, job_id, job.round, window, job.revision, *lists, epoch)
        signature = self._member.sign_digest(digest)
        frame = (job_id, job.round, window, job.revision)
        await self._send(self._suite.escrow.place(*frame, *lists, signature))

    async def report(self, units: Mapping[tuple[int, int], int]) -> tuple[int, list[Leaf]]:
        """Report the last window with these units by (job, license); it is final at once."""
        escrow, window = self._suite.escrow.address, await self.window() - 1
        leaves = [Leaf(escrow, *pair, number) for pair, number in sorted(units.items())]
        root = report_tree(leaves).root
        domain = self._deployment.domain(COMMITTEE_DOMAIN)
        digest = report_digest(domain, window, 0, root, root, await self._epoch())
        signature = self._member.sign_digest(digest)
        await self._send(self._suite.committee.submit_report(window, 0, root, root, signature))
        await self.wait(CHALLENGE)
        return window, leaves

    async def _epoch(self) -> int:
        return await read(self._rpc, self._suite.committee.committee_epoch())

    async def _send(self, call: Call[Any]) -> None:
        settings = TransactorSettings(poll_seconds=0.02)
        await Transactor(self._rpc, signer_of(KEEPER), settings=settings).send_and_wait(call)


def _types(inputs: list[dict[str, Any]]) -> list[str]:
    from workdeed.chain.bindings.codec import _type

    return [_type(argument) for argument in inputs]
