"""Measure the gas of the calls that users pay for: `python scripts/gas.py [--write-snapshot]`.

Runs real transactions on anvil (hardfork cancun), writes `build/gas.json` and compares it with the
committed `gas-snapshot.json`: a figure that grew by more than 2 % fails.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from vyper.cli.vyper_compile import compile_files
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from workdeed.protocol.eip712 import (
    COMMITTEE_DOMAIN,
    ESCROW_DOMAIN,
    LICENSE_DOMAIN,
    Domain,
    link_node_digest,
    placement_digest,
    report_digest,
)
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import leaf_hash
from workdeed.protocol.signing import address_of, sign_digest

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
SNAPSHOT = ROOT / "gas-snapshot.json"
OUTPUT = ROOT / "build" / "gas.json"
NAMES = tuple(sorted(path.stem for path in CONTRACTS.glob("*.vy")))
SIZE_LIMIT = 24_576
TOLERANCE = 0.02

UNIT = 10_000
WINDOW, CHALLENGE, FREEZE = 3_600, 900, 21_600
MILLION_LEAVES_DEPTH = 20
MAX_OPENINGS = 16
FLAT_SIZES = (1, 10, 100, 1_000)
PRICE = 1_000_000
CLASS = (PRICE, 1_000, 1_024, 4_096)
POLICY = (500, 1_000, 500, 5_000, 1, True, False, 5_000, 3_000)
BONDS = (10**8, 10**9, 86_400, 2_000, 5_000, 3_000)
SPEC_HASH = keccak(b"spec")
DATA_HASH = keccak(b"data")
VERIFIED = 1
SERVICE = 0

REACH = {
    "report.3": 68_000,
    "report.10": 98_000,
    "place3.3": 195_000,
    "place3.10": 225_000,
    "open": 138_000,
    "claim_first": 114_000,
    "claim_later": 97_000,
    "claim_batch10_each": 47_000,
}


def test_key(index: int) -> bytes:
    """Return a key that is worth nothing: the hash of its own name."""
    return keccak(f"workdeed gas key {index}".encode())


def compile_contracts() -> dict[str, dict[str, Any]]:
    """Return ABI, bytecode and runtime size of every deployable."""
    contracts = {}
    for name in NAMES:
        formats = ["abi", "bytecode", "bytecode_runtime"]
        output = compile_files([str(CONTRACTS / f"{name}.vy")], formats, paths=[str(CONTRACTS)])
        (contract,) = (value for key, value in output.items() if str(key).endswith(f"{name}.vy"))
        contracts[name] = contract
    return contracts


@contextmanager
def anvil() -> Iterator[Web3]:
    """Run a chain of its own on a free loopback port."""
    binary = shutil.which("anvil") or str(ROOT / "node_modules" / ".bin" / "anvil")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [binary, "--port", str(port), "--hardfork", "cancun", "--silent", "--accounts", "20"]
    process = subprocess.Popen(command)
    try:
        web3 = Web3(HTTPProvider(f"http://127.0.0.1:{port}"))
        for _ in range(200):
            if web3.is_connected():
                break
            time.sleep(0.05)
        else:
            raise RuntimeError(f"anvil does not answer on port {port}")
        yield web3
    finally:
        process.terminate()
        process.wait()


@dataclass
class Bench:
    """A deployment with `oracles` seats, and what measures calls on it."""

    web3: Web3
    compiled: dict[str, dict[str, Any]]
    oracles: int
    contracts: dict[str, Contract] = field(default_factory=dict)
    owners: list[str] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    nodes: int = 0

    def __post_init__(self) -> None:
        accounts: list[str] = list(self.web3.eth.accounts)
        self.admin, self.payer, self.owners = accounts[0], accounts[1], list(accounts[2:])
        self.keys = sorted(map(test_key, range(self.oracles)), key=address_of)
        self._deploy()

    def _deploy(self) -> None:
        now = self.web3.eth.get_block("latest")["timestamp"]
        self.token = self.create("TestUSD")
        self.trust = self.create(
            "TrustRegistry", self.admin, self.admin, self.admin, [self.admin], FREEZE
        )
        # Nothing here is burned: any account can stand for the auction.
        self.vault = self.create("FeeVault", self.token.address, self.trust.address, self.admin)
        self.licenses = self.create(
            "NodeLicense",
            self.trust.address,
            self.vault.address,
            0,
            VERIFIED,
            BONDS,
            [self.owners[-1]] * self.oracles,
        )
        self.send(self.trust.functions.bind_licenses(self.licenses.address))
        seats = [(index + 1, address_of(key)) for index, key in enumerate(self.keys)]
        self.committee = self.create(
            "OracleCommittee",
            self.trust.address,
            self.licenses.address,
            now,
            WINDOW,
            CHALLENGE,
            seats,
        )
        self.send(self.licenses.functions.bind_committee(self.committee.address))
        self.tariff = self.create("Tariff", self.trust.address, [CLASS], POLICY)
        self.desk = self.create("JobDesk", self.committee.address, self.token.address, 13)
        self.escrow = self.create(
            "JobEscrow",
            self.trust.address,
            self.licenses.address,
            self.committee.address,
            self.tariff.address,
            self.desk.address,
        )
        self.send(self.tariff.functions.bind_escrow(self.escrow.address))
        self.send(self.desk.functions.bind_escrow(self.escrow.address))
        for account in (self.payer, *self.owners):
            expiry = now + 10**9
            self.send(self.trust.functions.attest(account, VERIFIED, expiry, DATA_HASH))
        for _ in range(10):
            self.send(self.token.functions.faucet(10**12), self.payer)
        for spender in (self.escrow, self.licenses):
            self.send(self.token.functions.approve(spender.address, 2**256 - 1), self.payer)

    def create(self, name: str, *arguments: Any) -> Contract:
        """Deploy the contract `name` from the admin account."""
        contract = self.compiled[name]
        factory = self.web3.eth.contract(abi=contract["abi"], bytecode=contract["bytecode"])
        transaction = factory.constructor(*arguments).transact({"from": self.admin})
        receipt = self.web3.eth.wait_for_transaction_receipt(transaction)
        address = receipt["contractAddress"]
        if address is None:
            raise RuntimeError(f"{name} was not deployed")
        return self.web3.eth.contract(address, abi=contract["abi"])

    def send(self, call: Any, sender: str | None = None) -> int:
        """Send a transaction; return the gas that it used."""
        transaction = call.transact({"from": sender or self.admin})
        receipt = self.web3.eth.wait_for_transaction_receipt(transaction)
        if receipt["status"] != 1:
            raise RuntimeError(f"{call.fn_name} reverted")
        return int(receipt["gasUsed"])

    def domain(self, name: str, contract: Contract) -> Domain:
        """Return the EIP-712 domain of a contract of this chain."""
        return Domain(name=name, chain_id=self.web3.eth.chain_id, contract=contract.address)

    def quorum(self, digest: bytes) -> bytes:
        """Return the signatures of as many members as a quorum needs, in signer order."""
        return b"".join(sign_digest(key, digest) for key in self.keys[: 2 * self.oracles // 3 + 1])

    def window(self) -> int:
        """Return the window of the next block."""
        return int(self.committee.functions.current_window().call())

    def skip_windows(self, windows: int) -> None:
        """Move to the start of a later window."""
        genesis = self.committee.functions.GENESIS().call()
        target = genesis + (self.window() - 1 + windows) * WINDOW
        self._move_to(target)

    def _move_to(self, timestamp: int) -> None:
        for method, parameters in (("evm_setNextBlockTimestamp", [timestamp]), ("evm_mine", [])):
            self.web3.provider.make_request(RPCEndpoint(method), parameters)

    def issue_node(self, owner: str) -> int:
        """Issue a license and link a node key of its own."""
        self.send(self.licenses.functions.issue(owner, 1))
        license_id = int(self.licenses.functions.totalSupply().call())
        self.nodes += 1
        key = test_key(10_000 + self.nodes)
        deadline = 2**40
        digest = link_node_digest(
            self.domain(LICENSE_DOMAIN, self.licenses),
            license_id,
            address_of(key),
            owner,
            0,
            deadline,
        )
        call = self.licenses.functions.link_node(
            license_id, address_of(key), deadline, sign_digest(key, digest)
        )
        self.send(call, owner)
        self.send(self.licenses.functions.post_bond(license_id, BONDS[0]), self.payer)
        return license_id

    def open_job(self, slots: int, windows: int = 50) -> tuple[int, int]:
        """Open a service job; return its id and the gas."""
        call = self.escrow.functions.open_job(SPEC_HASH, 1, SERVICE, slots, slots, windows, PRICE)
        gas = self.send(call, self.payer)
        return int(self.escrow.functions.job_count().call()), gas

    def fill(self, size: int) -> None:
        """Open jobs and issue licenses until there are so many of each."""
        opening = (SPEC_HASH, 1, SERVICE, 1, 1, 50, PRICE)
        while (missing := size - int(self.escrow.functions.job_count().call())) > 0:
            openings = [opening] * min(missing, MAX_OPENINGS)
            self.send(self.desk.functions.open_jobs(self.payer, openings), self.payer)
        for _ in range(size - int(self.licenses.functions.totalSupply().call())):
            self.send(self.licenses.functions.issue(self.owners[7], 1))

    def place(self, job_id: int, assign: Sequence[int]) -> int:
        """Sign and send a placement; return the gas."""
        return self.send(self.placement(job_id, assign))

    def placement(self, job_id: int, assign: Sequence[int]) -> Any:
        """Return the call of a job's first placement, signed by a quorum for this window."""
        window = self.window()
        digest = placement_digest(
            self.domain(ESCROW_DOMAIN, self.escrow),
            job_id,
            0,
            window,
            0,
            [],
            list(assign),
            self.oracles,
        )
        return self.escrow.functions.place(
            job_id, 0, window, 0, [], list(assign), self.quorum(digest)
        )

    def report(self, root: bytes) -> int:
        """Sign and send the report of the window before the current one and let it become final."""
        window = self.window() - 1
        digest = report_digest(
            self.domain(COMMITTEE_DOMAIN, self.committee), window, 0, root, DATA_HASH, self.oracles
        )
        call = self.committee.functions.submit_report(
            window, 0, root, DATA_HASH, self.quorum(digest)
        )
        gas = self.send(call)
        self._move_to(self.web3.eth.get_block("latest")["timestamp"] + CHALLENGE)
        return gas


