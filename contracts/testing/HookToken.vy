# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Hook token
@custom:contract-name HookToken
@license GNU Affero General Public License v3.0 only
@notice Test double: a token that makes a call of the test's choice in the middle of every transfer.
@custom:kill Not needed: it is worth nothing.
"""

from ethereum.ercs import IERC20

implements: IERC20

from . import balances

initializes: balances

exports: (balances.decimals, balances.totalSupply, balances.balanceOf, balances.allowance, balances.mint)


# @dev Who is called, and with what; nobody while the target is zero.
target: public(address)
data: public(Bytes[4_096])


# @dev How often a call was made and how often it went through; whether and with what the latest one came back.
calls: public(uint256)
successes: public(uint256)
succeeded: public(bool)
response: public(Bytes[256])


@deploy
def __init__(decimals_: uint8):
    """
    @notice Starts without supply.
    @param decimals_ The decimals.
    """
    balances.__init__(decimals_)


@external
def set_hook(target: address, data: Bytes[4_096]):
    """
    @notice Chooses the call.
    @param target Who is called; zero for nobody.
    @param data The call's data.
    """
    self.target = target
    self.data = data


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
    self._call_hook()
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
    self._call_hook()
    return True


@internal
def _call_hook():
    """
    @dev Makes the call and notes what came of it; a failure does not stop the transfer.
    """
    if self.target == empty(address):
        return
    self.calls += 1
    self.succeeded, self.response = raw_call(self.target, self.data, max_outsize=256, revert_on_failure=False)
    if self.succeeded:
        self.successes += 1
