import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from workdeed.protocol.canonical import (
    MAX_DEPTH,
    MAX_SAFE_INTEGER,
    canonical_bytes,
    canonical_hash,
    parse_canonical,
)
from workdeed.protocol.errors import CanonicalError
from workdeed.protocol.hashing import keccak

INTEGERS = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_survives_the_round_trip(value: Any) -> None:
    data = canonical_bytes(value)
    assert parse_canonical(data) == value
    assert canonical_hash(value) == keccak(data)


@given(VALUES)
def test_the_fast_way_writes_what_the_package_for_rfc_8785_writes(value: Any) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)


def test_every_character_of_the_lowest_planes_is_escaped_as_the_package_does() -> None:
    text = "".join(chr(code) for code in range(0x3000) if not 0xD800 <= code < 0xE000)
    value = {"text": text, "key": [text[:0x80]]}
    assert canonical_bytes(value) == rfc8785.dumps(value)


def test_keys_beyond_ascii_sort_by_utf16_code_units_below_plain_ones() -> None:
    value = {"plain": [{"\U0001f600": 1, "\ufb33": 2}]}
    assert canonical_bytes(value) == '{"plain":[{"\U0001f600":1,"\ufb33":2}]}'.encode()


@given(VALUES)
def test_any_other_spelling_is_refused(value: Any) -> None:
    spelled = json.dumps(value, indent=1, ensure_ascii=True).encode()
    if spelled != canonical_bytes(value):
        with pytest.raises(CanonicalError, match="not canonical"):
            parse_canonical(spelled)


def test_keys_sort_by_utf16_code_units() -> None:
    """RFC 8785, 3.2.3: a character beyond the basic plane sorts before U+FB33."""
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    expected = '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'
    assert canonical_bytes(value) == expected.encode()


def test_tuples_are_lists() -> None:
    assert canonical_bytes((1, (2,))) == b"[1,[2]]"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "value: float"),
        ({"a": [0, 1.0]}, r"value\.a\[1\]: float"),
        ([{"\u00e9": 0}, 1.0], r"value\[1\]: float"),
        ({"\u00e9": 0, "a": 1.0}, r"value\.a: float"),
        (float("nan"), "float"),
        (MAX_SAFE_INTEGER + 1, "decimal string"),
        ({"price": -MAX_SAFE_INTEGER - 1}, r"value\.price: .* decimal string"),
        ({1: "a"}, "key 1 is not a string"),
        (b"bytes", "bytes has no canonical form"),
        ({"a": {1, 2}}, "set has no canonical form"),
        ("\ud800", "no canonical JSON form"),
        ({"\ud800": 1}, "no canonical JSON form"),
    ],
)
def test_values_without_a_canonical_form_are_refused(value: Any, message: str) -> None:
    with pytest.raises(CanonicalError, match=message):
        canonical_bytes(value)


def _nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def test_nesting_is_bounded() -> None:
    assert canonical_bytes(_nested(MAX_DEPTH)) == b"[" * MAX_DEPTH + b"0" + b"]" * MAX_DEPTH
    with pytest.raises(CanonicalError, match="deeper than 64"):
        canonical_bytes(_nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'{"a":1} ',
        b' {"a":1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'"\\u0041"',
        b'"\\/"',
        b"1.0",
        b"1e2",
        b"-0",
        b"NaN",
        b"Infinity",
        b"9007199254740992",
        b"\xef\xbb\xbf1",
        b"1" * 5000,
        b"[" * 100_000,
        b'"\\ud800"',
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        parse_canonical(data)
