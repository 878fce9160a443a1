# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Lifecycle word
@custom:contract-name lifecycle_word
@notice The storage word of a job that most jobs never write: revisions and an unattested close.
        Bits: revision 32 | revised_in 32 | close_requested 32 | covered 1.
"""


struct Lifecycle:
    # Revisions of the spec so far.
    revision: uint256
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
    assert word.revision < 2**32, "lifecycle: too many revisions"
    assert word.revised_in < 2**32 and word.close_requested < 2**32, "lifecycle: window too late"
    return (
        word.revision | (word.revised_in << 32) | (word.close_requested << 64) | (convert(word.covered, uint256) << 96)
    )


@internal
@pure
def _unpack(packed: uint256) -> Lifecycle:
    """
    @dev Unpacks a job's life cycle.
    @param packed The word.
    @return Lifecycle The fields.
    """
    return Lifecycle(
        revision=packed & (2**32 - 1),
        revised_in=(packed >> 32) & (2**32 - 1),
        close_requested=(packed >> 64) & (2**32 - 1),
        covered=(packed >> 96) & 1 != 0,
    )
