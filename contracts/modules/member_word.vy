# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Member word
@custom:contract-name member_word
@notice The storage word of an account that signs or signed for a seat: what it can be held to account for.
        Bits: license 64 | first_epoch 32 | last_epoch 32 | ended_at 40.
"""


struct Member:
    # The license that held the seat; 0 if the account was never a member.
    license_id: uint256
    # The first epoch in which the account was a member.
    first_epoch: uint256
    # The last one; 0 while it is one.
    last_epoch: uint256
    # When the seat ended, in Unix seconds; 0 while it is held.
    ended_at: uint256


@internal
@pure
def _pack(word: Member) -> uint256:
    """
    @dev Packs a member.
    @param word The fields.
    @return uint256 The word.
    """
    assert word.license_id < 2**64, "member: license too large"
    assert word.first_epoch < 2**32 and word.last_epoch < 2**32, "member: epoch too late"
    assert word.ended_at < 2**40, "member: time too late"
    return word.license_id | (word.first_epoch << 64) | (word.last_epoch << 96) | (word.ended_at << 128)


@internal
@pure
def _unpack(packed: uint256) -> Member:
    """
    @dev Unpacks a member.
    @param packed The word.
    @return Member The fields.
    """
    return Member(
        license_id=packed & (2**64 - 1),
        first_epoch=(packed >> 64) & (2**32 - 1),
        last_epoch=(packed >> 96) & (2**32 - 1),
        ended_at=(packed >> 128) & (2**40 - 1),
    )
