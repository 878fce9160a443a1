"""The proof check of the contracts against the tree of the Python package."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.evm import Contract
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import EMPTY_ROOT, MerkleTree, leaf_hash
from workdeed.protocol.signing import to_checksum

HASHES = st.binary(min_size=32, max_size=32)
UINTS = st.one_of(st.integers(0, 2**64), st.integers(0, 2**256 - 1))


@settings(deadline=None)
@given(
    escrow=st.binary(min_size=20, max_size=20).map(to_checksum),
    job_id=UINTS,
    license_id=UINTS,
    units=UINTS,
)
def test_leaf_is_the_packages(
    words: Contract, escrow: str, job_id: int, license_id: int, units: int
) -> None:
    leaf = words.merkle_leaf(escrow, job_id, license_id, units)

    assert leaf == leaf_hash(escrow, job_id, license_id, units)


@settings(deadline=None)
@given(leaves=st.lists(HASHES, min_size=1, max_size=40, unique=True), data=st.data())
def test_every_leaf_of_a_tree_is_proven(
    words: Contract, leaves: list[bytes], data: st.DataObject
) -> None:
    tree = MerkleTree(leaves)
    leaf = data.draw(st.sampled_from(leaves), "leaf")

    assert words.merkle_is_member(tree.proof(leaf), tree.root, leaf)


@settings(deadline=None)
@given(leaves=st.lists(HASHES, min_size=2, max_size=40, unique=True), other=HASHES)
def test_no_other_leaf_is_proven(words: Contract, leaves: list[bytes], other: bytes) -> None:
    tree = MerkleTree(leaves)
    proof = tree.proof(leaves[0])

    assert words.merkle_is_member(proof, tree.root, other) is (other == leaves[0])


def test_cut_proof_proves_nothing(words: Contract) -> None:
    leaves = [keccak(bytes([index])) for index in range(8)]
    tree = MerkleTree(leaves)

    assert not words.merkle_is_member(tree.proof(leaves[0])[:-1], tree.root, leaves[0])


def test_deepest_proof_fits(words: Contract) -> None:
    leaf = node = keccak(b"leaf")
    proof = [keccak(bytes([depth])) for depth in range(32)]
    for sibling in proof:
        node = keccak(min(node, sibling) + max(node, sibling))

    assert words.merkle_is_member(proof, node, leaf)


@settings(deadline=None)
@given(leaf=HASHES.filter(any), proof=st.lists(HASHES, max_size=8))
def test_empty_tree_proves_nothing(words: Contract, leaf: bytes, proof: list[bytes]) -> None:
    assert not words.merkle_is_member(proof, EMPTY_ROOT, leaf)
