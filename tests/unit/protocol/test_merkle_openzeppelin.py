"""The tree against the npm package `@openzeppelin/merkle-tree`, whose form the contract reads."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

from workdeed.protocol.merkle import MerkleTree, leaf_hash, leaf_hashes
from workdeed.protocol.signing import to_checksum

SCRIPT = Path(__file__).with_name("openzeppelin_tree.mjs")
PACKAGE = Path(__file__).parents[3] / "node_modules" / "@openzeppelin" / "merkle-tree"
SIZES = [*range(1, 34), 63, 64, 65, 100, 127, 128, 129, 200, 255, 256, 257, 299, 300]

Value = tuple[str, int, int, int]


def _missing(what: str) -> NoReturn:
    """Skip on a machine without the peer; where all must run, its absence is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing; run npm install")


def openzeppelin(trees: list[list[Value]]) -> list[dict[str, Any]]:
    """Return root, leaf hashes and proofs of each tree as the npm package computes them."""
    node = shutil.which("node") or _missing("node")
    if not PACKAGE.is_dir():
        _missing("@openzeppelin/merkle-tree")
    # Numbers travel as text: JavaScript would round those beyond 2^53.
    texts = [[[value[0], *map(str, value[1:])] for value in values] for values in trees]
    done = subprocess.run(
        [node, str(SCRIPT)], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


def random_values(rng: random.Random, size: int) -> list[Value]:
    escrows = [to_checksum(rng.randbytes(20)) for _ in range(3)]
    bits = rng.choice((8, 64, 256))
    values: set[Value] = set()
    while len(values) < size:
        numbers = (rng.getrandbits(bits), rng.getrandbits(bits), rng.getrandbits(bits))
        values.add((rng.choice(escrows), *numbers))
    return sorted(values, key=lambda _: rng.random())


@pytest.mark.parametrize("seed", range(3))
def test_roots_and_proofs_are_those_of_openzeppelin(seed: int) -> None:
    rng = random.Random(seed)
    trees = [random_values(rng, size) for size in SIZES]
    for values, theirs in zip(trees, openzeppelin(trees), strict=True):
        tree = MerkleTree(leaf_hashes(values))
        assert "0x" + tree.root.hex() == theirs["root"]
        for value, their_leaf, their_proof in zip(
            values, theirs["leaves"], theirs["proofs"], strict=True
        ):
            leaf = leaf_hash(*value)
            assert "0x" + leaf.hex() == their_leaf
            assert ["0x" + sibling.hex() for sibling in tree.proof(leaf)] == their_proof
