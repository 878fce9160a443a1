# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Job escrow
@custom:contract-name JobEscrow
@license GNU Affero General Public License v3.0 only
@notice Holds what payers lock for jobs, pays operators what a final report proves, refunds the rest to the payer.
@custom:security Claims are clamped, never trusted: a license is paid for the windows that it was placed in and a job
        for what was funded, whatever the oracles sign. State is written before tokens move.
@custom:kill The guardian can pause opening and placing for `FREEZE_PERIOD`, the governor can retire every class of
        the tariff. Nothing stops claims, closes, cancels and refunds of the jobs that stand.
"""

from interfaces import IJobEscrow

implements: IJobEscrow

from ethereum.ercs import IERC20
from interfaces import IFeeVault
from interfaces import INodeLicense
from interfaces import IOracleCommittee
from interfaces import ITariff
from interfaces import ITrustRegistry

from snekmate.utils import eip712_domain_separator

initializes: eip712_domain_separator

from modules import clock

initializes: clock

from modules import head_word
from modules import ledger_word
from modules import merkle
from modules import money_word

from modules import rates

initializes: rates

from modules import roles

initializes: roles

from modules import service_word
from modules import shares
from modules import terms_word

from modules import vault

initializes: vault

exports: (
    # Books.
    rates.job_count,
    rates.ledger_of,
    rates.liabilities,
    rates.price_of,
    # For the tariff.
    rates.TARIFF,
    rates.add_policy,
    rates.set_class,
    # What the contract rests on.
    clock.GENESIS,
    clock.WINDOW,
    eip712_domain_separator.eip712Domain,
    roles.TRUST,
    vault.TOKEN,
)


# @dev A claim of `claim_many`.
struct ClaimEntry:
    job_id: uint256
    license_id: uint256
    units: uint256
    proof: DynArray[bytes32, MAX_DEPTH]


# @dev The kinds of a job.
SERVICE: constant(uint256) = 0
BATCH: constant(uint256) = 1


# @dev The license id of a job's own leaf.
JOB_LEAF: constant(uint256) = 0


# @dev The standings of a payee, from best to worst.
GOOD: constant(uint256) = 0
FROZEN: constant(uint256) = 1
SUSPENDED: constant(uint256) = 2
BLACKLISTED: constant(uint256) = 3


# @dev Windows that one call may buy.
MAX_WINDOWS: constant(uint256) = 2**16


# @dev Licenses that one placement may release, and assign.
MAX_PLACEMENT: constant(uint256) = 32


# @dev Claims in one call.
MAX_CLAIMS: constant(uint256) = 16


# @dev The longest proof, and as many signatures as a committee can have.
MAX_DEPTH: constant(uint256) = 32
MAX_SIGNATURES: constant(uint256) = 2_080

_PLACEMENT_TYPE_HASH: constant(bytes32) = keccak256(
    "Placement(uint256 jobId,uint256 round,uint256 window,uint256 revision,uint256[] release,uint256[] assign,uint256 committeeEpoch)"
)


# @dev The committee that signs placements and reports.
COMMITTEE: public(immutable(IOracleCommittee))


# @dev The contract through which payers and their delegates change jobs.
DESK: public(immutable(address))


# @dev The licenses that are placed and paid.
LICENSES: public(immutable(INodeLicense))


# @dev How long a pause lasts and how long after its start there can't be another, in seconds: those of a freeze.
PAUSE_PERIOD: public(immutable(uint256))
PAUSE_COOLDOWN: public(immutable(uint256))


# @dev Where fees and forfeited shares go.
VAULT: public(immutable(IFeeVault))


# @dev Packed price, units, end and flags of each job: what claims need.
_money: HashMap[uint256, uint256]


# @dev Packed payer, slots and start of each job: what placements need.
_terms: HashMap[uint256, uint256]


# @dev Revisions of the spec of each job.
revision_of: public(HashMap[uint256, uint256])


# @dev keccak256 of the canonical spec of each job.
spec_hash_of: public(HashMap[uint256, bytes32])


# @dev Packed windows and units of each license in each job.
_service: HashMap[uint256, HashMap[uint256, uint256]]


@deploy
def __init__(
    trust: ITrustRegistry,
    licenses: INodeLicense,
    committee: IOracleCommittee,
    tariff: ITariff,
    desk: address,
):
    """
    @notice Takes the calendar from the committee, the vault from the licenses and the token from the vault.
    @param trust The trust registry.
    @param licenses The license contract.
    @param committee The oracle committee.
    @param tariff The contract that sets prices and policies.
    @param desk The contract through which payers change jobs.
    """
    eip712_domain_separator.__init__("JobEscrow", "1")
    clock.__init__(staticcall committee.GENESIS(), staticcall committee.WINDOW())
    rates.__init__(tariff)
    roles.__init__(trust)
    assert staticcall committee.LICENSES() == licenses.address, "escrow: committee of others"
    VAULT = IFeeVault(staticcall licenses.VAULT())
    vault.__init__(IERC20(staticcall IFeeVault(staticcall licenses.VAULT()).TOKEN()))
    COMMITTEE = committee
    DESK = desk
    LICENSES = licenses
    PAUSE_PERIOD = staticcall trust.FREEZE_PERIOD()
    PAUSE_COOLDOWN = staticcall trust.FREEZE_COOLDOWN()


@external
def open_job(
    spec_hash: bytes32,
    class_id: uint256,
    kind: uint256,
    slots: uint256,
    min_slots: uint256,
    windows: uint256,
    max_price: uint256,
) -> uint256:
    """
    @notice Opens a job and pulls its deposit from the caller: `price * slots * windows` for a service job,
            `price * slots` for a batch job. Windows are counted from the first placement.
    @param spec_hash keccak256 of the canonical spec.
    @param class_id The price class.
    @param kind 0 for a service job, 1 for a batch job.
    @param slots Replicas, or shards, to pay for.
    @param min_slots Licenses that the first placement must bring.
    @param windows Windows to pay for; the deadline of a batch job.
    @param max_price The highest price of a slot and window, or shard, that is accepted, in base units of the token.
    @return uint256 The job's id.
    """
    return self._open(msg.sender, spec_hash, class_id, kind, slots, min_slots, windows, max_price)


@external
def open_job_for(
    payer: address,
    spec_hash: bytes32,
    class_id: uint256,
    kind: uint256,
    slots: uint256,
    min_slots: uint256,
    windows: uint256,
    max_price: uint256,
) -> uint256:
    """
    @notice Opens a job of a payer and pulls its deposit from the payer's allowance; for the desk.
    @param payer Who pays and gets every refund.
    @param spec_hash keccak256 of the canonical spec.
    @param class_id The price class.
    @param kind 0 for a service job, 1 for a batch job.
    @param slots Replicas, or shards, to pay for.
    @param min_slots Licenses that the first placement must bring.
    @param windows Windows to pay for; the deadline of a batch job.
    @param max_price The highest price of a slot and window, or shard, that is accepted, in base units of the token.
    @return uint256 The job's id.
    """
    self._check_desk()
    return self._open(payer, spec_hash, class_id, kind, slots, min_slots, windows, max_price)


@external
def place(
    job_id: uint256,
    round: uint256,
    window: uint256,
    revision: uint256,
    release: DynArray[uint256, MAX_PLACEMENT],
    assign: DynArray[uint256, MAX_PLACEMENT],
    signatures: Bytes[MAX_SIGNATURES],
):
    """
    @notice Changes the licenses of a job as a quorum signed, from the next window on. The first placement starts
            the job. Anyone may send it.
    @param job_id The job.
    @param round How many placements the job had before.
    @param window The current window.
    @param revision The job's current revision.
    @param release The licenses that stop.
    @param assign The licenses that begin.
    @param signatures Concatenated signatures in strictly ascending signer order.
    """
    # Works on the packed words: placing is the dearest call of all.
    money: uint256 = self._money[job_id]
    terms: uint256 = self._terms[job_id]
    slots: uint256 = 0
    seated: uint256 = 0
    start: uint256 = 0
    rounds: uint256 = 0
    slots, seated, start, rounds = terms_word._placement(terms)
    assert money != 0, "escrow: unknown job"
    assert money & money_word.CANCELLED == 0, "escrow: cancelled"
    assert money & money_word.COMPLETED == 0, "escrow: completed"
    assert block.timestamp >= head_word._paused_until(rates._head), "escrow: paused"
    assert round == rounds, "escrow: wrong round"
    assert window == clock._now(), "escrow: wrong window"
    assert revision == self.revision_of[job_id], "escrow: wrong revision"
    assert len(release) + len(assign) > 0, "escrow: empty placement"
    digest: bytes32 = self._placement_digest(
        job_id, round, window, revision, self._hash_ids(release), self._hash_ids(assign)
    )
    # The bitmap of the signers is of no use here: a placement earns no share.
    signers: uint256 = staticcall COMMITTEE.verify(digest, signatures)
    assert staticcall LICENSES.all_eligible(assign), "escrow: license not eligible"
    end: uint256 = money_word._end(money)
    if end == 0:
        assert len(assign) >= seated, "escrow: too few licenses"
        end = window + 1 + start
        self._money[job_id] = money_word._with_end(money, end)
        start = window + 1
        seated = 0
    assert window + 1 < end, "escrow: job over"
    for license_id: uint256 in release:
        self._release(job_id, license_id, window + 1)
    for license_id: uint256 in assign:
        self._assign(job_id, license_id, window + 1, end)
    seated = seated + len(assign) - len(release)
    assert seated <= slots, "escrow: too many licenses"
    self._terms[job_id] = terms_word._with_placement(terms, seated, start)
    log IJobEscrow.Placed(
        job_id=job_id,
        round=round,
        window=window,
        revision=revision,
        end=end,
        release=release,
        assign=assign,
    )


@external
def claim(job_id: uint256, license_id: uint256, units: uint256, proof: DynArray[bytes32, MAX_DEPTH]) -> uint256:
    """
    @notice Pays a license what the final report proves and the job has left. Anyone may send it. Too high a figure
            pays what is due; the same figure twice moves nothing.
    @param job_id The job.
    @param license_id The license.
    @param units The cumulative units of the leaf.
    @param proof The leaf's proof.
    @return uint256 What the operator got, in base units of the token.
    """
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    payee: address = empty(address)
    standing: uint256 = 0
    payee, standing = staticcall LICENSES.payee_of(license_id)
    if standing != GOOD:
        self._refuse(standing)
    assert merkle._is_member(proof, root, merkle._leaf(self, job_id, license_id, units)), "escrow: wrong proof"
    amount: uint256 = self._credit(job_id, license_id, units, reported, payee)
    vault._push(payee, amount)
    return amount


@external
def claim_many(payee: address, claims: DynArray[ClaimEntry, MAX_CLAIMS]) -> uint256:
    """
    @notice Pays several licenses of one payee in one transfer. Entries that are held, that belong to another payee
            or that move nothing are skipped; a bad proof reverts.
    @param payee The payout address of the licenses.
    @param claims The claims.
    @return uint256 What the payee got, in base units of the token.
    """
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    total: uint256 = 0
    for entry: ClaimEntry in claims:
        payout: address = empty(address)
        standing: uint256 = 0
        payout, standing = staticcall LICENSES.payee_of(entry.license_id)
        if payout != payee or standing != GOOD:
            continue
        leaf: bytes32 = merkle._leaf(self, entry.job_id, entry.license_id, entry.units)
        assert merkle._is_member(entry.proof, root, leaf), "escrow: wrong proof"
        total += self._credit(entry.job_id, entry.license_id, entry.units, reported, payee)
    vault._push(payee, total)
    return total


@external
def forfeit(job_id: uint256, license_id: uint256, units: uint256, proof: DynArray[bytes32, MAX_DEPTH]) -> uint256:
    """
    @notice Takes what the final report proves from a license that is blacklisted, or whose owner or node is: by the
            job's policy it goes back to the payer, is burned, or is the treasury's. Anyone may send it.
    @param job_id The job.
    @param license_id The license.
    @param units The cumulative units of the leaf.
    @param proof The leaf's proof.
    @return uint256 What the license lost, in base units of the token.
    """
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    payee: address = empty(address)
    standing: uint256 = 0
    payee, standing = staticcall LICENSES.payee_of(license_id)
    assert standing == BLACKLISTED, "escrow: not blacklisted"
    assert merkle._is_member(proof, root, merkle._leaf(self, job_id, license_id, units)), "escrow: wrong proof"
    money: uint256 = self._money[job_id]
    claimed: uint256 = self._service[job_id][license_id] // service_word.ONE_CLAIMED
    amount: uint256 = self._credit(job_id, license_id, units, reported, empty(address))
    credited: uint256 = self._service[job_id][license_id] // service_word.ONE_CLAIMED
    if credited == claimed:
        return 0
    refund: uint256 = 0
    burned: uint256 = 0
    refund, burned = rates._forfeited(
        money_word._policy(money), shares._gross(money_word._price(money), claimed), amount
    )
    payer: address = terms_word._payer(self._terms[job_id])
    log IJobEscrow.Forfeited(
        job_id=job_id,
        license_id=license_id,
        payer=payer,
        units=credited,
        refund=refund,
        burned=burned,
        treasury=amount - refund - burned,
    )
    vault._push(payer, refund)
    self._hand_over(0, burned, amount - refund - burned)
    return amount


@external
def flush_fees(version: uint256) -> uint256:
    """
    @notice Hands the fees of a policy version to the vault, split between oracles, burn and treasury. Anyone may send it.
    @param version The policy version.
    @return uint256 What was handed on, in base units of the token.
    """
    oracles: uint256 = 0
    burned: uint256 = 0
    treasury: uint256 = 0
    oracles, burned, treasury = rates._flush(version)
    log IJobEscrow.FeesFlushed(policy_version=version, oracles=oracles, burned=burned, treasury=treasury)
    self._hand_over(oracles, burned, treasury)
    return oracles + burned + treasury


@external
def amend(
    job_id: uint256, money: uint256, terms: uint256, release: DynArray[uint256, MAX_PLACEMENT]
) -> (uint256, uint256):
    """
    @notice Rewrites what may change of a job; for the desk, which knows when it may. Whatever the desk says, price,
            policy, payer and claimed units stay, and money moves between the job and its payer only: what the funded
            units grow by is pulled, what they shrink by is refunded.
    @param job_id The job.
    @param money Its money word as it shall be.
    @param terms Its terms word as it shall be.
    @param release Licenses that stop with the current window.
    @return uint256 The deposit in base units of the token.
    @return uint256 The refund in base units of the token.
    """
    self._check_desk()
    before: uint256 = self._money[job_id]
    assert (before ^ money) & money_word.FIXED == 0, "escrow: fixed money"
    assert (self._terms[job_id] ^ terms) & terms_word.FIXED == 0, "escrow: fixed terms"
    price: uint256 = money_word._price(money)
    paid: uint256 = shares._gross(price, money_word._funded(before))
    due: uint256 = shares._gross(price, money_word._funded(money))
    assert money_word._funded(money) >= money_word._claimed(money), "escrow: below claimed"
    self._money[job_id] = money
    self._terms[job_id] = terms
    for license_id: uint256 in release:
        self._release(job_id, license_id, clock._now() + 1)
    payer: address = terms_word._payer(terms)
    policy: uint256 = money_word._policy(money)
    if due > paid:
        rates._owe(policy, due - paid)
        vault._pull(payer, due - paid)
        return due - paid, 0
    rates._refund(policy, paid - due)
    vault._push(payer, paid - due)
    return 0, paid - due


@external
def revise(job_id: uint256, spec_hash: bytes32) -> uint256:
    """
    @notice Replaces the spec of a job; for the desk.
    @param job_id The job.
    @param spec_hash keccak256 of the canonical new spec.
    @return uint256 The new revision.
    """
    self._check_desk()
    revision: uint256 = self.revision_of[job_id] + 1
    self.revision_of[job_id] = revision
    self.spec_hash_of[job_id] = spec_hash
    return revision


@external
def close_job(job_id: uint256, total_units: uint256, proof: DynArray[bytes32, MAX_DEPTH]) -> uint256:
    """
    @notice Refunds what was not served, by the job's own leaf, once its last window is in the final report. Anyone
            may send it; a later leaf can only lower what stays locked, never below what is claimed.
    @param job_id The job.
    @param total_units The units of all of its licenses.
    @param proof The leaf's proof.
    @return uint256 The refund in base units of the token.
    """
    money: uint256 = self._money[job_id]
    end: uint256 = money_word._end(money)
    assert end > 0, "escrow: not started"
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    assert reported + 1 >= end, "escrow: end not reported"
    assert merkle._is_member(proof, root, merkle._leaf(self, job_id, JOB_LEAF, total_units)), "escrow: wrong proof"
    funded: uint256 = money_word._funded(money)
    kept: uint256 = min(funded, max(total_units, money_word._claimed(money)))
    if kept == funded and money & money_word.CLOSED != 0:
        return 0
    price: uint256 = money_word._price(money)
    refund: uint256 = shares._gross(price, funded) - shares._gross(price, kept)
    self._money[job_id] = money_word._with_close(money, kept)
    rates._refund(money_word._policy(money), refund)
    log IJobEscrow.JobClosed(job_id=job_id, funded_units=kept, refund=refund)
    vault._push(terms_word._payer(self._terms[job_id]), refund)
    return refund


@external
def pause():
    """
    @notice Stops opening and placing for `PAUSE_PERIOD`, once in every `PAUSE_COOLDOWN`; for the guardian. It ends by
            itself, and by nothing else.
    """
    roles._check_guardian()
    assert block.timestamp >= head_word._pause_again_at(rates._head), "escrow: pause cooldown"
    until: uint256 = block.timestamp + PAUSE_PERIOD
    rates._head = head_word._with_pause(rates._head, until, block.timestamp + PAUSE_COOLDOWN)
    log IJobEscrow.Paused(guardian=msg.sender, until=until)


@external
@view
def words_of(job_id: uint256) -> (uint256, uint256):
    """
    @notice Returns the packed words of a job, as the desk rewrites them.
    @param job_id The job.
    @return uint256 Its money word.
    @return uint256 Its terms word.
    """
    return self._money[job_id], self._terms[job_id]


@external
@view
def assignment(job_id: uint256, license_id: uint256) -> IJobEscrow.Assignment:
    """
    @notice Returns the service of a license in a job.
    @param job_id The job.
    @param license_id The license.
    @return Assignment Its windows and units; `first` is 0 if it never served the job.
    """
    service: service_word.Service = service_word._unpack(self._service[job_id][license_id])
    return IJobEscrow.Assignment(
        first=service.first, until=service.until, earlier=service.earlier, claimed_units=service.claimed
    )


@external
@view
def pause_of() -> (uint256, uint256):
    """
    @notice Returns the state of the pause.
    @return uint256 When it ends or ended, in Unix seconds; 0 if there was none.
    @return uint256 From when the guardian may pause (again), in Unix seconds.
    """
    return head_word._paused_until(rates._head), head_word._pause_again_at(rates._head)


@external
@view
def current_window() -> uint256:
    """
    @notice Returns the current window.
    @return uint256 The window that holds the block's timestamp.
    """
    return clock._now()


@internal
def _open(
    payer: address,
    spec_hash: bytes32,
    class_id: uint256,
    kind: uint256,
    slots: uint256,
    min_slots: uint256,
    windows: uint256,
    max_price: uint256,
) -> uint256:
    """
    @dev Opens a job and pulls its deposit.
    @param payer Who pays and gets every refund.
    @param spec_hash keccak256 of the canonical spec.
    @param class_id The price class.
    @param kind The kind.
    @param slots Replicas, or shards, to pay for.
    @param min_slots Licenses that the first placement must bring.
    @param windows Windows to pay for.
    @param max_price The highest price that is accepted, in base units of the token.
    @return uint256 The job's id.
    """
    price: uint256 = rates._price_of(class_id)
    assert price <= max_price, "escrow: price above maximum"
    assert kind <= BATCH, "escrow: unknown kind"
    assert slots > 0, "escrow: zero slots"
    assert min_slots > 0 and min_slots <= min(slots, MAX_PLACEMENT), "escrow: min slots out of range"
    self._check_windows(windows)
    assert block.timestamp >= head_word._paused_until(rates._head), "escrow: paused"
    job_id: uint256 = 0
    version: uint256 = 0
    job_id, version = rates._next_job()
    self._check_payer(payer, rates._ledgers[version])
    funded: uint256 = slots * shares.UNIT
    if kind == SERVICE:
        funded *= windows
    self._money[job_id] = money_word._pack(
        money_word.Money(
            price=price,
            funded=funded,
            claimed=0,
            end=0,
            policy=version,
            kind=kind,
            cancelled=False,
            closed=False,
            completed=False,
        )
    )
    self._terms[job_id] = terms_word._pack(
        terms_word.Terms(payer=payer, slots=slots, seated=min_slots, start=windows, round=0, class_id=class_id)
    )
    self.spec_hash_of[job_id] = spec_hash
    deposit: uint256 = shares._gross(price, funded)
    rates._owe(version, deposit)
    log IJobEscrow.JobOpened(
        job_id=job_id,
        payer=payer,
        spec_hash=spec_hash,
        kind=kind,
        class_id=class_id,
        policy_version=version,
        price=price,
        slots=slots,
        min_slots=min_slots,
        windows=windows,
        deposit=deposit,
    )
    vault._pull(payer, deposit)
    return job_id


@internal
def _credit(job_id: uint256, license_id: uint256, units: uint256, reported: uint256, payee: address) -> uint256:
    """
    @dev Credits a license with the least of its leaf, its cap and what the job has left. Works on the packed words:
         this is the call that is paid for most often.
    @param job_id The job.
    @param license_id The license.
    @param units The cumulative units of a leaf that was checked.
    @param reported The window of the final report.
    @param payee Who will be paid; the zero address if the license forfeits it.
    @return uint256 What the license earned, in base units of the token.
    """
    # License 0, whose leaf is the job's own, does not exist: it has no payee and was never placed.
    money: uint256 = self._money[job_id]
    price: uint256 = money & money_word.PRICE_MASK
    service: uint256 = self._service[job_id][license_id]
    claimed: uint256 = service // service_word.ONE_CLAIMED
    # Windows have 32 bits and units 56: nothing here overflows.
    cap: uint256 = unsafe_mul(service_word._windows(service, money_word._end(money), reported), shares.UNIT)
    if cap > 0 and money & money_word.BATCH != 0:
        # One reported window opens all shards of a batch job: what the job has left is the bound.
        cap = max_value(uint256)
    credited: uint256 = min(min(units, cap), unsafe_add(claimed, money_word._left(money)))
    if credited <= claimed:
        return 0
    amount: uint256 = rates._pay(
        money_word._policy(money), shares._gross(price, claimed), shares._gross(price, credited)
    )
    added: uint256 = unsafe_sub(credited, claimed)
    self._money[job_id] = unsafe_add(money, unsafe_mul(added, money_word.ONE_CLAIMED))
    self._service[job_id][license_id] = unsafe_add(service, unsafe_mul(added, service_word.ONE_CLAIMED))
    if payee != empty(address):
        log IJobEscrow.Claimed(job_id=job_id, license_id=license_id, payee=payee, units=credited, amount=amount)
    return amount


@internal
def _release(job_id: uint256, license_id: uint256, window: uint256):
    """
    @dev Ends a license's term.
    @param job_id The job.
    @param license_id The license.
    @param window The first window that it no longer serves.
    """
    service: uint256 = self._service[job_id][license_id]
    assert service_word._is_placed(service), "escrow: not placed"
    self._service[job_id][license_id] = service_word._released(service, window)


@internal
def _assign(job_id: uint256, license_id: uint256, window: uint256, end: uint256):
    """
    @dev Begins a license's term. One that comes back waits until its last term is reported: its cap
         then never counts a window that was reported without it.
    @param job_id The job.
    @param license_id The license.
    @param window The first window that it serves.
    @param end The first window after the job.
    """
    packed: uint256 = self._service[job_id][license_id]
    if packed == 0:
        self._service[job_id][license_id] = service_word._begun(window)
        return
    service: service_word.Service = service_word._unpack(packed)
    assert service.until != service_word.OPEN_END, "escrow: already placed"
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    assert reported + 1 >= service.until, "escrow: release not reported"
    service.earlier = service_word._windows(packed, end, reported)
    service.first = window
    service.until = service_word.OPEN_END
    self._service[job_id][license_id] = service_word._pack(service)


@internal
def _hand_over(oracles: uint256, burned: uint256, treasury: uint256):
    """
    @dev Sends to the vault what was taken from the books, and tells it what for.
    @param oracles The oracles' part, in base units of the token.
    @param burned The part to burn.
    @param treasury The treasury's part.
    """
    amount: uint256 = oracles + burned + treasury
    if amount == 0:
        return
    vault._push(VAULT.address, amount)
    extcall VAULT.book(oracles, burned, treasury)


@internal
@view
def _placement_digest(
    job_id: uint256, round: uint256, window: uint256, revision: uint256, release_hash: bytes32, assign_hash: bytes32
) -> bytes32:
    """
    @dev Returns what the members of the current epoch sign for a placement.
    @param job_id The job.
    @param round How many placements the job had before.
    @param window The current window.
    @param revision The job's current revision.
    @param release_hash The hash of the licenses that stop.
    @param assign_hash The hash of the licenses that begin.
    @return bytes32 The EIP-712 digest.
    """
    return eip712_domain_separator._hash_typed_data_v4(
        keccak256(
            abi_encode(
                _PLACEMENT_TYPE_HASH,
                job_id,
                round,
                window,
                revision,
                release_hash,
                assign_hash,
                staticcall COMMITTEE.committee_epoch(),
            )
        )
    )


@internal
@pure
def _hash_ids(ids: DynArray[uint256, MAX_PLACEMENT]) -> bytes32:
    """
    @dev Hashes an array as EIP-712 asks: the concatenation of its words.
    @param ids The ids.
    @return bytes32 The hash.
    """
    if len(ids) == 0:
        return keccak256(b"")
    return keccak256(slice(abi_encode(ids, ensure_tuple=False), 32, 32 * len(ids)))


@internal
@view
def _check_desk():
    """
    @dev Reverts unless the caller is the desk.
    """
    assert msg.sender == DESK, "escrow: not the desk"


@internal
@view
def _check_payer(payer: address, ledger: uint256):
    """
    @dev Reverts unless an account may open jobs.
    @param payer The account.
    @param ledger The ledger word of the policy, which says what to ask for.
    """
    level: uint256 = 0
    needs_standing: bool = False
    needs_oracle: bool = False
    level, needs_standing, needs_oracle = ledger_word._gate(ledger)
    good: bool = False
    verified: bool = False
    good, verified = staticcall roles.TRUST.admits_payer(payer, level)
    assert good or not needs_standing, "escrow: payer's standing"
    assert verified, "escrow: payer not verified"
    if needs_oracle:
        assert staticcall LICENSES.oracle_licenses_of(payer) > 0, "escrow: no oracle license"


@internal
@pure
def _refuse(standing: uint256):
    """
    @dev Reverts with the reason why a payee is held.
    @param standing The worst standing of license, owner and node, not good.
    """
    assert standing != FROZEN, "escrow: payee frozen"
    assert standing != SUSPENDED, "escrow: payee suspended"
    raise "escrow: payee blacklisted"


@internal
@pure
def _check_windows(windows: uint256):
    """
    @dev Reverts unless one call may buy so many windows.
    @param windows The windows.
    """
    assert windows > 0, "escrow: zero windows"
    assert windows <= MAX_WINDOWS, "escrow: too many windows"
