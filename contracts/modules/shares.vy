# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Shares
@custom:contract-name shares
@notice What units cost, and what part of it goes where. Every part is taken of a cumulative amount and paid as the
        difference to what was taken before: cutting a claim in two moves the same money, to the last base unit.
@custom:security Prices have 96 bits, units 56 and basis points 14: nothing here can overflow.
"""


# @dev Units of one slot served for one window at full availability.
UNIT: constant(uint256) = 10_000


# @dev The whole in basis points.
FULL_BPS: constant(uint256) = 10_000


@internal
@pure
def _gross(price: uint256, units: uint256) -> uint256:
    """
    @dev Returns what units cost, rounded down.
    @param price Base units of the token for `UNIT`.
    @param units The units.
    @return uint256 Base units of the token.
    """
    return unsafe_div(unsafe_mul(price, units), UNIT)


@internal
@pure
def _part(amount: uint256, bps: uint256) -> uint256:
    """
    @dev Returns a part of an amount, rounded down.
    @param amount Base units of the token, below 2**242.
    @param bps The part in basis points, at most `FULL_BPS`.
    @return uint256 Base units of the token.
    """
    return unsafe_div(unsafe_mul(amount, bps), FULL_BPS)


@internal
@pure
def _split(total: uint256, first: uint256, second: uint256, whole: uint256) -> (uint256, uint256):
    """
    @dev Splits a cumulative amount in three, the last of which is the rest. The rest is cut off first and what remains
         is cut in two, so that none of the three ever falls while the total grows.
    @param total The cumulative amount, in base units of the token, below 2**242.
    @param first The weight of the first part.
    @param second The weight of the second part.
    @param whole The weight of all three, not zero.
    @return uint256 The first part, in base units of the token.
    @return uint256 The second part.
    """
    if first + second == 0:
        return 0, 0
    both: uint256 = total * (first + second) // whole
    one: uint256 = both * first // (first + second)
    return one, both - one
