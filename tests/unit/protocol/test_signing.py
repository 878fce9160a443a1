import pytest
from eth_account import Account
from eth_keys.datatypes import PrivateKey
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from workdeed.protocol.errors import SignatureError
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import (
    CURVE_ORDER,
    address_bytes,
    address_of,
    address_of_public_key,
    public_key_of,
    recover,
    recover_public_key,
    sign_digest,
    to_checksum,
)

KEYS = st.integers(1, CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)


@given(KEYS, DIGESTS)
def test_the_signer_is_recovered(key: bytes, digest: bytes) -> None:
    signature = sign_digest(key, digest)
    assert len(signature) == 65
    assert signature[64] in (27, 28)
    assert int.from_bytes(signature[32:64], "big") <= CURVE_ORDER // 2
    assert recover(digest, signature) == address_of(key)
    assert recover_public_key(digest, signature) == public_key_of(key)


@given(KEYS, DIGESTS)
def test_it_agrees_with_eth_account(key: bytes, digest: bytes) -> None:
    theirs = Account.unsafe_sign_hash(digest, key)
    assert sign_digest(key, digest) == bytes(theirs.signature)
    assert address_of(key) == Account.from_key(key).address
    assert public_key_of(key) == PrivateKey(key).public_key.to_compressed_bytes()


def test_equal_input_signs_equally() -> None:
    key, digest = keccak(b"key"), keccak(b"digest")
    assert sign_digest(key, digest) == sign_digest(key, digest)


@given(KEYS, DIGESTS)
def test_the_other_half_of_a_signature_is_refused(key: bytes, digest: bytes) -> None:
    signature = sign_digest(key, digest)
    high = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    malleated = signature[:32] + high.to_bytes(32, "big") + bytes((55 - signature[64],))
    with pytest.raises(SignatureError, match="upper half"):
        recover(digest, malleated)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 30, 255])
def test_another_v_is_refused(v: int) -> None:
    digest = keccak(b"digest")
    signature = sign_digest(keccak(b"key"), digest)[:64] + bytes((v,))
    with pytest.raises(SignatureError, match=f"v is {v}"):
        recover(digest, signature)


@pytest.mark.parametrize("size", [0, 64, 66, 130])
def test_another_length_is_refused(size: int) -> None:
    with pytest.raises(SignatureError, match=f"{size} bytes"):
        recover(keccak(b"digest"), bytes(size))


@pytest.mark.parametrize(
    "signature",
    [
        bytes(64) + b"\x1b",
        b"\xff" * 32 + bytes(31) + b"\x01\x1b",
        bytes(31) + b"\x05" + bytes(32) + b"\x1b",
        bytes(31) + b"\x05" + bytes(31) + b"\x01\x1b",  # 5 is no x coordinate of the curve
    ],
)
def test_a_signature_of_nobody_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError, match="no key can have made it"):
        recover(keccak(b"digest"), signature)


@pytest.mark.parametrize("size", [31, 33])
def test_a_digest_has_32_bytes(size: int) -> None:
    with pytest.raises(SignatureError, match="digest"):
        sign_digest(keccak(b"key"), bytes(size))
    with pytest.raises(SignatureError, match="digest"):
        recover(bytes(size), sign_digest(keccak(b"key"), bytes(32)))


@pytest.mark.parametrize(
    "key", [b"", b"\x01", b"\x01" * 31, b"\x01" * 33, bytes(32), CURVE_ORDER.to_bytes(32, "big")]
)
def test_a_bad_key_is_refused_without_quoting_it(key: bytes) -> None:
    with pytest.raises(SignatureError, match=r"^private_key: ") as caught:
        sign_digest(key, bytes(32))
    if key.strip(b"\0"):
        assert key.hex() not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(SignatureError):
        address_of(key)
    with pytest.raises(SignatureError):
        public_key_of(key)


@given(st.binary(min_size=20, max_size=20))
def test_checksums_agree_with_eth_utils(raw: bytes) -> None:
    expected = to_checksum_address(raw)
    assert to_checksum(raw) == expected
    assert to_checksum("0x" + raw.hex()) == expected
    assert to_checksum("0x" + raw.hex().upper()) == expected
    assert to_checksum(expected) == expected
    assert address_bytes(expected) == raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "0x" + "1" * 39,
        "0x" + "1" * 41,
        "1" * 40,
        "0X" + "1" * 40,
        "0x" + "g" * 40,
        "0x" + "1" * 38 + " 1",
        "0x+" + "1" * 39,
        "0x" + "\u0661" * 40,
    ],
)
def test_a_bad_address_is_refused(text: str) -> None:
    with pytest.raises(SignatureError, match="40 hex digits"):
        to_checksum(text)


@pytest.mark.parametrize("size", [19, 21, 0])
def test_an_address_has_20_bytes(size: int) -> None:
    with pytest.raises(SignatureError):
        to_checksum(bytes(size))


@given(KEYS)
def test_a_public_key_has_the_address_of_its_secret(key: bytes) -> None:
    assert address_of_public_key(public_key_of(key)) == address_of(key)


@pytest.mark.parametrize("data", [b"", bytes(33), b"\x02" + b"\xff" * 32, b"\x02" * 32])
def test_a_public_key_is_a_point(data: bytes) -> None:
    with pytest.raises(SignatureError, match="public_key"):
        address_of_public_key(data)
