# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Signature
@custom:contract-name signature
@notice Recovers the signer of one 65-byte signature `r || s || v`.
@custom:security A high `s` is refused, so a digest has one valid signature per key and `v`.
"""


# @dev Half of the order of secp256k1; a valid signature with a higher `s` has a lower twin.
_HALF_ORDER: constant(
    uint256
) = 57_896_044_618_658_097_711_785_492_504_343_953_926_418_782_139_537_452_191_302_581_570_759_080_747_168


@internal
@pure
def _recover(digest: bytes32, v: uint256, r: uint256, s: uint256) -> address:
    """
    @dev Returns the account that signed `digest`.
    @param digest The 32-byte EIP-712 digest.
    @param v The parity, 27 or 28.
    @param r The first half of the signature.
    @param s The second half of the signature.
    @return address The signer, never the zero address.
    """
    assert s <= _HALF_ORDER, "signature: high s"
    signer: address = ecrecover(digest, v, r, s)
    assert signer != empty(address), "signature: invalid"
    return signer
