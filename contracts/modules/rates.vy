# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Rates
@custom:contract-name rates
@notice What the escrow charges and owes: the price of each class, the shares and the ledger of each policy version,
        and the head that counts jobs and versions and holds the pause.
@custom:security Prices and versions come from the tariff. Jobs keep the price and the version that they were opened
        under, and a version never changes: nothing that the tariff says reaches an open job.
"""

from ..interfaces import IJobEscrow
from ..interfaces import ITariff
from . import head_word
from . import ledger_word
from . import policy_word
from . import price_word
from . import shares


# @dev Policy versions at most: `liabilities` adds up all of them.
MAX_POLICIES: constant(uint256) = 32


# @dev The contract that sets prices and adds policy versions.
TARIFF: public(immutable(ITariff))


# @dev Packed numbers of jobs and of policy versions, and the pause.
_head: uint256


# @dev Packed price of each class.
_prices: HashMap[uint256, uint256]


# @dev Packed fee shares, fees and liabilities of each policy version; an array, as it is cheaper to reach than a map.
_ledgers: uint256[MAX_POLICIES + 1]


# @dev Packed parts of what is forfeited, and fees handed on, of each policy version.
_policies: uint256[MAX_POLICIES + 1]


@deploy
def __init__(tariff: ITariff):
    """
    @dev Fixes the tariff.
    @param tariff The contract that sets prices and adds policy versions.
    """
    TARIFF = tariff


@external
def set_class(class_id: uint256, price: uint256, on_sale: bool):
    """
    @notice Sets what a class costs jobs opened from now on; for the tariff.
    @param class_id The class.
    @param price Base units of the token for one slot and window at full availability.
    @param on_sale Whether new money may be spent on it.
    """
    self._check_tariff()
    self._prices[class_id] = price_word._pack(price, on_sale)


@external
def add_policy(ledger: uint256, policy: uint256) -> uint256:
    """
    @notice Adds a policy version for jobs opened from now on; for the tariff.
    @param ledger The version's packed ledger, whose books are empty.
    @param policy Its packed policy word, of which nothing was flushed.
    @return uint256 The version.
    """
    self._check_tariff()
    assert ledger_word._is_fresh(ledger) and policy_word._is_fresh(policy), "rates: books not empty"
    head: uint256 = head_word._with_policy(self._head)
    self._head = head
    version: uint256 = head_word._policies(head)
    assert version <= MAX_POLICIES, "rates: too many policies"
    self._ledgers[version] = ledger
    self._policies[version] = policy
    return version


@external
@view
def price_of(class_id: uint256) -> uint256:
    """
    @notice Returns the price of a class that new money may be spent on; reverts if there is none.
    @param class_id The class.
    @return uint256 Base units of the token for one slot and window at full availability.
    """
    return self._price_of(class_id)


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
def ledger_of(version: uint256) -> (uint256, uint256, uint256):
    """
    @notice Returns the books of a policy version, in base units of the token.
    @param version The version.
    @return uint256 Fees taken since it was added.
    @return uint256 What of them was handed to the vault.
    @return uint256 What is owed under it: locked deposits and fees that were not handed on.
    """
    self._check_version(version)
    ledger: uint256 = self._ledgers[version]
    return ledger_word._fees(ledger), policy_word._flushed(self._policies[version]), ledger_word._liabilities(ledger)


@external
@view
def liabilities() -> uint256:
    """
    @notice Returns what the escrow owes under all versions: never more than its balance.
    @return uint256 Base units of the token.
    """
    total: uint256 = 0
    for index: uint256 in range(head_word._policies(self._head), bound=MAX_POLICIES):
        total += ledger_word._liabilities(self._ledgers[index + 1])
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
    @dev Books a claim. Fees are due on the license's cumulative gross and rounded down, in favour of the operator.
    @param version The job's policy version.
    @param gross_before The license's cumulative gross before the claim, in base units of the token.
    @param gross_after The same after it.
    @return uint256 What the operator gets, in base units of the token.
    """
    packed: uint256 = self._ledgers[version]
    fee_bps: uint256 = ledger_word._fee_bps(packed)
    # As `shares._part` takes it, without its calls: this is the call that is paid for most often.
    fee: uint256 = unsafe_sub(
        unsafe_div(unsafe_mul(gross_after, fee_bps), shares.FULL_BPS),
        unsafe_div(unsafe_mul(gross_before, fee_bps), shares.FULL_BPS),
    )
    amount: uint256 = unsafe_sub(unsafe_sub(gross_after, gross_before), fee)
    self._ledgers[version] = ledger_word._with_claim(packed, amount, fee)
    return amount


