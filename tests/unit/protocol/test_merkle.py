import random

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from workdeed.protocol.errors import EncodingError, MerkleError, SignatureError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.merkle import (
    EMPTY_ROOT,
    MerkleTree,
    leaf_hash,
    leaf_hashes,
    root_of,
    verify,
)
from workdeed.protocol.signing import to_checksum

HASH = st.binary(min_size=32, max_size=32).filter(lambda value: value != EMPTY_ROOT)
HASHES = st.lists(HASH, unique=True, max_size=70)
UINT = st.integers(0, 2**256 - 1) | st.integers(0, 2**64)
ADDRESS = st.binary(min_size=20, max_size=20).map(to_checksum)
TYPES = ["address", "uint256", "uint256", "uint256"]


@given(ADDRESS, UINT, UINT, UINT)
def test_a_leaf_is_the_double_hash_of_its_abi_encoding(
    escrow: str, job: int, license_id: int, units: int
) -> None:
    encoded = encode(TYPES, (escrow, job, license_id, units))
    assert leaf_hash(escrow, job, license_id, units) == keccak(keccak(encoded))


def test_many_leaves_hash_as_each_does(escrow: str) -> None:
    other = to_checksum(bytes(20))
    values = [(escrow, 1, 2, 3), (other, 1, 2, 3), (escrow, 1, 2, 2**64), (escrow, 4, 0, 0)]
    assert list(leaf_hashes(values)) == [leaf_hash(*value) for value in values]


@pytest.mark.parametrize("value", [-1, 2**256])
def test_numbers_must_fit_a_word(escrow: str, value: int) -> None:
    for numbers in ((value, 0, 0), (0, value, 0), (0, 0, value)):
        with pytest.raises(EncodingError, match="uint256"):
            leaf_hash(escrow, *numbers)


def test_a_leaf_names_an_escrow() -> None:
    with pytest.raises(SignatureError):
        leaf_hash("0x12", 1, 1, 1)


def test_no_leaves_have_the_empty_root_and_one_is_its_own() -> None:
    empty, single = MerkleTree([]), MerkleTree([keccak(b"leaf")])
    assert (empty.root, len(empty), list(empty.proofs())) == (EMPTY_ROOT, 0, [])
    assert (single.root, len(single)) == (keccak(b"leaf"), 1)
    assert single.proof(keccak(b"leaf")) == []
    assert list(single.proofs()) == [(keccak(b"leaf"), ())]


@given(HASHES, st.randoms(use_true_random=False))
def test_the_order_of_leaves_does_not_matter(leaves: list[bytes], rng: random.Random) -> None:
    shuffled = leaves[:]
    rng.shuffle(shuffled)
    assert MerkleTree(leaves).root == MerkleTree(iter(shuffled)).root


@given(HASHES)
def test_every_proof_verifies(leaves: list[bytes]) -> None:
    tree = MerkleTree(leaves)
    assert len(tree) == len(leaves)
    for leaf in leaves:
        assert verify(tree.root, leaf, tree.proof(leaf))


@given(HASHES)
def test_all_proofs_at_once_are_the_single_ones(leaves: list[bytes]) -> None:
    tree = MerkleTree(leaves)
    together = list(tree.proofs())
    assert sorted(leaf for leaf, _ in together) == sorted(leaves)
    for leaf, proof in together:
        assert list(proof) == tree.proof(leaf)


@given(HASHES, HASH)
def test_nothing_else_verifies(leaves: list[bytes], other: bytes) -> None:
    tree = MerkleTree(leaves)
    if other in leaves:
        return
    for leaf in leaves:
        assert not verify(tree.root, other, tree.proof(leaf))
        assert not verify(tree.root, leaf, [*tree.proof(leaf), other])
    with pytest.raises(MerkleError, match="does not hold"):
        tree.proof(other)


@given(HASHES)
def test_nothing_verifies_against_the_empty_root(leaves: list[bytes]) -> None:
    tree = MerkleTree(leaves)
    assert not verify(EMPTY_ROOT, EMPTY_ROOT, [])
    assert not any(verify(EMPTY_ROOT, leaf, tree.proof(leaf)) for leaf in leaves)


@given(HASHES.filter(bool))
def test_a_repeated_leaf_is_refused(leaves: list[bytes]) -> None:
    with pytest.raises(MerkleError, match="twice"):
        MerkleTree([*leaves, leaves[0]])


@pytest.mark.parametrize("sizes", [(31,), (33,), (31, 33), (32, 0)])
def test_leaves_have_32_bytes(sizes: tuple[int, ...]) -> None:
    with pytest.raises(MerkleError, match="32 bytes"):
        MerkleTree([b"\x01" * size for size in sizes])


@settings(deadline=None, max_examples=5)
@given(st.integers(1, 5_000))
def test_a_large_tree_proves_all_its_leaves(size: int) -> None:
    leaves = [keccak(number.to_bytes(8, "big")) for number in range(size)]
    tree = MerkleTree(leaves)
    assert sum(verify(tree.root, leaf, proof) for leaf, proof in tree.proofs()) == size


@given(HASHES)
def test_the_root_alone_is_that_of_the_tree(hashes: list[bytes]) -> None:
    assert root_of(b"".join(hashes)) == MerkleTree(hashes).root


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65, 127, 128, 129, 1_000])
def test_the_root_alone_is_that_of_a_tree_of_any_size(size: int) -> None:
    hashes = [keccak(b"%d" % index) for index in range(size)]
    assert root_of(b"".join(hashes)) == MerkleTree(hashes).root


def test_the_root_alone_counts_a_leaf_once() -> None:
    once = keccak(b"a") + keccak(b"b") + keccak(b"c")
    assert root_of(once + keccak(b"a") + keccak(b"c")) == root_of(once)
    assert root_of(keccak(b"a") * 5) == keccak(b"a")


def test_the_root_alone_needs_whole_leaves() -> None:
    with pytest.raises(MerkleError, match="32 bytes"):
        root_of(bytes(33))
