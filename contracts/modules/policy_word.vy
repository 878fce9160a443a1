# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Policy word
@custom:contract-name policy_word
@notice The storage word of a policy version with the terms that no claim reads.
        Bits: exists 1 | sla_floor_bps 14 | payer_level 8.
"""


struct Policy:
    # A window below this figure earns nothing, in basis points.
    sla_floor_bps: uint256
    # The attested level that a payer needs to open a job; 0 asks for none.
    payer_level: uint256


@internal
@pure
def _pack(word: Policy) -> uint256:
    """
    @dev Packs a policy. The lowest bit is always set: an existing word is never zero.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.sla_floor_bps <= 10_000, "policy: floor above 100%"
    assert word.payer_level < 2**8, "policy: level too high"
    return 1 | (word.sla_floor_bps << 1) | (word.payer_level << 15)


@internal
@pure
def _unpack(packed: uint256) -> Policy:
    """
    @dev Unpacks a policy.
    @param packed The word.
    @return Policy The fields.
    """
    return Policy(sla_floor_bps=(packed >> 1) & (2**14 - 1), payer_level=(packed >> 15) & (2**8 - 1))