@internal
@view
def _forfeited(version: uint256, gross_before: uint256, amount: uint256) -> (uint256, uint256):
    """
    @dev Splits what a blacklisted license does not get, cumulatively like everything else.
    @param version The job's policy version.
    @param gross_before The license's cumulative gross before, in base units of the token.
    @param amount What it would have got now, in base units of the token.
    @return uint256 What the job's payer gets.
    @return uint256 What is burned; the treasury gets the rest.
    """
    policy: policy_word.Policy = policy_word._unpack(self._policies[version])
    before: uint256 = gross_before - shares._part(gross_before, ledger_word._fee_bps(self._ledgers[version]))
    return self._grown_parts(
        before, before + amount, policy.forfeit_payer_bps, policy.forfeit_burn_bps, shares.FULL_BPS
    )


@internal
def _flush(version: uint256) -> (uint256, uint256, uint256):
    """
    @dev Books the fees of a version as handed on: its all-time total is split, so the parts come out the same however
         often somebody flushes.
    @param version The policy version.
    @return uint256 The oracles' part, in base units of the token.
    @return uint256 The part to burn.
    @return uint256 The treasury's part.
    """
    self._check_version(version)
    ledger: ledger_word.Ledger = ledger_word._unpack(self._ledgers[version])
    policy: policy_word.Policy = policy_word._unpack(self._policies[version])
    oracles: uint256 = 0
    burned: uint256 = 0
    oracles, burned = self._grown_parts(
        policy.flushed,
        ledger.fees,
        ledger.oracle_bps,
        ledger.burn_bps,
        ledger.oracle_bps + ledger.burn_bps + ledger.treasury_bps,
    )
    amount: uint256 = ledger.fees - policy.flushed
    policy.flushed = ledger.fees
    self._policies[version] = policy_word._pack(policy)
    self._refund(version, amount)
    return oracles, burned, amount - oracles - burned


@internal
@pure
def _grown_parts(
    before: uint256, after: uint256, first: uint256, second: uint256, whole: uint256
) -> (uint256, uint256):
    """
    @dev Returns by how much two parts of a cumulative amount grew.
    @param before The cumulative amount before, in base units of the token.
    @param after The same afterwards, not less.
    @param first The weight of the first part.
    @param second The weight of the second part.
    @param whole The weight of all, not zero.
    @return uint256 What the first part grew by, in base units of the token.
    @return uint256 What the second part grew by.
    """
    first_before: uint256 = 0
    second_before: uint256 = 0
    first_after: uint256 = 0
    second_after: uint256 = 0
    first_before, second_before = shares._split(before, first, second, whole)
    first_after, second_after = shares._split(after, first, second, whole)
    return first_after - first_before, second_after - second_before


@internal
@view
def _price_of(class_id: uint256) -> uint256:
    """
    @dev Returns the price of a class that new money may be spent on.
    @param class_id The class.
    @return uint256 Base units of the token for one slot and window at full availability.
    """
    packed: uint256 = self._prices[class_id]
    assert packed != 0, "rates: unknown class"
    assert price_word._on_sale(packed), "rates: class retired"
    return price_word._price(packed)


@internal
@view
def _check_tariff():
    """
    @dev Reverts unless the caller is the tariff.
    """
    assert msg.sender == TARIFF.address, "rates: not the tariff"


@internal
@view
def _check_version(version: uint256):
    """
    @dev Reverts unless a policy version was added.
    @param version The version.
    """
    assert version > 0 and version <= head_word._policies(self._head), "rates: unknown policy"