def deep_leaf(escrow: str, job_id: int, license_id: int, units: int) -> tuple[bytes, list[bytes]]:
    """Return root and proof of a leaf in a tree as deep as one of a million leaves."""
    node = leaf_hash(escrow, job_id, license_id, units)
    proof = [keccak(f"sibling {depth}".encode()) for depth in range(MILLION_LEAVES_DEPTH)]
    for sibling in proof:
        node = keccak(min(node, sibling) + max(node, sibling))
    return node, proof


def deep_leaves(
    escrow: str, leaves: Sequence[tuple[int, int, int]]
) -> tuple[bytes, list[list[bytes]]]:
    """Return one root and a proof of 20 for each of up to 16 leaves `(job, license, units)`."""
    level = [leaf_hash(escrow, *leaf) for leaf in leaves]
    level += [keccak(f"filler {index}".encode()) for index in range(16 - len(level))]
    proofs: list[list[bytes]] = [[] for _ in leaves]
    for depth in range(4):
        for index, proof in enumerate(proofs):
            proof.append(level[(index >> depth) ^ 1])
        level = [
            keccak(min(a, b) + max(a, b)) for a, b in zip(level[::2], level[1::2], strict=True)
        ]
    node = level[0]
    for depth in range(4, MILLION_LEAVES_DEPTH):
        sibling = keccak(f"sibling {depth}".encode())
        for proof in proofs:
            proof.append(sibling)
        node = keccak(min(node, sibling) + max(node, sibling))
    return node, proofs


