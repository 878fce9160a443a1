# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Money word
@custom:contract-name money_word
@notice The storage word of a job that every claim reads and writes.
        Bits: price 96 | funded 56 | claimed 56 | end 32 | policy 8 | kind 2 | cancelled 1 | closed 1 | completed 1.
"""


# @dev One claimed unit as it stands in the word.
ONE_CLAIMED: constant(uint256) = 2**152


# @dev Where fields stand, for calls that must be cheap.
PRICE_MASK: constant(uint256) = 2**96 - 1
FUNDED_MASK: constant(uint256) = (2**56 - 1) << 96
BATCH: constant(uint256) = 2**248
CANCELLED: constant(uint256) = 2**250
CLOSED: constant(uint256) = 2**251
COMPLETED: constant(uint256) = 2**252


# @dev What never changes but by claims: price, claimed, policy and kind.
FIXED: constant(uint256) = (2**96 - 1) | ((2**56 - 1) << 152) | ((2**10 - 1) << 240)


struct Money:
    # Base units of the token for one slot and window at full availability.
    price: uint256
    # Units that the job can still be charged for in all.
    funded: uint256
    # Units that were paid for.
    claimed: uint256
    # The first window after the job; 0 until it starts.
    end: uint256
    # The policy version that the job was opened under.
    policy: uint256
    # 0 a service job, 1 a batch job.
    kind: uint256
    cancelled: bool
    closed: bool
    # Whether a batch job's result was attested.
    completed: bool


@internal
@pure
def _pack(word: Money) -> uint256:
    """
    @dev Packs a job's money.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.price < 2**96, "money: price too large"
    assert word.funded < 2**56, "money: too many units"
    assert word.claimed <= word.funded, "money: claimed above funded"
    assert word.end < 2**32 - 1, "money: end too late"
    assert word.policy < 2**8, "money: unknown policy"
    assert word.kind < 2**2, "money: unknown kind"
    return (
        word.price
        | (word.funded << 96)
        | (word.claimed << 152)
        | (word.end << 208)
        | (word.policy << 240)
        | (word.kind << 248)
        | (convert(word.cancelled, uint256) << 250)
        | (convert(word.closed, uint256) << 251)
        | (convert(word.completed, uint256) << 252)
    )


@internal
@pure
def _unpack(packed: uint256) -> Money:
    """
    @dev Unpacks a job's money.
    @param packed The word.
    @return Money The fields.
    """
    return Money(
        price=packed & (2**96 - 1),
        funded=(packed >> 96) & (2**56 - 1),
        claimed=(packed >> 152) & (2**56 - 1),
        end=(packed >> 208) & (2**32 - 1),
        policy=(packed >> 240) & (2**8 - 1),
        kind=(packed >> 248) & 3,
        cancelled=(packed >> 250) & 1 != 0,
        closed=(packed >> 251) & 1 != 0,
        completed=(packed >> 252) & 1 != 0,
    )


@internal
@pure
def _left(packed: uint256) -> uint256:
    """
    @dev Reads what the job can still be charged for.
    @param packed The word.
    @return uint256 The units that are funded and unclaimed.
    """
    return unsafe_sub((packed >> 96) & (2**56 - 1), (packed >> 152) & (2**56 - 1))


@internal
@pure
def _end(packed: uint256) -> uint256:
    """
    @dev Reads the end.
    @param packed The word.
    @return uint256 The first window after the job; 0 until it starts.
    """
    return (packed >> 208) & (2**32 - 1)


@internal
@pure
def _with_end(packed: uint256, end: uint256) -> uint256:
    """
    @dev Sets the end of a job that had none.
    @param packed The word.
    @param end The first window after the job.
    @return uint256 The new word.
    """
    assert end < 2**32 - 1, "money: end too late"
    return packed | (end << 208)


@internal
@pure
def _price(packed: uint256) -> uint256:
    """
    @dev Reads the price.
    @param packed The word.
    @return uint256 Base units of the token.
    """
    return packed & (2**96 - 1)


@internal
@pure
def _funded(packed: uint256) -> uint256:
    """
    @dev Reads the funded units.
    @param packed The word.
    @return uint256 The units.
    """
    return (packed >> 96) & (2**56 - 1)


@internal
@pure
def _claimed(packed: uint256) -> uint256:
    """
    @dev Reads the claimed units.
    @param packed The word.
    @return uint256 The units.
    """
    return (packed >> 152) & (2**56 - 1)


@internal
@pure
def _policy(packed: uint256) -> uint256:
    """
    @dev Reads the policy version.
    @param packed The word.
    @return uint256 The version.
    """
    return (packed >> 240) & (2**8 - 1)


@internal
@pure
def _with_close(packed: uint256, kept: uint256) -> uint256:
    """
    @dev Closes a job in place.
    @param packed The word.
    @param kept The units that stay funded, at most those that were.
    @return uint256 The new word.
    """
    return (packed & ~FUNDED_MASK) | (kept << 96) | CLOSED
