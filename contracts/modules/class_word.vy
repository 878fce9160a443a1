# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Class word
@custom:contract-name class_word
@notice The storage word of a price class: what a slot costs and what it gives.
        Bits: price 96 | cpu 32 | memory 32 | storage 32 | exists 1 | retired 1.
"""


struct Offer:
    # Base units of the token for one slot and window at full availability.
    price: uint256
    # Thousandths of a processor core.
    cpu_milli: uint256
    # Memory in megabytes.
    memory_mb: uint256
    # Storage in megabytes.
    storage_mb: uint256
    # Whether the class was ever set.
    exists: bool
    # Whether new jobs are refused.
    retired: bool


@internal
@pure
def _pack(word: Offer) -> uint256:
    """
    @dev Packs a class.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.price > 0 and word.price < 2**96, "class: price out of range"
    assert word.cpu_milli < 2**32 and word.memory_mb < 2**32 and word.storage_mb < 2**32, "class: too large"
    return (
        word.price
        | (word.cpu_milli << 96)
        | (word.memory_mb << 128)
        | (word.storage_mb << 160)
        | (convert(word.exists, uint256) << 192)
        | (convert(word.retired, uint256) << 193)
    )


@internal
@pure
def _unpack(packed: uint256) -> Offer:
    """
    @dev Unpacks a class.
    @param packed The word.
    @return Offer The fields.
    """
    return Offer(
        price=packed & (2**96 - 1),
        cpu_milli=(packed >> 96) & (2**32 - 1),
        memory_mb=(packed >> 128) & (2**32 - 1),
        storage_mb=(packed >> 160) & (2**32 - 1),
        exists=(packed >> 192) & 1 != 0,
        retired=(packed >> 193) & 1 != 0,
    )
