"""Report data: the leaves behind a root, and the header that says how they came about.

`leaves.bin` is 44 bytes a leaf, big-endian: escrow (20), job (8), license (8), cumulative units
(8), strictly ascending by (escrow, job, license). License 0 is the job leaf, with the job's total,
which may be 0: a job that nobody served still needs its leaf to be closed. Other leaves have units.
The header is canonical JSON; its keccak is the `data_hash` that members sign beside the root.
"""

import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from workdeed.protocol.errors import ReportError
from workdeed.protocol.fields import Address, Hash, Positive, Uint
from workdeed.protocol.hashing import keccak
from workdeed.protocol.limits import MAX_LEAVES, MAX_OBSERVATIONS, MAX_PAIRS, MAX_PEER_BYTES
from workdeed.protocol.merkle import EMPTY_ROOT, MerkleTree, leaf_hashes
from workdeed.protocol.ordering import ordered_by_key
from workdeed.protocol.signing import address_bytes, to_checksum
from workdeed.protocol.wire import Message

_LEAF = struct.Struct(">20sQQQ")
LEAF_BYTES = _LEAF.size
_KEY_BYTES = 36
_LICENSE = slice(28, _KEY_BYTES)
_ZERO = bytes(8)


@ordered_by_key
class Leaf(NamedTuple):
    """Cumulative units of one license in one job, or with `license_id` 0 of the whole job."""

    escrow: str
    job_id: int
    license_id: int
    units: int

    @property
    def key(self) -> tuple[str, int, int, int]:
        """What leaves are sorted by: the lower-case address sorts as its bytes do."""
        return self.escrow.lower(), self.job_id, self.license_id, self.units


@ordered_by_key
class OpenPair(NamedTuple):
    """A pair whose figure of `window` is still open; ordered by (window, escrow, job, license)."""

    window: Positive
    escrow: Address
    job_id: Uint
    license_id: Positive

    @property
    def key(self) -> tuple[int, str, int, int]:
        """What open pairs are sorted by."""
        return self.window, self.escrow.lower(), self.job_id, self.license_id


class ReportHeader(Message):
    """How the leaves of a report came about.

    Attributes:
        window: the last window that the report covers.
        turn: the turn in which it was proposed.
        base_window: window of the report that it builds on, 0 if none.
        base_root: root of that report, 32 zero bytes if none.
        snapshot_hash: hash of the last block with a timestamp before the end of `window`.
        observations: digest of every observation used, in ascending order of (window, member).
            Members who saw the same without evidence share a digest, which then stands repeatedly.
        open: the pairs that stay open, strictly ascending.
        leaves_hash: keccak of `leaves.bin`.

    """

    MAX_BYTES: ClassVar[int] = MAX_PEER_BYTES

    schema_: Literal["workdeed/report-header@1"] = Field(
        default="workdeed/report-header@1", alias="schema"
    )
    window: Positive
    turn: Uint
    base_window: Uint
    base_root: Hash
    snapshot_hash: Hash
    observations: Annotated[tuple[Hash, ...], Field(max_length=MAX_OBSERVATIONS)]
    open: Annotated[tuple[OpenPair, ...], Field(max_length=MAX_PAIRS)]
    leaves_hash: Hash

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.base_window >= self.window:
            raise ValueError("base_window must lie before window")
        if self.base_window == 0 and self.base_root != EMPTY_ROOT:
            raise ValueError("base_root must be zero without a base_window")
        if any(a >= b for a, b in pairwise(pair.key for pair in self.open)):
            raise ValueError("open must ascend strictly by (window, escrow, job, license)")
        if self.open and self.open[-1].window > self.window:
            raise ValueError("open holds a window after the report's own")
        return self


def data_hash(header: ReportHeader) -> bytes:
    """Return the 32-byte keccak of the header's canonical JSON."""
    return keccak(header.canonical())


def encode_leaves(leaves: Iterable[Leaf]) -> bytes:
    """Return `leaves.bin`; the leaves may come in any order.

    Raises:
        ReportError: on a number outside of uint64, a license without units, a repeated (escrow,
            job, license), or more than `MAX_LEAVES`.

    """
    rows = sorted(_pack(leaf) for leaf in leaves)
    _check_rows(rows)
    return b"".join(rows)


def decode_leaves(data: bytes) -> list[Leaf]:
    """Return the leaves of `leaves.bin`, ascending.

    Raises:
        ReportError: unless `data` is exactly what `encode_leaves` writes for these leaves.

    """
    if len(data) % LEAF_BYTES:
        raise ReportError(
            f"leaves: {len(data)} bytes are no whole number of {LEAF_BYTES}-byte leaves"
        )
    if len(data) > MAX_LEAVES * LEAF_BYTES:
        raise ReportError(f"leaves: more than {MAX_LEAVES}")
    _check_rows([data[at : at + LEAF_BYTES] for at in range(0, len(data), LEAF_BYTES)])
    return [
        Leaf(to_checksum(escrow), job_id, license_id, units)
        for escrow, job_id, license_id, units in _LEAF.iter_unpack(data)
    ]


def report_tree(leaves: Iterable[Leaf]) -> MerkleTree:
    """Return the Merkle tree over `leaves`; its root is `EMPTY_ROOT` without any.

    Raises:
        MerkleError: if a leaf comes twice.

    """
    return MerkleTree(leaf_hashes(leaves))


def _pack(leaf: Leaf) -> bytes:
    escrow, job_id, license_id, units = leaf
    try:
        return _LEAF.pack(address_bytes(escrow), job_id, license_id, units)
    except struct.error as error:
        raise ReportError(f"leaves: {leaf} does not fit; numbers must be uint64") from error


def _check_rows(rows: list[bytes]) -> None:
    if len(rows) > MAX_LEAVES:
        raise ReportError(f"leaves: {len(rows)} are more than {MAX_LEAVES}")
    if any(row[_KEY_BYTES:] == _ZERO and row[_LICENSE] != _ZERO for row in rows):
        raise ReportError("leaves: a license has no units in one; leave it out")
    if any(a[:_KEY_BYTES] >= b[:_KEY_BYTES] for a, b in pairwise(rows)):
        raise ReportError("leaves: they must ascend strictly by (escrow, job, license)")
