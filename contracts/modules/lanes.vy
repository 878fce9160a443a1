# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Lanes
@custom:contract-name lanes
@notice 32 counters of 8 bits in one word, one a seat; a full one stays at 255.
"""


# @dev Where the bits of a bitmap stand after each step of spreading them over the word:
#      16 at the bottom of each half, 8 of each quarter, and so on, down to 1 of each byte.
HALVES: constant(uint256) = 22_300_404_916_163_702_203_072_254_898_040_929_737_834_495
QUARTERS: constant(uint256) = 1_600_660_942_523_603_594_864_898_306_482_794_244_293_965_082_972_225_630_372_095
EIGHTHS: constant(uint256) = 404_399_200_101_416_122_972_727_962_327_899_080_730_729_934_460_329_449_514_903_409_786_895
SIXTEENTHS: constant(
    uint256
) = 5_300_622_075_409_301_690_252_734_493_416_704_410_769_969_542_945_322_226_571_644_953_440_747_523
LANES: constant(
    uint256
) = 454_086_624_460_063_511_464_984_254_936_031_011_189_294_057_512_315_937_409_637_584_344_757_371_137


@internal
@pure
def _add(counts: uint256, bitmap: uint256) -> uint256:
    """
    @dev Adds 1 to the lane of each bit that is set.
    @param counts The lanes.
    @param bitmap A bit for each of the 32 lanes.
    @return uint256 The new lanes.
    """
    # A lane is full when all of its 8 bits are set: fold them into its lowest one.
    full: uint256 = counts & (counts >> 4)
    full &= full >> 2
    full &= full >> 1
    return unsafe_add(counts, self._spread(bitmap) & ~(full & LANES))


@internal
@pure
def _sum(counts: uint256) -> uint256:
    """
    @dev Adds up all lanes.
    @param counts The lanes.
    @return uint256 The sum, at most 32 * 255.
    """
    total: uint256 = 0
    for index: uint256 in range(32):
        total += (counts >> (8 * index)) & 255
    return total


@internal
@pure
def _spread(bitmap: uint256) -> uint256:
    """
    @dev Moves bit `i` of a bitmap to bit `8 * i`, in halves.
    @param bitmap A bit for each of the 32 lanes.
    @return uint256 A 1 in the lane of each bit that is set.
    """
    lanes: uint256 = (bitmap | (bitmap << 112)) & HALVES
    lanes = (lanes | (lanes << 56)) & QUARTERS
    lanes = (lanes | (lanes << 28)) & EIGHTHS
    lanes = (lanes | (lanes << 14)) & SIXTEENTHS
    return (lanes | (lanes << 7)) & LANES
