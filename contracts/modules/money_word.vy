# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Money word
@custom:contract-name money_word
@notice The storage word of a job that every claim reads and writes.
        Bits: price 96 | funded 56 | claimed 56 | end 32 | policy 8 | kind 2 | cancelled 1 | closed 1.
"""


# @dev One claimed unit as it stands in the word.
ONE_CLAIMED: constant(uint256) = 2**152


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
    )


@internal
@pure
def _claim_terms(packed: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @dev Reads what a claim needs, in the shape that costs it least.
    @param packed The word.
    @return uint256 The price, in base units of the token.
    @return uint256 The units that the job can still be charged for.
    @return uint256 The first window after the job.
    @return uint256 The policy version.
    """
    return (
        packed & (2**96 - 1),
        unsafe_sub((packed >> 96) & (2**56 - 1), (packed >> 152) & (2**56 - 1)),
        (packed >> 208) & (2**32 - 1),
        (packed >> 240) & (2**8 - 1),
    )
