# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Fee token
@custom:contract-name FeeToken
@license GNU Affero General Public License v3.0 only
@notice Test double: a token that keeps a share of every transfer.
@custom:kill Not needed: it is worth nothing.
"""

from ethereum.ercs import IERC20

implements: IERC20

from . import balances

initializes: balances

exports: (balances.decimals, balances.totalSupply, balances.balanceOf, balances.allowance, balances.mint)


# @dev The share that is kept, in basis points.
fee_bps: public(uint256)


@deploy
def __init__(decimals_: uint8):
    """
    @notice Starts without supply.
    @param decimals_ The decimals.
    """
    balances.__init__(decimals_)
    self.fee_bps = 100


@external
def set_fee_bps(fee_bps: uint256):
    """
    @notice Changes the share.
    @param fee_bps The share that is kept, in basis points.
    """
    self.fee_bps = fee_bps


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Sets an allowance.
    @param spender Who may take the caller's tokens.
    @param amount Base units.
    @return bool Always true.
    """
    balances._approve(msg.sender, spender, amount)
    return True


@external
def transfer(receiver: address, amount: uint256) -> bool:
    """
    @notice Moves the caller's tokens.
    @param receiver Who gets them.
    @param amount Base units.
    @return bool Always true.
    """
    self._move_less_fee(msg.sender, receiver, amount)
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Moves tokens by an allowance.
    @param owner Whose tokens.
    @param receiver Who gets them.
    @param amount Base units.
    @return bool Always true.
    """
    balances._spend(owner, msg.sender, amount)
    self._move_less_fee(owner, receiver, amount)
    return True


@internal
def _move_less_fee(owner: address, receiver: address, amount: uint256):
    """
    @dev Moves tokens; the token contract keeps the fee.
    @param owner Whose tokens.
    @param receiver Who gets the rest.
    @param amount Base units.
    """
    fee: uint256 = amount * self.fee_bps // 10_000
    balances._move(owner, self, fee)
    balances._move(owner, receiver, amount - fee)
