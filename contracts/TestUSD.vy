# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Test dollar
@custom:contract-name TestUSD
@license GNU Affero General Public License v3.0 only
@notice A token of 6 decimals with a faucet and ERC-2612, for tests and testnets only.
@custom:kill Not needed: it is worth nothing.
"""

from ethereum.ercs import IERC20

implements: IERC20

from snekmate.auth import ownable

initializes: ownable

from snekmate.tokens import erc20

initializes: erc20[ownable := ownable]

exports: (
    erc20.name,
    erc20.symbol,
    erc20.decimals,
    erc20.totalSupply,
    erc20.balanceOf,
    erc20.allowance,
    erc20.transfer,
    erc20.transferFrom,
    erc20.approve,
    erc20.permit,
    erc20.nonces,
    erc20.DOMAIN_SEPARATOR,
    erc20.eip712Domain,
)


# @dev What one call of the faucet gives at most: a million dollars.
FAUCET_LIMIT: public(constant(uint256)) = 10**12


@deploy
def __init__():
    """
    @notice Starts without supply.
    """
    ownable.__init__()
    erc20.__init__("Test Dollar", "TUSD", 6, "TestUSD", "1")


@external
def faucet(amount: uint256):
    """
    @notice Gives the caller test dollars.
    @param amount Base units, at most `FAUCET_LIMIT`.
    """
    assert amount <= FAUCET_LIMIT, "faucet: above the limit"
    erc20._mint(msg.sender, amount)
