# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Bond word
@custom:contract-name bond_word
@notice One storage word with the bond of a license.
        Bits: bond 96 | unbonding 96 | requested_at 40. Both amounts together fit 96 bits, so that a request can
        always be cancelled.
"""


struct Bond:
    # What counts towards the minimum, in base units of the token.
    bond: uint256
    # What was requested back: no longer counts, still slashable.
    unbonding: uint256
    # The Unix time in seconds of the latest request; 0 while nothing is requested.
    requested_at: uint256


@internal
@pure
def _pack(word: Bond) -> uint256:
    """
    @dev Packs a bond.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.bond + word.unbonding < 2**96, "bond: too much"
    assert word.requested_at < 2**40, "bond: requested too late"
    return word.bond | (word.unbonding << 96) | (word.requested_at << 192)


@internal
@pure
def _unpack(packed: uint256) -> Bond:
    """
    @dev Unpacks a bond.
    @param packed The word.
    @return Bond The fields.
    """
    return Bond(
        bond=packed & (2**96 - 1),
        unbonding=(packed >> 96) & (2**96 - 1),
        requested_at=(packed >> 192) & (2**40 - 1),
    )
