# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Trust registry
@custom:contract-name TrustRegistry
@license GNU Affero General Public License v3.0 only
@notice Who is in good standing, who is verified, and who may say so.
        A standing is good, frozen, suspended or blacklisted; every one but the last ends by itself.
        No personal data is stored: evidence and appeals are hashes.
@custom:security The guardian can only freeze, and only for `FREEZE_PERIOD` in every `FREEZE_COOLDOWN`.
        Standing moves no money and no committee seat. Views that money waits for are open during other calls:
        nothing here calls out before its state is written.
@custom:kill Not needed and not possible: the governor can drop every issuer, so that no attestation holds,
        and leave the guardian at the zero address. What it said of subjects stays readable.
"""

from interfaces import ITrustRegistry

implements: ITrustRegistry

from interfaces import INodeLicense
from ethereum.ercs import IERC721

from snekmate.auth import ownable

initializes: ownable

from snekmate.auth import ownable_2step

initializes: ownable_2step[ownable := ownable]

from modules import attestation_word
from modules import standing_word


# `renounce_ownership` is left out: there is always a governor.
exports: (ownable_2step.pending_owner, ownable_2step.transfer_ownership, ownable_2step.accept_ownership)


# @dev The standings, from best to worst.
GOOD: constant(uint256) = 0
FROZEN: constant(uint256) = 1
SUSPENDED: constant(uint256) = 2
BLACKLISTED: constant(uint256) = 3


# @dev A freeze counts once in this many periods: an operator is free at least 3/4 of the time.
COOLDOWN_FACTOR: constant(uint256) = 4


# @dev The subject of license `n` is this plus `n`; no account reaches it.
LICENSE_SUBJECT: constant(uint256) = 2**160


# @dev How many issuers the constructor takes.
MAX_FIRST_ISSUERS: constant(uint256) = 8


# @dev How long a freeze lasts, in seconds.
FREEZE_PERIOD: public(immutable(uint256))


# @dev How long after the start of a freeze the subject can't be frozen again, in seconds.
FREEZE_COOLDOWN: public(immutable(uint256))


# @dev The deployer, who may bind the license contract once and nothing else.
_DEPLOYER: immutable(address)


# @dev The license contract, which knows the owner and the node of a license.
licenses: public(INodeLicense)


# @dev Who may freeze.
guardian: public(address)


# @dev Who receives the treasury's shares and the price of new licenses.
treasury: public(address)


# @dev Whether an account is an active issuer.
is_issuer: public(HashMap[address, bool])


# @dev Packed standing of each subject.
_standings: HashMap[uint256, uint256]


# @dev Packed attestation of each account.
_attestations: HashMap[address, uint256]


@deploy
def __init__(
    governor_: address,
    guardian_: address,
    treasury_: address,
    issuers: DynArray[address, MAX_FIRST_ISSUERS],
    freeze_period: uint256,
):
    """
    @notice Hands every role over at once; the deployer keeps none.
    @param governor_ Who may suspend, blacklist, reinstate and set policy.
    @param guardian_ Who may freeze.
    @param treasury_ Who receives the treasury's shares and the price of new licenses.
    @param issuers Who may attest accounts and issue licenses.
    @param freeze_period How long a freeze lasts, in seconds.
    """
    assert governor_ != empty(address), "trust: zero governor"
    assert freeze_period > 0, "trust: zero freeze period"
    ownable.__init__()
    ownable_2step.__init__()
    ownable._transfer_ownership(governor_)
    self.guardian = guardian_
    log ITrustRegistry.GuardianSet(guardian=guardian_)
    self._set_treasury(treasury_)
    for issuer: address in issuers:
        self.is_issuer[issuer] = True
        log ITrustRegistry.IssuerSet(issuer=issuer, active=True)
    FREEZE_PERIOD = freeze_period
    FREEZE_COOLDOWN = freeze_period * COOLDOWN_FACTOR
    _DEPLOYER = msg.sender


@external
def bind_licenses(licenses_: INodeLicense):
    """
    @notice Names the license contract, once. Each of the two contracts needs the other's address.
    @param licenses_ The license contract.
    """
    assert msg.sender == _DEPLOYER, "trust: not the deployer"
    assert self.licenses.address == empty(address), "trust: already bound"
    assert licenses_.address != empty(address), "trust: zero licenses"
    self.licenses = licenses_
    log ITrustRegistry.LicensesBound(licenses=licenses_.address)


@external
def set_guardian(guardian_: address):
    """
    @notice Names the guardian.
    @param guardian_ The new guardian; the zero address leaves the role empty.
    """
    ownable._check_owner()
    self.guardian = guardian_
    log ITrustRegistry.GuardianSet(guardian=guardian_)


@external
def set_treasury(treasury_: address):
    """
    @notice Names the treasury. What is pulled from now on goes there; what is booked but not pulled as well.
    @param treasury_ The new treasury.
    """
    ownable._check_owner()
    self._set_treasury(treasury_)


@external
def set_issuer(issuer: address, active: bool):
    """
    @notice Adds or drops an issuer. Dropping it voids all of its attestations at once.
    @param issuer The issuer.
    @param active Whether its attestations hold.
    """
    ownable._check_owner()
    self.is_issuer[issuer] = active
    log ITrustRegistry.IssuerSet(issuer=issuer, active=active)


@external
def freeze(subject: uint256, reason: uint256, evidence_hash: bytes32):
    """
    @notice Freezes a subject for `FREEZE_PERIOD`. License, owner and node share one cooldown.
    @dev A cooldown stays with the accounts of its time. A license that moves to another wallet after its owner was
         frozen can be frozen there once more: the new owner may be another person, and only the owner can move it.
    @param subject The subject.
    @param reason The reason code.
    @param evidence_hash The hash of the evidence.
    """
    assert msg.sender == self.guardian, "trust: not the guardian"
    assert standing_word._current(self._standings[subject]) == GOOD, "trust: not in good standing"
    license_id: uint256 = 0
    owner: address = empty(address)
    node: address = empty(address)
    license_id, owner, node = self._related(subject)
    self._start_cooldown(subject)
    if license_id != 0 and subject != self._license_subject(license_id):
        self._start_cooldown(self._license_subject(license_id))
    if owner != empty(address) and subject != convert(owner, uint256):
        self._start_cooldown(convert(owner, uint256))
    if node != empty(address) and node != owner and subject != convert(node, uint256):
        self._start_cooldown(convert(node, uint256))
    self._set_standing(subject, FROZEN, block.timestamp + FREEZE_PERIOD, reason, evidence_hash)


@external
def suspend(subject: uint256, until: uint256, reason: uint256, evidence_hash: bytes32):
    """
    @notice Suspends a subject until a time.
    @param subject The subject.
    @param until When the suspension ends, in Unix seconds.
    @param reason The reason code.
    @param evidence_hash The hash of the evidence.
    """
    ownable._check_owner()
    assert until > block.timestamp, "trust: until in the past"
    assert until < standing_word.FOREVER, "trust: until too late"
    self._set_standing(subject, SUSPENDED, until, reason, evidence_hash)


@external
def blacklist(subject: uint256, reason: uint256, evidence_hash: bytes32):
    """
    @notice Blacklists a subject until it is reinstated.
    @param subject The subject.
    @param reason The reason code.
    @param evidence_hash The hash of the evidence.
    """
    ownable._check_owner()
    self._set_standing(subject, BLACKLISTED, standing_word.FOREVER, reason, evidence_hash)


@external
def reinstate(subject: uint256, reason: uint256, evidence_hash: bytes32):
    """
    @notice Brings a subject back to good standing. Its freeze cooldown goes on.
    @param subject The subject.
    @param reason The reason code.
    @param evidence_hash The hash of the evidence.
    """
    ownable._check_owner()
    self._set_standing(subject, GOOD, 0, reason, evidence_hash)


@external
def appeal(subject: uint256, appeal_hash: bytes32):
    """
    @notice Puts an appeal on record. It changes nothing by itself.
    @param subject The caller's account, or a license that the caller owns.
    @param appeal_hash The hash of the appeal.
    """
    if subject != convert(msg.sender, uint256):
        license_id: uint256 = 0
        owner: address = empty(address)
        node: address = empty(address)
        license_id, owner, node = self._related(subject)
        assert subject > LICENSE_SUBJECT and owner == msg.sender, "trust: not the subject"
    assert standing_word._current(self._standings[subject]) != GOOD, "trust: in good standing"
    log ITrustRegistry.Appealed(subject=subject, actor=msg.sender, appeal_hash=appeal_hash)


@external
def attest(account: address, level: uint256, expires_at: uint256, evidence_hash: bytes32):
    """
    @notice Attests that an account was verified. An issuer can't overwrite what another attests.
    @param account The account.
    @param level How much was verified, from 1.
    @param expires_at When the attestation ends, in Unix seconds.
    @param evidence_hash The hash of the evidence.
    """
    assert self.is_issuer[msg.sender], "trust: not an issuer"
    assert level > 0, "trust: zero level"
    assert expires_at > block.timestamp, "trust: already expired"
    if self._attested_level(account) > 0:
        held: attestation_word.Attestation = attestation_word._unpack(self._attestations[account])
        assert held.issuer == msg.sender, "trust: attested by another"
    self._attestations[account] = attestation_word._pack(
        attestation_word.Attestation(issuer=msg.sender, level=level, expires_at=expires_at)
    )
    log ITrustRegistry.Attested(
        account=account, issuer=msg.sender, level=level, expires_at=expires_at, evidence_hash=evidence_hash
    )


@external
def revoke(account: address):
    """
    @notice Revokes an attestation; for its issuer and the governor.
    @param account The account.
    """
    packed: uint256 = self._attestations[account]
    assert packed != 0, "trust: not attested"
    held: attestation_word.Attestation = attestation_word._unpack(packed)
    assert msg.sender == held.issuer or msg.sender == ownable.owner, "trust: not its issuer"
    self._attestations[account] = 0
    log ITrustRegistry.AttestationRevoked(account=account, actor=msg.sender)


@external
@view
@reentrant
def governor() -> address:
    """
    @notice Returns who may suspend, blacklist, reinstate and set policy.
    @return address The governor.
    """
    return ownable.owner


@external
@view
def standing_of(subject: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @notice Returns the standing of a subject.
    @param subject The subject.
    @return uint256 The standing in force: 0 good, 1 frozen, 2 suspended, 3 blacklisted.
    @return uint256 When it ends, in Unix seconds; 0 if good.
    @return uint256 The reason code of the latest change.
    @return uint256 From when the subject can be frozen (again), in Unix seconds.
    """
    packed: uint256 = self._standings[subject]
    word: standing_word.Standing = standing_word._unpack(packed)
    current: uint256 = standing_word._current(packed)
    if current == GOOD:
        word.until = 0
    return current, word.until, word.reason, word.cooldown


