"""Canonical JSON: RFC 8785, narrowed to what every language reads alike.

Numbers are integers within ±(2^53 - 1), the range in which a double is exact; there are no floats.
Money travels as decimal strings. Nesting is bounded, so that no parser runs out of stack.
"""

import json
from typing import Any

import rfc8785
from pydantic_core import from_json

from workdeed.protocol.errors import CanonicalError
from workdeed.protocol.hashing import keccak

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64

# Without floats, and with keys whose order by code points is that by UTF-16 units, this encoder of
# the standard library writes what RFC 8785 rules, six times as fast as the package does.
_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), sort_keys=True
).encode


def canonical_bytes(value: Any) -> bytes:
    """Return the canonical JSON of `value` (dict, list, tuple, str, int, bool or None).

    Raises:
        CanonicalError: on a float, an integer beyond ±(2^53 - 1), a key that is not a string, text
            that is no valid Unicode, any other type, or more than `MAX_DEPTH` levels of nesting.

    """
    is_plain = _check(value, "value", 0)
    try:
        return _encode(value).encode() if is_plain else rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise CanonicalError(f"value: it has no canonical JSON form ({error})") from error


def canonical_hash(value: Any) -> bytes:
    """Return the 32-byte keccak of the canonical JSON of `value`; raises as `canonical_bytes`."""
    return keccak(canonical_bytes(value))


def parse_canonical(data: bytes) -> Any:
    """Return the value whose canonical JSON is exactly `data`.

    Raises:
        CanonicalError: if `data` is no JSON or not in its canonical form (spaces, key order,
            repeated keys, other spellings of a number or string).

    """
    try:
        # Not the standard library's parser: deep nesting runs it out of stack.
        value = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise CanonicalError(f"data: it is not JSON in UTF-8 ({error})") from error
    if canonical_bytes(value) != data:
        raise CanonicalError("data: it is JSON, but not canonical; encode it by RFC 8785")
    return value


def _check(value: Any, path: str, depth: int) -> bool:
    """Refuse what RFC 8785 would allow and the protocol does not, naming the place.

    Returns whether all keys are ASCII, so that any way of ordering text orders them alike.
    """
    if depth > MAX_DEPTH:
        raise CanonicalError(f"value: it is nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, (bool, str)):
        return True
    if isinstance(value, int):
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            raise CanonicalError(
                f"{path}: {value} is beyond 2^53 - 1; write it as a decimal string"
            )
        return True
    if isinstance(value, dict):
        is_plain = _check_keys(value, path)
        for key, item in value.items():
            is_plain &= _check(item, f"{path}.{key}", depth + 1)
        return is_plain
    if isinstance(value, (list, tuple)):
        is_plain = True
        for index, item in enumerate(value):
            is_plain &= _check(item, f"{path}[{index}]", depth + 1)
        return is_plain
    kind = type(value).__name__
    raise CanonicalError(f"{path}: {kind} has no canonical form; use text, integers or null")


def _check_keys(value: dict[Any, Any], path: str) -> bool:
    """Refuse keys that are not text; return whether all are ASCII."""
    for key in value:
        if not isinstance(key, str):
            raise CanonicalError(f"{path}: the key {key!r} is not a string")
    return all(map(str.isascii, value))
