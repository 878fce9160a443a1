"""Deploys contracts on anvil, and does with them what roles do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from eth_abi.abi import encode
from eth_account import Account
from suite_support import Terms, deploy_suite

from tests.compiled import creation_code
from workdeed.chain.bindings import codec
from workdeed.chain.bindings.codec import Call, load_abi, read
from workdeed.chain.bindings.suite import Suite
from workdeed.chain.deployment import DeployedContract, Deployment
from workdeed.chain.keys import LocalSigner
from workdeed.chain.rpc import RpcClient
from workdeed.chain.transactions import Receipt
from workdeed.chain.transactor import Transactor, TransactorSettings
from workdeed.protocol.eip712 import (
    link_node_digest,
    placement_digest,
    report_digest,
    result_digest,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import MerkleTree, leaf_hash
from workdeed.protocol.signing import to_checksum

T = TypeVar("T")

MNEMONIC = "test test test test test test test test test test test junk"
WINDOW, CHALLENGE, CLOSE_GRACE, FREEZE_PERIOD, UNBOND_DELAY = 100, 10, 12, 600, 900
PRICE = 100_003
CLASSES = [(PRICE, 500, 512, 1_024), (7, 1_000, 1_024, 2_048)]
VERIFIED = 1
POLICY = (500, 1_000, 500, 5_000, VERIFIED, True, False, 5_000, 3_000)
BOND = 1_000_000
"""The least bond of a node license."""
SPEC, NEW_SPEC, EVIDENCE = keccak(b"spec"), keccak(b"new spec"), keccak(b"evidence")
FOREVER = 2**40

COUNTER = """
# pragma version 0.4.3
# A contract that does everything as often as it is told to: doubled effects show.

counts: public(HashMap[uint256, uint256])
closed: public(bool)

@external
def act(name: uint256):
    assert not self.closed, "counter: closed"
    assert name != 13, "counter: forbidden"
    self.counts[name] += 1

@external
def set_closed(closed: bool):
    self.closed = closed
"""


@cache
def signer(index: int) -> LocalSigner:
    """Return the signer of one of the accounts that anvil funds (0..9) or of a further key."""
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return LocalSigner(bytes(account.key))


DEPLOYER, GOVERNOR, GUARDIAN, ISSUER, PAYER, OPERATOR, STRANGER, DELEGATE, TREASURY, AUCTION = (
    signer(n) for n in range(10)
)
ORACLES = [signer(10 + n) for n in range(4)]
NODES = [signer(20 + n) for n in range(6)]


@cache
def _counter_code() -> bytes:
    from vyper import compile_code

    made: str = compile_code(COUNTER, output_formats=["bytecode"])["bytecode"]
    return bytes.fromhex(made.removeprefix("0x"))


async def create(rpc: RpcClient, code: bytes, arguments: bytes = b"") -> DeployedContract:
    """Create a contract from the deployer's account."""
    data = "0x" + (code + arguments).hex()
    sent = await rpc.call("eth_sendTransaction", [{"from": DEPLOYER.address, "data": data}])
    # A heavy constructor takes anvil a moment.
    receipt = await until(lambda: rpc.call("eth_getTransactionReceipt", [sent]))
    assert receipt["status"] == "0x1", "a constructor reverted"
    return DeployedContract(
        address=to_checksum(receipt["contractAddress"]),
        tx=bytes.fromhex(sent[2:]),
        block=int(receipt["blockNumber"], 16),
    )


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """Look until there is something, and return it."""
    while True:
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.01)


async def pool_holds(rpc: RpcClient, senders: int) -> bool:
    """Tell whether the pool has transactions of that many senders."""
    return len((await rpc.call("txpool_content", []))["pending"]) >= senders


@dataclass
class Counter:
    """A contract that counts what it is told to do."""

    rpc: RpcClient
    address: str

    @classmethod
    async def deploy(cls, rpc: RpcClient) -> Counter:
        return cls(rpc, (await create(rpc, _counter_code())).address)

    def act(self, name: int) -> Call[None]:
        return self._call("act(uint256)", encode(["uint256"], [name]), "act")

    def set_closed(self, closed: bool) -> Call[None]:
        return self._call("set_closed(bool)", encode(["bool"], [closed]), "set_closed")

    async def count(self, name: int) -> int:
        data = keccak(b"counts(uint256)")[:4] + encode(["uint256"], [name])
        return int.from_bytes(await self.rpc.eth_call(self.address, data), "big")

    def _call(self, signature: str, arguments: bytes, name: str) -> Call[None]:
        data = keccak(signature.encode())[:4] + arguments
        return Call(self.address, data, f"Counter.{name}", codec.nothing)


