# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Blocklist token
@custom:contract-name BlocklistToken
@license GNU Affero General Public License v3.0 only
@notice Test double: a token that refuses to move to accounts that anyone may put on a list.
@custom:kill Not needed: it is worth nothing.
"""

from ethereum.ercs import IERC20

implements: IERC20

from . import balances

initializes: balances

exports: (balances.decimals, balances.totalSupply, balances.balanceOf, balances.allowance, balances.mint)


# @dev Who gets no tokens.
is_blocked: public(HashMap[address, bool])


@deploy
def __init__(decimals_: uint8):
    """
    @notice Starts without supply.
    @param decimals_ The decimals.
    """
    balances.__init__(decimals_)


@external
def set_blocked(account: address, blocked: bool):
    """
    @notice Puts an account on the list, or takes it off.
    @param account The account.
    @param blocked Whether it gets no tokens.
    """
    self.is_blocked[account] = blocked


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
    assert not self.is_blocked[receiver], "token: receiver blocked"
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
    assert not self.is_blocked[receiver], "token: receiver blocked"
    balances._spend(owner, msg.sender, amount)
    balances._move(owner, receiver, amount)
    return True
