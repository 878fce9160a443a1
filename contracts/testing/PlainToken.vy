# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Plain token
@custom:contract-name PlainToken
@license GNU Affero General Public License v3.0 only
@notice Test double: a token that does what ERC-20 says, of as many decimals as a test asks for. Anyone mints.
@custom:kill Not needed: it is worth nothing.
"""

from ethereum.ercs import IERC20

implements: IERC20

from . import balances

initializes: balances

exports: (balances.decimals, balances.totalSupply, balances.balanceOf, balances.allowance, balances.mint)


@deploy
def __init__(decimals_: uint8):
    """
    @notice Starts without supply.
    @param decimals_ The decimals.
    """
    balances.__init__(decimals_)


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
    balances._move(msg.sender, receiver, amount)
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
    balances._move(owner, receiver, amount)
    return True
