# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Terms word
@custom:contract-name terms_word
@notice The storage word of a job that placements read and write.
        Bits: payer 160 | slots 18 | seated 18 | start 32 | round 20 | class 8.
@dev One word for payer and placement keeps opening a job at three new words and a first placement at none.
     Whether a job has started is the money word's to say: its end is 0 until then.
"""


# @dev Where the fields stand, for placements, which must be cheap.
SEATED_SHIFT: constant(uint256) = 178
START_SHIFT: constant(uint256) = 196
ROUND_SHIFT: constant(uint256) = 228
SEATED_AND_START: constant(uint256) = (2**18 - 1) << 178 | (2**32 - 1) << 196


# @dev What never changes but by placements: payer, round and class.
FIXED: constant(uint256) = (2**160 - 1) | ((2**28 - 1) << 228)


struct Terms:
    # Who opened the job and gets every refund.
    payer: address
    # Replicas that the job pays for.
    slots: uint256
    # Before the start, the licenses that the first placement must bring; from then on, those in place.
    seated: uint256
    # Before the start, the windows that the job will have; from then on, its first window.
    start: uint256
    # Placements so far.
    round: uint256
    # The class whose price the job was opened at.
    class_id: uint256


@internal
@pure
def _pack(word: Terms) -> uint256:
    """
    @dev Packs a job's terms.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.slots < 2**18, "terms: too many slots"
    assert word.seated < 2**18, "terms: too many licenses"
    assert word.start < 2**32, "terms: start too late"
    assert word.round < 2**20, "terms: too many rounds"
    assert word.class_id < 2**8, "terms: unknown class"
    return (
        convert(word.payer, uint256)
        | (word.slots << 160)
        | (word.seated << 178)
        | (word.start << 196)
        | (word.round << 228)
        | (word.class_id << 248)
    )


@internal
@pure
def _unpack(packed: uint256) -> Terms:
    """
    @dev Unpacks a job's terms.
    @param packed The word.
    @return Terms The fields.
    """
    return Terms(
        payer=convert(packed & (2**160 - 1), address),
        slots=(packed >> 160) & (2**18 - 1),
        seated=(packed >> 178) & (2**18 - 1),
        start=(packed >> 196) & (2**32 - 1),
        round=(packed >> 228) & (2**20 - 1),
        class_id=(packed >> 248) & (2**8 - 1),
    )


@internal
@pure
def _placement(packed: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @dev Reads what a placement needs, in the shape that costs it least.
    @param packed The word.
    @return uint256 The slots.
    @return uint256 The licenses in place, or those that the first placement must bring.
    @return uint256 The first window, or the windows of a job that has not started.
    @return uint256 Placements so far.
    """
    return (
        (packed >> 160) & (2**18 - 1),
        (packed >> 178) & (2**18 - 1),
        (packed >> 196) & (2**32 - 1),
        (packed >> 228) & (2**20 - 1),
    )


@internal
@pure
def _with_placement(packed: uint256, seated: uint256, start: uint256) -> uint256:
    """
    @dev Counts a placement in place.
    @param packed The word.
    @param seated The licenses in place from now on, at most the slots.
    @param start The first window of the job.
    @return uint256 The new word.
    """
    assert packed >> ROUND_SHIFT & (2**20 - 1) < 2**20 - 1, "terms: too many rounds"
    return ((packed & ~SEATED_AND_START) | (seated << SEATED_SHIFT) | (start << START_SHIFT)) + (1 << ROUND_SHIFT)


@internal
@pure
def _payer(packed: uint256) -> address:
    """
    @dev Reads the payer.
    @param packed The word.
    @return address Who opened the job and gets every refund.
    """
    return convert(packed & (2**160 - 1), address)
