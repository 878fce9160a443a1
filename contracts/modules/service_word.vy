# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Service word
@custom:contract-name service_word
@notice The storage word of a license in a job.
        Bits: first 32 | until 32 | earlier 32 | claimed 56.
"""


# @dev `until` of a license that was not released.
OPEN_END: constant(uint256) = 2**32 - 1


# @dev One claimed unit as it stands in the word. It is the highest field: dividing by this reads it.
ONE_CLAIMED: constant(uint256) = 2**96


struct Service:
    # The first window of the current term; 0 if the license never served the job.
    first: uint256
    # The first window after the current term.
    until: uint256
    # Windows of earlier terms.
    earlier: uint256
    # Cumulative units that were credited.
    claimed: uint256


@internal
@pure
def _pack(word: Service) -> uint256:
    """
    @dev Packs a license's service.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.first < 2**32 and word.until < 2**32, "service: window too late"
    assert word.earlier < 2**32, "service: too many windows"
    assert word.claimed < 2**56, "service: too many units"
    return word.first | (word.until << 32) | (word.earlier << 64) | (word.claimed << 96)


@internal
@pure
def _unpack(packed: uint256) -> Service:
    """
    @dev Unpacks a license's service.
    @param packed The word.
    @return Service The fields.
    """
    return Service(
        first=packed & (2**32 - 1),
        until=(packed >> 32) & (2**32 - 1),
        earlier=(packed >> 64) & (2**32 - 1),
        claimed=(packed >> 96) & (2**56 - 1),
    )


@internal
@pure
def _begun(window: uint256) -> uint256:
    """
    @dev Packs the service of a license that never served the job, in the shape that costs a placement least.
    @param window The first window that it serves.
    @return uint256 The word.
    """
    return window | (OPEN_END << 32)


@internal
@pure
def _released(packed: uint256, window: uint256) -> uint256:
    """
    @dev Ends the current term of a license that is in place.
    @param packed The word.
    @param window The first window that it no longer serves.
    @return uint256 The new word.
    """
    return (packed & ~(OPEN_END << 32)) | (window << 32)


@internal
@pure
def _is_placed(packed: uint256) -> bool:
    """
    @dev Says whether a license is in place.
    @param packed The word; 0 if it never served the job.
    @return bool Whether its term is open.
    """
    return (packed >> 32) & OPEN_END == OPEN_END


@internal
@pure
def _windows(packed: uint256, end: uint256, reported: uint256) -> uint256:
    """
    @dev Counts the windows that the license served and that a final report covers.
    @param packed The word.
    @param end The first window after the job.
    @param reported The window of the final report.
    @return uint256 The windows.
    """
    first: uint256 = packed & (2**32 - 1)
    earlier: uint256 = (packed >> 64) & (2**32 - 1)
    stop: uint256 = min(min((packed >> 32) & (2**32 - 1), end), unsafe_add(reported, 1))
    if stop <= first:
        return earlier
    return unsafe_add(earlier, unsafe_sub(stop, first))
