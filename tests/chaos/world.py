"""A chain that faults are done to: anvil with every contract deployed, driven block by block."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# The helpers of the integration tests import each other by their bare names.
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from tests.chaos.twofaced import Evidence  # noqa: E402
from tests.integration.chain.contract_support import (  # noqa: E402
    DELEGATE,
    GOVERNOR,
    NODES,
    OPERATOR,
    PAYER,
    Counter,
    Network,
)
from workdeed.chain.bindings.codec import Call  # noqa: E402
from workdeed.chain.bindings.committee import EquivocationSlashed, SignedRoot  # noqa: E402
from workdeed.chain.bindings.registry import license_subject  # noqa: E402
from workdeed.chain.deployment import Deployment  # noqa: E402
from workdeed.chain.fees import GWEI  # noqa: E402
from workdeed.chain.keys import LocalSigner  # noqa: E402
from workdeed.chain.rpc import RpcClient, RpcError  # noqa: E402
from workdeed.chain.transactor import Transactor, TransactorSettings  # noqa: E402
from workdeed.intent import Spec, encode_spec, spec_hash  # noqa: E402
from workdeed.protocol.eip712 import COMMITTEE_DOMAIN  # noqa: E402
from workdeed.protocol.hashing import keccak  # noqa: E402
from workdeed.protocol.messages import NodeProfile, Resources  # noqa: E402

BLOCK_SECONDS = 10
"""Seconds of the chain from one block to the next; there are ten blocks in a window."""

FUNDS = 10**12
CACHE = ROOT / ".cache" / "chaos"
_LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")


class WorldError(Exception):
    """The chain cannot be had; the text says why in one sentence."""


@dataclass(frozen=True)
class Scene:
    """What stands on a fresh chain.

    Attributes:
        deployment: the contracts.
        counter: a contract that does everything as often as it is told to.
        licenses: of the nodes, all linked and bonded.
        profiles: signed profiles of the nodes, as JSON.

    """

    deployment: Deployment
    counter: str
    licenses: tuple[int, ...]
    profiles: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "deployment": self.deployment.model_dump(mode="json", by_alias=True),
            "counter": self.counter,
            "licenses": list(self.licenses),
            "profiles": list(self.profiles),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Scene:
        """Read it from JSON."""
        return cls(
            deployment=Deployment.model_validate(content["deployment"]),
            counter=content["counter"],
            licenses=tuple(content["licenses"]),
            profiles=tuple(content["profiles"]),
        )


@cache
def the_spec() -> Spec:
    """Return what all jobs run."""
    return Spec.model_validate(
        {
            "name": "chaos",
            "class_id": 1,
            "runner": "war",
            "source": {"git": {"url": "https://git.test/chaos", "commit": "0" * 40}},
            "run": ("serve",),
            "port": {},
            "health": {"path": "/health"},
            "resources": {"cpu_milli": 100, "memory_mb": 100, "storage_mb": 100},
        }
    )


class Anvil:
    """An anvil of one's own on a free port of loopback; it mines only what it is told to."""

    def __init__(self, *arguments: str) -> None:
        path = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ.get("PATH", "")])
        binary = shutil.which("anvil", path=path)
        if binary is None:
            raise WorldError("anvil: it is not installed; run `make setup`")
        command = [binary, "--host", "127.0.0.1", "--port", "0", "--hardfork", "cancun"]
        self._process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.url = self._listening()
        threading.Thread(target=self._drain, daemon=True).start()

    def stop(self) -> None:
        """End the process, and what npm's wrapper started: they are a group of their own."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _listening(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if match := _LISTENING.search(line):
                return f"http://{match[1]}"
        raise WorldError("anvil: it ended before it listened")

    def _drain(self) -> None:
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            pass


@dataclass
class World:
    """A chain under the control of a campaign.

    Attributes:
        url: where anvil listens.
        rpc: a client that no fault is done to.
        scene: what stands on it.
        network: what the roles do.
        jobs: the jobs that were opened.
        first_window: the one that the campaign begins in.
        base_fee: of the blocks to come, in wei; 0 where the chain sets it itself.
        time: timestamp of the last block that was made here, in Unix seconds.

    """

    url: str
    rpc: RpcClient
    scene: Scene
    network: Network
    time: int
    jobs: list[int] = field(default_factory=list)
    first_window: int = 0
    base_fee: int = 0
    _mining: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def mine(self) -> None:
        """Make a block, `BLOCK_SECONDS` after the last one."""
        async with self._mining:
            await self._mine()

    async def _mine(self) -> None:
        await self._set_time(self.time + BLOCK_SECONDS)
        if self.base_fee:
            await self.rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(self.base_fee)])
        await self.rpc.call("evm_mine", [])

    async def _set_time(self, time: int) -> None:
        """Choose the next block's time, or a later one where anvil's clock has run past it."""
        while True:
            self.time = time
            try:
                await self.rpc.call("evm_setNextBlockTimestamp", [time])
            except RpcError:
                time += BLOCK_SECONDS
            else:
                return

    async def begin(self) -> None:
        """Go to the start of a window that this machine's clock has not reached.

        Without a block of its own for long, anvil takes the machine's time for the chain's.
        """
        calendar = self.scene.deployment.clock
        self.first_window = calendar.at(max(self.time, int(time.time()))) + 1
        await self._set_time(calendar.start(self.first_window))
        await self.rpc.call("evm_mine", [])

    async def height(self) -> int:
        """Return the number of the latest block."""
        return self.rpc.quantity(await self.rpc.call("eth_blockNumber", []))

    async def pass_blocks(self, count: int) -> None:
        """Wait until somebody has made so many blocks."""
        until = await self.height() + count
        while await self.height() < until:  # noqa: ASYNC110 - blocks come from the node
            await asyncio.sleep(0.01)

    async def open_job(self, slots: int, windows: int) -> None:
        """Open a job of the payer's; somebody has to mine meanwhile."""
        escrow = self.network.escrow
        digest = spec_hash(encode_spec(the_spec()))
        call = escrow.open_job(digest, 1, 0, slots, 1, windows, 10**9)
        receipt = await self.send(PAYER, call)
        opened = receipt.events(self.network.suite)[0]
        self.jobs.append(int(opened.job_id))

    async def announce(self, license_id: int, endpoint: str) -> None:
        """Let the operator say where a node answers; somebody has to mine meanwhile."""
        text = self.scene.profiles[self.scene.licenses.index(license_id)]
        profile = NodeProfile.parse(text.encode())
        licenses = self.network.suite.licenses
        await self.send(OPERATOR, licenses.set_profile(license_id, endpoint, profile.profile_hash))

    async def bond(self, license_id: int, amount: int) -> None:
        """Let the operator add to a license's bond, in base units; somebody has to mine."""
        licenses, token = self.network.suite.licenses, self.network.suite.token
        for call in (
            token.faucet(amount),
            token.approve(licenses.address, amount),
            licenses.post_bond(license_id, amount),
        ):
            await self.send(OPERATOR, call)

    async def slash(self, evidence: Evidence) -> int:
        """Prove an equivocation and return what was taken of the bond; somebody has to mine.

        Raises:
            ChainError: if the contract refuses it.

        """
        one, other = (
            SignedRoot(half.root, half.data_hash, half.signature)
            for half in (evidence.one, evidence.other)
        )
        committee, turn = self.network.suite.committee, (evidence.window, evidence.turn)
        call = committee.slash_equivocation(*turn, evidence.epoch, one, other)
        receipt = await self.send(DELEGATE, call)
        events = receipt.events(self.network.suite)
        return sum(one.amount for one in events if isinstance(one, EquivocationSlashed))

    async def blacklist(self, license_id: int) -> None:
        """Let the governor blacklist a license; somebody has to mine meanwhile."""
        subject = license_subject(license_id)
        call = self.network.suite.registry.blacklist(subject, 1, keccak(b"chaos"))
        await self.send(GOVERNOR, call)

    async def send(self, who: LocalSigner, call: Call[Any]) -> Any:
        """Send a call and wait for it."""
        settings = TransactorSettings(poll_seconds=0.01)
        return await Transactor(self.rpc, who, settings=settings).send_and_wait(call)

    async def settle_fee(self) -> None:
        """Bring the base fee back to where the chain began."""
        await self.rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(GWEI)])

    async def drop_pending(self, sender: str) -> int:
        """Let the node forget what it holds of an account; return how much that was."""
        held = (await self.rpc.call("txpool_content", []))["pending"].get(sender.lower(), {})
        for item in held.values():
            await self.rpc.call("anvil_dropTransaction", [item["hash"]])
        return len(held)

    async def take_nonce(self, sender: str) -> None:
        """Send something else from an account, with the nonce that is mined next and a high fee."""
        count = await self.rpc.call("eth_getTransactionCount", [sender, "latest"])
        fees = {"maxFeePerGas": hex(500 * GWEI), "maxPriorityFeePerGas": hex(50 * GWEI)}
        transfer = {"from": sender, "to": PAYER.address, "value": "0x1", "nonce": count}
        with contextlib.suppress(RpcError):  # mined meanwhile
            await self.rpc.call("eth_sendTransaction", [transfer | fees])

    async def reorg(
        self, depth: int, keep: float, victims: Sequence[str], luck: random.Random
    ) -> int:
        """Replace the last blocks, and return how many transactions of the victims are lost.

        What others sent is in the new blocks again, so that the campaign's own jobs stay.

        Args:
            depth: how many blocks are replaced.
            keep: the chance of each of the victims' transactions to be in the new blocks as well;
                one that is not takes those after it along.
            victims: the accounts of processes under test.
            luck: draws what is kept.

        """
        async with self._mining:
            height = await self.height()
            raws: list[list[Any]] = []
            gone: set[str] = set()
            lost = 0
            for number in range(height - depth + 1, height + 1):
                block = await self.rpc.call("eth_getBlockByNumber", [hex(number), True])
                for item in block["transactions"]:
                    sender = item["from"].lower()
                    is_victim = sender in {one.lower() for one in victims}
                    if is_victim and (sender in gone or luck.random() >= keep):
                        gone.add(sender)
                        lost += 1
                        continue
                    raw = await self.rpc.call("eth_getRawTransactionByHash", [item["hash"]])
                    raws.append([raw, luck.randrange(depth)])
            # The order of nonces must hold over the new blocks.
            places = sorted(place for _, place in raws)
            pairs = [[raw, place] for (raw, _), place in zip(raws, places, strict=True)]
            await self.rpc.call("anvil_reorg", [depth, pairs])
            await self._mine()
            return lost


@asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    """Start a chain on which everything stands, and end it."""
    scene, state = await load_scene()
    anvil = Anvil("--no-mining", "--accounts", "10", "--order", "fifo")
    try:
        async with RpcClient(anvil.url, timeout=60) as rpc:
            await rpc.call("anvil_loadState", [state])
            last = (await rpc.head()).timestamp
            world = World(anvil.url, rpc, scene, Network(rpc, scene.deployment), last)
            await world.begin()
            yield world
    finally:
        anvil.stop()


async def load_scene() -> tuple[Scene, str]:
    """Return the scene with the chain's state; made at the first call, then kept on disk."""
    CACHE.mkdir(parents=True, exist_ok=True)
    kept = CACHE / f"scene-{_sources_key()}.json"
    if not kept.exists():
        scene, state = await _build()
        part = kept.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({"scene": scene.to_json(), "state": state}))
        part.replace(kept)
    content = json.loads(kept.read_text())
    return Scene.from_json(content["scene"]), content["state"]


async def _build() -> tuple[Scene, str]:
    anvil = Anvil("--accounts", "10")
    try:
        async with RpcClient(anvil.url, timeout=60) as rpc:
            network = await Network.deploy(rpc)
            await network.verify_operator()
            await network.add_payer(FUNDS)
            licenses = [await network.add_node(node) for node in NODES]
            profiles = [
                await _announce(network, license_id, node)
                for license_id, node in zip(licenses, NODES, strict=True)
            ]
            counter = await Counter.deploy(rpc)
            scene = Scene(network.deployment, counter.address, tuple(licenses), tuple(profiles))
            return scene, await rpc.call("anvil_dumpState", [])
    finally:
        anvil.stop()


