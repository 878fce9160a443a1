# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Price word
@custom:contract-name price_word
@notice The storage word of a class in the escrow: what a slot costs. Zero for no class: no price is zero.
        Bits: price 96 | on_sale 1.
"""


@internal
@pure
def _pack(price: uint256, on_sale: bool) -> uint256:
    """
    @dev Packs a class.
    @param price Base units of the token for one slot and window at full availability.
    @param on_sale Whether new money may be spent on it.
    @return uint256 The word.
    """
    assert price > 0 and price < 2**96, "price: out of range"
    return price | (convert(on_sale, uint256) << 96)


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
def _on_sale(packed: uint256) -> bool:
    """
    @dev Says whether new money may be spent on the class.
    @param packed The word.
    @return bool Whether it may.
    """
    return (packed >> 96) & 1 != 0
