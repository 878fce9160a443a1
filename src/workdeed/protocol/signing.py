"""secp256k1 signatures as the EVM checks them, and the addresses that they yield.

A signature is 65 bytes r || s || v with v 27 or 28 and s in the lower half of the curve's order, so
that nobody can turn one valid signature into another (EIP-2).
"""

from functools import lru_cache

import coincurve

from workdeed.protocol.errors import SignatureError
from workdeed.protocol.hashing import keccak

SIGNATURE_BYTES = 65
CURVE_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_HALF_ORDER = CURVE_ORDER // 2
_ADDRESS_CACHE = 65_536


def sign_digest(private_key: bytes, digest: bytes) -> bytes:
    """Sign a 32-byte `digest`; the nonce is deterministic (RFC 6979), so equal input signs equally.

    Raises:
        SignatureError: if the key is not 32 bytes of a valid secret or the digest not 32 bytes.

    """
    _check_digest(digest)
    raw = _secret(private_key).sign_recoverable(digest, hasher=None)
    if (
        raw[64] > 1
    ):  # r beyond the field's order: one chance in 2^127, and the EVM cannot recover it
        raise SignatureError("digest: no EVM signature exists for this key and digest")
    return raw[:64] + bytes((raw[64] + 27,))


def recover(digest: bytes, signature: bytes) -> str:
    """Return the checksummed address that signed the 32-byte `digest`.

    Raises:
        SignatureError: on a bad length, a v other than 27 or 28, a high s, or no such point.

    """
    return address_of_public_key(recover_public_key(digest, signature))


def recover_public_key(digest: bytes, signature: bytes) -> bytes:
    """Return the compressed 33-byte public key that signed `digest`; raises as `recover`."""
    _check_digest(digest)
    _check_signature(signature)
    raw = signature[:64] + bytes((signature[64] - 27,))
    try:
        key = coincurve.PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except ValueError as error:
        raise SignatureError("signature: no key can have made it; ask for a new one") from error
    return key.format(compressed=True)


def address_of(private_key: bytes) -> str:
    """Return the checksummed address of a 32-byte private key; raises `SignatureError`."""
    return to_checksum(_address_bytes(_secret(private_key).public_key))


def public_key_of(private_key: bytes) -> bytes:
    """Return the compressed 33-byte public key of a private key; raises `SignatureError`."""
    return _secret(private_key).public_key.format(compressed=True)


def address_of_public_key(public_key: bytes) -> str:
    """Return the checksummed address of a 33- or 65-byte public key; raises `SignatureError`."""
    try:
        return to_checksum(_address_bytes(coincurve.PublicKey(public_key)))
    except ValueError as error:
        raise SignatureError("public_key: it is no point of secp256k1") from error


@lru_cache(maxsize=_ADDRESS_CACHE)
def to_checksum(address: str | bytes) -> str:
    """Return the EIP-55 form of an address: 20 bytes, or 0x and 40 hex digits of any case.

    Raises:
        SignatureError: if it is neither. The case of the input is not taken for a checksum.

    """
    digits = address.hex() if isinstance(address, bytes) else address[2:].lower()
    prefixed = isinstance(address, bytes) or address[:2] == "0x"
    if not prefixed or len(digits) != 40 or not set(digits) <= set("0123456789abcdef"):
        raise SignatureError(f"address: {address!r} is not 20 bytes; write 0x and 40 hex digits")
    mask = keccak(digits.encode()).hex()
    marked = (c.upper() if m >= "8" else c for c, m in zip(digits, mask, strict=False))
    return "0x" + "".join(marked)


def address_bytes(address: str) -> bytes:
    """Return the 20 bytes of an address; raises `SignatureError` if it is none."""
    return bytes.fromhex(to_checksum(address)[2:])


def _secret(private_key: bytes) -> coincurve.PrivateKey:
    # coincurve pads short secrets; a truncated key must not silently become another identity.
    if len(private_key) != 32:
        raise SignatureError("private_key: it must have 32 bytes")
    try:
        return coincurve.PrivateKey(private_key)
    except ValueError:
        # The cause is dropped: its text may quote the secret.
        raise SignatureError("private_key: it is not in the curve's range") from None


def _address_bytes(key: coincurve.PublicKey) -> bytes:
    return keccak(key.format(compressed=False)[1:])[12:]


def _check_digest(digest: bytes) -> None:
    if len(digest) != 32:
        raise SignatureError(f"digest: it has {len(digest)} bytes, and must have 32")


def _check_signature(signature: bytes) -> None:
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"signature: it has {len(signature)} bytes, and must have 65")
    if signature[64] not in (27, 28):
        raise SignatureError(f"signature: v is {signature[64]}, and must be 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise SignatureError("signature: s is in the upper half; send the low-s form")
