"""An ABI codec with everything that depends on types prepared once.

Contracts of the tests are called thousands of times a second; eth_abi looks its types up on each
call. What is here is checked against it by property.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import to_checksum

WORD = 32
Item = dict[str, Any]


class Codec(NamedTuple):
    """How one type is written and read.

    Attributes:
        size: bytes in the head; 32 for a dynamic type, whose head is an offset.
        dynamic: whether its length varies.
        encode: from a value to bytes.
        decode: from data and the offset of the value to the value.

    """

    size: int
    dynamic: bool
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, int], Any]


def canonical(item: Item) -> str:
    """Return the type of an argument as selectors spell it."""
    kind = str(item["type"])
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(canonical(part) for part in item["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def signature(item: Item) -> str:
    """Return the signature of a function or an event."""
    return f"{item['name']}({','.join(canonical(part) for part in item['inputs'])})"


def selector(item: Item) -> bytes:
    """Return the selector of a function."""
    return keccak(signature(item).encode())[:4]


def codec(item: Item) -> Codec:
    """Return the codec of an argument."""
    kind = str(item["type"])
    if array := re.fullmatch(r"(.*)\[(\d*)\]", kind):
        inner = codec({**item, "type": array[1]})
        return _fixed(inner, int(array[2])) if array[2] else _array(inner)
    if kind == "tuple":
        return _struct(item["components"])
    return _elementary(kind)


def sequence(items: Sequence[Item]) -> Codec:
    """Return the codec of arguments or results, as a plain tuple."""
    return _sequence([codec(item) for item in items], tuple)


@cache
def _elementary(kind: str) -> Codec:
    if kind.startswith("uint"):
        return Codec(WORD, False, _encode_uint, _decode_uint)
    if kind == "address":
        return Codec(WORD, False, _encode_address, _decode_address)
    if kind == "bool":
        return Codec(WORD, False, _encode_uint, _decode_bool)
    if kind == "bytes":
        return Codec(WORD, True, _encode_bytes, _decode_bytes)
    if kind == "string":
        return Codec(
            WORD,
            True,
            lambda value: _encode_bytes(value.encode()),
            lambda data, at: _decode_bytes(data, at).decode(),
        )
    if kind.startswith("bytes"):
        length = int(kind.removeprefix("bytes"))
        return Codec(WORD, False, _encode_fixed_bytes(length), _decode_fixed_bytes(length))
    raise ValueError(f"abi: {kind} is not supported by the tests' codec")


def _encode_uint(value: int) -> bytes:
    return int(value).to_bytes(WORD, "big")


def _decode_uint(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + WORD], "big")


def _decode_bool(data: bytes, at: int) -> bool:
    return data[at + WORD - 1] != 0


def _encode_address(value: Any) -> bytes:
    text = value if isinstance(value, str) else value.address
    return bytes(12) + bytes.fromhex(text[2:])


def _decode_address(data: bytes, at: int) -> str:
    return _checksum(data[at + 12 : at + WORD])


@lru_cache(maxsize=10_000)
def _checksum(raw: bytes) -> str:
    return to_checksum("0x" + raw.hex())


def _encode_bytes(value: bytes) -> bytes:
    return len(value).to_bytes(WORD, "big") + value + bytes(-len(value) % WORD)


def _decode_bytes(data: bytes, at: int) -> bytes:
    return data[at + WORD : at + WORD + _decode_uint(data, at)]


def _encode_fixed_bytes(length: int) -> Callable[[bytes], bytes]:
    def encode(value: bytes) -> bytes:
        if len(value) != length:
            raise ValueError(f"abi: {len(value)} bytes for bytes{length}")
        return value + bytes(WORD - length)

    return encode


def _decode_fixed_bytes(length: int) -> Callable[[bytes, int], bytes]:
    return lambda data, at: data[at : at + length]


def _array(inner: Codec) -> Codec:
    def encode(values: Sequence[Any]) -> bytes:
        return len(values).to_bytes(WORD, "big") + _join([inner] * len(values), values)

    def decode(data: bytes, at: int) -> list[Any]:
        return _take([inner] * _decode_uint(data, at), data, at + WORD)

    return Codec(WORD, True, encode, decode)


def _fixed(inner: Codec, length: int) -> Codec:
    return _sequence([inner] * length, list)


def _struct(components: Sequence[Item]) -> Codec:
    shape = namedtuple("Struct", [part["name"] for part in components])  # type: ignore[misc]
    return _sequence([codec(part) for part in components], shape._make)


def _sequence(parts: Sequence[Codec], build: Callable[[Sequence[Any]], Any]) -> Codec:
    dynamic = any(part.dynamic for part in parts)
    return Codec(
        WORD if dynamic else sum(part.size for part in parts),
        dynamic,
        lambda values: _join(parts, values),
        lambda data, at: build(_take(parts, data, at)),
    )


def _join(parts: Sequence[Codec], values: Sequence[Any]) -> bytes:
    """Write heads, and behind them what is dynamic."""
    if len(parts) != len(values):
        raise TypeError(f"abi: {len(values)} values for {len(parts)}")
    offset = sum(part.size for part in parts)
    heads, tails = [], []
    for part, value in zip(parts, values, strict=True):
        written = part.encode(value)
        if part.dynamic:
            heads.append(offset.to_bytes(WORD, "big"))
            tails.append(written)
            offset += len(written)
        else:
            heads.append(written)
    return b"".join(heads + tails)


def _take(parts: Sequence[Codec], data: bytes, start: int) -> list[Any]:
    """Read heads, and where they point."""
    values, at = [], start
    for part in parts:
        place = start + _decode_uint(data, at) if part.dynamic else at
        values.append(part.decode(data, place))
        at += part.size
    return values
