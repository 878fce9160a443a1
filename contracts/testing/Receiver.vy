# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Receiver
@custom:contract-name Receiver
@license GNU Affero General Public License v3.0 only
@notice Test double: a contract that takes licenses, or refuses them by its answer, and notes
        who would be paid for the license at that very moment.
@custom:kill Not needed: it holds nothing of worth.
"""


interface Licenses:
    def payee_of(license_id: uint256) -> (address, uint256): view


# @dev Whether licenses are taken.
_ACCEPTS: immutable(bool)


# @dev What came with the latest license.
data: public(Bytes[1_024])


# @dev The payee of the latest license when it came.
payee_when_called: public(address)


@deploy
def __init__(accepts: bool):
    """
    @notice Decides once.
    @param accepts Whether licenses are taken.
    """
    _ACCEPTS = accepts


@external
def onERC721Received(operator: address, owner: address, token_id: uint256, data: Bytes[1_024]) -> bytes4:
    """
    @notice Takes or refuses a license.
    @param operator Who sent it.
    @param owner Whose it was.
    @param token_id The license.
    @param data What came with it.
    @return bytes4 The selector that accepts, or zero.
    """
    self.data = data
    standing: uint256 = 0
    self.payee_when_called, standing = staticcall Licenses(msg.sender).payee_of(token_id)
    if not _ACCEPTS:
        return empty(bytes4)
    return method_id("onERC721Received(address,address,uint256,bytes)", output_type=bytes4)