def measure_claims(bench: Bench, job_id: int, license_id: int) -> tuple[int, int]:
    """Return the gas of a first and of a later claim with a proof of 20."""
    used = []
    for units in (UNIT, 2 * UNIT):
        bench.skip_windows(1)
        root, proof = deep_leaf(bench.escrow.address, job_id, license_id, units)
        bench.report(root)
        used.append(bench.send(bench.escrow.functions.claim(job_id, license_id, units, proof)))
    return used[0], used[1]


def measure_batch(bench: Bench) -> int:
    """Return the gas of each of ten claims in one call: ten licenses of one owner in ten jobs."""
    owner = bench.owners[9]
    pairs = []
    for _ in range(10):
        license_id = bench.issue_node(owner)
        job_id, _ = bench.open_job(1)
        bench.place(job_id, [license_id])
        pairs.append((job_id, license_id))
    used = 0
    for units in (UNIT, 2 * UNIT):
        bench.skip_windows(2)
        leaves = [(job_id, license_id, units) for job_id, license_id in pairs]
        root, proofs = deep_leaves(bench.escrow.address, leaves)
        bench.report(root)
        entries = [(*leaf, proof) for leaf, proof in zip(leaves, proofs, strict=True)]
        used = bench.send(bench.escrow.functions.claim_many(owner, entries))
    return used // 10


def measure_close(bench: Bench) -> int:
    """Return the gas of an attested close with a proof of 20."""
    job_id, _ = bench.open_job(1, windows=2)
    license_id = bench.issue_node(bench.owners[8])
    bench.place(job_id, [license_id])
    bench.skip_windows(4)
    root, proof = deep_leaf(bench.escrow.address, job_id, 0, UNIT)
    bench.report(root)
    return bench.send(bench.escrow.functions.close_job(job_id, UNIT, proof))