@external
@view
@reentrant
def worst_standing(license_id: uint256, owner: address, node: address) -> uint256:
    """
    @notice Returns the worst of the standings of a license, its owner and its node.
    @param license_id The license.
    @param owner Its owner.
    @param node Its node; the zero address if none is linked.
    @return uint256 The standing.
    """
    return self._worst_standing(license_id, owner, node)


@external
@view
@reentrant
def admits(license_id: uint256, owner: address, node: address, level: uint256) -> bool:
    """
    @notice Says whether a license may be placed, in one call.
    @param license_id The license.
    @param owner Its owner.
    @param node Its linked node.
    @param level The attested level that the owner needs; 0 for none.
    @return bool Whether all three are in good standing and the owner is verified.
    """
    if self._worst_standing(license_id, owner, node) != GOOD:
        return False
    return level == 0 or self._attested_level(owner) >= level


@external
@view
@reentrant
def admits_payer(payer: address, level: uint256) -> (bool, bool):
    """
    @notice Says whether an account may open jobs, in one call.
    @param payer The account.
    @param level The attested level that it needs; 0 for none.
    @return bool Whether it is in good standing.
    @return bool Whether it is verified.
    """
    return (
        standing_word._current(self._standings[convert(payer, uint256)]) == GOOD,
        level == 0 or self._attested_level(payer) >= level,
    )


