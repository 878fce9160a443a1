"""The Merkle tree of cumulative units, byte-identical to OpenZeppelin's StandardMerkleTree.

A leaf is `keccak(keccak(abi.encode(address escrow, uint256 job, uint256 license, uint256 units)))`;
leaves are sorted by hash; an inner node is the keccak of its two children, the smaller first; the
tree is an array of 2n-1 nodes with the root at 0, the children of i at 2i+1 and 2i+2, and the
leaves filled in from the end.
"""

import operator
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from workdeed.protocol.errors import EncodingError, MerkleError
from workdeed.protocol.hashing import keccak_256
from workdeed.protocol.signing import address_bytes

_NODE = 32

EMPTY_ROOT = bytes(_NODE)
"""The root of a tree without leaves. Nothing is proven against it."""

_NARROW = struct.Struct(">12x20s24xQ24xQ24xQ")
"""abi.encode(address, uint256, uint256, uint256) of numbers that fit 64 bits, as nearly all do."""


def leaf_hash(escrow: str, job_id: int, license_id: int, units: int) -> bytes:
    """Return the leaf of one (escrow, job, license) with its cumulative `units`.

    Raises:
        EncodingError: if a number does not fit a uint256.
        SignatureError: if `escrow` is no address.

    """
    return next(leaf_hashes([(escrow, job_id, license_id, units)]))


def leaf_hashes(values: Iterable[tuple[str, int, int, int]]) -> Iterator[bytes]:
    """Yield `leaf_hash` of every (escrow, job, license, units); raises as it does."""
    escrows: dict[str, bytes] = {}  # few escrows, many leaves
    for escrow, job_id, license_id, units in values:
        raw = escrows.get(escrow) or escrows.setdefault(escrow, address_bytes(escrow))
        try:
            encoded = _NARROW.pack(raw, job_id, license_id, units)
        except struct.error:
            encoded = _encode_wide(raw, job_id, license_id, units)
        yield keccak_256(keccak_256(encoded).digest()).digest()


class MerkleTree:
    """A tree over distinct 32-byte leaf hashes, in any order.

    Takes about 150 bytes a leaf. Raises `MerkleError` on one that is not 32 bytes or comes twice.
    """

    def __init__(self, leaf_hashes: Iterable[bytes]) -> None:
        self._leaves = _sorted_leaves(leaf_hashes)
        self._nodes = _build(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    @property
    def root(self) -> bytes:
        """The root; `EMPTY_ROOT` without leaves, the leaf itself with one."""
        return self._nodes[0] if self._nodes else EMPTY_ROOT

    def proof(self, leaf_hash: bytes) -> list[bytes]:
        """Return the siblings from the leaf up to the root; raises `MerkleError` without it."""
        place = bisect_left(self._leaves, leaf_hash)
        if place == len(self._leaves) or self._leaves[place] != leaf_hash:
            raise MerkleError("leaf_hash: this tree does not hold it; ask for the right report")
        index = len(self._nodes) - 1 - place
        siblings = []
        while index:
            siblings.append(self._nodes[_sibling(index)])
            index = (index - 1) // 2
        return siblings

    def proofs(self) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
        """Yield every leaf with its proof, in no stated order.

        Walks down from the root and extends each path once, so that a leaf costs one step instead
        of one for each level.
        """
        nodes, first_leaf = self._nodes, len(self._leaves) - 1
        waiting: list[tuple[int, tuple[bytes, ...]]] = [(0, ())] if nodes else []
        while waiting:
            index, path = waiting.pop()
            if index >= first_leaf:
                yield nodes[index], path
                continue
            left, right = nodes[2 * index + 1], nodes[2 * index + 2]
            waiting.append((2 * index + 1, (right, *path)))
            waiting.append((2 * index + 2, (left, *path)))


def root_of(leaf_hashes: bytes) -> bytes:
    """Return the root over 32-byte leaf hashes in a row, each counted once; `EMPTY_ROOT` of none.

    It is that of a `MerkleTree`, which gives proofs too and takes 150 bytes a leaf. This takes
    about 50, for as many leaves as the probes of a day bring.

    Raises:
        MerkleError: if the bytes are no whole number of hashes.

    """
    if len(leaf_hashes) % _NODE:
        raise MerkleError("leaf_hashes: every leaf must have 32 bytes")
    level = _ascending(leaf_hashes)
    # An inner node comes before its children, and the leaves stand at the end, the lowest last. So
    # from the lowest leaf on, two nodes at a time make the next one behind all that are waiting.
    while len(level) > _NODE:
        paired = len(level) // (2 * _NODE) * (2 * _NODE)
        above = bytearray(level[paired:])
        for at in range(0, paired, 2 * _NODE):
            left, right = level[at : at + _NODE], level[at + _NODE : at + 2 * _NODE]
            above += keccak_256(left + right if left < right else right + left).digest()
        level = above
    return bytes(level) or EMPTY_ROOT


def verify(root: bytes, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether `proof` leads from the leaf hash to `root`, as the contract checks it."""
    if root == EMPTY_ROOT:
        return False
    node = leaf
    for sibling in proof:
        node = keccak_256(node + sibling if node < sibling else sibling + node).digest()
    return node == root


def _ascending(leaves: bytes) -> bytearray:
    """Return the distinct leaves in ascending order, in a row.

    Sorted by first bytes before anything else: a million objects at a time would take more memory
    than all the bytes do.
    """
    buckets = [bytearray() for _ in range(256)]
    for at in range(0, len(leaves), _NODE):
        buckets[leaves[at]] += leaves[at : at + _NODE]
    ascending = bytearray()
    for bucket in buckets:
        rows = bytes(bucket)
        bucket.clear()
        ascending += b"".join(sorted({rows[at : at + _NODE] for at in range(0, len(rows), _NODE)}))
    return ascending


def _sorted_leaves(leaves: Iterable[bytes]) -> list[bytes]:
    """Return the leaves in ascending order, checked."""
    ascending = list(leaves)
    if set(map(len, ascending)) - {32}:
        raise MerkleError("leaf_hashes: every leaf must have 32 bytes")
    ascending.sort()
    # Copied side by side in memory: walks over a million of them then run a quarter faster.
    joined = b"".join(ascending)
    ascending = [joined[at : at + 32] for at in range(0, len(joined), 32)]
    if any(map(operator.eq, ascending, islice(ascending, 1, None))):
        raise MerkleError("leaf_hashes: a leaf comes twice; give each once")
    return ascending


def _build(leaves: list[bytes]) -> list[bytes]:
    """Return the node array over sorted leaves, empty without leaves."""
    inner = len(leaves) - 1
    if inner < 0:
        return []
    nodes = [EMPTY_ROOT] * inner + leaves[::-1]
    for index in range(inner - 1, -1, -1):
        left, right = nodes[2 * index + 1], nodes[2 * index + 2]
        nodes[index] = keccak_256(left + right if left < right else right + left).digest()
    return nodes


def _encode_wide(escrow: bytes, job_id: int, license_id: int, units: int) -> bytes:
    """Return `abi.encode` of a leaf that has numbers beyond 64 bits."""
    try:
        words = [number.to_bytes(32, "big") for number in (job_id, license_id, units)]
    except OverflowError as error:
        raise EncodingError("leaf: job, license and units must each fit a uint256") from error
    return bytes(12) + escrow + b"".join(words)


def _sibling(index: int) -> int:
    return index + 1 if index % 2 else index - 1
