from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from workdeed.protocol.canonical import MAX_SAFE_INTEGER
from workdeed.protocol.fields import (
    Address,
    Base64,
    Flag,
    Hash,
    InstanceId,
    Positive,
    PublicKey,
    Signature,
    Uint,
    from_hex,
    to_hex,
)
from workdeed.protocol.signing import to_checksum

HEX_TYPES = [(Hash, 32), (InstanceId, 16), (PublicKey, 33), (Signature, 65)]


@given(st.binary(max_size=80))
def test_hex_survives_the_round_trip(data: bytes) -> None:
    assert from_hex(to_hex(data), len(data)) == data


@pytest.mark.parametrize(("kind", "size"), HEX_TYPES)
def test_a_hex_field_has_one_form(kind: Any, size: int) -> None:
    adapter: TypeAdapter[bytes] = TypeAdapter(kind)
    value = bytes(range(200, 200 + size)) if size < 56 else bytes(range(size))
    text = to_hex(value)
    assert adapter.validate_python(value) == value
    assert adapter.validate_python(text) == value
    assert adapter.validate_json(f'"{text}"') == value
    assert adapter.dump_json(value) == f'"{text}"'.encode()
    assert adapter.dump_python(value) == value
    for bad in (
        text[2:],
        text.upper(),
        text + "00",
        text[:-2],
        text + "\n",
        f" {text}",
        "",
        5,
        value + b"\0",
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python(bad)


@given(st.binary(min_size=20, max_size=20))
def test_an_address_has_only_its_checksummed_form(raw: bytes) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(Address)
    text = to_checksum(raw)
    assert adapter.validate_python(text) == text
    for bad in (text.lower(), "0x" + raw.hex().upper(), text[2:], text + "0", text.swapcase()):
        if bad != text:
            with pytest.raises(ValidationError):
                adapter.validate_python(bad)


def test_an_address_is_text() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Address).validate_python(to_checksum(bytes(20)).encode())


@given(st.binary(max_size=100))
def test_base64_survives_the_round_trip(data: bytes) -> None:
    adapter: TypeAdapter[bytes] = TypeAdapter(Base64)
    assert adapter.validate_json(adapter.dump_json(data)) == data
    assert adapter.validate_python(data) == data


@pytest.mark.parametrize("text", ["YQ", "YQ=", "YR==", "YQ==\n", " YQ==", "Y-_=", "é", "YQ==YQ=="])
def test_other_base64_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Base64).validate_python(text)


@pytest.mark.parametrize("value", [5, None, ["YQ=="]])
def test_base64_is_text(value: Any) -> None:
    with pytest.raises(ValidationError, match="base64"):
        TypeAdapter(Base64).validate_python(value)


@pytest.mark.parametrize(("kind", "least"), [(Uint, 0), (Positive, 1)])
def test_integers_are_bounded_and_strict(kind: Any, least: int) -> None:
    adapter: TypeAdapter[int] = TypeAdapter(kind)
    for good in (least, MAX_SAFE_INTEGER):
        assert adapter.validate_json(str(good)) == good
    for bad in (
        "-1",
        str(least - 1),
        str(MAX_SAFE_INTEGER + 1),
        "1.0",
        "1e2",
        '"1"',
        "true",
        "null",
    ):
        with pytest.raises(ValidationError):
            adapter.validate_json(bad)


@pytest.mark.parametrize("bad", ["0", "1", '"true"', "null"])
def test_flags_are_strict(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Flag).validate_json(bad)
