# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title No-return token
@custom:contract-name NoReturnToken
@license GNU Affero General Public License v3.0 only
@notice Test double: a token whose calls return nothing, as those of the largest dollar token do.
@custom:kill Not needed: it is worth nothing.
"""

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
def approve(spender: address, amount: uint256):
    """
    @notice Sets an allowance.
    @param spender Who may take the caller's tokens.
    @param amount Base units.
    """
    balances._approve(msg.sender, spender, amount)


@external
def transfer(receiver: address, amount: uint256):
    """
    @notice Moves the caller's tokens.
    @param receiver Who gets them.
    @param amount Base units.
    """
    balances._move(msg.sender, receiver, amount)


@external
def transferFrom(owner: address, receiver: address, amount: uint256):
    """
    @notice Moves tokens by an allowance.
    @param owner Whose tokens.
    @param receiver Who gets them.
    @param amount Base units.
    """
    balances._spend(owner, msg.sender, amount)
    balances._move(owner, receiver, amount)