@external
@view
def account_standing(account: address) -> uint256:
    """
    @notice Returns the standing of an account.
    @param account The account.
    @return uint256 The standing.
    """
    return standing_word._current(self._standings[convert(account, uint256)])


@external
@view
def attested_level(account: address) -> uint256:
    """
    @notice Returns how much of an account is verified now.
    @param account The account.
    @return uint256 The level; 0 without an attestation that holds.
    """
    return self._attested_level(account)


@external
@view
def attestation_of(account: address) -> (address, uint256, uint256):
    """
    @notice Returns the attestation of an account, whether or not it holds.
    @param account The account.
    @return address Its issuer.
    @return uint256 Its level.
    @return uint256 When it ends, in Unix seconds.
    """
    word: attestation_word.Attestation = attestation_word._unpack(self._attestations[account])
    return word.issuer, word.level, word.expires_at


@internal
def _set_treasury(treasury_: address):
    """
    @dev Writes the treasury.
    @param treasury_ The treasury.
    """
    assert treasury_ != empty(address), "trust: zero treasury"
    self.treasury = treasury_
    log ITrustRegistry.TreasurySet(treasury=treasury_)


@internal
@pure
def _license_subject(license_id: uint256) -> uint256:
    """
    @dev Returns the subject of a license.
    @param license_id The license.
    @return uint256 The subject.
    """
    return LICENSE_SUBJECT + license_id


