# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Burn auction
@custom:contract-name BurnAuction
@license GNU Affero General Public License v3.0 only
@notice Sells what arrives of the settlement token for the protocol token, and burns that. One lot at a time: all that
        is here when it is kicked. Its price falls from the start rate to the floor rate and holds that for a second,
        then the lot starts over, until somebody takes the whole of it.
        A rate is how many base units of the protocol token one base unit of the settlement token costs, times 10**18:
        with 18 and 6 decimals, two tokens for a dollar are 2 * 10**30.
@custom:security The price follows from the lot and the time alone: there is no pool to move and no order to sandwich.
        `max_price` and the lot's id are all that a buyer has to trust. A price rounds up and is never 0. What arrives
        later, donations included, joins the next lot.
@custom:kill Nobody can stop the sale of an open lot, change its terms or take what is here. The governor sets the terms
        of later lots, and with a high `min_lot` keeps them from being kicked; what arrives then waits here.
"""

from interfaces import IBurnAuction

implements: IBurnAuction

from ethereum.ercs import IERC20
from interfaces import IProtocolToken
from interfaces import ITrustRegistry

from modules import roles

initializes: roles

from modules import vault

initializes: vault

exports: (roles.TRUST, vault.TOKEN)


# @dev How lots are sold.
struct AuctionTerms:
    # The rates at which a lot starts and ends, as the title says.
    start_rate: uint256
    floor_rate: uint256
    # How long the rate falls, in seconds.
    duration: uint256
    # The least that makes a lot, in base units of the settlement token.
    min_lot: uint256


# @dev What is for sale, with the rates and the duration of its terms.
struct Lot:
    # Base units of the settlement token; 0 once it is sold.
    amount: uint256
    # When it was kicked, in Unix seconds.
    kicked_at: uint256
    start_rate: uint256
    floor_rate: uint256
    duration: uint256


# @dev What rates are multiplied by.
WAD: constant(uint256) = 10**18


# @dev Bounds under which no price overflows. A lot takes no more; the rest joins the next one.
MAX_RATE: constant(uint256) = 2**128 - 1
MAX_LOT: constant(uint256) = 2**128 - 1


# @dev Longer durations than a century are mistakes.
MAX_DURATION: constant(uint256) = 2**32


# @dev The token that buyers pay with and that is burned.
PROTOCOL_TOKEN: public(immutable(IProtocolToken))


# @dev The terms of the next lot.
terms: public(AuctionTerms)


# @dev The latest lot, from 1; 0 before the first.
lot_id: public(uint256)


# @dev The latest lot.
lot: public(Lot)


@deploy
def __init__(token: IERC20, protocol_token: IProtocolToken, trust: ITrustRegistry, terms: AuctionTerms):
    """
    @notice Fixes both tokens and sets the first terms.
    @param token The settlement token, which is sold.
    @param protocol_token The token that is paid and burned.
    @param trust The trust registry, which names the governor.
    @param terms The terms of the first lot.
    """
    assert token.address != empty(address), "auction: zero token"
    assert protocol_token.address != empty(address), "auction: zero protocol token"
    roles.__init__(trust)
    vault.__init__(token)
    PROTOCOL_TOKEN = protocol_token
    self._set_terms(terms)


@external
def set_terms(terms: AuctionTerms):
    """
    @notice Sets the terms of later lots.
    @param terms The terms.
    """
    roles._check_governor()
    self._set_terms(terms)


@external
def kick() -> uint256:
    """
    @notice Puts everything that is here up for sale.
    @dev An open lot that nobody wanted for a whole fall of its price may be kicked anew: terms that no longer fit the
         market would hold it, and everything after it, for ever.
    @return uint256 The lot.
    """
    assert not self._is_open() or self._elapsed() > self.lot.duration, "auction: lot open"
    amount: uint256 = min(staticcall vault.TOKEN.balanceOf(self), MAX_LOT)
    terms: AuctionTerms = self.terms
    assert amount >= terms.min_lot, "auction: lot too small"
    lot_id: uint256 = self.lot_id + 1
    self.lot_id = lot_id
    self.lot = Lot(
        amount=amount,
        kicked_at=block.timestamp,
        start_rate=terms.start_rate,
        floor_rate=terms.floor_rate,
        duration=terms.duration,
    )
    log IBurnAuction.LotKicked(
        lot_id=lot_id,
        amount=amount,
        start_rate=terms.start_rate,
        floor_rate=terms.floor_rate,
        duration=terms.duration,
    )
    return lot_id


@external
def buy(lot_id: uint256, max_price: uint256) -> uint256:
    """
    @notice Sells the whole lot to the caller, whose payment is burned by its allowance here.
    @param lot_id The lot.
    @param max_price The most that it may cost.
    @return uint256 What it cost, in base units of the protocol token.
    """
    price: uint256 = self._price_of(lot_id)
    assert price <= max_price, "auction: dearer than allowed"
    amount: uint256 = self.lot.amount
    self.lot.amount = 0
    supply: uint256 = staticcall PROTOCOL_TOKEN.totalSupply()
    extcall PROTOCOL_TOKEN.burn_from(msg.sender, price)
    assert staticcall PROTOCOL_TOKEN.totalSupply() + price == supply, "auction: not burned"
    vault._push(msg.sender, amount)
    log IBurnAuction.LotSold(lot_id=lot_id, buyer=msg.sender, amount=amount, price=price)
    return price


@external
@view
def price_of(lot_id: uint256) -> uint256:
    """
    @notice Returns what a lot costs now.
    @param lot_id The lot.
    @return uint256 Base units of the protocol token.
    """
    return self._price_of(lot_id)


@internal
def _set_terms(terms: AuctionTerms):
    """
    @dev Writes the terms of later lots.
    @param terms The terms.
    """
    assert terms.floor_rate > 0, "auction: zero floor"
    assert terms.floor_rate <= terms.start_rate, "auction: floor above start"
    assert terms.start_rate <= MAX_RATE, "auction: rate too high"
    assert terms.duration > 0, "auction: zero duration"
    assert terms.duration < MAX_DURATION, "auction: duration too long"
    assert terms.min_lot > 0, "auction: zero min lot"
    assert terms.min_lot <= MAX_LOT, "auction: min lot too high"
    self.terms = terms
    log IBurnAuction.TermsSet(
        start_rate=terms.start_rate,
        floor_rate=terms.floor_rate,
        duration=terms.duration,
        min_lot=terms.min_lot,
    )


@internal
@view
def _is_open() -> bool:
    """
    @dev Says whether the latest lot is for sale.
    @return bool Whether it is.
    """
    return self.lot.amount != 0


@internal
@view
def _elapsed() -> uint256:
    """
    @dev Returns for how long the latest lot has stood.
    @return uint256 Seconds.
    """
    return block.timestamp - self.lot.kicked_at


@internal
@view
def _price_of(lot_id: uint256) -> uint256:
    """
    @dev Computes the price of the open lot. The rate is rounded up as the price is: neither falls below its floor.
    @param lot_id The lot.
    @return uint256 Base units of the protocol token.
    """
    assert lot_id == self.lot_id and self._is_open(), "auction: lot not open"
    lot: Lot = self.lot
    # The floor is reached at `duration`; the lot starts over one second later.
    position: uint256 = self._elapsed() % (lot.duration + 1)
    rate: uint256 = lot.start_rate - (lot.start_rate - lot.floor_rate) * position // lot.duration
    return (lot.amount * rate + WAD - 1) // WAD
