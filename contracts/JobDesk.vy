# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Job desk
@custom:contract-name JobDesk
@license GNU Affero General Public License v3.0 only
@notice Where payers change their jobs, themselves or through delegates: extend, scale, revise, cancel, several openings
        in one call, a permit instead of an allowance. And where a job ends by an attested result, or without any report.
@custom:security The desk decides when a job may change; the escrow, which holds the money, sees to it that no change
        moves anything but the job's own deposit, from and to its payer. A delegate can spend a payer's budget on jobs
        of that payer, and nothing else: every refund goes to the payer and restores no budget.
@custom:kill Not needed and not possible: it holds no money. What the guardian pauses at the escrow can't be opened
        here either; changes that give a payer money back are never stopped.
"""

from interfaces import IJobDesk

implements: IJobDesk

from interfaces import IJobEscrow
from interfaces import IOracleCommittee

from snekmate.utils import eip712_domain_separator

initializes: eip712_domain_separator

from modules import clock

initializes: clock

from modules import grant_word
from modules import lifecycle_word
from modules import money_word
from modules import shares
from modules import terms_word

exports: (clock.GENESIS, clock.WINDOW, eip712_domain_separator.eip712Domain)


# @dev What a job is opened with.
struct Opening:
    # keccak256 of the canonical spec.
    spec_hash: bytes32
    # The price class.
    class_id: uint256
    # 0 for a service job, 1 for a batch job.
    kind: uint256
    # Replicas, or shards, to pay for.
    slots: uint256
    # Licenses that the first placement must bring.
    min_slots: uint256
    # Windows to pay for; the deadline of a batch job.
    windows: uint256
    # The highest price of a slot and window, or shard, that is accepted, in base units of the token.
    max_price: uint256


# @dev An ERC-2612 permit of a payer for the escrow.
struct Permit:
    # The allowance in base units of the token.
    value: uint256
    # The last Unix time in seconds at which it counts.
    deadline: uint256
    v: uint8
    r: bytes32
    s: bytes32


# @dev What a delegate may be allowed to do.
OPEN: constant(uint256) = 1
EXTEND: constant(uint256) = 2
SCALE: constant(uint256) = 4
REVISE: constant(uint256) = 8
CANCEL: constant(uint256) = 16
ALL_SCOPES: constant(uint256) = 31


# @dev The kinds of a job.
SERVICE: constant(uint256) = 0
BATCH: constant(uint256) = 1


# @dev Jobs that one call may open.
MAX_OPENINGS: constant(uint256) = 16


# @dev Licenses that one scaling may release: as many as a placement.
MAX_RELEASE: constant(uint256) = 32


# @dev Windows that one call may buy.
MAX_WINDOWS: constant(uint256) = 2**16


# @dev How many graces a payer waits for what an attested close left to operators, and nobody claims: a year and more
#      where a window is a day, so that sleeping costs nobody his pay, and long enough that no freeze matters.
ABANDON_FACTOR: constant(uint256) = 64


# @dev As many signatures as a committee can have.
MAX_SIGNATURES: constant(uint256) = 2_080

_RESULT_TYPE_HASH: constant(bytes32) = keccak256("Result(uint256 jobId,bytes32 resultHash,uint256 committeeEpoch)")


# @dev Windows between the request and an unattested close.
CLOSE_GRACE: public(immutable(uint256))


# @dev The committee that signs reports and results.
COMMITTEE: public(immutable(IOracleCommittee))


# @dev The token of every deposit.
TOKEN: public(immutable(address))


# @dev The deployer, who may bind the escrow once and nothing else.
_DEPLOYER: immutable(address)


# @dev The escrow that holds the money.
escrow: public(IJobEscrow)


# @dev Packed grant of each payer to each delegate.
_grants: HashMap[address, HashMap[address, uint256]]


# @dev Packed latest revision and close request of each job.
_lifecycle: HashMap[uint256, uint256]


@deploy
def __init__(committee: IOracleCommittee, token: address, close_grace: uint256):
    """
    @notice Takes the calendar from the committee.
    @param committee The oracle committee.
    @param token The settlement token.
    @param close_grace Windows between the request and an unattested close.
    """
    eip712_domain_separator.__init__("JobDesk", "1")
    clock.__init__(staticcall committee.GENESIS(), staticcall committee.WINDOW())
    assert close_grace > 0, "desk: zero close grace"
    CLOSE_GRACE = close_grace
    COMMITTEE = committee
    TOKEN = token
    _DEPLOYER = msg.sender


@external
def bind_escrow(escrow_: IJobEscrow):
    """
    @notice Names the escrow, once. Each of the two contracts needs the other's address.
    @param escrow_ The job escrow.
    """
    assert msg.sender == _DEPLOYER, "desk: not the deployer"
    assert self.escrow.address == empty(address), "desk: already bound"
    assert escrow_.address != empty(address), "desk: zero escrow"
    self.escrow = escrow_
    log IJobDesk.EscrowBound(escrow=escrow_.address)


@external
def grant(delegate: address, scopes: uint256, budget: uint256, expires_at: uint256):
    """
    @notice Lets a delegate act for the caller; what was granted before is replaced.
    @param delegate The delegate.
    @param scopes What it may do: 1 open, 2 extend, 4 scale, 8 revise, 16 cancel; 0 takes the grant back.
    @param budget What it may spend in all, in base units of the token.
    @param expires_at When the grant ends, in Unix seconds.
    """
    assert delegate != empty(address), "desk: zero delegate"
    assert scopes & ~ALL_SCOPES == 0, "desk: unknown scope"
    self._grants[msg.sender][delegate] = grant_word._pack(
        grant_word.Grant(budget=budget, expires_at=expires_at, scopes=scopes)
    )
    log IJobDesk.Granted(payer=msg.sender, delegate=delegate, scopes=scopes, budget=budget, expires_at=expires_at)


@external
def open_job_for(payer: address, opening: Opening) -> uint256:
    """
    @notice Opens a job of a payer; for the payer and its delegates.
    @param payer Who pays and gets every refund. The deposit is pulled from its allowance to the escrow.
    @param opening What to open.
    @return uint256 The job's id.
    """
    return self._open(payer, opening)


@external
def open_jobs(payer: address, openings: DynArray[Opening, MAX_OPENINGS]) -> DynArray[uint256, MAX_OPENINGS]:
    """
    @notice Opens several jobs of a payer, all or none; for the payer and its delegates.
    @param payer Who pays and gets every refund.
    @param openings What to open.
    @return DynArray The jobs' ids.
    """
    return self._open_all(payer, openings)


@external
def open_jobs_with_permit(
    payer: address, openings: DynArray[Opening, MAX_OPENINGS], permit: Permit
) -> DynArray[uint256, MAX_OPENINGS]:
    """
    @notice Opens several jobs of a payer with a permit instead of an allowance. A permit that fails, since somebody
            sent it before, say, does no harm: the allowance decides.
    @param payer Who pays, gets every refund, and signed the permit.
    @param openings What to open.
    @param permit The permit, for the escrow.
    @return DynArray The jobs' ids.
    """
    ok: bool = raw_call(
        TOKEN,
        abi_encode(
            payer,
            self.escrow.address,
            permit.value,
            permit.deadline,
            permit.v,
            permit.r,
            permit.s,
            method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
        ),
        revert_on_failure=False,
    )
    return self._open_all(payer, openings)


@external
def extend_job(job_id: uint256, windows: uint256) -> uint256:
    """
    @notice Buys more windows at the job's own price, while its class is on sale and not dearer. The deadline of a batch
            job moves without a deposit. For the payer and its delegates.
    @param job_id The job.
    @param windows Windows to add.
    @return uint256 The deposit in base units of the token, pulled from the payer.
    """
    money: money_word.Money = empty(money_word.Money)
    terms: terms_word.Terms = empty(terms_word.Terms)
    money, terms = self._open_words(job_id, EXTEND)
    assert windows > 0, "desk: zero windows"
    assert windows <= MAX_WINDOWS, "desk: too many windows"
    self._check_price(money, terms)
    added: uint256 = 0
    if money.kind == SERVICE:
        added = terms.slots * windows * shares.UNIT
    money.funded += added
    if money.end > 0:
        money.end += windows
    else:
        terms.start += windows
    deposit: uint256 = shares._gross(money.price, added)
    self._charge(terms.payer, deposit)
    log IJobDesk.JobExtended(job_id=job_id, windows=windows, end=money.end, funded_units=money.funded, deposit=deposit)
    self._amend(job_id, money, terms, [])
    return deposit


@external
def scale_job(job_id: uint256, slots: uint256, release: DynArray[uint256, MAX_RELEASE]) -> uint256:
    """
    @notice Changes the slots of a job from the next window on. More are bought at the job's own price, while its class
            is on sale and not dearer; fewer are refunded. A batch job never has fewer shards. For the payer and its
            delegates.
    @param job_id The job.
    @param slots The new number, at least 1.
    @param release As many of the licenses in place as there is no slot for any more.
    @return uint256 The deposit in base units of the token, pulled from the payer; 0 with fewer slots.
    """
    money: money_word.Money = empty(money_word.Money)
    terms: terms_word.Terms = empty(terms_word.Terms)
    money, terms = self._open_words(job_id, SCALE)
    assert slots > 0, "desk: zero slots"
    assert slots != terms.slots, "desk: same slots"
    window: uint256 = clock._now()
    assert money.end == 0 or window + 1 < money.end, "desk: job over"
    left: uint256 = self._windows_left(money, terms, window)
    deposit: uint256 = 0
    refund: uint256 = 0
    if slots > terms.slots:
        self._check_price(money, terms)
        added: uint256 = (slots - terms.slots) * left * shares.UNIT
        money.funded += added
        deposit = shares._gross(money.price, added)
        self._charge(terms.payer, deposit)
    else:
        assert money.kind == SERVICE, "desk: batch scaled down"
        removed: uint256 = (terms.slots - slots) * left * shares.UNIT
        money.funded -= removed
        refund = shares._gross(money.price, removed)
    terms.slots = slots
    seated: uint256 = min(terms.seated, slots)
    if money.end > 0:
        assert len(release) == terms.seated - seated, "desk: wrong release"
    else:
        assert len(release) == 0, "desk: wrong release"
    terms.seated = seated
    log IJobDesk.JobScaled(
        job_id=job_id,
        window=window,
        slots=slots,
        funded_units=money.funded,
        deposit=deposit,
        refund=refund,
        release=release,
    )
    self._amend(job_id, money, terms, release)
    return deposit


@external
def revise_job(job_id: uint256, spec_hash: bytes32):
    """
    @notice Replaces the spec, once a window; service is measured on it from the next window. For the payer and its
            delegates.
    @param job_id The job.
    @param spec_hash keccak256 of the canonical new spec.
    """
    money: money_word.Money = empty(money_word.Money)
    terms: terms_word.Terms = empty(terms_word.Terms)
    money, terms = self._open_words(job_id, REVISE)
    lifecycle: lifecycle_word.Lifecycle = lifecycle_word._unpack(self._lifecycle[job_id])
    window: uint256 = clock._now()
    assert lifecycle.revised_in != window, "desk: revised this window"
    lifecycle.revised_in = window
    self._lifecycle[job_id] = lifecycle_word._pack(lifecycle)
    revision: uint256 = extcall self.escrow.revise(job_id, spec_hash)
    log IJobDesk.JobRevised(job_id=job_id, revision=revision, window=window, spec_hash=spec_hash)


@external
def cancel_job(job_id: uint256) -> uint256:
    """
    @notice Ends a job for good. Before its start everything comes back. Afterwards the current window is the last: the
            windows behind it come back at once, the unserved shards of a batch job with its close. For the payer and
            its delegates.
    @param job_id The job.
    @return uint256 The refund in base units of the token.
    """
    money: money_word.Money = empty(money_word.Money)
    terms: terms_word.Terms = empty(terms_word.Terms)
    money, terms = self._open_words(job_id, CANCEL)
    unserved: uint256 = money.funded
    money.cancelled = True
    if money.end == 0:
        money.closed = True
    else:
        end: uint256 = min(money.end, clock._now() + 1)
        unserved = 0
        if money.kind == SERVICE:
            unserved = terms.slots * (money.end - end) * shares.UNIT
        money.end = end
    money.funded -= unserved
    refund: uint256 = shares._gross(money.price, unserved)
    log IJobDesk.JobCancelled(job_id=job_id, end=money.end, funded_units=money.funded, refund=refund)
    self._amend(job_id, money, terms, [])
    return refund


@external
def attest_result(job_id: uint256, result_hash: bytes32, signatures: Bytes[MAX_SIGNATURES]):
    """
    @notice Completes a batch job, once, as a quorum signed: the current window is its last. Anyone may send it.
    @param job_id The job.
    @param result_hash keccak256 of the result.
    @param signatures Concatenated signatures in strictly ascending signer order.
    """
    money: money_word.Money = empty(money_word.Money)
    terms: terms_word.Terms = empty(terms_word.Terms)
    money, terms = self._words(job_id)
    assert money.kind == BATCH, "desk: not a batch job"
    assert not money.completed, "desk: completed"
    window: uint256 = clock._now()
    # A job that has not started ends in window 0.
    assert window < money.end, "desk: job over"
    epoch: uint256 = staticcall COMMITTEE.committee_epoch()
    digest: bytes32 = eip712_domain_separator._hash_typed_data_v4(
        keccak256(abi_encode(_RESULT_TYPE_HASH, job_id, result_hash, epoch))
    )
    # The bitmap of the signers is of no use here: a result earns no share.
    signers: uint256 = staticcall COMMITTEE.verify(digest, signatures)
    money.completed = True
    money.end = window + 1
    log IJobDesk.ResultAttested(job_id=job_id, result_hash=result_hash, end=money.end)
    self._amend(job_id, money, terms, [])


@external
def request_close(job_id: uint256):
    """
    @notice Starts the grace after which what is unclaimed comes back without a report; for the payer, after the end
            of the job. Asking again starts anew. After an attested close the grace is `ABANDON_FACTOR` times as long.
    @param job_id The job.
    """
    money: money_word.Money = empty(money_word.Money)
    terms: terms_word.Terms = empty(terms_word.Terms)
    money, terms = self._words(job_id)
    assert terms.payer == msg.sender, "desk: not the payer"
    window: uint256 = clock._now()
    assert money.end > 0, "desk: not started"
    assert window >= money.end, "desk: job not over"
    assert not money.closed or money.claimed < money.funded, "desk: closed"
    reported: uint256 = 0
    root: bytes32 = empty(bytes32)
    reported, root = staticcall COMMITTEE.final_report()
    lifecycle: lifecycle_word.Lifecycle = lifecycle_word._unpack(self._lifecycle[job_id])
    lifecycle.close_requested = window
    lifecycle.covered = reported + 1 >= money.end
    self._lifecycle[job_id] = lifecycle_word._pack(lifecycle)
    log IJobDesk.CloseRequested(job_id=job_id, window=window, covered=lifecycle.covered)


@external
def close_unattested(job_id: uint256) -> uint256:
    """
    @notice Refunds what is unclaimed, once `CLOSE_GRACE` whole windows passed since the payer's request. Where reports
            caught up with the job's end since then, be they pending, operators get a grace of their own: the payer
            asks again. Anyone may send it.
    @param job_id The job.
    @return uint256 The refund in base units of the token.
    """
    money: money_word.Money = empty(money_word.Money)
    terms: terms_word.Terms = empty(terms_word.Terms)
    money, terms = self._words(job_id)
    lifecycle: lifecycle_word.Lifecycle = lifecycle_word._unpack(self._lifecycle[job_id])
    assert lifecycle.close_requested > 0, "desk: close not requested"
    assert not money.closed or money.claimed < money.funded, "desk: closed"
    grace: uint256 = CLOSE_GRACE
    if money.closed:
        grace *= ABANDON_FACTOR
    # The window of the request does not count: it had begun.
    assert clock._now() > lifecycle.close_requested + grace, "desk: close grace"
    assert lifecycle.covered or staticcall COMMITTEE.latest_window() + 1 < money.end, "desk: request anew"
    refund: uint256 = shares._gross(money.price, money.funded) - shares._gross(money.price, money.claimed)
    money.funded = money.claimed
    money.closed = True
    log IJobDesk.JobClosedUnattested(job_id=job_id, funded_units=money.funded, refund=refund)
    self._amend(job_id, money, terms, [])
    return refund


@external
@view
def job(job_id: uint256) -> IJobDesk.Job:
    """
    @notice Returns a job.
    @param job_id The job.
    @return Job What it is; a zero payer if there is no such job.
    """
    packed_money: uint256 = 0
    packed_terms: uint256 = 0
    packed_money, packed_terms = staticcall self.escrow.words_of(job_id)
    money: money_word.Money = money_word._unpack(packed_money)
    terms: terms_word.Terms = terms_word._unpack(packed_terms)
    view: IJobDesk.Job = IJobDesk.Job(
        payer=terms.payer,
        spec_hash=staticcall self.escrow.spec_hash_of(job_id),
        revision=staticcall self.escrow.revision_of(job_id),
        kind=money.kind,
        class_id=terms.class_id,
        policy_version=money.policy,
        price=money.price,
        slots=terms.slots,
        min_slots=terms.seated,
        active=0,
        round=terms.round,
        start=0,
        end=money.end,
        windows=terms.start,
        funded_units=money.funded,
        claimed_units=money.claimed,
        cancelled=money.cancelled,
        completed=money.completed,
        closed=money.closed,
        close_requested=lifecycle_word._unpack(self._lifecycle[job_id]).close_requested,
    )
    if money.end > 0:
        view.min_slots = 0
        view.active = terms.seated
        view.start = terms.start
        view.windows = money.end - terms.start
    return view


@external
@view
def grant_of(payer: address, delegate: address) -> (uint256, uint256, uint256):
    """
    @notice Returns what a delegate may do for a payer.
    @param payer The payer.
    @param delegate The delegate.
    @return uint256 Its scopes.
    @return uint256 What it may still spend, in base units of the token.
    @return uint256 When the grant ends, in Unix seconds.
    """
    granted: grant_word.Grant = grant_word._unpack(self._grants[payer][delegate])
    return granted.scopes, granted.budget, granted.expires_at


@external
@view
def current_window() -> uint256:
    """
    @notice Returns the current window.
    @return uint256 The window that holds the block's timestamp.
    """
    return clock._now()


@internal
def _open_all(payer: address, openings: DynArray[Opening, MAX_OPENINGS]) -> DynArray[uint256, MAX_OPENINGS]:
    """
    @dev Opens several jobs.
    @param payer Who pays and gets every refund.
    @param openings What to open.
    @return DynArray The jobs' ids.
    """
    assert len(openings) > 0, "desk: no openings"
    ids: DynArray[uint256, MAX_OPENINGS] = []
    for opening: Opening in openings:
        ids.append(self._open(payer, opening))
    return ids


@internal
def _open(payer: address, opening: Opening) -> uint256:
    """
    @dev Opens a job within the caller's grant.
    @param payer Who pays and gets every refund.
    @param opening What to open.
    @return uint256 The job's id.
    """
    self._authorise(payer, OPEN)
    if msg.sender != payer:
        units: uint256 = opening.slots * shares.UNIT
        if opening.kind == SERVICE:
            units *= opening.windows
        self._charge(payer, staticcall self.escrow.price_of(opening.class_id) * units // shares.UNIT)
    return extcall self.escrow.open_job_for(
        payer,
        opening.spec_hash,
        opening.class_id,
        opening.kind,
        opening.slots,
        opening.min_slots,
        opening.windows,
        opening.max_price,
    )


@internal
def _charge(payer: address, amount: uint256):
    """
    @dev Takes a deposit from the caller's budget; the payer has none to keep to.
    @param payer The payer.
    @param amount Base units of the token.
    """
    if msg.sender == payer or amount == 0:
        return
    granted: grant_word.Grant = grant_word._unpack(self._grants[payer][msg.sender])
    assert amount <= granted.budget, "desk: above the budget"
    granted.budget -= amount
    self._grants[payer][msg.sender] = grant_word._pack(granted)
    log IJobDesk.Spent(payer=payer, delegate=msg.sender, amount=amount, budget=granted.budget)


@internal
def _amend(job_id: uint256, money: money_word.Money, terms: terms_word.Terms, release: DynArray[uint256, MAX_RELEASE]):
    """
    @dev Lets the escrow rewrite a job and move its money.
    @param job_id The job.
    @param money Its money word as it shall be.
    @param terms Its terms word as it shall be.
    @param release Licenses that stop with the current window.
    """
    extcall self.escrow.amend(job_id, money_word._pack(money), terms_word._pack(terms), release)


@internal
@view
def _words(job_id: uint256) -> (money_word.Money, terms_word.Terms):
    """
    @dev Reads a job that exists.
    @param job_id The job.
    @return Money Its money word.
    @return Terms Its terms word.
    """
    money: uint256 = 0
    terms: uint256 = 0
    money, terms = staticcall self.escrow.words_of(job_id)
    assert money != 0, "desk: unknown job"
    return money_word._unpack(money), terms_word._unpack(terms)


@internal
@view
def _open_words(job_id: uint256, scope: uint256) -> (money_word.Money, terms_word.Terms):
    """
    @dev Reads a job that its payer may still change; reverts unless the caller may.
    @param job_id The job.
    @param scope What the caller is about to do.
    @return Money Its money word.
    @return Terms Its terms word.
    """
    money: money_word.Money = empty(money_word.Money)
    terms: terms_word.Terms = empty(terms_word.Terms)
    money, terms = self._words(job_id)
    self._authorise(terms.payer, scope)
    assert not money.cancelled, "desk: cancelled"
    assert not money.completed, "desk: completed"
    assert money.end == 0 or clock._now() < money.end, "desk: job over"
    return money, terms


@internal
@pure
def _windows_left(money: money_word.Money, terms: terms_word.Terms, window: uint256) -> uint256:
    """
    @dev Returns for how many windows a slot more is paid.
    @param money The job's money word.
    @param terms Its terms word.
    @param window The current window, whose slots are as they are.
    @return uint256 The windows; 1 for a batch job, whose shards are paid once.
    """
    if money.kind == BATCH:
        return 1
    if money.end == 0:
        return terms.start
    return money.end - window - 1


@internal
@view
def _authorise(payer: address, scope: uint256):
    """
    @dev Reverts unless the caller is the payer, or a delegate that may do this.
    @param payer The payer.
    @param scope What the caller is about to do.
    """
    if msg.sender == payer:
        return
    granted: grant_word.Grant = grant_word._unpack(self._grants[payer][msg.sender])
    assert granted.scopes & scope != 0, "desk: not granted"
    assert block.timestamp < granted.expires_at, "desk: grant expired"


@internal
@view
def _check_price(money: money_word.Money, terms: terms_word.Terms):
    """
    @dev Reverts unless new money may be spent on a job at its own price.
    @param money Its money word.
    @param terms Its terms word.
    """
    assert staticcall self.escrow.price_of(terms.class_id) <= money.price, "desk: class dearer"
