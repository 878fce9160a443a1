"""Figures: what a member measured for one pair (job, license) in a window, and what they settle.

A figure is the served share in 1/10,000 (0..`UNIT`), or `UNKNOWN`. Observations of this version
carry service pairs only, two bytes each. A batch pair would take eight (units of agreed shards, all
ones unknown); which form a pair takes follows from its job's kind on chain, not from the bytes.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from workdeed.protocol.errors import FigureError
from workdeed.protocol.fields import Address, Positive, Uint
from workdeed.protocol.hashing import keccak
from workdeed.protocol.ordering import ordered_by_key
from workdeed.protocol.quorum import faults
from workdeed.protocol.signing import address_bytes

UNIT = 10_000
UNKNOWN = 65_535
MAX_UINT64 = 2**64 - 1


@ordered_by_key
class Pair(NamedTuple):
    """One license serving one job; ordered by (escrow bytes, job, license).

    `license_id` counts from 1, since 0 stands for the job itself and is never measured.
    """

    escrow: Address
    job_id: Uint
    license_id: Positive

    @property
    def key(self) -> tuple[str, int, int]:
        """What pairs are sorted by: the lower-case address sorts as its bytes do."""
        return self.escrow.lower(), self.job_id, self.license_id


def figure(ok: int, sent: int) -> int:
    """Return the figure of `ok` good answers to `sent` probes, `UNKNOWN` when none was sent.

    Raises:
        FigureError: if `ok` is not within 0..`sent`.

    """
    if not 0 <= ok <= sent:
        raise FigureError(f"ok: {ok} good answers to {sent} probes are impossible")
    return UNIT * ok // sent if sent else UNKNOWN


def is_figure(value: int) -> bool:
    """Tell whether `value` is a known figure or `UNKNOWN`."""
    return 0 <= value <= UNIT or value == UNKNOWN


def lower_median(values: Sequence[int]) -> int:
    """Return the middle value, of two middle ones the lower; raises `FigureError` on none."""
    if not values:
        raise FigureError("values: there is no median of nothing")
    return sorted(values)[(len(values) - 1) // 2]


def settle(figures: Sequence[int], n_members: int) -> int | None:
    """Return the figure that a committee of `n_members` settles on, None while the pair is open.

    It is the lower median of the known figures once there are 2f+1 of them: f or more lie on either
    side of it, so with at most f faulty members it lies between two honest ones.

    Raises:
        FigureError: on more figures than members, or a value that is no figure.

    """
    if len(figures) > n_members:
        raise FigureError(f"figures: {len(figures)} are more than the {n_members} members")
    _check_figures(figures)
    known = [value for value in figures if value != UNKNOWN]
    if len(known) < 2 * faults(n_members) + 1:
        return None
    return lower_median(known)


def units(figure: int, sla_floor_bps: int) -> int:
    """Return the units that a settled figure earns: 0 below the floor (both in 1/10,000), else all.

    Raises:
        FigureError: if either is outside of 0..`UNIT`; an unknown figure settles nothing.

    """
    if not 0 <= figure <= UNIT or not 0 <= sla_floor_bps <= UNIT:
        raise FigureError(f"figure: {figure} over the floor {sla_floor_bps} is not in 0..{UNIT}")
    return 0 if figure < sla_floor_bps else figure


def encode_pairs(pairs: Sequence[Pair]) -> bytes:
    """Return 36 bytes a pair, big-endian: escrow (20), job (8), license (8).

    Raises:
        FigureError: if a number exceeds 64 bits or the pairs are not strictly ascending.

    """
    rows = [_pack_pair(pair) for pair in pairs]
    if any(a >= b for a, b in pairwise(rows)):
        raise FigureError("pairs: they must ascend strictly by (escrow, job, license)")
    return b"".join(rows)


def pairs_hash(pairs: Sequence[Pair]) -> bytes:
    """Return the keccak of `encode_pairs(pairs)`; raises as it does."""
    return keccak(encode_pairs(pairs))


def encode_figures(figures: Sequence[int]) -> bytes:
    """Return two bytes a figure, big-endian; raises `FigureError` on a value that is none."""
    _check_figures(figures)
    return struct.pack(f">{len(figures)}H", *figures)


def decode_figures(data: bytes) -> tuple[int, ...]:
    """Return the figures that `encode_figures` wrote; raises `FigureError` on anything else."""
    if len(data) % 2:
        raise FigureError(f"data: {len(data)} bytes are no whole number of figures")
    figures = struct.unpack(f">{len(data) // 2}H", data)
    _check_figures(figures)
    return figures


def figures_hash(figures: Sequence[int]) -> bytes:
    """Return the keccak of `encode_figures(figures)`; raises as it does."""
    return keccak(encode_figures(figures))


def _pack_pair(pair: Pair) -> bytes:
    escrow, job_id, license_id = pair
    if not 0 <= job_id <= MAX_UINT64 or not 0 < license_id <= MAX_UINT64:
        raise FigureError(f"pairs: job {job_id}, license {license_id} do not fit 64 bits")
    return address_bytes(escrow) + struct.pack(">QQ", job_id, license_id)


def _check_figures(figures: Sequence[int]) -> None:
    for value in figures:
        if not is_figure(value):
            raise FigureError(f"figures: {value} is neither in 0..{UNIT} nor {UNKNOWN} (unknown)")
