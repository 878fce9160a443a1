# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Protocol token
@custom:contract-name ProtocolToken
@license GNU Affero General Public License v3.0 only
@notice A capped ERC-20 of 18 decimals with ERC-2612, which anybody burns of his own: what the burn share of fees is
        sold for.
@custom:security The governor mints, behind its delay and never above the cap. Nobody freezes, seizes or pauses.
@custom:kill Not possible: a governor that never mints leaves the supply as it is.
"""

from ethereum.ercs import IERC20

implements: IERC20

from interfaces import ITrustRegistry

from snekmate.auth import ownable

initializes: ownable

from snekmate.tokens import erc20

initializes: erc20[ownable := ownable]

from modules import roles

initializes: roles

# snekmate's owner, minters and `renounce_ownership` are left out: the governor is the trust registry's.
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
    erc20.burn,
    erc20.burn_from,
    erc20.permit,
    erc20.nonces,
    erc20.DOMAIN_SEPARATOR,
    erc20.eip712Domain,
    roles.TRUST,
)


# @dev The supply is never higher, in base units.
CAP: public(immutable(uint256))


@deploy
def __init__(trust: ITrustRegistry, cap: uint256, supply: uint256, holder: address):
    """
    @notice Mints the first supply.
    @param trust The trust registry, which names the governor.
    @param cap The highest supply, in base units.
    @param supply The first supply, in base units.
    @param holder Who gets it.
    """
    assert supply <= cap, "token: above the cap"
    ownable.__init__()
    erc20.__init__("Workdeed", "DEEDS", 18, "ProtocolToken", "1")
    roles.__init__(trust)
    CAP = cap
    if supply > 0:
        erc20._mint(holder, supply)


@external
def mint(holder: address, amount: uint256):
    """
    @notice Mints tokens; for the governor.
    @param holder Who gets them.
    @param amount Base units. What was burned may be minted again, up to the cap.
    """
    roles._check_governor()
    assert amount <= CAP - erc20.totalSupply, "token: above the cap"
    erc20._mint(holder, amount)
