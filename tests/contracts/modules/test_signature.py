"""Recovery of one signature against the package's signing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import private_key
from workdeed.protocol.hashing import keccak
from workdeed.protocol.signing import CURVE_ORDER, address_of, sign_digest

KEY = private_key("signer")
DIGEST = keccak(b"digest")


def split(signature: bytes) -> tuple[int, int, int]:
    """Return v, r and s, in the order that contracts take."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return signature[64], r, s


@settings(deadline=None)
@given(digest=st.binary(min_size=32, max_size=32), secret=st.integers(1, CURVE_ORDER - 1))
def test_signer_is_recovered(words: Contract, digest: bytes, secret: int) -> None:
    key = secret.to_bytes(32, "big")

    assert words.signature_recover(digest, *split(sign_digest(key, digest))) == address_of(key)


def test_twin_with_a_high_s_is_refused(words: Contract) -> None:
    v, r, s = split(sign_digest(KEY, DIGEST))

    with evm.reverts("signature: high s"):
        words.signature_recover(DIGEST, 55 - v, r, CURVE_ORDER - s)


def test_half_of_the_order_is_the_highest_s(words: Contract) -> None:
    _, r, _ = split(sign_digest(KEY, DIGEST))

    assert words.signature_recover(DIGEST, 27, r, CURVE_ORDER // 2)
    with evm.reverts("signature: high s"):
        words.signature_recover(DIGEST, 27, r, CURVE_ORDER // 2 + 1)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 2**256 - 1])
def test_parity_other_than_27_and_28_is_refused(words: Contract, v: int) -> None:
    _, r, s = split(sign_digest(KEY, DIGEST))

    with evm.reverts("signature: invalid"):
        words.signature_recover(DIGEST, v, r, s)


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (CURVE_ORDER, 1), (2**256 - 1, 1)])
def test_number_out_of_the_curves_range_is_refused(words: Contract, r: int, s: int) -> None:
    with evm.reverts("signature: invalid"):
        words.signature_recover(DIGEST, 27, r, s)
