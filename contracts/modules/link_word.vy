# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Link word
@custom:contract-name link_word
@notice One storage word with what a claim and a placement ask of a license.
        Bits: node 160 | kind 8 | custom payout 8 | relink_at 40 | bonded 8.
"""


# @dev Where the fields stand, for reads that must be cheap.
NODE_MASK: constant(uint256) = 2**160 - 1
KIND_SHIFT: constant(uint256) = 160
KIND_MASK: constant(uint256) = 2**8 - 1
PAYOUT_FLAG: constant(uint256) = 2**168


# @dev What the word of a license that can be placed holds under `PLACEABLE_MASK`: kind 1, bonded.
PLACEABLE_MASK: constant(uint256) = (2**8 - 1) << 160 | (2**8 - 1) << 216
PLACEABLE: constant(uint256) = 1 << 160 | 1 << 216


struct Link:
    # The linked node key; zero while none is.
    node: address
    # What the license allows: 1 a node, 2 an oracle; 0 is no license.
    kind: uint256
    # Whether a payout address other than the owner is set.
    has_payout: bool
    # The Unix time in seconds before which no node may be linked again.
    relink_at: uint256
    # Whether its bond reaches the minimum of its kind.
    bonded: bool


@internal
@pure
def _pack(word: Link) -> uint256:
    """
    @dev Packs a link.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.kind < 2**8, "link: unknown kind"
    assert word.relink_at < 2**40, "link: relink too late"
    return (
        convert(word.node, uint256)
        | (word.kind << 160)
        | (convert(word.has_payout, uint256) << 168)
        | (word.relink_at << 176)
        | (convert(word.bonded, uint256) << 216)
    )


@internal
@pure
def _unpack(packed: uint256) -> Link:
    """
    @dev Unpacks a link.
    @param packed The word.
    @return Link The fields.
    """
    return Link(
        node=convert(packed & (2**160 - 1), address),
        kind=(packed >> 160) & (2**8 - 1),
        has_payout=((packed >> 168) & (2**8 - 1)) != 0,
        relink_at=(packed >> 176) & (2**40 - 1),
        bonded=((packed >> 216) & (2**8 - 1)) != 0,
    )
