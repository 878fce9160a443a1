# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Burn auction
@custom:contract-name BurnAuction
@license GNU Affero General Public License v3.0 only
@notice Sells the burn share of fees in lots for the protocol token, which it burns. The price of a lot falls from a
        start to a floor, then begins anew: somebody finds it fair, and nobody has to be asked for one.
@custom:security No router and no price feed: there is nothing to sandwich. A lot is fixed when it is kicked; what comes
        later joins the next. The buyer names the highest price that he accepts. State is written before tokens move.
@custom:kill Not possible: nobody can stop a sale or take a lot. The governor sets the terms of later lots.
"""

from interfaces import IBurnAuction

implements: IBurnAuction

from ethereum.ercs import IERC20
from interfaces import ITrustRegistry

from modules import roles

initializes: roles

from modules import vault

initializes: vault

exports: (roles.TRUST, vault.TOKEN)


# @dev The part of the protocol token that is used here.
interface IBurnable:
    def burn_from(owner: address, amount: uint256): nonpayable


# @dev What lots are sold at.
struct AuctionTerms:
    # Base units of the protocol token for `SCALE` base units of the settlement token, at the start of a round.
    start_rate: uint256
    # The same at its end.
    floor_rate: uint256
    # How long a round lasts, in seconds.
    duration: uint256
    # The smallest lot, in base units of the settlement token.
    min_lot: uint256


# @dev A lot that waits for a buyer.
struct Lot:
    # Base units of the settlement token; 0 while no lot is open.
    amount: uint256
    # When its first round began, in Unix seconds.
    started_at: uint256
    # What it is sold at, whatever is set meanwhile.
    start_rate: uint256
    floor_rate: uint256
    duration: uint256


# @dev What rates are given for.
SCALE: constant(uint256) = 10**18


# @dev The protocol token.
PROTOCOL_TOKEN: public(immutable(IBurnable))


# @dev The terms of the next lot.
terms: public(AuctionTerms)


# @dev The latest lot; ids count from 1.
lot_id: public(uint256)


# @dev What of it is for sale.
lot: public(Lot)


@deploy
def __init__(token: IERC20, protocol_token: IBurnable, trust: ITrustRegistry, terms_: AuctionTerms):
    """
    @notice Fixes the tokens.
    @param token The settlement token, which is sold.
    @param protocol_token The protocol token, which is burned.
    @param trust The trust registry.
    @param terms_ The terms of the first lot.
    """
    roles.__init__(trust)
    vault.__init__(token)
    PROTOCOL_TOKEN = protocol_token
    self._set_terms(terms_)


@external
def set_terms(terms_: AuctionTerms):
    """
    @notice Sets the terms of later lots; for the governor.
    @param terms_ The terms.
    """
    roles._check_governor()
    self._set_terms(terms_)


@external
def kick() -> uint256:
    """
    @notice Puts all that is here up for sale. Anyone may send it.
    @return uint256 The lot's id.
    """
    assert self.lot.amount == 0, "auction: lot open"
    amount: uint256 = staticcall vault.TOKEN.balanceOf(self)
    assert amount > 0 and amount >= self.terms.min_lot, "auction: lot too small"
    assert amount < 2**128, "auction: lot too large"
    self.lot_id += 1
    self.lot = Lot(
        amount=amount,
        started_at=block.timestamp,
        start_rate=self.terms.start_rate,
        floor_rate=self.terms.floor_rate,
        duration=self.terms.duration,
    )
    log IBurnAuction.LotKicked(lot_id=self.lot_id, amount=amount, started_at=block.timestamp)
    return self.lot_id


@external
def buy(lot_id: uint256, max_price: uint256) -> uint256:
    """
    @notice Buys the open lot: burns its price of the caller's protocol tokens and pays out the lot.
    @param lot_id The lot.
    @param max_price The highest price that the caller accepts, in base units of the protocol token.
    @return uint256 The price.
    """
    lot: Lot = self.lot
    assert lot_id == self.lot_id and lot.amount > 0, "auction: lot not open"
    price: uint256 = self._price(lot)
    assert price <= max_price, "auction: price above maximum"
    self.lot = empty(Lot)
    log IBurnAuction.LotSold(lot_id=lot_id, buyer=msg.sender, amount=lot.amount, price=price)
    extcall PROTOCOL_TOKEN.burn_from(msg.sender, price)
    vault._push(msg.sender, lot.amount)
    return price


@external
@view
def price() -> uint256:
    """
    @notice Returns what the open lot costs now.
    @return uint256 Base units of the protocol token.
    """
    lot: Lot = self.lot
    assert lot.amount > 0, "auction: lot not open"
    return self._price(lot)


@internal
def _set_terms(terms_: AuctionTerms):
    """
    @dev Writes the terms of later lots.
    @param terms_ The terms.
    """
    assert terms_.floor_rate > 0, "auction: zero floor"
    assert terms_.floor_rate <= terms_.start_rate, "auction: floor above start"
    assert terms_.start_rate < 2**96, "auction: start too high"
    assert terms_.duration > 0 and terms_.duration < 2**32, "auction: duration out of range"
    self.terms = terms_
    log IBurnAuction.TermsSet(
        start_rate=terms_.start_rate,
        floor_rate=terms_.floor_rate,
        duration=terms_.duration,
        min_lot=terms_.min_lot,
    )


@internal
@view
def _price(lot: Lot) -> uint256:
    """
    @dev Returns what a lot costs now, rounded up: never 0.
    @param lot The lot.
    @return uint256 Base units of the protocol token.
    """
    elapsed: uint256 = (block.timestamp - lot.started_at) % lot.duration
    rate: uint256 = lot.start_rate - (lot.start_rate - lot.floor_rate) * elapsed // lot.duration
    return (lot.amount * rate + SCALE - 1) // SCALE
