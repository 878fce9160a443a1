# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Standing word
@custom:contract-name standing_word
@notice One storage word with the standing of a subject.
        Bits: standing 8 | until 64 | cooldown 64 | reason 32.
"""


# @dev `until` of a standing that does not end by itself.
FOREVER: constant(uint256) = 2**64 - 1


struct Standing:
    # One of the registry's standings.
    standing: uint256
    # The Unix time in seconds at which the standing reads as good again.
    until: uint256
    # The Unix time in seconds from which the subject may be frozen again.
    cooldown: uint256
    # The reason code that came with the standing.
    reason: uint256


@internal
@pure
def _pack(word: Standing) -> uint256:
    """
    @dev Packs a standing.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.standing < 2**8, "standing: unknown"
    assert word.until < 2**64, "standing: until too late"
    assert word.cooldown < 2**64, "standing: cooldown too late"
    assert word.reason < 2**32, "standing: reason too large"
    return word.standing | (word.until << 8) | (word.cooldown << 72) | (word.reason << 136)


@internal
@pure
def _unpack(packed: uint256) -> Standing:
    """
    @dev Unpacks a standing.
    @param packed The word.
    @return Standing The fields.
    """
    return Standing(
        standing=packed & (2**8 - 1),
        until=(packed >> 8) & (2**64 - 1),
        cooldown=(packed >> 72) & (2**64 - 1),
        reason=(packed >> 136) & (2**32 - 1),
    )


@internal
@view
def _current(packed: uint256) -> uint256:
    """
    @dev Reads the standing in force, in the shape that costs a claim least.
    @param packed The word.
    @return uint256 The standing; 0, good, once it has expired.
    """
    if ((packed >> 8) & (2**64 - 1)) <= block.timestamp:
        return 0
    return packed & (2**8 - 1)
