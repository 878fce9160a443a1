# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Balances
@custom:contract-name balances
@license GNU Affero General Public License v3.0 only
@notice The books of the test tokens. Anyone mints.
"""

from ethereum.ercs import IERC20


# @dev The decimals of the token.
decimals: public(immutable(uint8))


# @dev Everything that was minted.
totalSupply: public(uint256)


# @dev The tokens of each account, also in the middle of a transfer.
balanceOf: reentrant(public(HashMap[address, uint256]))


# @dev What each owner lets each spender take.
allowance: public(HashMap[address, HashMap[address, uint256]])


@deploy
def __init__(decimals_: uint8):
    """
    @dev Starts without supply.
    @param decimals_ The decimals.
    """
    decimals = decimals_


@external
def mint(receiver: address, amount: uint256):
    """
    @notice Makes tokens out of nothing.
    @param receiver Who gets them.
    @param amount Base units.
    """
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log IERC20.Transfer(sender=empty(address), receiver=receiver, value=amount)


@internal
def _approve(owner: address, spender: address, amount: uint256):
    """
    @dev Sets an allowance.
    @param owner Whose tokens.
    @param spender Who may take them.
    @param amount Base units.
    """
    self.allowance[owner][spender] = amount
    log IERC20.Approval(owner=owner, spender=spender, value=amount)


@internal
def _spend(owner: address, spender: address, amount: uint256):
    """
    @dev Uses up a part of an allowance.
    @param owner Whose tokens.
    @param spender Who takes them.
    @param amount Base units.
    """
    assert self.allowance[owner][spender] >= amount, "token: allowance too low"
    self.allowance[owner][spender] -= amount


@internal
def _move(owner: address, receiver: address, amount: uint256):
    """
    @dev Moves tokens.
    @param owner Whose tokens.
    @param receiver Who gets them.
    @param amount Base units.
    """
    assert self.balanceOf[owner] >= amount, "token: balance too low"
    self.balanceOf[owner] -= amount
    self.balanceOf[receiver] += amount
    log IERC20.Transfer(sender=owner, receiver=receiver, value=amount)
