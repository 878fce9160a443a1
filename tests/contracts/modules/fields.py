"""What the fields of a packed word hold, written down apart from the contracts that pack them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from workdeed.protocol.signing import to_checksum

Values = dict[str, Any]

SINGLE_BITS = [bits ^ 1 << bit for bits in (0, 2**256 - 1) for bit in range(256)]
"""Every word of which a single bit is set, or a single one is not."""


@dataclass(frozen=True)
class Fields:
    """The fields of a word in the order of its struct.

    Attributes:
        widths: name, width in bits and Python type: `int`, `bool` or `str` (an address).

    """

    widths: tuple[tuple[str, int, type], ...]

    def highest(self) -> Values:
        """Return every field at its largest value."""
        return {name: _value(2**bits - 1, kind) for name, bits, kind in self.widths}

    def read(self, packed: int) -> Values:
        """Return what a word holds whose fields follow each other from the lowest bit on."""
        values: Values = {}
        for name, bits, kind in self.widths:
            values[name] = _value(packed % 2**bits, kind)
            packed >>= bits
        return values

    def write(self, values: Values) -> int:
        """Return the word of some values, a bit for a truth value: the reverse of `read`."""
        packed = shift = 0
        for name, bits, kind in self.widths:
            value = values[name]
            packed |= (int(value, 16) if kind is str else int(value)) << shift
            shift += bits
        return packed

    def values(self, **limits: int) -> st.SearchStrategy[Values]:
        """Return a strategy of all values that fit; `limits` narrows the largest of a field."""
        names = [name for name, _, _ in self.widths]
        columns = (
            _strategy(limits.get(name, 2**bits - 1), kind) for name, bits, kind in self.widths
        )
        return st.tuples(*columns).map(lambda row: dict(zip(names, row, strict=True)))


def _value(bits: int, kind: type) -> Any:
    if kind is str:
        return to_checksum(bits.to_bytes(20, "big"))
    return kind(bits)


def _strategy(highest: int, kind: type) -> st.SearchStrategy[Any]:
    if kind is bool:
        return st.booleans()
    if kind is str:
        return st.binary(min_size=20, max_size=20).map(to_checksum)
    # Corners come up rarely among so many numbers: ask for them.
    return st.one_of(st.integers(0, highest), st.sampled_from((0, highest)))
