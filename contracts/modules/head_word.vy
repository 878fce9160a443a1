# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Head word
@custom:contract-name head_word
@notice One storage word with what opening a job counts.
        Bits: jobs 64 | policies 8.
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
    return packed >> 64


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
    @dev Counts a policy version.
    @param packed The word.
    @return uint256 The new word.
    """
    return packed + 2**64
