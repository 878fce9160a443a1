# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Burn token
@custom:contract-name BurnToken
@license GNU Affero General Public License v3.0 only
@notice Test double: a protocol token that burns as much of what it is told to as a test asks for, and makes a call of
        the test's choice in the middle of it.
@custom:kill Not needed: it is worth nothing.
"""

from ethereum.ercs import IERC20

from . import balances

initializes: balances

exports: (balances.decimals, balances.totalSupply, balances.balanceOf, balances.allowance, balances.mint)


# @dev The share that is burned, in basis points; more than the whole takes more than it is told to.
burned_bps: public(uint256)


# @dev Who is called next, and with what; nobody while the target is zero. Whether it went through.
target: public(address)
data: public(Bytes[1_024])
succeeded: public(bool)


@deploy
def __init__():
    """
    @notice Starts without supply, and honest.
    """
    balances.__init__(18)
    self.burned_bps = 10_000


@external
def set_burned_bps(burned_bps: uint256):
    """
    @notice Changes the share that is burned.
    @param burned_bps The share, in basis points.
    """
    self.burned_bps = burned_bps


@external
def set_hook(target: address, data: Bytes[1_024]):
    """
    @notice Chooses the call, which is made once.
    @param target Who is called; zero for nobody.
    @param data The call's data.
    """
    self.target = target
    self.data = data


@external
@reentrant
def burn_from(owner: address, amount: uint256):
    """
    @notice Burns a share of what it is told to; nobody has to allow it.
    @param owner Whose tokens.
    @param amount Base units.
    """
    burned: uint256 = amount * self.burned_bps // 10_000
    balances.balanceOf[owner] -= burned
    balances.totalSupply -= burned
    log IERC20.Transfer(sender=owner, receiver=empty(address), value=burned)
    target: address = self.target
    if target != empty(address):
        self.target = empty(address)
        self.succeeded = raw_call(target, self.data, revert_on_failure=False)
