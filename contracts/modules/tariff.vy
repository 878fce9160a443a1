# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Tariff
@custom:contract-name tariff
@notice The tables that jobs are opened under: price classes and policy versions, with the ledger of each version.
@custom:security Jobs keep the price and the version that they were opened under: nothing set here reaches an open job.
"""

from ..interfaces import IJobEscrow
from . import class_word
from . import head_word
from . import ledger_word
from . import roles

uses: roles


# @dev A class of the constructor's list and of `set_class`.
struct ClassTerms:
    # Base units of the token for one slot and window at full availability.
    price: uint256
    # Thousandths of a processor core.
    cpu_milli: uint256
    # Memory in megabytes.
    memory_mb: uint256
    # Storage in megabytes.
    storage_mb: uint256


# @dev A policy of the constructor and of `add_policy`; shares of a claim's gross in basis points.
struct PolicyTerms:
    oracle_bps: uint256
    burn_bps: uint256
    treasury_bps: uint256
    # A window below this figure earns nothing, in basis points.
    sla_floor_bps: uint256
    # The attested level that a payer needs to open a job; 0 asks for none.
    payer_level: uint256


# @dev Policy versions at most: `liabilities` adds up all of them.
MAX_POLICIES: constant(uint256) = 32


# @dev Classes at most, ids from 1.
MAX_CLASSES: constant(uint256) = 255


# @dev How many classes the constructor takes.
MAX_FIRST_CLASSES: constant(uint256) = 16


# @dev Packed numbers of jobs and of policy versions.
_head: uint256


# @dev Packed price and resources of each class.
_classes: HashMap[uint256, uint256]


# @dev The figure below which a window earns nothing, in basis points, of each policy version. The oracles
#      apply it; no call of the escrow reads it.
_sla_floors: HashMap[uint256, uint256]


# @dev Packed fee shares, fees and liabilities of each policy version; an array, as it is cheaper to reach than a map.
_ledgers: uint256[MAX_POLICIES + 1]


@deploy
def __init__(classes: DynArray[ClassTerms, MAX_FIRST_CLASSES], policy: PolicyTerms):
    """
    @dev Sets the first classes, ids from 1, and policy version 1.
    @param classes The classes.
    @param policy The policy.
    """
    class_id: uint256 = 0
    for terms: ClassTerms in classes:
        class_id += 1
        self._set_class(class_id, terms, False)
    self._add_policy(policy)


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
    @notice Refuses new jobs and extensions of a class.
    @param class_id The class.
    """
    roles._check_governor()
    offer: class_word.Offer = self._class(class_id)
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
def policy_of(version: uint256) -> PolicyTerms:
    """
    @notice Returns the terms of a policy version.
    @param version The version.
    @return PolicyTerms The terms.
    """
    assert version > 0 and version <= head_word._policies(self._head), "tariff: unknown policy"
    packed: uint256 = self._ledgers[version]
    ledger: ledger_word.Ledger = ledger_word._unpack(packed)
    return PolicyTerms(
        oracle_bps=ledger.oracle_bps,
        burn_bps=ledger.burn_bps,
        treasury_bps=ledger.treasury_bps,
        sla_floor_bps=self._sla_floors[version],
        payer_level=ledger.payer_level,
    )


@external
@view
def policy_version() -> uint256:
    """
    @notice Returns the policy version that new jobs are opened under; versions count from 1.
    @return uint256 The version.
    """
    return head_word._policies(self._head)


@external
@view
def job_count() -> uint256:
    """
    @notice Returns the latest job; ids count from 1.
    @return uint256 The job.
    """
    return head_word._jobs(self._head)


@external
@view
def ledger_of(version: uint256) -> (uint256, uint256):
    """
    @notice Returns the books of a policy version, in base units of the token.
    @param version The version.
    @return uint256 Fees taken since it was added.
    @return uint256 What is owed under it: locked deposits and fees.
    """
    assert version > 0 and version <= head_word._policies(self._head), "tariff: unknown policy"
    ledger: ledger_word.Ledger = ledger_word._unpack(self._ledgers[version])
    return ledger.fees, ledger.liabilities