def measure_committee(web3: Web3, compiled: dict[str, Any], oracles: int) -> dict[str, Any]:
    """Return the figures that depend on the size of the committee, and the others."""
    bench = Bench(web3, compiled, oracles)
    nodes = [bench.issue_node(owner) for owner in bench.owners[:3]]
    bench.open_job(1)
    job_id, opened = bench.open_job(3)
    placed = bench.place(job_id, nodes)
    for _ in range(3):
        bench.skip_windows(1)
        reported = bench.report(deep_leaf(bench.escrow.address, job_id, nodes[0], 1)[0])
    first, later = measure_claims(bench, job_id, nodes[0])
    return {
        "report": reported,
        "place3": placed,
        "open": opened,
        "claim_first": first,
        "claim_later": later,
        "claim_batch10_each": measure_batch(bench),
        "close": measure_close(bench),
    }


def measure_flat(web3: Web3, compiled: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return what must stay flat with 1 to 1,000 jobs and licenses in one escrow."""
    flat: dict[str, dict[str, int]] = {"report": {}, "claim_later": {}, "place3": {}}
    bench = Bench(web3, compiled, 3)
    for size in FLAT_SIZES:
        bench.fill(size - 1)
        nodes = [bench.issue_node(owner) for owner in bench.owners[:3]]
        job_id, _ = bench.open_job(3, windows=500)
        flat["place3"][str(size)] = bench.place(job_id, nodes)
        for _ in range(3):
            bench.skip_windows(1)
            reported = bench.report(deep_leaf(bench.escrow.address, job_id, nodes[0], 1)[0])
        flat["report"][str(size)] = reported
        flat["claim_later"][str(size)] = measure_claims(bench, job_id, nodes[0])[1]
    return flat


def measure() -> dict[str, Any]:
    """Return the whole table."""
    compiled = compile_contracts()
    with anvil() as web3:
        small = measure_committee(web3, compiled, 3)
        large = measure_committee(web3, compiled, 10)
        flat = measure_flat(web3, compiled)
    table: dict[str, Any] = {
        key: {"3": small[key], "10": large[key]} for key in ("report", "place3")
    }
    single = ("open", "claim_first", "claim_later", "claim_batch10_each", "close")
    table |= {key: small[key] for key in single}
    sizes = {name: len(compiled[name]["bytecode_runtime"]) // 2 - 1 for name in NAMES}
    return table | {"flat": flat, "sizes": sizes}


def flatten(table: dict[str, Any], prefix: str = "") -> dict[str, int]:
    """Return nested figures under dotted names."""
    flat: dict[str, int] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def check(figures: dict[str, int], snapshot: dict[str, int]) -> list[str]:
    """Return a sentence for every figure that is worse than it may be."""
    complaints = [
        f"{name} grew from {snapshot[name]:,} to {value:,}: more than {TOLERANCE:.0%}"
        for name, value in figures.items()
        if name in snapshot and value > snapshot[name] * (1 + TOLERANCE)
    ]
    complaints += [f"{name} is gone from the table" for name in snapshot if name not in figures]
    complaints += [
        f"{name.removeprefix('sizes.')} has {value:,} bytes, above {SIZE_LIMIT:,}"
        for name, value in figures.items()
        if name.startswith("sizes.") and value > SIZE_LIMIT
    ]
    return complaints


def show(figures: dict[str, int], snapshot: dict[str, int]) -> None:
    """Print the table."""
    table = Table("figure", "measured", "snapshot", "reach", title="gas and sizes")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, value in figures.items():
        reach = REACH.get(name)
        cells = [f"{number:,}" if number else "" for number in (snapshot.get(name), reach)]
        style = "yellow" if reach and value > reach else None
        table.add_row(name, f"{value:,}", *cells, style=style)
    Console().print(table)


def main(arguments: list[str]) -> int:
    """Measure, write, compare; return the exit code."""
    table = measure()
    figures = flatten(table)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(table, indent=2) + "\n")
    if "--write-snapshot" in arguments:
        SNAPSHOT.write_text(json.dumps(table, indent=2) + "\n")
    if not SNAPSHOT.exists():
        print("gas-snapshot.json is missing: run with --write-snapshot", file=sys.stderr)
        return 1
    snapshot = flatten(json.loads(SNAPSHOT.read_text()))
    show(figures, snapshot)
    complaints = check(figures, snapshot)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
