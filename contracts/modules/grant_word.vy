# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Grant word
@custom:contract-name grant_word
@notice The storage word of what a payer lets a delegate do.
        Bits: budget 160 | expires_at 40 | scopes 8.
"""


struct Grant:
    # What the delegate may still spend, in base units of the token. No refund restores it.
    budget: uint256
    # The Unix time in seconds at which the grant ends.
    expires_at: uint256
    # A bit for each thing that the delegate may do.
    scopes: uint256


@internal
@pure
def _pack(word: Grant) -> uint256:
    """
    @dev Packs a grant.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.budget < 2**160, "grant: budget too large"
    assert word.expires_at < 2**40, "grant: expiry too late"
    assert word.scopes < 2**8, "grant: unknown scope"
    return word.budget | (word.expires_at << 160) | (word.scopes << 200)


@internal
@pure
def _unpack(packed: uint256) -> Grant:
    """
    @dev Unpacks a grant.
    @param packed The word.
    @return Grant The fields.
    """
    return Grant(
        budget=packed & (2**160 - 1),
        expires_at=(packed >> 160) & (2**40 - 1),
        scopes=(packed >> 200) & (2**8 - 1),
    )
