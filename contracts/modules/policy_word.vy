# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Policy word
@custom:contract-name policy_word
@notice The storage word of a policy version that claims never read: where forfeited shares go, and fees handed on.
        Bits: forfeit_payer 14 | forfeit_burn 14 | flushed 102.
"""


struct Policy:
    # What of a blacklisted license's share goes back to the job's payer, in basis points.
    forfeit_payer_bps: uint256
    # What of it is burned, in basis points; the treasury gets the rest.
    forfeit_burn_bps: uint256
    # Fees that were handed to the vault, in base units of the token.
    flushed: uint256


@internal
@pure
def _pack(word: Policy) -> uint256:
    """
    @dev Packs a policy.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.forfeit_payer_bps + word.forfeit_burn_bps <= 10_000, "policy: parts above 100%"
    assert word.flushed < 2**102, "policy: fees too large"
    return word.forfeit_payer_bps | (word.forfeit_burn_bps << 14) | (word.flushed << 28)


@internal
@pure
def _unpack(packed: uint256) -> Policy:
    """
    @dev Unpacks a policy.
    @param packed The word.
    @return Policy The fields.
    """
    return Policy(
        forfeit_payer_bps=packed & (2**14 - 1),
        forfeit_burn_bps=(packed >> 14) & (2**14 - 1),
        flushed=(packed >> 28) & (2**102 - 1),
    )


@internal
@pure
def _is_fresh(packed: uint256) -> bool:
    """
    @dev Says whether nothing was handed on under a version yet.
    @param packed The word.
    @return bool Whether it is so.
    """
    return packed >> 28 == 0


@internal
@pure
def _flushed(packed: uint256) -> uint256:
    """
    @dev Reads the fees that were handed on.
    @param packed The word.
    @return uint256 Base units of the token.
    """
    return packed >> 28