@internal
@view
def _related(subject: uint256) -> (uint256, address, address):
    """
    @dev Finds the license, the owner and the node that a subject stands for.
    @param subject A license, a linked node or any other account.
    @return uint256 The license; 0 for an account that is no linked node.
    @return address The license's owner; zero if there is no license.
    @return address The license's node; zero if none is linked.
    """
    assert subject != LICENSE_SUBJECT, "trust: zero subject"
    license_id: uint256 = 0
    if subject > LICENSE_SUBJECT:
        license_id = subject - LICENSE_SUBJECT
    else:
        license_id = staticcall self.licenses.license_of(convert(subject, address))
    if license_id == 0:
        return 0, empty(address), empty(address)
    return (
        license_id,
        staticcall IERC721(self.licenses.address).ownerOf(license_id),
        staticcall self.licenses.node_of(license_id),
    )


@internal
@view
def _worst_standing(license_id: uint256, owner: address, node: address) -> uint256:
    """
    @dev Returns the worst of the standings of a license, its owner and its node.
    @param license_id The license.
    @param owner Its owner.
    @param node Its node; the zero address if none is linked.
    @return uint256 The standing.
    """
    license_word: uint256 = self._standings[LICENSE_SUBJECT + license_id]
    owner_word: uint256 = self._standings[convert(owner, uint256)]
    node_word: uint256 = 0
    if node != empty(address):
        node_word = self._standings[convert(node, uint256)]
    # Almost always nothing was ever said of any of the three.
    if license_word | owner_word | node_word == 0:
        return GOOD
    return max(
        standing_word._current(license_word),
        max(standing_word._current(owner_word), standing_word._current(node_word)),
    )


@internal
def _start_cooldown(subject: uint256):
    """
    @dev Starts the freeze cooldown of a subject; reverts while one runs.
    @param subject The subject.
    """
    word: standing_word.Standing = standing_word._unpack(self._standings[subject])
    assert word.cooldown <= block.timestamp, "trust: freeze cooldown"
    word.cooldown = block.timestamp + FREEZE_COOLDOWN
    self._standings[subject] = standing_word._pack(word)


@internal
def _set_standing(subject: uint256, standing: uint256, until: uint256, reason: uint256, evidence_hash: bytes32):
    """
    @dev Writes a standing and keeps the cooldown.
    @param subject The subject.
    @param standing The standing.
    @param until When it ends, in Unix seconds.
    @param reason The reason code.
    @param evidence_hash The hash of the evidence.
    """
    assert subject != 0 and subject != LICENSE_SUBJECT, "trust: zero subject"
    word: standing_word.Standing = standing_word._unpack(self._standings[subject])
    word.standing = standing
    word.until = until
    word.reason = reason
    self._standings[subject] = standing_word._pack(word)
    log ITrustRegistry.StandingSet(
        subject=subject,
        actor=msg.sender,
        standing=standing,
        until=until,
        reason=reason,
        evidence_hash=evidence_hash,
    )


@internal
@view
def _attested_level(account: address) -> uint256:
    """
    @dev Returns the level of an attestation that holds.
    @param account The account.
    @return uint256 The level, or 0.
    """
    word: attestation_word.Attestation = attestation_word._unpack(self._attestations[account])
    if word.expires_at <= block.timestamp or not self.is_issuer[word.issuer]:
        return 0
    return word.level
