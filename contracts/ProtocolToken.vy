# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Protocol token
@custom:contract-name ProtocolToken
@license GNU Affero General Public License v3.0 only
@notice An ERC-20 of 18 decimals with ERC-2612, that anyone may burn and that the governor mints up to a cap.
@custom:security The cap counts everything that was ever minted: what is burned never comes back. snekmate's owner and
        minter are given up in the constructor and can't be taken up again; the trust registry names the governor.
@custom:kill Not possible: nobody can stop, freeze or seize tokens. Minting ends at the cap.
"""

from ethereum.ercs import IERC20

implements: IERC20

from ethereum.ercs import IERC20Detailed

implements: IERC20Detailed

from interfaces import IProtocolToken

implements: IProtocolToken

from interfaces import ITrustRegistry

from snekmate.auth import ownable

initializes: ownable

from snekmate.tokens import erc20

initializes: erc20[ownable := ownable]

from modules import roles

initializes: roles

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
    # ERC-2612 and ERC-5267.
    erc20.permit,
    erc20.nonces,
    erc20.DOMAIN_SEPARATOR,
    erc20.eip712Domain,
    # Nobody: for those who watch snekmate's role.
    erc20.is_minter,
    # Where the governor is named.
    roles.TRUST,
)


# @dev The most that is ever minted, in base units.
CAP: public(immutable(uint256))


# @dev What was ever minted, burned or not.
minted: public(uint256)


@deploy
def __init__(trust: ITrustRegistry, cap: uint256, supply: uint256, holder: address):
    """
    @notice Fixes the cap and mints the first supply.
    @param trust The trust registry, which names the governor.
    @param cap The most that is ever minted, in base units.
    @param supply What is minted now, in base units; may be 0.
    @param holder Who gets it.
    """
    roles.__init__(trust)
    ownable.__init__()
    erc20.__init__("Workdeed", "DEEDS", 18, "ProtocolToken", "1")
    # snekmate makes the deployer owner and minter.
    erc20.is_minter[msg.sender] = False
    log erc20.RoleMinterChanged(minter=msg.sender, status=False)
    ownable._transfer_ownership(empty(address))
    CAP = cap
    if supply > 0:
        self._mint(holder, supply)


@external
def mint(receiver: address, amount: uint256):
    """
    @notice Makes tokens; for the governor.
    @param receiver Who gets them.
    @param amount Base units.
    """
    roles._check_governor()
    self._mint(receiver, amount)


@internal
def _mint(receiver: address, amount: uint256):
    """
    @dev Makes tokens up to the cap.
    @param receiver Who gets them.
    @param amount Base units.
    """
    minted: uint256 = self.minted + amount
    assert minted <= CAP, "token: above the cap"
    self.minted = minted
    erc20._mint(receiver, amount)
