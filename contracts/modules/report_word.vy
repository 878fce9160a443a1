# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Report word
@custom:contract-name report_word
@notice One storage word with the state of the reports and the size of the committee.
        Bits: window 32 | previous 32 | floor 32 | accepted_at 40 | slot 1 | vetoes 8 | seats 8 | epoch 32 | signers 32.
"""


struct Reports:
    # The window of the latest report that is not vetoed.
    window: uint256
    # The window of the report before it.
    previous: uint256
    # The highest window that a veto used up.
    floor: uint256
    # When the latest report was accepted, in Unix seconds; 0 after a veto restored an older one.
    accepted_at: uint256
    # Which of the two root slots holds the latest root.
    slot: uint256
    # Vetoes since a report last became final.
    vetoes: uint256
    # How many seats the committee has.
    seats: uint256
    # Raised by every change of the seats.
    epoch: uint256
    # A bit for each seat that signed the latest report, until it is counted.
    signers: uint256


@internal
@pure
def _pack(word: Reports) -> uint256:
    """
    @dev Packs the state.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.window < 2**32 and word.previous < 2**32 and word.floor < 2**32, "report: window too late"
    assert word.accepted_at < 2**40, "report: time too late"
    assert word.slot < 2, "report: slot"
    assert word.vetoes < 2**8, "report: vetoes"
    assert word.seats < 2**8, "report: seats"
    assert word.epoch < 2**32, "report: epoch"
    assert word.signers < 2**32, "report: signers"
    return (
        word.window
        | (word.previous << 32)
        | (word.floor << 64)
        | (word.accepted_at << 96)
        | (word.slot << 136)
        | (word.vetoes << 137)
        | (word.seats << 145)
        | (word.epoch << 153)
        | (word.signers << 185)
    )


@internal
@pure
def _unpack(packed: uint256) -> Reports:
    """
    @dev Unpacks the state.
    @param packed The word.
    @return Reports The fields.
    """
    return Reports(
        window=packed & (2**32 - 1),
        previous=(packed >> 32) & (2**32 - 1),
        floor=(packed >> 64) & (2**32 - 1),
        accepted_at=(packed >> 96) & (2**40 - 1),
        slot=(packed >> 136) & 1,
        vetoes=(packed >> 137) & (2**8 - 1),
        seats=(packed >> 145) & (2**8 - 1),
        epoch=(packed >> 153) & (2**32 - 1),
        signers=(packed >> 185) & (2**32 - 1),
    )


@internal
@view
def _final(packed: uint256, challenge: uint256) -> (uint256, uint256):
    """
    @dev Finds the report that money may rest on, in the shape that costs a claim least.
    @param packed The word.
    @param challenge How long a report can be vetoed, in seconds.
    @return uint256 Its window.
    @return uint256 The slot of its root.
    """
    slot: uint256 = (packed >> 136) & 1
    if block.timestamp < unsafe_add((packed >> 96) & (2**40 - 1), challenge):
        return (packed >> 32) & (2**32 - 1), 1 - slot
    return packed & (2**32 - 1), slot


@internal
@pure
def _seats(packed: uint256) -> uint256:
    """
    @dev Reads the size of the committee.
    @param packed The word.
    @return uint256 The number of seats that are taken.
    """
    return (packed >> 145) & (2**8 - 1)


@internal
@pure
def _epoch(packed: uint256) -> uint256:
    """
    @dev Reads the epoch.
    @param packed The word.
    @return uint256 The epoch.
    """
    return (packed >> 153) & (2**32 - 1)


@internal
@pure
def _window(packed: uint256) -> uint256:
    """
    @dev Reads the window of the latest report.
    @param packed The word.
    @return uint256 The window; 0 before the first one.
    """
    return packed & (2**32 - 1)
