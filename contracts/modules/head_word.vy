# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Head word
@custom:contract-name head_word
@notice One storage word with what opening a job reads and counts.
        Bits: jobs 64 | policies 8 | paused_until 40 | pause_again_at 40.
"""


@internal
@pure
def _jobs(packed: uint256) -> uint256:
    """
    @dev Reads the number of jobs.
    @param packed The word.
    @return uint256 The jobs.
    """
    return packed & (2**64 - 1)


@internal
@pure
def _policies(packed: uint256) -> uint256:
    """
    @dev Reads the number of policy versions.
    @param packed The word.
    @return uint256 The versions.
    """
    return (packed >> 64) & (2**8 - 1)


@internal
@pure
def _with_job(packed: uint256) -> uint256:
    """
    @dev Counts a job. 2**64 of them can't be opened in any time.
    @param packed The word.
    @return uint256 The new word.
    """
    return unsafe_add(packed, 1)


@internal
@pure
def _with_policy(packed: uint256) -> uint256:
    """
    @dev Counts a policy version. The escrow stops at a few, long before the field is full.
    @param packed The word.
    @return uint256 The new word.
    """
    return unsafe_add(packed, 2**64)


@internal
@pure
def _paused_until(packed: uint256) -> uint256:
    """
    @dev Reads when a pause ends.
    @param packed The word.
    @return uint256 The Unix time in seconds.
    """
    return (packed >> 72) & (2**40 - 1)


@internal
@pure
def _pause_again_at(packed: uint256) -> uint256:
    """
    @dev Reads from when the guardian may pause again.
    @param packed The word.
    @return uint256 The Unix time in seconds.
    """
    return packed >> 112


@internal
@pure
def _with_pause(packed: uint256, until: uint256, again_at: uint256) -> uint256:
    """
    @dev Sets the pause.
    @param packed The word.
    @param until The Unix time in seconds at which it ends.
    @param again_at The Unix time in seconds from which there may be another.
    @return uint256 The new word.
    """
    assert until < 2**40 and again_at < 2**40, "head: time too late"
    return (packed & (2**72 - 1)) | (until << 72) | (again_at << 112)
