# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Vault
@custom:contract-name vault
@notice Moves the settlement token. Tokens that return nothing are fine, tokens that take a fee are refused.
@custom:security Entitlements rest on the escrow's own ledger, never on its balance: a donation changes none.
"""

from ethereum.ercs import IERC20


# @dev The settlement token.
TOKEN: public(immutable(IERC20))


@deploy
def __init__(token: IERC20):
    """
    @dev Fixes the token.
    @param token The settlement token.
    """
    TOKEN = token


@internal
def _pull(payer: address, amount: uint256):
    """
    @dev Takes tokens by the payer's allowance; reverts unless all of them arrive.
    @param payer Who pays.
    @param amount Base units of the token.
    """
    before: uint256 = staticcall TOKEN.balanceOf(self)
    assert extcall TOKEN.transferFrom(payer, self, amount, default_return_value=True), "vault: transfer refused"
    assert staticcall TOKEN.balanceOf(self) == before + amount, "vault: fee on transfer"


@internal
def _push(receiver: address, amount: uint256):
    """
    @dev Pays out tokens.
    @param receiver Who is paid.
    @param amount Base units of the token; 0 moves nothing.
    """
    if amount == 0:
        return
    assert extcall TOKEN.transfer(receiver, amount, default_return_value=True), "vault: transfer refused"


@internal
def _forward(payer: address, receiver: address, amount: uint256):
    """
    @dev Moves tokens by the payer's allowance past this contract; reverts unless all of them arrive.
    @param payer Who pays.
    @param receiver Who is paid, another account than the payer.
    @param amount Base units of the token; 0 moves nothing.
    """
    if amount == 0:
        return
    before: uint256 = staticcall TOKEN.balanceOf(receiver)
    assert extcall TOKEN.transferFrom(payer, receiver, amount, default_return_value=True), "vault: transfer refused"
    assert staticcall TOKEN.balanceOf(receiver) == before + amount, "vault: fee on transfer"
