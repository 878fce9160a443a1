# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Tariff
@custom:contract-name Tariff
@license GNU Affero General Public License v3.0 only
@notice What jobs are opened under: price classes, with every price they ever had, and policy versions.
@custom:security Only the governor writes here, behind its delay. The escrow copies a price and a version when a job is
        opened: nothing set here reaches an open job.
@custom:kill Retiring every class stops new money: no job is opened, extended or scaled up. Nothing here stops claims,
        closes, cancels and refunds.
"""

from interfaces import IJobEscrow
from interfaces import ITariff

implements: ITariff

from interfaces import ITrustRegistry

from modules import class_word
from modules import ledger_word
from modules import policy_word
from modules import price_word

from modules import roles

initializes: roles

exports: roles.TRUST


# @dev What `set_class` and the constructor take.
struct ClassTerms:
    # Base units of the token for one slot and window at full availability.
    price: uint256
    # Thousandths of a processor core.
    cpu_milli: uint256
    # Memory in megabytes.
    memory_mb: uint256
    # Storage in megabytes.
    storage_mb: uint256


# @dev A policy of the constructor and of `add_policy`; parts in basis points.
struct PolicyTerms:
    # Of a claim's gross.
    oracle_bps: uint256
    burn_bps: uint256
    treasury_bps: uint256
    # A window below this figure earns nothing. The oracles apply it; no contract reads it.
    sla_floor_bps: uint256
    # The attested level that a payer needs to open a job; 0 asks for none.
    payer_level: uint256
    # Whether a payer must be in good standing, and hold an oracle license, to open a job.
    payer_standing: bool
    payer_oracle: bool
    # Of what a blacklisted license forfeits; the treasury gets the rest.
    forfeit_payer_bps: uint256
    forfeit_burn_bps: uint256


# @dev Classes at most, ids from 1: a job's word has 8 bits for its class.
MAX_CLASSES: constant(uint256) = 255


# @dev How many classes the constructor takes.
MAX_FIRST_CLASSES: constant(uint256) = 16


# @dev The deployer, who may bind the escrow once and nothing else.
_DEPLOYER: immutable(address)


# @dev The escrow that sells under this tariff.
escrow: public(IJobEscrow)


# @dev The latest policy version; versions count from 1.
policy_version: public(uint256)


# @dev Packed price and resources of each class.
_classes: HashMap[uint256, uint256]


# @dev How often each class was set or retired.
class_changes: public(HashMap[uint256, uint256])


# @dev The price word of each class after each change, with the time of the change in its upper half.
_history: HashMap[uint256, HashMap[uint256, uint256]]


# @dev Each policy version.
_policies: HashMap[uint256, PolicyTerms]


# @dev The classes and the policy that `bind_escrow` publishes.
_first_classes: DynArray[ClassTerms, MAX_FIRST_CLASSES]
_first_policy: PolicyTerms


@deploy
def __init__(trust: ITrustRegistry, classes: DynArray[ClassTerms, MAX_FIRST_CLASSES], policy: PolicyTerms):
    """
    @notice Keeps the first classes, ids from 1, and policy version 1 until the escrow is bound.
    @param trust The trust registry.
    @param classes The classes.
    @param policy The policy.
    """
    roles.__init__(trust)
    _DEPLOYER = msg.sender
    self._first_classes = classes
    self._first_policy = policy


@external
def bind_escrow(escrow_: IJobEscrow):
    """
    @notice Names the escrow, once, and publishes the first classes and policy version 1 to it.
    @param escrow_ The job escrow. Each of the two contracts needs the other's address.
    """
    assert msg.sender == _DEPLOYER, "tariff: not the deployer"
    assert self.escrow.address == empty(address), "tariff: already bound"
    assert escrow_.address != empty(address), "tariff: zero escrow"
    self.escrow = escrow_
    log ITariff.EscrowBound(escrow=escrow_.address)
    class_id: uint256 = 0
    for terms: ClassTerms in self._first_classes:
        class_id += 1
        self._set_class(class_id, terms, False)
    self._add_policy(self._first_policy)


@external
def set_class(class_id: uint256, terms: ClassTerms):
    """
    @notice Adds a class, or changes what it costs jobs opened from now on. A retired class comes back.
            What a class gives is fixed when it is added: other resources take another class.
    @param class_id The class, from 1.
    @param terms Its price and resources.
    """
    roles._check_governor()
    self._set_class(class_id, terms, False)


@external
def retire_class(class_id: uint256):
    """
    @notice Refuses new jobs, extensions and further slots of a class.
    @param class_id The class.
    """
    roles._check_governor()
    offer: class_word.Offer = class_word._unpack(self._classes[class_id])
    assert offer.exists, "tariff: unknown class"
    assert not offer.retired, "tariff: class retired"
    self._set_class(
        class_id,
        ClassTerms(
            price=offer.price, cpu_milli=offer.cpu_milli, memory_mb=offer.memory_mb, storage_mb=offer.storage_mb
        ),
        True,
    )


@external
def add_policy(policy: PolicyTerms) -> uint256:
    """
    @notice Adds a policy version for jobs opened from now on.
    @param policy The policy.
    @return uint256 The version.
    """
    roles._check_governor()
    return self._add_policy(policy)


@external
@view
def class_of(class_id: uint256) -> class_word.Offer:
    """
    @notice Returns what a class costs and gives.
    @param class_id The class.
    @return Offer Its terms.
    """
    return class_word._unpack(self._classes[class_id])


@external
@view
def class_at(class_id: uint256, index: uint256) -> (uint256, bool, uint256):
    """
    @notice Returns what a class cost after one of its changes.
    @param class_id The class.
    @param index The change, from 0 up to `class_changes`, exclusive.
    @return uint256 Base units of the token for one slot and window at full availability.
    @return bool Whether new jobs were refused.
    @return uint256 Since when, in Unix seconds.
    """
    assert index < self.class_changes[class_id], "tariff: unknown change"
    word: uint256 = self._history[class_id][index]
    return price_word._price(word), not price_word._on_sale(word), word >> 128


@external
@view
def policy_of(version: uint256) -> PolicyTerms:
    """
    @notice Returns the terms of a policy version.
    @param version The version.
    @return PolicyTerms The terms.
    """
    assert version > 0 and version <= self.policy_version, "tariff: unknown policy"
    return self._policies[version]


@internal
def _set_class(class_id: uint256, terms: ClassTerms, retired: bool):
    """
    @dev Writes a class, its history and its price in the escrow.
    @param class_id The class.
    @param terms Its price and resources.
    @param retired Whether it refuses new money.
    """
    assert class_id > 0 and class_id <= MAX_CLASSES, "tariff: class out of range"
    before: class_word.Offer = class_word._unpack(self._classes[class_id])
    # Open jobs of the class were promised its resources: only its price may change.
    assert not before.exists or (
        before.cpu_milli == terms.cpu_milli
        and before.memory_mb == terms.memory_mb
        and before.storage_mb == terms.storage_mb
    ), "tariff: resources are fixed"
    self._classes[class_id] = class_word._pack(
        class_word.Offer(
            price=terms.price,
            cpu_milli=terms.cpu_milli,
            memory_mb=terms.memory_mb,
            storage_mb=terms.storage_mb,
            exists=True,
            retired=retired,
        )
    )
    change: uint256 = self.class_changes[class_id]
    self.class_changes[class_id] = change + 1
    self._history[class_id][change] = price_word._pack(terms.price, not retired) | (block.timestamp << 128)
    log ITariff.ClassSet(
        class_id=class_id,
        price=terms.price,
        cpu_milli=terms.cpu_milli,
        memory_mb=terms.memory_mb,
        storage_mb=terms.storage_mb,
        retired=retired,
    )
    extcall self.escrow.set_class(class_id, terms.price, not retired)


@internal
def _add_policy(policy: PolicyTerms) -> uint256:
    """
    @dev Writes a policy version and publishes what the escrow applies of it.
    @param policy The policy.
    @return uint256 The version.
    """
    assert policy.sla_floor_bps <= 10_000, "tariff: floor above 100%"
    version: uint256 = extcall self.escrow.add_policy(
        ledger_word._pack(
            ledger_word.Ledger(
                oracle_bps=policy.oracle_bps,
                burn_bps=policy.burn_bps,
                treasury_bps=policy.treasury_bps,
                payer_level=policy.payer_level,
                payer_standing=policy.payer_standing,
                payer_oracle=policy.payer_oracle,
                fees=0,
                liabilities=0,
            )
        ),
        policy_word._pack(
            policy_word.Policy(
                forfeit_payer_bps=policy.forfeit_payer_bps, forfeit_burn_bps=policy.forfeit_burn_bps, flushed=0
            )
        ),
    )
    self.policy_version = version
    self._policies[version] = policy
    log ITariff.PolicyAdded(
        policy_version=version,
        oracle_bps=policy.oracle_bps,
        burn_bps=policy.burn_bps,
        treasury_bps=policy.treasury_bps,
        sla_floor_bps=policy.sla_floor_bps,
        payer_level=policy.payer_level,
        payer_standing=policy.payer_standing,
        payer_oracle=policy.payer_oracle,
        forfeit_payer_bps=policy.forfeit_payer_bps,
        forfeit_burn_bps=policy.forfeit_burn_bps,
    )
    return version
