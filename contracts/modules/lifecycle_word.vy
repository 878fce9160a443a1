# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Lifecycle word
@custom:contract-name lifecycle_word
@notice The storage word of a job that most jobs never write: its latest revision and an unattested close.
        Bits: revised_in 32 | close_requested 32 | covered 1.
"""


struct Lifecycle:
    # The window of the latest revision; 0 if there was none.
    revised_in: uint256
    # The window in which the payer last asked for an unattested close; 0 if never.
    close_requested: uint256
    # Whether the final report already covered the job's end then.
    covered: bool


@internal
@pure
def _pack(word: Lifecycle) -> uint256:
    """
    @dev Packs a job's life cycle.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.revised_in < 2**32 and word.close_requested < 2**32, "lifecycle: window too late"
    return word.revised_in | (word.close_requested << 32) | (convert(word.covered, uint256) << 64)


@internal
@pure
def _unpack(packed: uint256) -> Lifecycle:
    """
    @dev Unpacks a job's life cycle.
    @param packed The word.
    @return Lifecycle The fields.
    """
    return Lifecycle(
        revised_in=packed & (2**32 - 1),
        close_requested=(packed >> 32) & (2**32 - 1),
        covered=(packed >> 64) & 1 != 0,
    )
