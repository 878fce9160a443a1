# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Node license
@custom:contract-name NodeLicense
@license GNU Affero General Public License v3.0 only
@notice ERC-721 deeds of nodes and oracles. A deed is the accountable identity of a worker: one node key may be
        linked to it, and its rewards go to its payout address, the owner unless set.
@custom:security snekmate's `transferFrom` and `safeTransferFrom` are wrapped, not exported: a transfer is refused
        out of good standing, unlinks the node and clears endpoint and payout. `burn` is not exported.
        What is wrapped is not payable, as `implements: IERC721` would demand: no ether can get stuck.
        Views that money waits for are open during other calls: nothing here calls out before its state is written.
@custom:kill Dropping every issuer in the trust registry stops new licenses. Nothing stops the transfer
        of a license in good standing, nor payments to it.
"""

from interfaces import INodeLicense

implements: INodeLicense

from ethereum.ercs import IERC165

implements: IERC165

from interfaces import IOracleCommittee
from interfaces import ITrustRegistry

from snekmate.auth import ownable

initializes: ownable

from snekmate.tokens import erc721

initializes: erc721[ownable := ownable]

from snekmate.utils import eip712_domain_separator

uses: eip712_domain_separator

from modules import link_word
from modules import roles

initializes: roles

from modules import signature

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
)


# @dev The kinds of a license.
NODE: constant(uint256) = 1
ORACLE: constant(uint256) = 2


# @dev How many oracle licenses the constructor issues at most: the seats of a committee.
MAX_FIRST_ORACLES: constant(uint256) = 32


# @dev How many licenses one placement may name.
MAX_PLACEMENT: constant(uint256) = 32


# @dev The standing that allows everything.
GOOD: constant(uint256) = 0

_LINK_TYPE_HASH: constant(bytes32) = keccak256(
    "LinkNode(uint256 licenseId,address node,address owner,uint256 nonce,uint256 deadline)"
)


# @dev How long after an unlink no node may be linked, in seconds.
RELINK_DELAY: public(immutable(uint256))


# @dev The attested level that the owner of a placed license needs; 0 asks for none.
OWNER_LEVEL: public(immutable(uint256))


# @dev The deployer, who may bind the committee once and nothing else.
_DEPLOYER: immutable(address)


# @dev The committee, which ends a seat when its license moves.
committee: public(IOracleCommittee)


# @dev The license that a node key is linked to; 0 for none.
license_of: public(HashMap[address, uint256])


# @dev Raised whenever a node key is linked or unlinked, so that no link signature works twice.
link_nonce: public(HashMap[address, uint256])


# @dev Where the node or oracle of a license answers.
endpoint_of: public(HashMap[uint256, String[128]])


# @dev keccak256 of the profile that the node serves.
profile_hash_of: public(HashMap[uint256, bytes32])


# @dev Packed node, kind and flags of each license.
_links: HashMap[uint256, uint256]


# @dev The payout address of a license whose link says that it has one.
_payouts: HashMap[uint256, address]


# @dev The latest license.
_last_id: uint256


@deploy
def __init__(
    trust: ITrustRegistry,
    relink_delay: uint256,
    owner_level: uint256,
    oracle_owners: DynArray[address, MAX_FIRST_ORACLES],
):
    """
    @notice Issues the licenses of the first oracles, ids from 1.
    @param trust The trust registry.
    @param relink_delay How long after an unlink no node may be linked, in seconds.
    @param owner_level The attested level that the owner of a placed license needs; 0 asks for none.
    @param oracle_owners The owners of the first oracle licenses.
    """
    ownable.__init__()
    erc721.__init__("Workdeed Node License", "DEED", "", "NodeLicense", "1")
    roles.__init__(trust)
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
    @notice Says whether a license can be placed: a linked node, everyone in good standing and, where asked, verified.
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
    self._links[license_id] = link_word._pack(
        link_word.Link(node=empty(address), kind=kind, has_payout=False, relink_at=0)
    )
    erc721._mint(owner, license_id)
    log INodeLicense.LicenseIssued(license_id=license_id, owner=owner, kind=kind)
    return license_id


@internal
def _transfer(owner: address, to: address, license_id: uint256):
    """
    @dev Moves a license: nothing of the old owner stays with it, and a seat that it holds ends.
    @param owner The current owner.
    @param to The new owner.
    @param license_id The license.
    """
    assert erc721._is_approved_or_owner(msg.sender, license_id), "license: not owner or approved"
    link: link_word.Link = link_word._unpack(self._links[license_id])
    self._check_standing(license_id, owner, link.node)
    assert staticcall roles.TRUST.account_standing(to) == GOOD, "license: receiver's standing"
    erc721._transfer(owner, to, license_id)
    if link.node != empty(address):
        self._unlink(license_id, link)
    self._clear_profile(license_id)
    if link.kind == ORACLE and self.committee.address != empty(address):
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
    if (link >> link_word.KIND_SHIFT) & link_word.KIND_MASK != NODE or node == empty(address):
        return False
    return staticcall roles.TRUST.admits(license_id, erc721._owner_of(license_id), node, OWNER_LEVEL)


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
