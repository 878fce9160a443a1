# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Clock
@custom:contract-name clock
@notice Settlement windows. Window `w`, counted from 1, covers
        `[GENESIS + (w - 1) * WINDOW, GENESIS + w * WINDOW)`; 0 means never.
@custom:security Genesis lies in the past from construction on, so `_now` is never below 1.
"""


# @dev Start of window 1, as a Unix time in seconds.
GENESIS: public(immutable(uint256))


# @dev Length of a window in seconds.
WINDOW: public(immutable(uint256))


@deploy
def __init__(genesis: uint256, window: uint256):
    """
    @dev Fixes the calendar for ever.
    @param genesis The Unix time at which window 1 begins.
    @param window The length of a window in seconds.
    """
    assert genesis <= block.timestamp, "clock: genesis in the future"
    assert window > 0, "clock: zero window"
    GENESIS = genesis
    WINDOW = window


@internal
@view
def _now() -> uint256:
    """
    @dev Returns the current window.
    @return uint256 The window that holds the block's timestamp.
    """
    return unsafe_add(unsafe_div(unsafe_sub(block.timestamp, GENESIS), WINDOW), 1)


@internal
@view
def _end_of(window: uint256) -> uint256:
    """
    @dev Returns the first second after a window.
    @param window The window.
    @return uint256 The Unix time in seconds.
    """
    return GENESIS + window * WINDOW