async def _announce(network: Network, license_id: int, node: LocalSigner) -> str:
    """Announce the signed profile of a node, and return it."""
    domain = network.deployment.domain(COMMITTEE_DOMAIN)
    unsigned = NodeProfile(
        chain_id=network.deployment.chain_id,
        license_id=license_id,
        node=node.address,
        resources=Resources(cpu_milli=10**5, memory_mb=10**5, storage_mb=10**5),
        tags=(),
        runners=("war",),
        public_key=_public_key(node),
    )
    signature = node.sign_digest(unsigned.digest(domain))
    profile = unsigned.model_copy(update={"signature": signature})
    endpoint = f"http://node-{license_id}.test"
    call = network.suite.licenses.set_profile(license_id, endpoint, profile.profile_hash)
    await network.send(OPERATOR, call)
    return profile.to_json().decode()


def _public_key(node: LocalSigner) -> bytes:
    """Return the public key of a node, from a signature of its."""
    from coincurve import PublicKey

    digest = keccak(b"public key")
    signature = node.sign_digest(digest)
    recoverable = signature[:64] + bytes([signature[64] - 27])
    return PublicKey.from_signature_and_message(recoverable, digest, hasher=None).format()


def _sources_key() -> str:
    """Return the hash of everything that the scene is made of."""
    files = [*sorted((ROOT / "contracts").rglob("*.vy*")), Path(__file__)]
    support = ROOT / "tests" / "integration" / "chain" / "contract_support.py"
    hasher = hashlib.sha256()
    for path in (*files, support):
        hasher.update(path.read_bytes())
    return hasher.hexdigest()[:16]
