# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Fee vault
@custom:contract-name FeeVault
@license GNU Affero General Public License v3.0 only
@notice Keeps shares of fees and slashed bonds until anyone sends them on: to the oracles' committee, to the auction
        whose proceeds are burned, and to the treasury. Whoever collects them sends the tokens and books them in one
        transaction.
@custom:security Only what is here is booked, and only what is booked leaves. A receiver that fails holds up its own
        pot and no other. A donation belongs to nobody until somebody books it; whoever does gives it away.
@custom:kill Not possible: nobody can stop, redirect or seize a pot. The governor names the treasury in the trust
        registry; the auction is fixed, and the committee is the one that the license contract is bound to.
"""

from interfaces import IFeeVault

implements: IFeeVault

from ethereum.ercs import IERC20
from interfaces import INodeLicense
from interfaces import IOracleCommittee
from interfaces import ITrustRegistry

from modules import roles

initializes: roles

from modules import vault

initializes: vault

exports: roles.TRUST


# @dev The pots, as `Pulled` counts them.
ORACLES: constant(uint256) = 0
BURN: constant(uint256) = 1
TREASURY: constant(uint256) = 2


# @dev Sells the burn share for the protocol token and burns that.
AUCTION: public(immutable(address))


# @dev What each pot holds.
_pots: uint256[3]


@deploy
def __init__(token: IERC20, trust: ITrustRegistry, auction: address):
    """
    @notice Fixes token and auction.
    @param token The settlement token.
    @param trust The trust registry, which names the treasury and leads to the committee.
    @param auction Where the burn share goes.
    """
    assert token.address != empty(address), "pots: zero token"
    assert auction != empty(address), "pots: zero auction"
    roles.__init__(trust)
    vault.__init__(token)
    AUCTION = auction


@external
def book(oracles: uint256, burn: uint256, treasury: uint256):
    """
    @notice Adds to the pots what was sent here before, in the same transaction: what nobody booked anyone may book.
    @param oracles The share of the oracles.
    @param burn The share to burn.
    @param treasury The share of the treasury.
    """
    booked: uint256 = self._owed() + oracles + burn + treasury
    assert staticcall vault.TOKEN.balanceOf(self) >= booked, "pots: not sent"
    self._pots[ORACLES] += oracles
    self._pots[BURN] += burn
    self._pots[TREASURY] += treasury
    log IFeeVault.Booked(source=msg.sender, oracles=oracles, burn=burn, treasury=treasury)


@external
def pull_oracles() -> uint256:
    """
    @notice Sends the oracles' pot to the committee, which books it as rewards.
    @return uint256 What was sent.
    """
    licenses: address = staticcall roles.TRUST.licenses()
    assert licenses != empty(address), "pots: no licenses"
    committee: address = staticcall INodeLicense(licenses).committee()
    assert committee != empty(address), "pots: no committee"
    amount: uint256 = self._pull(ORACLES, committee)
    extcall IOracleCommittee(committee).book_rewards()
    return amount


@external
def pull_burn() -> uint256:
    """
    @notice Sends the burn pot to the auction, where it joins the next lot.
    @return uint256 What was sent.
    """
    return self._pull(BURN, AUCTION)


@external
def pull_treasury() -> uint256:
    """
    @notice Sends the treasury's pot to the treasury of this moment.
    @return uint256 What was sent.
    """
    return self._pull(TREASURY, staticcall roles.TRUST.treasury())


@external
@view
@reentrant
def TOKEN() -> address:
    """
    @notice Returns the settlement token. The license contract, the committee and the escrow take it from here.
    @return address The token.
    """
    return vault.TOKEN.address


@external
@view
def pots() -> (uint256, uint256, uint256):
    """
    @notice Returns what each pot holds.
    @return uint256 For the oracles.
    @return uint256 To burn.
    @return uint256 For the treasury.
    """
    return self._pots[ORACLES], self._pots[BURN], self._pots[TREASURY]


@external
@view
def owed() -> uint256:
    """
    @notice Returns the sum of the pots, which the balance never falls below.
    @return uint256 Base units of the token.
    """
    return self._owed()


@internal
def _pull(pot: uint256, receiver: address) -> uint256:
    """
    @dev Empties a pot. An empty one sends nothing and tells nothing.
    @param pot The pot.
    @param receiver Who gets it.
    @return uint256 What was sent.
    """
    amount: uint256 = self._pots[pot]
    if amount == 0:
        return 0
    self._pots[pot] = 0
    vault._push(receiver, amount)
    log IFeeVault.Pulled(pot=pot, receiver=receiver, amount=amount)
    return amount


@internal
@view
def _owed() -> uint256:
    """
    @dev Returns the sum of the pots.
    @return uint256 Base units of the token.
    """
    return self._pots[ORACLES] + self._pots[BURN] + self._pots[TREASURY]
