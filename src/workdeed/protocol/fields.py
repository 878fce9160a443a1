"""Field types of messages: what each value is in Python, and its one spelling in JSON.

Hashes, keys and signatures are `bytes` inside and 0x with lower-case hex digits outside; addresses
are EIP-55 text on both sides; numbers are integers that canonical JSON can hold. A constructor also
takes hex text where bytes are meant.
"""

import base64
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict

from workdeed.protocol.canonical import MAX_SAFE_INTEGER
from workdeed.protocol.errors import SignatureError
from workdeed.protocol.signing import SIGNATURE_BYTES, to_checksum


def to_hex(value: bytes) -> str:
    """Return 0x and the lower-case hex digits of `value`."""
    return "0x" + value.hex()


def from_hex(text: str, size: int) -> bytes:
    """Return the `size` bytes that `text` spells in `to_hex` form; else raises `ValueError`."""
    if not re.fullmatch(rf"0x[0-9a-f]{{{2 * size}}}", text):
        raise ValueError(f"must be 0x and {2 * size} lower-case hex digits")
    return bytes.fromhex(text[2:])


def _hex_reader(size: int) -> Callable[[Any], bytes]:
    def read(value: Any) -> bytes:
        if isinstance(value, str):
            return from_hex(value, size)
        if isinstance(value, bytes) and len(value) == size:
            return value
        raise ValueError(f"must be {size} bytes in hex")

    return read


def _read_base64(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("must be text in base64")
    data = base64.b64decode(value, validate=True)
    if base64.b64encode(data).decode() != value:
        raise ValueError("must be padded base64 without stray bits")
    return data


def _write_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _check_address(value: str) -> str:
    try:
        checksummed = to_checksum(value)
    except SignatureError as error:
        raise ValueError("must be 0x and 40 hex digits in EIP-55 case") from error
    if checksummed != value:
        raise ValueError("must be written in EIP-55 case")
    return value


_AS_HEX = PlainSerializer(to_hex, return_type=str, when_used="json")

Address = Annotated[str, Strict(), AfterValidator(_check_address)]
Hash = Annotated[bytes, BeforeValidator(_hex_reader(32)), _AS_HEX]
InstanceId = Annotated[bytes, BeforeValidator(_hex_reader(16)), _AS_HEX]
PublicKey = Annotated[bytes, BeforeValidator(_hex_reader(33)), _AS_HEX]
Signature = Annotated[bytes, BeforeValidator(_hex_reader(SIGNATURE_BYTES)), _AS_HEX]
Base64 = Annotated[
    bytes,
    BeforeValidator(_read_base64),
    PlainSerializer(_write_base64, return_type=str, when_used="json"),
]
Uint = Annotated[int, Strict(), Field(ge=0, le=MAX_SAFE_INTEGER)]
Positive = Annotated[int, Strict(), Field(ge=1, le=MAX_SAFE_INTEGER)]
Flag = Annotated[bool, Strict()]
