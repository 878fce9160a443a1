# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title False token
@custom:contract-name FalseToken
@license GNU Affero General Public License v3.0 only
@notice Test double: a token that returns false instead of reverting, while it is told to fail.
@custom:kill Not needed: it is worth nothing.
"""

from ethereum.ercs import IERC20

implements: IERC20

from . import balances

initializes: balances

exports: (balances.decimals, balances.totalSupply, balances.balanceOf, balances.allowance, balances.mint)


# @dev Whether transfers fail.
failing: public(bool)


@deploy
def __init__(decimals_: uint8):
    """
    @notice Starts without supply.
    @param decimals_ The decimals.
    """
    balances.__init__(decimals_)


@external
def set_failing(failing: bool):
    """
    @notice Lets transfers fail, or not.
    @param failing Whether they fail.
    """
    self.failing = failing


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
    @return bool False, and nothing moved, while the token is told to fail.
    """
    if self.failing:
        return False
    balances._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Moves tokens by an allowance.
    @param owner Whose tokens.
    @param receiver Who gets them.
    @param amount Base units.
    @return bool False, and nothing moved, while the token is told to fail.
    """
    if self.failing:
        return False
    balances._spend(owner, msg.sender, amount)
    balances._move(owner, receiver, amount)
    return True
