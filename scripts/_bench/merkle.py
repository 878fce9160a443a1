"""The Merkle tree of a report: root and all proofs, beside the npm package it is identical to.

Both start from values in memory, in a process of their own. The npm package runs once, and makes
the proofs of a sample unless it is told to make all, which takes it many minutes: each proof is as
long as the next, so that the rest is reckoned in proportion.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from scripts._bench.process import ROOT, BenchError, Figures, answer, figures_of, measure
from scripts._bench.stages import Stages
from scripts._bench.world import ESCROW
from workdeed.protocol.merkle import MerkleTree, leaf_hashes, verify
from workdeed.protocol.report import Leaf

SCRIPT = Path(__file__).with_name("openzeppelin.mjs")
PACKAGE = ROOT / "node_modules" / "@openzeppelin" / "merkle-tree"
SLOTS = 10
CHECKED = 1_000
"""Proofs that are checked, and leaves that change in an update."""
PEER_PROOFS = 20_000
"""Proofs that the npm package makes by default."""
HEAP_MB = 8_192
"""What the npm package may take; a million leaves do not fit Node's default."""


def units_of(index: int) -> int:
    """Return the units of a leaf; `openzeppelin.mjs` makes the same leaves."""
    return index * 7 + 1


def leaves_of(count: int) -> list[Leaf]:
    """Return so many leaves, ten licenses a job."""
    return [Leaf(ESCROW, at // SLOTS, at % SLOTS + 1, units_of(at)) for at in range(count)]


def tree(leaves: int) -> Figures:
    """Build one tree with all its proofs, then another in which few leaves differ."""
    values = leaves_of(leaves)
    stages = Stages()
    with stages.stage("leaves"):
        hashes = list(leaf_hashes(values))
    with stages.stage("tree"):
        built = MerkleTree(hashes)
    with stages.stage("proofs"):
        proofs = sum(1 for _ in built.proofs())
    seconds, cpu_seconds = stages.seconds, sum(stages.cpu.values())
    if proofs != leaves:
        raise BenchError(f"proofs: {proofs} of {leaves} were made")
    _check(built, hashes)
    with stages.stage("update"):
        changed = _update(values, hashes)
    _check(changed, hashes)
    return {
        "leaves": leaves,
        "seconds": seconds,
        "tree_cpu_seconds": cpu_seconds,
        "stages": stages.figures(),
        "update_seconds": stages.wall["update"],
        "updated": min(CHECKED, leaves),
        "root": built.root.hex(),
    }


def _update(values: Sequence[Leaf], hashes: list[bytes]) -> MerkleTree:
    """Raise the units of a few leaves and build the tree from hashes that are kept.

    Leaves lie in the order of their hashes, so that a changed one moves and shifts all between its
    old and its new place: inner nodes can hardly be kept, only the hashes of leaves can.
    """
    few = random.Random(1).sample(range(len(values)), min(CHECKED, len(values)))
    raised = [values[at]._replace(units=values[at].units + 1) for at in few]
    for at, hashed in zip(few, leaf_hashes(raised), strict=True):
        hashes[at] = hashed
    return MerkleTree(hashes)


def _check(built: MerkleTree, hashes: Sequence[bytes]) -> None:
    for hashed in random.Random(2).sample(hashes, min(CHECKED, len(hashes))):
        if not verify(built.root, hashed, built.proof(hashed)):
            raise BenchError("proof: it does not lead to the root")


def peer(leaves: int, proofs: int) -> Figures:
    """Let `@openzeppelin/merkle-tree` build the same tree, and so many proofs.

    Raises:
        BenchError: if Node or the package is missing, or it fails.

    """
    node = shutil.which("node")
    if node is None or not PACKAGE.is_dir():
        raise BenchError("@openzeppelin/merkle-tree: it needs Node and `make setup`")
    arguments = [str(leaves), ESCROW, str(proofs)]
    command = [node, f"--max-old-space-size={HEAP_MB}", str(SCRIPT), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"@openzeppelin/merkle-tree: it ended with {done.returncode}")
    return figures_of(done.stdout)


def peer_total(found: Figures, clock: str, leaves: int, proofs: int) -> float:
    """Return the peer's time for root and all proofs, from a run with some of the proofs.

    Args:
        found: what the run found.
        clock: "seconds" or "cpu_seconds".
        leaves: of the tree.
        proofs: that were made.

    """
    return float(found["tree"][clock] + found["proofs"][clock] * leaves / proofs)


def run(leaves: int, repeat: int, *, full_peer: bool) -> Figures:
    """Return the medians of several repetitions, and the peer's figures.

    Raises:
        BenchError: if the two roots differ.

    """
    found = [measure("merkle", leaves=leaves) for _ in range(repeat)]
    proofs = leaves if full_peer else min(PEER_PROOFS, leaves)
    other = peer(leaves, proofs)
    if {one["root"] for one in found} != {other["root"].removeprefix("0x")}:
        raise BenchError("root: the npm package computes another")
    seconds = median(one["seconds"] for one in found)
    theirs = peer_total(other, "seconds", leaves, proofs)
    middle = min(found, key=lambda one: abs(one["seconds"] - seconds))
    return {
        "leaves": leaves,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(median(one["tree_cpu_seconds"] for one in found), 3),
        "rss_mb": max(one["rss_mb"] for one in found),
        "peer_seconds": round(theirs, 1),
        "peer_cpu_seconds": round(peer_total(other, "cpu_seconds", leaves, proofs), 1),
        "peer_tree_seconds": round(other["tree"]["seconds"], 1),
        "peer_proofs_made": proofs,
        "peer_rss_mb": other["rss_mb"],
        "ratio": round(theirs / seconds, 1),
        "stages": middle["stages"],
        "update_seconds": round(median(one["update_seconds"] for one in found), 3),
        "updated": middle["updated"],
        "runs": [round(one["seconds"], 3) for one in found],
    }


if __name__ == "__main__":
    answer(tree)
