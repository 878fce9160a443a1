# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Node license
@custom:contract-name NodeLicense
@license GNU Affero General Public License v3.0 only
@notice ERC-721 deeds of nodes and oracles. A deed is the accountable identity of a worker: one node key may be
        linked to it, its rewards go to its payout address, the owner unless set, and its bond answers for it.
@custom:security snekmate's `transferFrom` and `safeTransferFrom` are wrapped, not exported: a transfer is refused
        out of good standing, unlinks the node and clears endpoint and payout. `burn` is not exported.
        What is wrapped is not payable, as `implements: IERC721` would demand: no ether can get stuck.
        Bonds rest on a ledger of their own, never on the balance: a donation changes none. A bond leaves by
        `withdraw_bond` and `slash` alone; `UNBOND_DELAY` leaves guardian and governor the time to stop it.
        Views that money waits for are open during other calls: nothing here calls out before its state is written.
@custom:kill Dropping every issuer in the trust registry stops new licenses. Nothing stops the transfer
        of a license in good standing, nor payments to it, nor the withdrawal of its bond after the delay.
"""

from interfaces import INodeLicense

implements: INodeLicense

from ethereum.ercs import IERC165

implements: IERC165

from ethereum.ercs import IERC20
from interfaces import IFeeVault
from interfaces import IOracleCommittee
from interfaces import ITrustRegistry

from snekmate.auth import ownable

initializes: ownable

from snekmate.tokens import erc721

initializes: erc721[ownable := ownable]

from snekmate.utils import eip712_domain_separator

uses: eip712_domain_separator

from modules import bond_word
from modules import link_word
from modules import roles

initializes: roles

from modules import signature
from modules import vault

initializes: vault

exports: (
    # ERC-721, less approval and transfers, which are wrapped below.
    erc721.supportsInterface,
    erc721.balanceOf,
    erc721.ownerOf,
    erc721.getApproved,
    erc721.setApprovalForAll,
    erc721.isApprovedForAll,
    # Metadata and enumeration.
    erc721.name,
    erc721.symbol,
    erc721.tokenURI,
    erc721.totalSupply,
    erc721.tokenByIndex,
    erc721.tokenOfOwnerByIndex,
    # ERC-4494 and ERC-5267.
    erc721.permit,
    erc721.nonces,
    erc721.DOMAIN_SEPARATOR,
    erc721.eip712Domain,
    # Where the roles are.
    roles.TRUST,
    # The settlement token, in which bonds are posted.
    vault.TOKEN,
)


# @dev What bonds are held to; the slash split is the first one and may change.
struct BondTerms:
    # The least bond of a license that counts as bonded, by kind; 0 asks for none.
    min_node_bond: uint256
    min_oracle_bond: uint256
    # How long what was requested back stays slashable, in seconds.
    unbond_delay: uint256
    # The most that one offence takes of bond and unbonding together, in basis points.
    slash_cap_bps: uint256
    # The shares of harmed payer and burn in what is slashed, in basis points; the treasury gets the rest.
    slash_payer_bps: uint256
    slash_burn_bps: uint256


# @dev The kinds of a license.
NODE: constant(uint256) = 1
ORACLE: constant(uint256) = 2


# @dev How many oracle licenses the constructor issues at most: the seats of a committee.
MAX_FIRST_ORACLES: constant(uint256) = 32


# @dev How many licenses one placement may name.
MAX_PLACEMENT: constant(uint256) = 32


# @dev The standing that allows everything.
GOOD: constant(uint256) = 0


# @dev The whole in basis points.
BPS: constant(uint256) = 10_000


# @dev Longer delays than a century are mistakes, and times must fit their words.
MAX_DELAY: constant(uint256) = 2**32

_LINK_TYPE_HASH: constant(bytes32) = keccak256(
    "LinkNode(uint256 licenseId,address node,address owner,uint256 nonce,uint256 deadline)"
)


# @dev How long after an unlink no node may be linked, in seconds.
RELINK_DELAY: public(immutable(uint256))


# @dev The attested level that the owner of a placed license needs; 0 asks for none.
OWNER_LEVEL: public(immutable(uint256))


# @dev Where what is slashed goes, less the payer's share.
VAULT: public(immutable(IFeeVault))


# @dev The least bond by kind, in base units of the token; 0 asks for none.
MIN_NODE_BOND: public(immutable(uint256))
MIN_ORACLE_BOND: public(immutable(uint256))


# @dev How long what was requested back stays here, in seconds.
UNBOND_DELAY: public(immutable(uint256))


# @dev The most that one offence takes of bond and unbonding together, in basis points.
SLASH_CAP_BPS: public(immutable(uint256))


# @dev The deployer, who may bind the committee once and nothing else.
_DEPLOYER: immutable(address)


# @dev The committee, which ends a seat when its license moves.
committee: public(IOracleCommittee)


# @dev The license that a node key is linked to; 0 for none.
license_of: public(HashMap[address, uint256])


# @dev Raised whenever a node key is linked or unlinked, so that no link signature works twice.
link_nonce: public(HashMap[address, uint256])


# @dev How many oracle licenses an account owns.
oracle_licenses_of: public(HashMap[address, uint256])


# @dev What all bonds come to, requested or not: never more than the balance.
bonds_held: public(uint256)


# @dev The shares of payer and burn in what is slashed, in basis points.
slash_payer_bps: public(uint256)
slash_burn_bps: public(uint256)


# @dev Whether an evidence hash was used: one offence slashes once.
is_slashed: public(HashMap[bytes32, bool])


# @dev Where the node or oracle of a license answers.
endpoint_of: public(HashMap[uint256, String[128]])


# @dev keccak256 of the profile that the node serves.
profile_hash_of: public(HashMap[uint256, bytes32])


# @dev Packed node, kind and flags of each license.
_links: HashMap[uint256, uint256]


# @dev The payout address of a license whose link says that it has one.
_payouts: HashMap[uint256, address]


# @dev Packed bond of each license.
_bonds: HashMap[uint256, uint256]


# @dev The latest license.
_last_id: uint256


@deploy
def __init__(
    trust: ITrustRegistry,
    vault_: IFeeVault,
    relink_delay: uint256,
    owner_level: uint256,
    bond_terms: BondTerms,
    oracle_owners: DynArray[address, MAX_FIRST_ORACLES],
):
    """
    @notice Issues the licenses of the first oracles, ids from 1.
    @param trust The trust registry.
    @param vault_ The fee vault, which names the settlement token.
    @param relink_delay How long after an unlink no node may be linked, in seconds.
    @param owner_level The attested level that the owner of a placed license needs; 0 asks for none.
    @param bond_terms What bonds are held to.
    @param oracle_owners The owners of the first oracle licenses.
    """
    ownable.__init__()
    erc721.__init__("Workdeed Node License", "DEED", "", "NodeLicense", "1")
    roles.__init__(trust)
    vault.__init__(IERC20(staticcall vault_.TOKEN()))
    assert relink_delay < MAX_DELAY, "license: relink delay too long"
    assert bond_terms.unbond_delay < MAX_DELAY, "license: unbond delay too long"
    assert bond_terms.slash_cap_bps <= BPS, "license: slash cap too high"
    VAULT = vault_
    MIN_NODE_BOND = bond_terms.min_node_bond
    MIN_ORACLE_BOND = bond_terms.min_oracle_bond
    UNBOND_DELAY = bond_terms.unbond_delay
    SLASH_CAP_BPS = bond_terms.slash_cap_bps
    self._set_slash_split(bond_terms.slash_payer_bps, bond_terms.slash_burn_bps)
    RELINK_DELAY = relink_delay
    _DEPLOYER = msg.sender
    OWNER_LEVEL = owner_level
    log INodeLicense.EligibilitySet(owner_level=owner_level)
    for owner: address in oracle_owners:
        self._issue(owner, ORACLE)


@external
def bind_committee(committee_: IOracleCommittee):
    """
    @notice Names the committee, once. Each of the two contracts needs the other's address.
    @param committee_ The oracle committee.
    """
    assert msg.sender == _DEPLOYER, "license: not the deployer"
    assert self.committee.address == empty(address), "license: already bound"
    assert committee_.address != empty(address), "license: zero committee"
    self.committee = committee_
    log INodeLicense.CommitteeBound(committee=committee_.address)


@external
def issue(owner: address, kind: uint256) -> uint256:
    """
    @notice Issues a license.
    @param owner Who gets it.
    @param kind 1 for a node, 2 for an oracle.
    @return uint256 The license's id.
    """
    roles._check_issuer()
    return self._issue(owner, kind)


@external
def approve(to: address, token_id: uint256):
    """
    @notice Lets an account transfer one license.
    @param to The account; the zero address takes an approval back.
    @param token_id The caller's license, or one of an owner whose operator the caller is.
    """
    owner: address = erc721._owner_of(token_id)
    allowed: bool = msg.sender == owner or erc721.isApprovedForAll[owner][msg.sender]
    assert allowed, "license: not owner or operator"
    erc721._approve(to, token_id)


@external
def transferFrom(owner: address, to: address, token_id: uint256):
    """
    @notice Transfers a license without asking the receiver.
    @param owner The current owner.
    @param to The new owner.
    @param token_id The license.
    """
    self._transfer(owner, to, token_id)


@external
def safeTransferFrom(owner: address, to: address, token_id: uint256, data: Bytes[1_024] = b""):
    """
    @notice Transfers a license to a receiver that must accept it if it is a contract.
    @param owner The current owner.
    @param to The new owner.
    @param token_id The license.
    @param data What the receiver is told.
    """
    self._transfer(owner, to, token_id)
    # It returns true or reverts with a reason of its own.
    accepted: bool = erc721._check_on_erc721_received(owner, to, token_id, data)


@external
def link_node(license_id: uint256, node: address, deadline: uint256, node_signature: Bytes[65]):
    """
    @notice Links a node key, which signs that it belongs to the caller and this license.
    @param license_id The caller's license.
    @param node The node key's address.
    @param deadline The last Unix time in seconds at which the signature counts.
    @param node_signature The node key's EIP-712 signature of `LinkNode`.
    """
    self._check_owner(license_id)
    link: link_word.Link = link_word._unpack(self._links[license_id])
    assert link.node == empty(address), "license: already linked"
    assert block.timestamp >= link.relink_at, "license: relink delay"
    assert self.license_of[node] == 0, "license: node linked elsewhere"
    self._check_link_signature(license_id, node, deadline, node_signature)
    link.node = node
    self._links[license_id] = link_word._pack(link)
    self.license_of[node] = license_id
    self.link_nonce[node] += 1
    self._check_standing(license_id, msg.sender, node)
    log INodeLicense.NodeLinked(license_id=license_id, node=node, owner=msg.sender)


@external
def unlink_node(license_id: uint256):
    """
    @notice Unlinks the node key of the caller's license; the next link waits for `RELINK_DELAY`.
    @param license_id The caller's license.
    """
    self._check_owner(license_id)
    link: link_word.Link = link_word._unpack(self._links[license_id])
    assert link.node != empty(address), "license: not linked"
    self._check_standing(license_id, msg.sender, link.node)
    self._unlink(license_id, link)


@external
def set_profile(license_id: uint256, endpoint: String[128], profile_hash: bytes32):
    """
    @notice Announces where the node or oracle answers and what it offers.
    @param license_id The caller's license.
    @param endpoint `http(s)://host:port`.
    @param profile_hash keccak256 of the canonical JSON of the profile.
    """
    self._check_owner(license_id)
    self.endpoint_of[license_id] = endpoint
    self.profile_hash_of[license_id] = profile_hash
    log INodeLicense.ProfileSet(license_id=license_id, profile_hash=profile_hash, endpoint=endpoint)


@external
def set_payout(license_id: uint256, payout: address):
    """
    @notice Sets who is paid for the license.
    @param license_id The caller's license.
    @param payout The payout address; the zero address stands for the owner.
    """
    self._check_owner(license_id)
    link: link_word.Link = link_word._unpack(self._links[license_id])
    link.has_payout = payout != empty(address)
    self._links[license_id] = link_word._pack(link)
    self._payouts[license_id] = payout
    log INodeLicense.PayoutSet(license_id=license_id, payout=payout)


@external
def post_bond(license_id: uint256, amount: uint256):
    """
    @notice Adds to the bond of a license. Whoever pays gives it to the license's owner.
    @param license_id The license.
    @param amount Base units of the token, from the caller's allowance.
    """
    assert self._links[license_id] != 0, "license: unknown license"
    assert amount > 0, "license: zero amount"
    word: bond_word.Bond = bond_word._unpack(self._bonds[license_id])
    word.bond += amount
    self.bonds_held += amount
    self._set_bond(license_id, word)
    vault._pull(msg.sender, amount)
    log INodeLicense.BondPosted(license_id=license_id, payer=msg.sender, amount=amount)


@external
def request_unbond(license_id: uint256, amount: uint256):
    """
    @notice Asks for a part of the bond. It stops counting at once and stays slashable; the delay starts anew
            for all that is requested.
    @param license_id The caller's license.
    @param amount Base units of the token.
    """
    self._check_owner(license_id)
    assert amount > 0, "license: zero amount"
    word: bond_word.Bond = bond_word._unpack(self._bonds[license_id])
    assert amount <= word.bond, "license: more than the bond"
    word.bond -= amount
    word.unbonding += amount
    word.requested_at = block.timestamp
    self._set_bond(license_id, word)
    log INodeLicense.UnbondRequested(license_id=license_id, owner=msg.sender, amount=amount)


@external
def cancel_unbond(license_id: uint256):
    """
    @notice Lets all that was requested count again.
    @param license_id The caller's license.
    """
    self._check_owner(license_id)
    assert self._cancel_unbond(license_id), "license: nothing requested"


@external
def withdraw_bond(license_id: uint256) -> uint256:
    """
    @notice Pays the caller what was requested, `UNBOND_DELAY` after the later of request and end of the seat.
    @param license_id The caller's license; in good standing, with its owner and its node, and without a seat.
    @return uint256 What was paid.
    """
    self._check_owner(license_id)
    word: bond_word.Bond = bond_word._unpack(self._bonds[license_id])
    amount: uint256 = word.unbonding
    assert amount > 0, "license: nothing requested"
    link: link_word.Link = link_word._unpack(self._links[license_id])
    self._check_standing(license_id, msg.sender, link.node)
    since: uint256 = word.requested_at
    if link.kind == ORACLE:
        self._check_bound()
        ended_at: uint256 = staticcall self.committee.seat_ended_at(license_id)
        assert ended_at != max_value(uint256), "license: seated"
        since = max(since, ended_at)
    assert block.timestamp >= since + UNBOND_DELAY, "license: unbond delay"
    word.unbonding = 0
    word.requested_at = 0
    self.bonds_held -= amount
    self._set_bond(license_id, word)
    log INodeLicense.BondWithdrawn(license_id=license_id, owner=msg.sender, amount=amount)
    vault._push(msg.sender, amount)
    return amount


@external
def slash(license_id: uint256, amount: uint256, evidence_hash: bytes32, payer: address) -> uint256:
    """
    @notice Takes of a bond for an offence; for the governor and the committee. What was requested back goes
            first, so that what remains stays locked longest.
    @dev A bond too small is no obstacle: the committee ends the seat of an offender in the same call.
    @param license_id The license.
    @param amount Base units of the token; at most the cap is taken, never more than there is.
    @param evidence_hash The hash of the evidence, which works once.
    @param payer The harmed payer; if it is the zero address, its share is burned.
    @return uint256 What was taken.
    """
    allowed: bool = msg.sender == self.committee.address or msg.sender == staticcall roles.TRUST.governor()
    assert allowed, "license: not a slasher"
    assert self._links[license_id] != 0, "license: unknown license"
    assert not self.is_slashed[evidence_hash], "license: evidence used"
    self.is_slashed[evidence_hash] = True
    word: bond_word.Bond = bond_word._unpack(self._bonds[license_id])
    slashed: uint256 = min(amount, (word.bond + word.unbonding) * SLASH_CAP_BPS // BPS)
    unbonding: uint256 = min(slashed, word.unbonding)
    word.unbonding -= unbonding
    word.bond -= slashed - unbonding
    if word.unbonding == 0:
        word.requested_at = 0
    self.bonds_held -= slashed
    self._set_bond(license_id, word)
    self._split(license_id, evidence_hash, payer, slashed, unbonding)
    return slashed


@external
def set_slash_split(payer_bps: uint256, burn_bps: uint256):
    """
    @notice Sets who gets what is slashed from now on; the treasury gets the rest.
    @param payer_bps The share of the harmed payer, in basis points.
    @param burn_bps The share that is burned, in basis points.
    """
    roles._check_governor()
    self._set_slash_split(payer_bps, burn_bps)


@external
@view
def bond_of(license_id: uint256) -> (uint256, uint256, uint256):
    """
    @notice Returns the bond of a license. Bond and unbonding are slashable together.
    @param license_id The license.
    @return uint256 What counts towards the minimum.
    @return uint256 What was requested back.
    @return uint256 When it was last requested, in Unix seconds; 0 while nothing is.
    """
    word: bond_word.Bond = bond_word._unpack(self._bonds[license_id])
    return word.bond, word.unbonding, word.requested_at


@external
@view
def is_bonded(license_id: uint256) -> bool:
    """
    @notice Says whether the bond of a license reaches the minimum of its kind.
    @param license_id The license.
    @return bool Whether it does; false if there is no such license.
    """
    return link_word._unpack(self._links[license_id]).bonded


@external
@view
@reentrant
def kind_of(license_id: uint256) -> uint256:
    """
    @notice Returns what a license allows.
    @param license_id The license.
    @return uint256 1 for a node, 2 for an oracle, 0 for no license.
    """
    return (self._links[license_id] >> link_word.KIND_SHIFT) & link_word.KIND_MASK


@external
@view
@reentrant
def node_of(license_id: uint256) -> address:
    """
    @notice Returns the node key that is linked to a license.
    @param license_id The license.
    @return address The node key's address, or zero.
    """
    return convert(self._links[license_id] & link_word.NODE_MASK, address)


@external
@view
def relink_at(license_id: uint256) -> uint256:
    """
    @notice Returns from when a node may be linked.
    @param license_id The license.
    @return uint256 The Unix time in seconds; 0 for at once.
    """
    return link_word._unpack(self._links[license_id]).relink_at


@external
@view
@reentrant
def payee_of(license_id: uint256) -> (address, uint256):
    """
    @notice Returns who is paid for a license, and whether it may be paid.
    @param license_id The license.
    @return address The payout address; zero if there is no such license.
    @return uint256 The worst standing of license, owner and node.
    """
    link: uint256 = self._links[license_id]
    # Read as it stands: snekmate's own reader reverts where there is no license, and would take a batch down.
    owner: address = erc721._owners[license_id]
    payout: address = owner
    if link & link_word.PAYOUT_FLAG != 0:
        payout = self._payouts[license_id]
    return payout, staticcall roles.TRUST.worst_standing(
        license_id, owner, convert(link & link_word.NODE_MASK, address)
    )


@external
@view
def eligible(license_id: uint256) -> bool:
    """
    @notice Says whether a license can be placed: a linked node, a bond of at least the minimum, everyone in good
            standing and, where asked, verified.
    @param license_id The license.
    @return bool Whether it is eligible.
    """
    return self._eligible(license_id)


@external
@view
@reentrant
def all_eligible(license_ids: DynArray[uint256, MAX_PLACEMENT]) -> bool:
    """
    @notice Says whether all of several licenses can be placed.
    @param license_ids The licenses.
    @return bool Whether every one is eligible.
    """
    for license_id: uint256 in license_ids:
        if not self._eligible(license_id):
            return False
    return True


@internal
def _issue(owner: address, kind: uint256) -> uint256:
    """
    @dev Issues the next license. No receiver is asked, so no receiver can stop a deployment.
    @param owner Who gets it.
    @param kind The kind.
    @return uint256 The license's id.
    """
    assert kind == NODE or kind == ORACLE, "license: unknown kind"
    assert owner != empty(address), "license: zero owner"
    license_id: uint256 = self._last_id + 1
    self._last_id = license_id
    bonded: bool = self._minimum(kind) == 0
    self._links[license_id] = link_word._pack(
        link_word.Link(node=empty(address), kind=kind, has_payout=False, relink_at=0, bonded=bonded)
    )
    if kind == ORACLE:
        self.oracle_licenses_of[owner] += 1
    erc721._mint(owner, license_id)
    log INodeLicense.LicenseIssued(license_id=license_id, owner=owner, kind=kind)
    if bonded:
        log INodeLicense.BondedSet(license_id=license_id, bonded=True)
    return license_id


@internal
def _transfer(owner: address, to: address, license_id: uint256):
    """
    @dev Moves a license: nothing of the old owner stays with it but the bond, and a seat that it holds ends.
    @param owner The current owner.
    @param to The new owner.
    @param license_id The license.
    """
    assert erc721._is_approved_or_owner(msg.sender, license_id), "license: not owner or approved"
    link: link_word.Link = link_word._unpack(self._links[license_id])
    self._check_standing(license_id, owner, link.node)
    assert staticcall roles.TRUST.account_standing(to) == GOOD, "license: receiver's standing"
    if link.kind == ORACLE:
        # Until then, a committee that holds a seat for it could not be told.
        self._check_bound()
        self.oracle_licenses_of[owner] -= 1
        self.oracle_licenses_of[to] += 1
    erc721._transfer(owner, to, license_id)
    if link.node != empty(address):
        self._unlink(license_id, link)
    self._clear_profile(license_id)
    cancelled: bool = self._cancel_unbond(license_id)
    if link.kind == ORACLE:
        extcall self.committee.end_seat_of(license_id)


@internal
def _unlink(license_id: uint256, link: link_word.Link):
    """
    @dev Frees a node key and starts the relink delay.
    @param license_id The license.
    @param link Its link.
    """
    node: address = link.node
    freed: link_word.Link = link
    freed.node = empty(address)
    freed.relink_at = block.timestamp + RELINK_DELAY
    self._links[license_id] = link_word._pack(freed)
    self.license_of[node] = 0
    self.link_nonce[node] += 1
    log INodeLicense.NodeUnlinked(license_id=license_id, node=node)


@internal
def _cancel_unbond(license_id: uint256) -> bool:
    """
    @dev Lets what was requested back count again.
    @param license_id The license.
    @return bool Whether anything was requested.
    """
    word: bond_word.Bond = bond_word._unpack(self._bonds[license_id])
    if word.unbonding == 0:
        return False
    amount: uint256 = word.unbonding
    word.bond += amount
    word.unbonding = 0
    word.requested_at = 0
    self._set_bond(license_id, word)
    log INodeLicense.UnbondCancelled(license_id=license_id, amount=amount)
    return True


@internal
def _set_bond(license_id: uint256, word: bond_word.Bond):
    """
    @dev Writes a bond and whether it reaches the minimum, which a placement reads with the link.
    @param license_id The license.
    @param word The bond.
    """
    self._bonds[license_id] = bond_word._pack(word)
    link: link_word.Link = link_word._unpack(self._links[license_id])
    bonded: bool = word.bond >= self._minimum(link.kind)
    if bonded != link.bonded:
        link.bonded = bonded
        self._links[license_id] = link_word._pack(link)
        log INodeLicense.BondedSet(license_id=license_id, bonded=bonded)


@internal
def _split(license_id: uint256, evidence_hash: bytes32, payer: address, slashed: uint256, unbonding: uint256):
    """
    @dev Pays out what was slashed: the payer's share at once, the rest into the vault.
    @param license_id The license.
    @param evidence_hash The hash of the evidence.
    @param payer The harmed payer, or zero.
    @param slashed What was taken, in base units of the token.
    @param unbonding How much of it was requested back.
    """
    to_payer: uint256 = slashed * self.slash_payer_bps // BPS
    to_burn: uint256 = slashed * self.slash_burn_bps // BPS
    to_treasury: uint256 = slashed - to_payer - to_burn
    if payer == empty(address):
        to_burn += to_payer
        to_payer = 0
    log INodeLicense.Slashed(
        license_id=license_id,
        evidence_hash=evidence_hash,
        payer=payer,
        actor=msg.sender,
        unbonding=unbonding,
        to_payer=to_payer,
        to_burn=to_burn,
        to_treasury=to_treasury,
    )
    vault._push(payer, to_payer)
    # The payer first: no one else runs between the vault's tokens and their booking.
    vault._push(VAULT.address, to_burn + to_treasury)
    extcall VAULT.book(0, to_burn, to_treasury)


@internal
def _set_slash_split(payer_bps: uint256, burn_bps: uint256):
    """
    @dev Writes the shares of what is slashed.
    @param payer_bps The share of the harmed payer, in basis points.
    @param burn_bps The share that is burned, in basis points.
    """
    assert payer_bps <= BPS and burn_bps <= BPS - payer_bps, "license: slash split too high"
    self.slash_payer_bps = payer_bps
    self.slash_burn_bps = burn_bps
    log INodeLicense.SlashSplitSet(payer_bps=payer_bps, burn_bps=burn_bps)


@internal
def _clear_profile(license_id: uint256):
    """
    @dev Clears endpoint, profile and payout address.
    @param license_id The license.
    """
    link: link_word.Link = link_word._unpack(self._links[license_id])
    link.has_payout = False
    self._links[license_id] = link_word._pack(link)
    self._payouts[license_id] = empty(address)
    self.endpoint_of[license_id] = ""
    self.profile_hash_of[license_id] = empty(bytes32)
    log INodeLicense.PayoutSet(license_id=license_id, payout=empty(address))
    log INodeLicense.ProfileSet(license_id=license_id, profile_hash=empty(bytes32), endpoint="")


@internal
@view
def _eligible(license_id: uint256) -> bool:
    """
    @dev Says whether a license can be placed.
    @param license_id The license.
    @return bool Whether it is eligible.
    """
    link: uint256 = self._links[license_id]
    node: address = convert(link & link_word.NODE_MASK, address)
    if link & link_word.PLACEABLE_MASK != link_word.PLACEABLE or node == empty(address):
        return False
    # A license of a kind has an owner: it need not be asked whether there is one.
    return staticcall roles.TRUST.admits(license_id, erc721._owners[license_id], node, OWNER_LEVEL)


@internal
@view
def _minimum(kind: uint256) -> uint256:
    """
    @dev Returns the least bond that a kind of license needs to count as bonded.
    @param kind The kind.
    @return uint256 Base units of the token; 0 asks for none.
    """
    return MIN_ORACLE_BOND if kind == ORACLE else MIN_NODE_BOND


@internal
@view
def _check_bound():
    """
    @dev Reverts until the committee is bound.
    """
    assert self.committee.address != empty(address), "license: committee not bound"


@internal
@view
def _check_owner(license_id: uint256):
    """
    @dev Reverts unless the caller owns the license.
    @param license_id The license.
    """
    assert erc721._owner_of(license_id) == msg.sender, "license: not the owner"


@internal
@view
def _check_standing(license_id: uint256, owner: address, node: address):
    """
    @dev Reverts unless license, owner and node are in good standing.
    @param license_id The license.
    @param owner Its owner.
    @param node Its node, or zero.
    """
    assert staticcall roles.TRUST.worst_standing(license_id, owner, node) == GOOD, "license: not in good standing"


@internal
@view
def _check_link_signature(license_id: uint256, node: address, deadline: uint256, node_signature: Bytes[65]):
    """
    @dev Reverts unless the node key signed this link.
    @param license_id The license.
    @param node The node key's address.
    @param deadline The last Unix time in seconds at which the signature counts.
    @param node_signature The signature `r || s || v`.
    """
    assert block.timestamp <= deadline, "license: deadline passed"
    assert len(node_signature) == 65, "license: signature length"
    digest: bytes32 = eip712_domain_separator._hash_typed_data_v4(
        keccak256(abi_encode(_LINK_TYPE_HASH, license_id, node, msg.sender, self.link_nonce[node], deadline))
    )
    signer: address = signature._recover(
        digest,
        convert(slice(node_signature, 64, 1), uint256),
        extract32(node_signature, 0, output_type=uint256),
        extract32(node_signature, 32, output_type=uint256),
    )
    assert signer == node, "license: wrong node signature"
