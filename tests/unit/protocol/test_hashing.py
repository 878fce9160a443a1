from Crypto.Hash import keccak as other
from hypothesis import given
from hypothesis import strategies as st

from workdeed.protocol.hashing import keccak


def test_the_empty_hash_is_that_of_the_evm() -> None:
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@given(st.binary(max_size=400))
def test_it_agrees_with_another_implementation(data: bytes) -> None:
    assert keccak(data) == other.new(digest_bits=256, data=data).digest()
