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
@custom:kill Retiring every class stops new jobs. Nothing stops claims, closes, cancels and refunds of those that stand.
"""

from interfaces import IJobEscrow

implements: IJobEscrow

from ethereum.ercs import IERC20
from interfaces import INodeLicense
from interfaces import IOracleCommittee
from interfaces import ITrustRegistry

from snekmate.utils import eip712_domain_separator

initializes: eip712_domain_separator

from modules import class_word
from modules import clock

initializes: clock

from modules import lifecycle_word
from modules import merkle
from modules import money_word

from modules import roles

initializes: roles

from modules import service_word

from modules import tariff

initializes: tariff[roles := roles]

from modules import terms_word

from modules import vault

initializes: vault

exports: (
    # Price classes and policies.
    tariff.set_class,
    tariff.retire_class,
    tariff.add_policy,
    tariff.class_of,
    tariff.policy_of,
    tariff.policy_version,
    tariff.job_count,
    # Books.
    tariff.ledger_of,
    tariff.liabilities,
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


# @dev Units of one slot served for one window at full availability.
UNIT: constant(uint256) = 10_000


# @dev The kinds of a job.
SERVICE: constant(uint256) = 0


# @dev The license id of a job's own leaf.
JOB_LEAF: constant(uint256) = 0


# @dev The standings of a payee, from best to worst.
GOOD: constant(uint256) = 0
FROZEN: constant(uint256) = 1
SUSPENDED: constant(uint256) = 2


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


# @dev Windows between the request and an unattested close.
CLOSE_GRACE: public(immutable(uint256))


# @dev The committee that signs placements and reports.
COMMITTEE: public(immutable(IOracleCommittee))


# @dev The licenses that are placed and paid.
LICENSES: public(immutable(INodeLicense))


# @dev Packed price, units, end and flags of each job: what claims need.
_money: HashMap[uint256, uint256]


# @dev Packed payer, slots and start of each job: what placements need.
_terms: HashMap[uint256, uint256]


# @dev Packed revisions and close request of each job.
_lifecycle: HashMap[uint256, uint256]


# @dev keccak256 of the canonical spec of each job.
_spec_hash: HashMap[uint256, bytes32]


# @dev Packed windows and units of each license in each job.
_service: HashMap[uint256, HashMap[uint256, uint256]]


@deploy
def __init__(
    token: IERC20,
    trust: ITrustRegistry,
    licenses: INodeLicense,
    committee: IOracleCommittee,
    close_grace: uint256,
    classes: DynArray[tariff.ClassTerms, tariff.MAX_FIRST_CLASSES],
    policy: tariff.PolicyTerms,
):
    """
    @notice Takes the calendar from the committee.
    @param token The settlement token.
    @param trust The trust registry.
    @param licenses The license contract.
    @param committee The oracle committee.
    @param close_grace Windows between the request and an unattested close.
    @param classes The first price classes, ids from 1.
    @param policy Policy version 1.
    """
    eip712_domain_separator.__init__("JobEscrow", "1")
    clock.__init__(staticcall committee.GENESIS(), staticcall committee.WINDOW())
    roles.__init__(trust)
    vault.__init__(token)
    tariff.__init__(classes, policy)
    assert close_grace > 0, "escrow: zero close grace"
    assert staticcall committee.LICENSES() == licenses.address, "escrow: committee of others"
    CLOSE_GRACE = close_grace
    COMMITTEE = committee
    LICENSES = licenses


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
    @notice Opens a job and pulls its deposit, `price * slots * windows`, from the caller. Windows are counted
            from the first placement.
    @param spec_hash keccak256 of the canonical spec.
    @param class_id The price class.
    @param kind 0 for a service job.
    @param slots Replicas to pay for.
    @param min_slots Licenses that the first placement must bring.
    @param windows Windows to pay for.
    @param max_price The highest price of a slot and window that the caller accepts, in base units of the token.
    @return uint256 The job's id.
    """
    offer: class_word.Offer = tariff._class(class_id)
    assert offer.price <= max_price, "escrow: price above maximum"
    assert kind == SERVICE, "escrow: unknown kind"
    assert slots > 0, "escrow: zero slots"
    assert min_slots > 0 and min_slots <= min(slots, MAX_PLACEMENT), "escrow: min slots out of range"
    self._check_windows(windows)
    job_id: uint256 = 0
    version: uint256 = 0
    job_id, version = tariff._next_job()
    self._check_payer(msg.sender, tariff._payer_level(version))
    funded: uint256 = slots * windows * UNIT
    self._money[job_id] = money_word._pack(
        money_word.Money(
            price=offer.price,
            funded=funded,
            claimed=0,
            end=0,
            policy=version,
            kind=kind,
            cancelled=False,
            closed=False,
        )
    )
    self._terms[job_id] = terms_word._pack(
        terms_word.Terms(payer=msg.sender, slots=slots, seated=min_slots, start=0, round=0, class_id=class_id)
    )
    self._spec_hash[job_id] = spec_hash
    deposit: uint256 = self._gross(offer.price, funded)
    tariff._owe(version, deposit)
    log IJobEscrow.JobOpened(
        job_id=job_id,
        payer=msg.sender,
        spec_hash=spec_hash,
        kind=kind,
        class_id=class_id,
        policy_version=version,
        price=offer.price,
        slots=slots,
        min_slots=min_slots,
        windows=windows,
        deposit=deposit,
    )
    vault._pull(msg.sender, deposit)
    return job_id


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
    money: money_word.Money = money_word._unpack(self._money[job_id])
    terms: terms_word.Terms = terms_word._unpack(self._terms[job_id])
    assert terms.payer != empty(address), "escrow: unknown job"
    assert not money.cancelled, "escrow: cancelled"
    assert round == terms.round, "escrow: wrong round"
    assert window == clock._now(), "escrow: wrong window"
    assert revision == lifecycle_word._unpack(self._lifecycle[job_id]).revision, "escrow: wrong revision"
    assert len(release) + len(assign) > 0, "escrow: empty placement"
    digest: bytes32 = self._placement_digest(
        job_id, round, window, revision, self._hash_ids(release), self._hash_ids(assign)
    )
    # The bitmap of the signers is of no use here: a placement earns no share.
    signers: uint256 = staticcall COMMITTEE.verify(digest, signatures)
    assert staticcall LICENSES.all_eligible(assign), "escrow: license not eligible"
    if terms.start == 0:
        assert len(assign) >= terms.seated, "escrow: too few licenses"
        terms.seated = 0
        terms.start = window + 1
        money.end = window + 1 + money.funded // (terms.slots * UNIT)
        self._money[job_id] = money_word._pack(money)
    assert window + 1 < money.end, "escrow: job over"
    for license_id: uint256 in release:
        self._release(job_id, license_id, window + 1)
    for license_id: uint256 in assign:
        self._assign(job_id, license_id, window + 1, money.end)
    terms.seated = terms.seated + len(assign) - len(release)
    assert terms.seated <= terms.slots, "escrow: too many licenses"
    terms.round += 1
    self._terms[job_id] = terms_word._pack(terms)
    log IJobEscrow.Placed(
        job_id=job_id,
        round=round,
        window=window,
        revision=revision,
        end=money.end,
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
def extend_job(job_id: uint256, windows: uint256):
    """
    @notice Buys more windows at the job's own price, while its class is on sale and not dearer.
    @param job_id The caller's job.
    @param windows Windows to add.
    """
    money: money_word.Money = money_word._unpack(self._money[job_id])
    terms: terms_word.Terms = terms_word._unpack(self._terms[job_id])
    self._check_open(money, terms)
    self._check_windows(windows)
    assert tariff._class(terms.class_id).price <= money.price, "escrow: class dearer"
    added: uint256 = terms.slots * windows * UNIT
    money.funded += added
    if money.end > 0:
        money.end += windows
    self._money[job_id] = money_word._pack(money)
    deposit: uint256 = self._gross(money.price, added)
    tariff._owe(money.policy, deposit)
    log IJobEscrow.JobExtended(
        job_id=job_id, windows=windows, end=money.end, funded_units=money.funded, deposit=deposit
    )
    vault._pull(msg.sender, deposit)


@external
def revise_job(job_id: uint256, spec_hash: bytes32):
    """
    @notice Replaces the spec, once a window; service is measured on it from the next window.
    @param job_id The caller's job.
    @param spec_hash keccak256 of the canonical new spec.
    """
    self._check_open(money_word._unpack(self._money[job_id]), terms_word._unpack(self._terms[job_id]))
    lifecycle: lifecycle_word.Lifecycle = lifecycle_word._unpack(self._lifecycle[job_id])
    window: uint256 = clock._now()
    assert lifecycle.revised_in != window, "escrow: revised this window"
    lifecycle.revision += 1
    lifecycle.revised_in = window
    self._lifecycle[job_id] = lifecycle_word._pack(lifecycle)
    self._spec_hash[job_id] = spec_hash
    log IJobEscrow.JobRevised(job_id=job_id, revision=lifecycle.revision, window=window, spec_hash=spec_hash)


@external
def cancel_job(job_id: uint256) -> uint256:
    """
    @notice Ends a job for good. Before its start everything comes back; afterwards the current window is the last
            and the windows behind it come back.
    @param job_id The caller's job.
    @return uint256 The refund in base units of the token.
    """
    money: money_word.Money = money_word._unpack(self._money[job_id])
    terms: terms_word.Terms = terms_word._unpack(self._terms[job_id])
    self._check_open(money, terms)
    unserved: uint256 = money.funded
    money.cancelled = True
    if money.end == 0:
        money.closed = True
    else:
        end: uint256 = min(money.end, clock._now() + 1)
        unserved = terms.slots * (money.end - end) * UNIT
        money.end = end
    refund: uint256 = self._shrink(job_id, money, money.funded - unserved)
    log IJobEscrow.JobCancelled(job_id=job_id, end=money.end, funded_units=money.funded - unserved, refund=refund)
    vault._push(terms.payer, refund)
    return refund


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
    money: money_word.Money = money_word._unpack(self._money[job_id])
    assert money.end > 0, "escrow: not started"
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    assert reported + 1 >= money.end, "escrow: end not reported"
    assert merkle._is_member(proof, root, merkle._leaf(self, job_id, JOB_LEAF, total_units)), "escrow: wrong proof"
    kept: uint256 = min(money.funded, max(total_units, money.claimed))
    if money.closed and kept == money.funded:
        return 0
    return self._close(job_id, money, kept, True)


@external
def request_close(job_id: uint256):
    """
    @notice Starts the grace after which a job closes without a report; for its payer, after its end.
            Asking again starts anew.
    @param job_id The caller's job.
    """
    money: money_word.Money = money_word._unpack(self._money[job_id])
    self._check_job_payer(terms_word._unpack(self._terms[job_id]))
    window: uint256 = clock._now()
    assert money.end > 0, "escrow: not started"
    assert window >= money.end, "escrow: job not over"
    assert not money.closed, "escrow: closed"
    lifecycle: lifecycle_word.Lifecycle = lifecycle_word._unpack(self._lifecycle[job_id])
    lifecycle.close_requested = window
    lifecycle.covered = self._is_covered(money.end)
    self._lifecycle[job_id] = lifecycle_word._pack(lifecycle)
    log IJobEscrow.CloseRequested(job_id=job_id, window=window, covered=lifecycle.covered)


@external
def close_unattested(job_id: uint256) -> uint256:
    """
    @notice Refunds what is unclaimed, `CLOSE_GRACE` windows after the payer's request. Where reports caught up with
            the job's end since the request, operators get a grace of their own: the payer asks again.
    @param job_id The job.
    @return uint256 The refund in base units of the token.
    """
    money: money_word.Money = money_word._unpack(self._money[job_id])
    lifecycle: lifecycle_word.Lifecycle = lifecycle_word._unpack(self._lifecycle[job_id])
    assert lifecycle.close_requested > 0, "escrow: close not requested"
    assert not money.closed, "escrow: closed"
    assert clock._now() >= lifecycle.close_requested + CLOSE_GRACE, "escrow: close grace"
    assert lifecycle.covered or not self._is_covered(money.end), "escrow: request anew"
    return self._close(job_id, money, money.claimed, False)


@external
@view
def job(job_id: uint256) -> IJobEscrow.Job:
    """
    @notice Returns a job.
    @param job_id The job.
    @return Job What it is; a zero payer if there is no such job.
    """
    money: money_word.Money = money_word._unpack(self._money[job_id])
    terms: terms_word.Terms = terms_word._unpack(self._terms[job_id])
    lifecycle: lifecycle_word.Lifecycle = lifecycle_word._unpack(self._lifecycle[job_id])
    min_slots: uint256 = terms.seated
    active: uint256 = 0
    if terms.start > 0:
        min_slots = 0
        active = terms.seated
    return IJobEscrow.Job(
        payer=terms.payer,
        spec_hash=self._spec_hash[job_id],
        revision=lifecycle.revision,
        kind=money.kind,
        class_id=terms.class_id,
        policy_version=money.policy,
        price=money.price,
        slots=terms.slots,
        min_slots=min_slots,
        active=active,
        round=terms.round,
        start=terms.start,
        end=money.end,
        funded_units=money.funded,
        claimed_units=money.claimed,
        cancelled=money.cancelled,
        closed=money.closed,
        close_requested=lifecycle.close_requested,
    )


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
def current_window() -> uint256:
    """
    @notice Returns the current window.
    @return uint256 The window that holds the block's timestamp.
    """
    return clock._now()


@internal
def _credit(job_id: uint256, license_id: uint256, units: uint256, reported: uint256, payee: address) -> uint256:
    """
    @dev Credits a license with the least of its leaf, its cap and what the job has left. Works on the packed words:
         this is the call that is paid for most often.
    @param job_id The job.
    @param license_id The license.
    @param units The cumulative units of a leaf that was checked.
    @param reported The window of the final report.
    @param payee Who will be paid.
    @return uint256 What to pay, in base units of the token.
    """
    # License 0, whose leaf is the job's own, does not exist: it has no payee and was never placed.
    money: uint256 = self._money[job_id]
    price: uint256 = 0
    left: uint256 = 0
    end: uint256 = 0
    policy: uint256 = 0
    price, left, end, policy = money_word._claim_terms(money)
    service: uint256 = self._service[job_id][license_id]
    claimed: uint256 = service // service_word.ONE_CLAIMED
    # Windows have 32 bits and units 56: nothing here overflows.
    cap: uint256 = unsafe_mul(service_word._windows(service, end, reported), UNIT)
    credited: uint256 = min(min(units, cap), unsafe_add(claimed, left))
    if credited <= claimed:
        return 0
    amount: uint256 = tariff._pay(policy, self._gross(price, claimed), self._gross(price, credited))
    added: uint256 = unsafe_sub(credited, claimed)
    self._money[job_id] = unsafe_add(money, unsafe_mul(added, money_word.ONE_CLAIMED))
    self._service[job_id][license_id] = unsafe_add(service, unsafe_mul(added, service_word.ONE_CLAIMED))
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
    service: service_word.Service = service_word._unpack(self._service[job_id][license_id])
    assert service.first > 0 and service.until == service_word.OPEN_END, "escrow: not placed"
    service.until = window
    self._service[job_id][license_id] = service_word._pack(service)


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
    service: service_word.Service = service_word._unpack(packed)
    if service.first > 0:
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
def _close(job_id: uint256, money: money_word.Money, kept: uint256, attested: bool) -> uint256:
    """
    @dev Closes a job and refunds its payer.
    @param job_id The job.
    @param money Its money word.
    @param kept The units that stay funded.
    @param attested Whether a report says so.
    @return uint256 The refund in base units of the token.
    """
    closing: money_word.Money = money
    closing.closed = True
    refund: uint256 = self._shrink(job_id, closing, kept)
    log IJobEscrow.JobClosed(job_id=job_id, funded_units=kept, refund=refund, attested=attested)
    vault._push(terms_word._unpack(self._terms[job_id]).payer, refund)
    return refund


@internal
def _shrink(job_id: uint256, money: money_word.Money, kept: uint256) -> uint256:
    """
    @dev Writes a job's money with fewer funded units and books the refund; the caller sends it.
    @param job_id The job.
    @param money Its money word, flags as they shall be.
    @param kept The units that stay funded.
    @return uint256 The refund in base units of the token.
    """
    refund: uint256 = self._gross(money.price, money.funded) - self._gross(money.price, kept)
    shrunk: money_word.Money = money
    shrunk.funded = kept
    self._money[job_id] = money_word._pack(shrunk)
    tariff._refund(money.policy, refund)
    return refund


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
@pure
def _gross(price: uint256, units: uint256) -> uint256:
    """
    @dev Returns what units cost, rounded down.
    @param price Base units of the token for `UNIT`.
    @param units The units.
    @return uint256 Base units of the token.
    """
    # 96 and 56 bits can't overflow.
    return unsafe_div(unsafe_mul(price, units), UNIT)


@internal
@view
def _is_covered(end: uint256) -> bool:
    """
    @dev Says whether the final report covers the last window of a job.
    @param end The first window after the job.
    @return bool Whether it does.
    """
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    return reported + 1 >= end


@internal
@view
def _check_open(money: money_word.Money, terms: terms_word.Terms):
    """
    @dev Reverts unless the caller is the payer of a job that is neither over nor cancelled.
    @param money Its money word.
    @param terms Its terms word.
    """
    self._check_job_payer(terms)
    assert not money.cancelled, "escrow: cancelled"
    assert money.end == 0 or clock._now() < money.end, "escrow: job over"


@internal
@view
def _check_job_payer(terms: terms_word.Terms):
    """
    @dev Reverts unless the caller is the payer of a job that exists.
    @param terms The job's terms word.
    """
    assert terms.payer != empty(address), "escrow: unknown job"
    assert terms.payer == msg.sender, "escrow: not the payer"


@internal
@view
def _check_payer(payer: address, level: uint256):
    """
    @dev Reverts unless an account may open jobs.
    @param payer The account.
    @param level The attested level that it needs; 0 for none.
    """
    good: bool = False
    verified: bool = False
    good, verified = staticcall roles.TRUST.admits_payer(payer, level)
    assert good, "escrow: payer's standing"
    assert verified, "escrow: payer not verified"


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