@external
@view
def liabilities() -> uint256:
    """
    @notice Returns what the escrow owes under all versions: never more than its balance.
    @return uint256 Base units of the token.
    """
    total: uint256 = 0
    for index: uint256 in range(head_word._policies(self._head), bound=MAX_POLICIES):
        total += ledger_word._unpack(self._ledgers[index + 1]).liabilities
    return total


@internal
def _next_job() -> (uint256, uint256):
    """
    @dev Takes the id of a new job.
    @return uint256 The job.
    @return uint256 The policy version that it is opened under.
    """
    head: uint256 = head_word._with_job(self._head)
    self._head = head
    return head_word._jobs(head), head_word._policies(head)


@internal
def _owe(version: uint256, amount: uint256):
    """
    @dev Books a deposit.
    @param version The job's policy version.
    @param amount Base units of the token.
    """
    self._ledgers[version] = ledger_word._with_liabilities(self._ledgers[version], amount, 0)


@internal
def _refund(version: uint256, amount: uint256):
    """
    @dev Books a refund.
    @param version The job's policy version.
    @param amount Base units of the token.
    """
    self._ledgers[version] = ledger_word._with_liabilities(self._ledgers[version], 0, amount)


@internal
def _pay(version: uint256, gross_before: uint256, gross_after: uint256) -> uint256:
    """
    @dev Books a claim. Fees are due on the license's cumulative gross, so that cutting a claim in two changes
         nothing; they are rounded down, in favour of the operator.
    @param version The job's policy version.
    @param gross_before The license's cumulative gross before the claim, in base units of the token.
    @param gross_after The same after it.
    @return uint256 What the operator gets, in base units of the token.
    """
    packed: uint256 = self._ledgers[version]
    fee_bps: uint256 = ledger_word._fee_bps(packed)
    # A gross has at most 139 bits and the shares 14.
    fee: uint256 = unsafe_sub(
        unsafe_div(unsafe_mul(gross_after, fee_bps), 10_000), unsafe_div(unsafe_mul(gross_before, fee_bps), 10_000)
    )
    amount: uint256 = unsafe_sub(unsafe_sub(gross_after, gross_before), fee)
    self._ledgers[version] = ledger_word._with_claim(packed, amount, fee)
    return amount


@internal
@view
def _class(class_id: uint256) -> class_word.Offer:
    """
    @dev Returns a class that new money may be spent on.
    @param class_id The class.
    @return Offer Its terms.
    """
    offer: class_word.Offer = class_word._unpack(self._classes[class_id])
    assert offer.exists, "tariff: unknown class"
    assert not offer.retired, "tariff: class retired"
    return offer


@internal
@view
def _payer_level(version: uint256) -> uint256:
    """
    @dev Returns what a payer must prove to open a job.
    @param version The policy version.
    @return uint256 The attested level.
    """
    return ledger_word._unpack(self._ledgers[version]).payer_level


@internal
def _set_class(class_id: uint256, terms: ClassTerms, retired: bool):
    """
    @dev Writes a class.
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
    log IJobEscrow.ClassSet(
        class_id=class_id,
        price=terms.price,
        cpu_milli=terms.cpu_milli,
        memory_mb=terms.memory_mb,
        storage_mb=terms.storage_mb,
        retired=retired,
    )


@internal
def _add_policy(policy: PolicyTerms) -> uint256:
    """
    @dev Adds a policy version.
    @param policy The policy.
    @return uint256 The version.
    """
    head: uint256 = head_word._with_policy(self._head)
    version: uint256 = head_word._policies(head)
    assert version <= MAX_POLICIES, "tariff: too many policies"
    assert policy.sla_floor_bps <= 10_000, "tariff: floor above 100%"
    self._head = head
    self._sla_floors[version] = policy.sla_floor_bps
    self._ledgers[version] = ledger_word._pack(
        ledger_word.Ledger(
            oracle_bps=policy.oracle_bps,
            burn_bps=policy.burn_bps,
            treasury_bps=policy.treasury_bps,
            payer_level=policy.payer_level,
            fees=0,
            liabilities=0,
        )
    )
    log IJobEscrow.PolicyAdded(
        policy_version=version,
        oracle_bps=policy.oracle_bps,
        burn_bps=policy.burn_bps,
        treasury_bps=policy.treasury_bps,
        sla_floor_bps=policy.sla_floor_bps,
        payer_level=policy.payer_level,
    )
    return version