class Network:
    """Every contract on a chain, and what the roles do with them."""

    def __init__(self, rpc: RpcClient, deployment: Deployment) -> None:
        self.rpc = rpc
        self.deployment = deployment
        self.suite = Suite.of(deployment)
        self.escrow = self.suite.escrow
        self.desk = self.suite.desk
        self.rounds: dict[int, int] = {}
        self.revisions: dict[int, int] = {}

    @classmethod
    async def deploy(cls, rpc: RpcClient) -> Network:
        genesis = (await rpc.head()).timestamp
        terms = Terms(
            governor=GOVERNOR.address,
            guardian=GUARDIAN.address,
            treasury=TREASURY.address,
            auction=AUCTION.address,
            issuers=[ISSUER.address],
            owners=[OPERATOR.address] * len(ORACLES),
            seats=[(n + 1, oracle.address) for n, oracle in enumerate(ORACLES)],
            classes=CLASSES,
            genesis=genesis,
            window=WINDOW,
            challenge=CHALLENGE,
            close_grace=CLOSE_GRACE,
            freeze_period=FREEZE_PERIOD,
            owner_level=VERIFIED,
            policy=POLICY,
            bonds=(BOND, 0, UNBOND_DELAY, 5_000, 4_000, 3_000),
        )
        maker = _Maker(rpc)
        made = await deploy_suite(maker.create, maker.bind, terms)
        deployment = Deployment(
            chain_id=await rpc.chain_id(),
            genesis=genesis,
            window=WINDOW,
            challenge=CHALLENGE,
            start_block=min(item.block for item in made.values()),
            contracts=made,
        )
        return cls(rpc, deployment)

    async def send(self, who: LocalSigner, call: Call[Any]) -> Receipt:
        """Send a call and wait for it."""
        settings = TransactorSettings(poll_seconds=0.02)
        return await Transactor(self.rpc, who, settings=settings).send_and_wait(call)

    async def pass_time(self, seconds: int) -> None:
        await self.rpc.call("evm_increaseTime", [seconds])
        await self.rpc.call("evm_mine", [])

    async def window(self) -> int:
        """Return the window of the next block, as near as a block can tell."""
        return self.deployment.clock.at((await self.rpc.head()).timestamp)

    async def to_next_window(self) -> int:
        """Go to the first second of the next window, and return it."""
        window = await self.window() + 1
        start = self.deployment.clock.start(window)
        await self.rpc.call("evm_setNextBlockTimestamp", [start])
        await self.rpc.call("evm_mine", [])
        return window

    async def add_payer(self, amount: int) -> None:
        """Verify the payer and give it tokens, approved for the escrow."""
        registry, token = self.suite.registry, self.suite.token
        await self.send(ISSUER, registry.attest(PAYER.address, VERIFIED, FOREVER, EVIDENCE))
        await self.send(PAYER, token.faucet(amount))
        await self.send(PAYER, token.approve(self.escrow.address, amount))

    async def add_node(self, node: LocalSigner) -> int:
        """Issue a license to the operator, bond, link and announce it; return the license."""
        licenses = self.suite.licenses
        receipt = await self.send(ISSUER, licenses.issue(OPERATOR.address, 1))
        license_id = int(receipt.events(self.suite)[-1].license_id)  # type: ignore[attr-defined]
        await self.bond(license_id, BOND)
        await self.link(license_id, node)
        endpoint = f"http://127.0.0.1:{7_000 + license_id}"
        await self.send(OPERATOR, licenses.set_profile(license_id, endpoint, keccak(b"profile")))
        return license_id

    async def link(self, license_id: int, node: LocalSigner) -> None:
        licenses = self.suite.licenses
        nonce = await read(self.rpc, licenses.link_nonce(node.address))
        domain = self.deployment.domain(licenses.NAME)
        digest = link_node_digest(
            domain, license_id, node.address, OPERATOR.address, nonce, FOREVER
        )
        call = licenses.link_node(license_id, node.address, FOREVER, node.sign_digest(digest))
        await self.send(OPERATOR, call)

    async def bond(self, license_id: int, amount: int) -> None:
        """Let the operator add to the bond of a license."""
        licenses, token = self.suite.licenses, self.suite.token
        await self.send(OPERATOR, token.faucet(amount))
        await self.send(OPERATOR, token.approve(licenses.address, amount))
        await self.send(OPERATOR, licenses.post_bond(license_id, amount))

    async def verify_operator(self) -> None:
        registry = self.suite.registry
        await self.send(ISSUER, registry.attest(OPERATOR.address, VERIFIED, FOREVER, EVIDENCE))

    async def open_job(self, slots: int, windows: int, class_id: int = 1) -> int:
        call = self.escrow.open_job(SPEC, class_id, 0, slots, 1, windows, 10**9)
        receipt = await self.send(PAYER, call)
        job_id = int(receipt.events(self.suite)[0].job_id)  # type: ignore[attr-defined]
        self.rounds[job_id] = self.revisions[job_id] = 0
        return job_id

    async def place(self, job_id: int, assign: Sequence[int], release: Sequence[int] = ()) -> None:
        """Place licenses with the signatures of all oracles."""
        window = await self.window()
        epoch = await read(self.rpc, self.suite.committee.committee_epoch())
        round_, revision = self.rounds[job_id], self.revisions[job_id]
        digest = placement_digest(
            self.deployment.domain(self.escrow.NAME),
            job_id,
            round_,
            window,
            revision,
            list(release),
            list(assign),
            epoch,
        )
        call = self.escrow.place(
            job_id, round_, window, revision, release, assign, signatures(digest)
        )
        await self.send(STRANGER, call)
        self.rounds[job_id] += 1

    async def report(self, leaves: dict[tuple[int, int], int]) -> MerkleTree | None:
        """Report the last window with these units by (job, license), and let it become final."""
        tree = await self.submit(leaves)
        await self.pass_time(CHALLENGE + 1)
        return tree

    async def submit(self, leaves: dict[tuple[int, int], int]) -> MerkleTree | None:
        """Report the last window with these units by (job, license); it is pending then."""
        committee = self.suite.committee
        window = await self.window() - 1
        hashes = [leaf_hash(self.escrow.address, *pair, units) for pair, units in leaves.items()]
        tree = MerkleTree(hashes) if hashes else None
        root = tree.root if tree else bytes(32)
        epoch = await read(self.rpc, committee.committee_epoch())
        domain = self.deployment.domain(committee.NAME)
        digest = report_digest(domain, window, 0, root, EVIDENCE, epoch)
        call = committee.submit_report(window, 0, root, EVIDENCE, signatures(digest))
        await self.send(STRANGER, call)
        return tree

    async def claim(self, tree: MerkleTree, job_id: int, license_id: int, units: int) -> None:
        proof = tree.proof(leaf_hash(self.escrow.address, job_id, license_id, units))
        await self.send(STRANGER, self.escrow.claim(job_id, license_id, units, proof))

    async def close(self, tree: MerkleTree, job_id: int, total: int) -> None:
        """Close a job by its leaf."""
        proof = tree.proof(leaf_hash(self.escrow.address, job_id, 0, total))
        await self.send(STRANGER, self.escrow.close_job(job_id, total, proof))

    async def attest_result(self, job_id: int, result_hash: bytes) -> None:
        """Complete a batch job with the signatures of all oracles."""
        epoch = await read(self.rpc, self.suite.committee.committee_epoch())
        digest = result_digest(self.deployment.domain(self.desk.NAME), job_id, result_hash, epoch)
        call = self.desk.attest_result(job_id, result_hash, signatures(digest))
        await self.send(STRANGER, call)


def signatures(digest: bytes) -> bytes:
    """Return the signatures of all oracles in ascending signer order."""
    ordered = sorted(ORACLES, key=lambda oracle: int(oracle.address, 16))
    return b"".join(oracle.sign_digest(digest) for oracle in ordered)


class _Maker:
    """Creates contracts by name."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    async def create(self, name: str, *arguments: object) -> DeployedContract:
        inputs = next(item for item in load_abi(name) if item["type"] == "constructor")["inputs"]
        kinds = [codec._type(item) for item in inputs]
        return await create(self._rpc, creation_code(name), encode(kinds, arguments))

    async def bind(self, name: str, address: str, function: str, other: str) -> None:
        data = keccak(f"{function}(address)".encode())[:4] + encode(["address"], [other])
        call = Call(address, data, f"{name}.{function}", codec.nothing)
        settings = TransactorSettings(poll_seconds=0.02)
        await Transactor(self._rpc, DEPLOYER, settings=settings).send_and_wait(call)
