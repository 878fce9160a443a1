# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title License sale
@custom:contract-name LicenseSale
@license GNU Affero General Public License v3.0 only
@notice Sells node licenses in tiers: so many at one price, then so many at the next. The price goes straight to the
        treasury.
@custom:security Holds nothing. `max_cost` protects a buyer from others who buy first. The limit counts accounts:
        what keeps one person from many of them is the level that a buyer must be verified to.
@custom:kill The governor drops this contract as an issuer in the trust registry: every purchase reverts from then
        on. Nobody can change tiers, limit or level, nor take back a license that was sold.
"""

from interfaces import ILicenseSale

implements: ILicenseSale

from ethereum.ercs import IERC20
from interfaces import IFeeVault
from interfaces import INodeLicense
from interfaces import ITrustRegistry

from modules import roles

initializes: roles

from modules import vault

initializes: vault

exports: (roles.TRUST, vault.TOKEN)


# @dev Licenses that are sold at one price.
struct Tier:
    # How many.
    units: uint256
    # Base units of the token for each.
    price: uint256


# @dev Tiers at most.
MAX_TIERS: constant(uint256) = 16


# @dev How many licenses one purchase may take.
MAX_COUNT: constant(uint256) = 16


# @dev The kind of the licenses.
NODE: constant(uint256) = 1


# @dev The contract that issues them.
LICENSES: public(immutable(INodeLicense))


# @dev How many licenses an account may buy here.
LIMIT: public(immutable(uint256))


# @dev The attested level that a buyer needs; 0 asks for none.
BUYER_LEVEL: public(immutable(uint256))


# @dev How many licenses there are in all tiers.
_SUPPLY: immutable(uint256)
_TIERS: immutable(DynArray[Tier, MAX_TIERS])


# @dev How many licenses were sold.
sold: public(uint256)


# @dev How many licenses an account bought here.
bought_by: public(HashMap[address, uint256])


@deploy
def __init__(
    trust: ITrustRegistry,
    licenses: INodeLicense,
    tiers: DynArray[Tier, MAX_TIERS],
    limit: uint256,
    buyer_level: uint256,
):
    """
    @notice Fixes what is sold. It sells once the governor makes it an issuer.
    @param trust The trust registry, which names the treasury and says who is verified.
    @param licenses The license contract, whose vault names the token.
    @param tiers The tiers in the order of their sale.
    @param limit How many licenses an account may buy.
    @param buyer_level The attested level that a buyer needs; 0 asks for none.
    """
    assert len(tiers) > 0, "sale: no tiers"
    assert limit > 0, "sale: zero limit"
    roles.__init__(trust)
    vault.__init__(IERC20(staticcall IFeeVault(staticcall licenses.VAULT()).TOKEN()))
    LICENSES = licenses
    LIMIT = limit
    BUYER_LEVEL = buyer_level
    supply: uint256 = 0
    index: uint256 = 0
    for tier: Tier in tiers:
        assert tier.units > 0, "sale: empty tier"
        supply += tier.units
        log ILicenseSale.TierSet(tier=index, units=tier.units, price=tier.price)
        index += 1
    _SUPPLY = supply
    _TIERS = tiers


@external
def buy(count: uint256, max_cost: uint256) -> uint256:
    """
    @notice Sells node licenses to the caller, who pays the treasury by its allowance here.
    @param count How many, at most `MAX_COUNT`.
    @param max_cost The most that they may cost together.
    @return uint256 The first license; the others follow it.
    """
    assert count > 0 and count <= MAX_COUNT, "sale: 1 to 16 licenses"
    good: bool = False
    verified: bool = False
    good, verified = staticcall roles.TRUST.admits_payer(msg.sender, BUYER_LEVEL)
    assert good, "sale: not in good standing"
    assert verified, "sale: not verified"
    bought: uint256 = self.bought_by[msg.sender] + count
    assert bought <= LIMIT, "sale: over the limit"
    cost: uint256 = self._cost_of(count)
    assert cost <= max_cost, "sale: dearer than allowed"
    self.bought_by[msg.sender] = bought
    self.sold += count
    vault._forward(msg.sender, staticcall roles.TRUST.treasury(), cost)
    first_id: uint256 = 0
    # Nothing else runs in between: the ids follow each other.
    for index: uint256 in range(count, bound=MAX_COUNT):
        license_id: uint256 = extcall LICENSES.issue(msg.sender, NODE)
        if index == 0:
            first_id = license_id
    log ILicenseSale.LicensesSold(buyer=msg.sender, first_id=first_id, count=count, cost=cost)
    return first_id


@external
@view
def supply() -> uint256:
    """
    @notice Returns how many licenses there are in all tiers, sold or not.
    @return uint256 The licenses.
    """
    return _SUPPLY


@external
@view
def tier_count() -> uint256:
    """
    @notice Returns how many tiers there are.
    @return uint256 The tiers.
    """
    return len(_TIERS)


@external
@view
def tier(index: uint256) -> Tier:
    """
    @notice Returns a tier.
    @param index The tier, from 0.
    @return Tier Its licenses, sold or not, and their price.
    """
    assert index < len(_TIERS), "sale: unknown tier"
    return _TIERS[index]


@external
@view
def cost_of(count: uint256) -> uint256:
    """
    @notice Returns what the next licenses cost together, whoever buys them.
    @param count How many.
    @return uint256 Base units of the token.
    """
    return self._cost_of(count)


@internal
@view
def _cost_of(count: uint256) -> uint256:
    """
    @dev Adds up the prices of the next licenses, tier by tier.
    @param count How many.
    @return uint256 Base units of the token.
    """
    skipped: uint256 = self.sold
    wanted: uint256 = count
    cost: uint256 = 0
    for tier: Tier in _TIERS:
        left: uint256 = tier.units - min(skipped, tier.units)
        skipped -= tier.units - left
        taken: uint256 = min(wanted, left)
        cost += taken * tier.price
        wanted -= taken
    assert wanted == 0, "sale: sold out"
    return cost
