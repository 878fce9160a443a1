"""The judge: what is on chain at the end, from its logs and views alone.

It shares no code with the keeper's books. Logs are decoded by web3 and added up by the rules of
money, as in the demo; leaves are read from the members' files and checked against roots on chain.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from scripts._demo.ledger import UNIT, Account, Ledger
from tests.chaos.world import Scene
from workdeed.chain.rpc import RpcClient

LEAF = struct.Struct(">20sQQQ")
"""A leaf as the members keep it: escrow, job, license, cumulative units."""

JOB_LEAF = 0
FIRST_NAME = 100

Units = dict[tuple[int, int], int]
"""Cumulative units by job and license."""

Caught = Callable[[int, int, Collection[int]], bool]
"""Tells of a license and a window whether it earned nothing there, for a lie; it is told all
licenses that served in the window."""


@dataclass(frozen=True)
class Verdict:
    """What became of the effects that were wanted.

    Attributes:
        wanted: how many there were.
        lost: a sentence for each that did not happen.
        doubled: a sentence for each that happened more than once, or was signed twice.
        differences: a sentence for each figure of the books that differs.

    """

    wanted: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.differences)


class ChainLedger(Ledger):
    """The demo's ledger, with what is forfeited or slashed and how often each thing happened."""

    def __init__(self, rpc: RpcClient, contracts: Mapping[str, str], start_block: int) -> None:
        super().__init__(rpc, contracts, start_block)
        self.forfeited = 0
        self.slashed = 0
        self.placed: Counter[tuple[int, int]] = Counter()
        self.closed: Counter[tuple[int, int]] = Counter()
        self.credits: Counter[tuple[int, int, int]] = Counter()
        self.roots: dict[int, bytes] = {}

    def _on_JobEscrow_Placed(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        super()._on_JobEscrow_Placed(event)
        self.placed[event["job_id"], event["round"]] += 1

    def _on_JobEscrow_Claimed(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        super()._on_JobEscrow_Claimed(event)
        self.credits[event["job_id"], event["license_id"], event["units"]] += 1

    def _on_JobEscrow_Forfeited(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        job = self.jobs[event["job_id"]]
        job.units[event["license_id"]] = event["units"]
        job.paid += event["refund"] + event["burned"] + event["treasury"]
        self.forfeited += event["burned"] + event["treasury"]
        self.credits[event["job_id"], event["license_id"], event["units"]] += 1

    def _on_NodeLicense_Slashed(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        self.slashed += event["to_burn"] + event["to_treasury"]

    def _on_JobEscrow_JobClosed(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        super()._on_JobEscrow_JobClosed(event)
        self.closed[event["job_id"], event["funded_units"]] += 1

    def _on_OracleCommittee_ReportSubmitted(self, event: Mapping[str, Any]) -> None:  # noqa: N802
        super()._on_OracleCommittee_ReportSubmitted(event)
        self.roots[event["window"]] = event["root"]

    async def _vault_pairs(self) -> list[tuple[str, int, str, int]]:
        """Return what must be equal of all that reaches the vault: fees, and what was taken."""
        pairs = await super()._vault_pairs()
        booked = sum(self.booked.values())
        came = self.handed_on + self.forfeited + self.slashed
        return [("flushed, forfeited and slashed", came, "booked in the vault", booked), *pairs[1:]]


class Judge:
    """Looks at a chain and at what members left on disk.

    Args:
        rpc: a client that no fault is done to.
        scene: what stands on the chain.
        folders: of the victims' members.
        caught: who lied about its work; without it, what nodes did is taken from the reports.

    """

    def __init__(
        self, rpc: RpcClient, scene: Scene, folders: Sequence[Path], caught: Caught | None = None
    ) -> None:
        self._rpc = rpc
        self._scene = scene
        self._folders = folders
        self._caught = caught

    async def judge(self, jobs: Sequence[int], counted: int) -> Verdict:
        """Return what became of the effects that were wanted.

        Args:
            jobs: those that were opened, all of which end closed and paid out.
            counted: how many names the counter was to be moved for.

        """
        ledger = await self._ledger()
        counts = [await self._count(FIRST_NAME + index) for index in range(counted)]
        leaves = self._leaves(ledger.roots)
        lost = [*_unfinished(ledger, jobs), *_unpaid(ledger, leaves), *_uncounted(counts)]
        doubled = [*_repeated(ledger), *_counted_twice(counts), *signed_twice(self._folders)]
        differences = await ledger.differences()
        if self._caught is not None:
            lost += underpaid(ledger, self._caught)
            differences += overpaid(ledger, self._caught)
        wanted = len(jobs) + len(ledger.placed) + len(ledger.roots) + len(leaves) + counted
        return Verdict(wanted, tuple(lost), tuple(doubled), tuple(differences))

    async def _ledger(self) -> ChainLedger:
        deployment = self._scene.deployment
        contracts = {name: deployment.address(name) for name in deployment.contracts}
        ledger = ChainLedger(self._rpc, contracts, deployment.start_block)
        await ledger.advance()
        return ledger

    async def _count(self, name: int) -> int:
        data = keccak(text="counts(uint256)")[:4] + name.to_bytes(32, "big")
        return int.from_bytes(await self._rpc.eth_call(self._scene.counter, data), "big")

    def _leaves(self, roots: Mapping[int, bytes]) -> Units:
        """Return the highest units that the reports on chain prove for each job and license."""
        units: Units = defaultdict(int)
        for leaves in _report_leaves(self._folders, set(roots.values())):
            for _, job_id, license_id, figure in LEAF.iter_unpack(leaves):
                if license_id != JOB_LEAF:
                    units[job_id, license_id] = max(units[job_id, license_id], figure)
        return dict(units)


def signed_twice(folders: Iterable[Path]) -> list[str]:
    """Return a sentence for each time a member signed two things where it may sign one."""
    known: dict[tuple[str, str], str] = {}
    wrong = []
    for folder in folders:
        path = folder / "signatures.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            item = json.loads(line)
            key = item["member"], json.dumps(item["about"])
            if known.setdefault(key, item["content"]) != item["content"]:
                wrong.append(f"member {key[0]} signed two things for {key[1]}")
    return wrong


def _report_leaves(folders: Iterable[Path], roots: set[bytes]) -> Iterable[bytes]:
    """Yield the leaves of the reports with these roots, once each, checked against the root."""
    missing = {root for root in roots if any(root)}
    for path in (file for folder in folders for file in sorted(folder.glob("*/oracle.db"))):
        with sqlite3.connect(path) as database:
            for root, leaves in database.execute("SELECT root, leaves FROM reports"):
                if bytes(root) in missing and merkle_root(leaves) == bytes(root):
                    missing.discard(bytes(root))
                    yield leaves
        database.close()


def merkle_root(leaves: bytes) -> bytes:
    """Return the root of a sorted-pair tree over packed leaves, as OpenZeppelin's builds it."""
    hashes = [_leaf_hash(*words) for words in LEAF.iter_unpack(leaves)]
    if not hashes:
        return bytes(32)
    count = len(hashes)
    tree = [b""] * (count - 1) + sorted(hashes, reverse=True)
    for index in range(count - 2, -1, -1):
        tree[index] = keccak(b"".join(sorted(tree[2 * index + 1 : 2 * index + 3])))
    return tree[0]


def _leaf_hash(escrow: bytes, *numbers: int) -> bytes:
    words = [escrow.rjust(32, b"\0"), *(number.to_bytes(32, "big") for number in numbers)]
    return keccak(keccak(b"".join(words)))


def _unfinished(ledger: ChainLedger, jobs: Sequence[int]) -> Iterable[str]:
    """Yield the jobs that were not placed, not closed, or still hold money."""
    for job_id in jobs:
        job = ledger.jobs.get(job_id)
        if job is None:
            yield f"job {job_id}: it was not opened"
        elif not job.placed:
            yield f"job {job_id}: it was not placed"
        elif job.state != "closed":
            yield f"job {job_id}: it was not closed"
        elif job.unclaimed > len(job.units):  # dust: a base unit for each license at most
            yield f"job {job_id}: {job.unclaimed} base units are still locked"


def _unpaid(ledger: ChainLedger, leaves: Units) -> Iterable[str]:
    """Yield the leaves whose units were credited in part only, or not at all."""
    for (job_id, license_id), units in sorted(leaves.items()):
        job = ledger.jobs.get(job_id)
        credited = job.units.get(license_id, 0) if job else 0
        if credited < units and not _is_used_up(job):
            yield f"job {job_id}: license {license_id} was paid {credited} of {units} units"


def underpaid(ledger: ChainLedger, caught: Caught) -> Iterable[str]:
    """Yield the licenses that were paid less than the windows that they served well."""
    for job_id, license_id, due, paid in _dues(ledger, caught):
        if paid < due:
            yield f"job {job_id}: license {license_id} earned {due} units, it was paid {paid}"


def overpaid(ledger: ChainLedger, caught: Caught) -> Iterable[str]:
    """Yield the licenses that were paid for a lie."""
    for job_id, license_id, due, paid in _dues(ledger, caught):
        if paid > due:
            yield f"job {job_id}: license {license_id} was paid {paid} units, it earned {due}"


def _dues(ledger: ChainLedger, caught: Caught) -> Iterable[tuple[int, int, int, int]]:
    """Yield job, license, the units that it earned there, and those that it was paid."""
    terms = {job_id: _windows(job) for job_id, job in ledger.jobs.items()}
    serving: dict[int, set[int]] = defaultdict(set)
    for served in terms.values():
        for license_id, windows in served.items():
            for window in windows:
                serving[window].add(license_id)
    for job_id, served in terms.items():
        for license_id, windows in served.items():
            good = [one for one in windows if not caught(license_id, one, serving[one])]
            paid = ledger.jobs[job_id].units.get(license_id, 0)
            yield job_id, license_id, UNIT * len(good), paid


def _windows(job: Account) -> dict[int, set[int]]:
    """Return the windows that each license served: a placement counts from the next window on."""
    found: dict[int, set[int]] = defaultdict(set)
    since: dict[int, int] = {}
    for window, release, assign in job.placed:
        for license_id in release:
            found[license_id].update(range(since.pop(license_id), min(window + 1, job.end)))
        since.update(dict.fromkeys(assign, window + 1))
    for license_id, first in since.items():
        found[license_id].update(range(first, job.end))
    return found


def _is_used_up(job: Account | None) -> bool:
    """Tell whether a closed job has but dust left, so that the contract clamps a claim."""
    return job is not None and job.state == "closed" and job.unclaimed <= len(job.units)


def _uncounted(counts: Sequence[int]) -> Iterable[str]:
    return (f"counter: name {name} was lost" for name, n in enumerate(counts, FIRST_NAME) if not n)


def _counted_twice(counts: Sequence[int]) -> Iterable[str]:
    for name, count in enumerate(counts, FIRST_NAME):
        if count > 1:
            yield f"counter: name {name} was counted {count} times"


def _repeated(ledger: ChainLedger) -> Iterable[str]:
    """Yield what the chain shows more often than once."""
    reports = Counter(ledger.reports)
    for what, counts in (
        ("report of window", reports),
        ("placement of job and round", ledger.placed),
        ("close of job and units", ledger.closed),
        ("credit of job, license and units", ledger.credits),
    ):
        for key, count in counts.items():
            if count > 1:
                yield f"{what} {key}: it is on chain {count} times"
