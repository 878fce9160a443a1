# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Oracle committee
@custom:contract-name OracleCommittee
@license GNU Affero General Public License v3.0 only
@notice Seats of oracles, the quorum of their signatures, and the reports that carry it: one root for a window,
        final once its challenge time is over. Members share the oracles' part of fees by what they signed, and answer
        with their bond for signing two roots at once.
@custom:security A report says what was served; how much of it is paid is bounded by the escrow, whatever is signed.
        A veto gives the guardian time against a quorum that lies, never more than `MAX_VETOES` times in a row.
        Views that money waits for are open during other calls: nothing here calls out before its state is written.
@custom:kill The governor can remove seats down to one. Without reports, payers leave through the escrow's
        unattested close.
"""

from interfaces import IOracleCommittee

implements: IOracleCommittee

from ethereum.ercs import IERC20
from interfaces import IFeeVault
from interfaces import INodeLicense
from interfaces import ITrustRegistry

from snekmate.utils import eip712_domain_separator

initializes: eip712_domain_separator

from modules import clock

initializes: clock

from modules import lanes
from modules import member_word
from modules import report_word

from modules import roles

initializes: roles

from modules import signature

from modules import vault

initializes: vault

exports: (clock.GENESIS, clock.WINDOW, eip712_domain_separator.eip712Domain, roles.TRUST, vault.TOKEN)


# @dev A seat of the constructor's list.
struct FirstSeat:
    license_id: uint256
    signer: address


# @dev Seats at most; one 8-bit lane of `participation` each.
MAX_SEATS: constant(uint256) = 32


# @dev The length of one signature, and of as many as there can be seats.
SIGNATURE_LENGTH: constant(uint256) = 65
MAX_SIGNATURES: constant(uint256) = 2_080


# @dev Final reports that seats must have signed on average before they share rewards. By a shorter span, a member that
#      signs rarely could have all that waits shared by the one report that it did sign.
MIN_REPORTS: constant(uint256) = 8


# @dev Vetoes without a final report in between: enough to replace a committee behind the timelock.
MAX_VETOES: constant(uint256) = 3


# @dev The kind of a license that holds a seat.
ORACLE: constant(uint256) = 2


# @dev The standings of a payee that matter to rewards.
GOOD: constant(uint256) = 0
BLACKLISTED: constant(uint256) = 3

_REPORT_TYPE_HASH: constant(bytes32) = keccak256(
    "Report(uint256 window,uint256 turn,bytes32 root,bytes32 dataHash,uint256 committeeEpoch)"
)


# @dev How long a report can be vetoed before it is final, in seconds.
CHALLENGE: public(immutable(uint256))


# @dev The contract of the licenses that hold seats.
LICENSES: public(immutable(INodeLicense))


# @dev How long a removed member answers for what it signed, in seconds.
UNBOND_DELAY: public(immutable(uint256))


# @dev Final reports that each seat signed, 8 saturating bits a seat. The latest report is
#      added when the next one is submitted, so that a vetoed one never counts.
participation: public(uint256)


# @dev Rewards that are not shared out yet, in base units of the token.
unassigned: public(uint256)


# @dev All rewards that are here, shared out or not: never more than the balance.
rewards_held: public(uint256)


# @dev What a license can claim of them.
reward_of: public(HashMap[uint256, uint256])


# @dev Packed state of the reports, number of seats and epoch.
_reports: uint256


# @dev The roots of the latest and of the previous report, in turn.
_roots: bytes32[2]


# @dev The signer of each seat, and the license that it holds; zero where the seat is free.
_signers: address[MAX_SEATS]
_licenses: uint256[MAX_SEATS]


# @dev The seat of a signer, and of a license, plus 1; 0 for none.
_seat_of_signer: HashMap[address, uint256]
_seat_of_license: HashMap[uint256, uint256]


# @dev Packed record of each account that is or was a member.
_members: HashMap[address, uint256]


# @dev When the latest seat of a license ended, in Unix seconds.
_ended_at: HashMap[uint256, uint256]


@deploy
def __init__(
    trust: ITrustRegistry,
    licenses: INodeLicense,
    genesis: uint256,
    window: uint256,
    challenge: uint256,
    seats: DynArray[FirstSeat, MAX_SEATS],
):
    """
    @notice Seats the first oracles and starts the calendar.
    @param trust The trust registry.
    @param licenses The license contract.
    @param genesis The Unix time at which window 1 begins, not in the future.
    @param window The length of a window in seconds.
    @param challenge How long a report can be vetoed, in seconds; less than a window.
    @param seats The first seats.
    """
    eip712_domain_separator.__init__("OracleCommittee", "1")
    clock.__init__(genesis, window)
    roles.__init__(trust)
    assert challenge < window, "committee: challenge too long"
    assert len(seats) > 0, "committee: no seats"
    CHALLENGE = challenge
    LICENSES = licenses
    UNBOND_DELAY = staticcall licenses.UNBOND_DELAY()
    vault.__init__(IERC20(staticcall IFeeVault(staticcall licenses.VAULT()).TOKEN()))
    for seat: FirstSeat in seats:
        self._add_seat(seat.license_id, seat.signer)


@external
def add_seat(license_id: uint256, signer: address) -> uint256:
    """
    @notice Seats the node key that is linked to a bonded oracle license. Relinking does not change the seat.
    @param license_id The license.
    @param signer The linked node key: named, so that nobody swaps it while the governor's call waits.
    @return uint256 The seat.
    """
    roles._check_governor()
    assert staticcall LICENSES.node_of(license_id) == signer, "committee: not the linked node"
    assert staticcall LICENSES.is_bonded(license_id), "committee: no bond"
    return self._add_seat(license_id, signer)


@external
def remove_seat(seat: uint256):
    """
    @notice Removes an oracle. Its signatures stop counting at once.
    @param seat The seat.
    """
    roles._check_governor()
    assert seat < MAX_SEATS, "committee: unknown seat"
    self._remove_seat(seat)


@external
def end_seat_of(license_id: uint256):
    """
    @notice Ends the seat of a license that moves to another owner, if it has one; for the license contract.
    @param license_id The license.
    """
    assert msg.sender == LICENSES.address, "committee: not the licenses"
    index: uint256 = self._seat_of_license[license_id]
    if index > 0:
        self._remove_seat(index - 1)


@external
def submit_report(window: uint256, turn: uint256, root: bytes32, data_hash: bytes32, signatures: Bytes[MAX_SIGNATURES]):
    """
    @notice Accepts the report of a window that a quorum signed. It is final after `CHALLENGE` without another call.
    @param window The window, later than every earlier report's, vetoed ones included, and over.
    @param turn The attempt of the signing round in which it was signed.
    @param root The Merkle root of the unclaimed cumulative units; zero without leaves.
    @param data_hash keccak256 of the report's header.
    @param signatures Concatenated signatures in strictly ascending signer order.
    """
    reports: report_word.Reports = report_word._unpack(self._reports)
    assert not self._is_pending(reports), "committee: report pending"
    assert window > reports.window, "committee: window not later"
    assert window > reports.floor, "committee: window vetoed"
    assert clock._end_of(window) <= block.timestamp, "committee: window not over"
    signers: uint256 = self._verify(
        self._report_digest(window, turn, root, data_hash, reports.epoch), signatures, reports.seats
    )
    # The latest report stood its challenge: who signed it is counted, and the guardian may veto anew.
    if reports.accepted_at != 0:
        reports.vetoes = 0
        self.participation = lanes._add(self.participation, reports.signers)
    reports.signers = signers
    reports.previous = reports.window
    reports.window = window
    reports.accepted_at = block.timestamp
    reports.slot = 1 - reports.slot
    self._roots[reports.slot] = root
    self._reports = report_word._pack(reports)
    log IOracleCommittee.ReportSubmitted(
        window=window,
        submitter=msg.sender,
        turn=turn,
        root=root,
        data_hash=data_hash,
        signers=signers,
        final_at=block.timestamp + CHALLENGE,
    )


@external
def veto_report(reason: bytes32):
    """
    @notice Undoes the pending report and uses up every window up to the current one, so that nothing
            that was signed before the veto counts after it.
    @param reason The hash of the reason.
    """
    roles._check_guardian()
    reports: report_word.Reports = report_word._unpack(self._reports)
    assert self._is_pending(reports), "committee: nothing pending"
    assert reports.vetoes < MAX_VETOES, "committee: too many vetoes"
    vetoed: uint256 = reports.window
    reports.window = reports.previous
    reports.floor = clock._now()
    reports.accepted_at = 0
    reports.signers = 0
    reports.slot = 1 - reports.slot
    reports.vetoes += 1
    self._reports = report_word._pack(reports)
    log IOracleCommittee.ReportVetoed(window=vetoed, guardian=msg.sender, floor=reports.floor, reason=reason)


@external
def slash_equivocation(
    window: uint256,
    turn: uint256,
    epoch: uint256,
    root_a: bytes32,
    data_hash_a: bytes32,
    signature_a: Bytes[SIGNATURE_LENGTH],
    root_b: bytes32,
    data_hash_b: bytes32,
    signature_b: Bytes[SIGNATURE_LENGTH],
) -> uint256:
    """
    @notice Slashes a member that signed two roots in one turn, and ends its seat. Anyone may prove it, once for a member,
            window, turn and epoch. The same root with another data hash is no offence.
    @param window The window of both reports.
    @param turn The turn of both.
    @param epoch The epoch of both, in which the signer was a member.
    @param root_a The root of one report.
    @param data_hash_a Its data hash.
    @param signature_a The signature under it.
    @param root_b The root of the other.
    @param data_hash_b Its data hash.
    @param signature_b The signature under it, by the same account.
    @return uint256 What was taken of the bond, in base units of the token.
    """
    assert root_a != root_b, "committee: same root"
    offender: address = self._signer(self._report_digest(window, turn, root_a, data_hash_a, epoch), signature_a)
    other: address = self._signer(self._report_digest(window, turn, root_b, data_hash_b, epoch), signature_b)
    assert offender == other, "committee: two signers"
    member: member_word.Member = member_word._unpack(self._members[offender])
    assert member.license_id != 0, "committee: never a member"
    last: uint256 = member.last_epoch
    if member.ended_at == 0:
        last = report_word._epoch(self._reports)
    else:
        assert not self._is_expired(member), "committee: record expired"
    assert epoch >= member.first_epoch and epoch <= last, "committee: no member then"
    seat_: uint256 = self._seat_of_signer[offender]
    # The last seat stays, as it does for the governor.
    if seat_ > 0 and report_word._seats(self._reports) > 1:
        self._remove_seat(seat_ - 1)
    # The evidence works once: the licenses keep it.
    evidence: bytes32 = keccak256(abi_encode(offender, window, turn, epoch))
    slashed: uint256 = extcall LICENSES.slash(member.license_id, max_value(uint256), evidence, empty(address))
    log IOracleCommittee.EquivocationSlashed(
        signer=offender,
        license_id=member.license_id,
        window=window,
        turn=turn,
        epoch=epoch,
        evidence_hash=evidence,
        amount=slashed,
    )
    return slashed


@external
def book_rewards():
    """
    @notice Takes what was sent here since the last time as rewards; anyone may send, and anyone may book.
    """
    amount: uint256 = staticcall vault.TOKEN.balanceOf(self) - self.rewards_held
    if amount == 0:
        return
    self.rewards_held += amount
    self.unassigned += amount
    log IOracleCommittee.RewardsBooked(amount=amount)


@external
def settle_rewards():
    """
    @notice Shares the rewards that are here among the seats by the final reports that each signed since the last time.
            Anyone may send it; nothing happens before seats signed `MIN_REPORTS` on average, nor while there is less
            than a base unit for each signature.
    """
    self._settle()


@external
def claim_reward(license_id: uint256) -> uint256:
    """
    @notice Pays the rewards of a license to its payout address. Anyone may send it.
    @param license_id The license.
    @return uint256 What was paid, in base units of the token.
    """
    payee: address = empty(address)
    standing: uint256 = 0
    payee, standing = staticcall LICENSES.payee_of(license_id)
    assert standing == GOOD, "committee: payee held"
    amount: uint256 = self._take_reward(license_id)
    if amount == 0:
        return 0
    log IOracleCommittee.RewardClaimed(license_id=license_id, payee=payee, amount=amount)
    vault._push(payee, amount)
    return amount


@external
def forfeit_reward(license_id: uint256) -> uint256:
    """
    @notice Hands the rewards of a license that is blacklisted, or whose owner or node is, to the treasury's pot.
            Anyone may send it.
    @param license_id The license.
    @return uint256 What it lost, in base units of the token.
    """
    payee: address = empty(address)
    standing: uint256 = 0
    payee, standing = staticcall LICENSES.payee_of(license_id)
    assert standing == BLACKLISTED, "committee: not blacklisted"
    amount: uint256 = self._take_reward(license_id)
    if amount == 0:
        return 0
    log IOracleCommittee.RewardForfeited(license_id=license_id, amount=amount)
    pots: address = staticcall LICENSES.VAULT()
    vault._push(pots, amount)
    extcall IFeeVault(pots).book(0, 0, amount)
    return amount


@external
@view
@reentrant
def verify(digest: bytes32, signatures: Bytes[MAX_SIGNATURES]) -> uint256:
    """
    @notice Reverts unless a quorum of the current members signed a digest.
    @param digest The 32-byte EIP-712 digest.
    @param signatures Concatenated signatures in strictly ascending signer order.
    @return uint256 A bit for each seat that signed.
    """
    return self._verify(digest, signatures, report_word._seats(self._reports))


@external
@view
@reentrant
def final_report() -> (uint256, bytes32):
    """
    @notice Returns the report that money may rest on.
    @return uint256 Its window; 0 before the first one.
    @return bytes32 Its root; zero without leaves.
    """
    window: uint256 = 0
    slot: uint256 = 0
    window, slot = report_word._final(self._reports, CHALLENGE)
    return window, self._roots[slot]


@external
@view
def latest_report() -> (uint256, bytes32, uint256, uint256, uint256):
    """
    @notice Returns the latest report that was not vetoed, final or pending.
    @return uint256 Its window; 0 before the first one.
    @return bytes32 Its root; zero without leaves.
    @return uint256 When it was accepted, in Unix seconds; 0 if a veto restored it.
    @return uint256 The highest window that a veto used up.
    @return uint256 Vetoes since a report last became final.
    """
    reports: report_word.Reports = report_word._unpack(self._reports)
    vetoes: uint256 = reports.vetoes
    if reports.accepted_at != 0 and not self._is_pending(reports):
        vetoes = 0
    return reports.window, self._roots[reports.slot], reports.accepted_at, reports.floor, vetoes


@external
@view
@reentrant
def latest_window() -> uint256:
    """
    @notice Returns the window of the latest report that was not vetoed, final or pending.
    @return uint256 The window; 0 before the first one.
    """
    return report_word._window(self._reports)


@external
@view
@reentrant
def committee_epoch() -> uint256:
    """
    @notice Returns the epoch that every message of the committee names.
    @return uint256 The epoch, raised by every change of the seats.
    """
    return report_word._epoch(self._reports)


@external
@view
def seat_count() -> uint256:
    """
    @notice Returns the size of the committee.
    @return uint256 The number of seats that are taken.
    """
    return report_word._seats(self._reports)


@external
@view
def quorum() -> uint256:
    """
    @notice Returns how many members must sign.
    @return uint256 More than two thirds of the seats.
    """
    return self._quorum(report_word._seats(self._reports))


@external
@view
def seat(index: uint256) -> (uint256, address):
    """
    @notice Returns who holds a seat.
    @param index The seat.
    @return uint256 Its license; 0 if it is free.
    @return address Its signer.
    """
    return self._licenses[index], self._signers[index]


@external
@view
def is_seated(license_id: uint256) -> bool:
    """
    @notice Says whether a license holds a seat.
    @param license_id The license.
    @return bool Whether it does.
    """
    return self._seat_of_license[license_id] > 0


@external
@view
@reentrant
def seat_ended_at(license_id: uint256) -> uint256:
    """
    @notice Returns when a license last held a seat.
    @param license_id The license.
    @return uint256 The Unix time in seconds at which its latest seat ended; 0 if it never had one, the highest number
            while it holds one.
    """
    if self._seat_of_license[license_id] > 0:
        return max_value(uint256)
    return self._ended_at[license_id]


@external
@view
def member_of(signer: address) -> (uint256, uint256, uint256, uint256):
    """
    @notice Returns what an account signs or signed for.
    @param signer The account.
    @return uint256 The license of its seat; 0 if it was never a member.
    @return uint256 The first epoch of its membership.
    @return uint256 The last one; 0 while it is a member.
    @return uint256 When the seat ended, in Unix seconds; 0 while it is held.
    """
    member: member_word.Member = member_word._unpack(self._members[signer])
    return member.license_id, member.first_epoch, member.last_epoch, member.ended_at


@external
@view
def seat_of_signer(signer: address) -> uint256:
    """
    @notice Returns the seat of a signer.
    @param signer The signer.
    @return uint256 The seat plus 1; 0 for none.
    """
    return self._seat_of_signer[signer]


@external
@view
def current_window() -> uint256:
    """
    @notice Returns the current window.
    @return uint256 The window that holds the block's timestamp.
    """
    return clock._now()


@internal
def _add_seat(license_id: uint256, signer: address) -> uint256:
    """
    @dev Seats a signer for an oracle license on the first free seat.
    @param license_id The license.
    @param signer The account that signs.
    @return uint256 The seat.
    """
    assert staticcall LICENSES.kind_of(license_id) == ORACLE, "committee: not an oracle license"
    assert signer != empty(address), "committee: zero signer"
    assert self._seat_of_signer[signer] == 0, "committee: signer seated"
    assert self._seat_of_license[license_id] == 0, "committee: license seated"
    free: uint256 = MAX_SEATS
    for index: uint256 in range(MAX_SEATS):
        if self._licenses[index] == 0:
            free = index
            break
    assert free < MAX_SEATS, "committee: no free seat"
    member: member_word.Member = member_word._unpack(self._members[signer])
    on_record: bool = member.license_id != 0 and not self._is_expired(member)
    # Another license would take over what the old one still answers for.
    assert not on_record or member.license_id == license_id, "committee: signer on record"
    self._signers[free] = signer
    self._licenses[free] = license_id
    self._seat_of_signer[signer] = free + 1
    self._seat_of_license[license_id] = free + 1
    epoch: uint256 = self._change_seats(1, 0, 0)
    first_epoch: uint256 = member.first_epoch if on_record else epoch
    self._members[signer] = member_word._pack(
        member_word.Member(license_id=license_id, first_epoch=first_epoch, last_epoch=0, ended_at=0)
    )
    log IOracleCommittee.SeatAdded(seat=free, license_id=license_id, signer=signer, epoch=epoch)
    return free


@internal
def _remove_seat(index: uint256):
    """
    @dev Frees a seat; what it signed is settled first, so that the next on the seat inherits nothing. The last one
         stays: a committee of none could never be reached again.
    @param index The seat.
    """
    license_id: uint256 = self._licenses[index]
    signer: address = self._signers[index]
    assert license_id != 0, "committee: free seat"
    self._settle()
    # What is not due yet is lost: the span would be the leaver's choice.
    self.participation &= ~(255 << (8 * index))
    member: member_word.Member = member_word._unpack(self._members[signer])
    member.last_epoch = report_word._epoch(self._reports)
    member.ended_at = block.timestamp
    self._members[signer] = member_word._pack(member)
    self._ended_at[license_id] = block.timestamp
    self._licenses[index] = 0
    self._signers[index] = empty(address)
    self._seat_of_signer[signer] = 0
    self._seat_of_license[license_id] = 0
    epoch: uint256 = self._change_seats(0, 1, 1 << index)
    log IOracleCommittee.SeatRemoved(seat=index, license_id=license_id, signer=signer, epoch=epoch)


@internal
def _change_seats(added: uint256, removed: uint256, leaver: uint256) -> uint256:
    """
    @dev Counts a change of the seats and voids every signature of the epoch before.
    @param added Seats added.
    @param removed Seats removed.
    @param leaver The bit of the removed seat: its signature under a report that is not yet counted must not count for
           the next one on the seat.
    @return uint256 The new epoch.
    """
    reports: report_word.Reports = report_word._unpack(self._reports)
    reports.signers &= ~leaver
    reports.seats = reports.seats + added - removed
    assert reports.seats > 0, "committee: last seat"
    reports.epoch += 1
    self._reports = report_word._pack(reports)
    return reports.epoch


@internal
def _settle():
    """
    @dev Counts the latest report if it is final. Shares the unassigned rewards by the lanes and empties these, if they are
         full enough; otherwise both wait. So does what does not come out even.
    """
    reports: report_word.Reports = report_word._unpack(self._reports)
    counts: uint256 = self.participation
    if not self._is_pending(reports):
        counts = lanes._add(counts, reports.signers)
        reports.signers = 0
        self._reports = report_word._pack(reports)
        self.participation = counts
    signed: uint256 = lanes._sum(counts)
    rewards: uint256 = self.unassigned
    if signed < MIN_REPORTS * reports.seats or rewards < signed:
        return
    left: uint256 = rewards
    for index: uint256 in range(MAX_SEATS):
        lane: uint256 = (counts >> (8 * index)) & 255
        if lane > 0:
            share: uint256 = rewards * lane // signed
            left -= share
            self.reward_of[self._licenses[index]] += share
    self.unassigned = left
    self.participation = 0
    log IOracleCommittee.RewardsSettled(amount=rewards - left, participation=counts)


@internal
def _take_reward(license_id: uint256) -> uint256:
    """
    @dev Takes the rewards of a license from the books; the caller sends them.
    @param license_id The license.
    @return uint256 Base units of the token.
    """
    amount: uint256 = self.reward_of[license_id]
    self.reward_of[license_id] = 0
    self.rewards_held -= amount
    return amount


@internal
@view
def _is_pending(reports: report_word.Reports) -> bool:
    """
    @dev Says whether the latest report can still be vetoed.
    @param reports The state.
    @return bool Whether its challenge time runs.
    """
    return block.timestamp < reports.accepted_at + CHALLENGE


@internal
@view
def _is_expired(member: member_word.Member) -> bool:
    """
    @dev Says whether a removed member no longer answers for what it signed; its bond may be gone by then.
    @param member The record of a member that holds no seat.
    @return bool Whether its time is over.
    """
    return block.timestamp >= member.ended_at + UNBOND_DELAY


@internal
@view
def _report_digest(window: uint256, turn: uint256, root: bytes32, data_hash: bytes32, epoch: uint256) -> bytes32:
    """
    @dev Returns what the members of an epoch sign for a report.
    @param window The window.
    @param turn The attempt.
    @param root The root.
    @param data_hash The hash of the report's header.
    @param epoch The epoch.
    @return bytes32 The EIP-712 digest.
    """
    return eip712_domain_separator._hash_typed_data_v4(
        keccak256(abi_encode(_REPORT_TYPE_HASH, window, turn, root, data_hash, epoch))
    )


@internal
@pure
def _signer(digest: bytes32, signature_: Bytes[SIGNATURE_LENGTH]) -> address:
    """
    @dev Returns who signed a digest.
    @param digest The digest.
    @param signature_ The signature `r || s || v`.
    @return address The signer.
    """
    assert len(signature_) == SIGNATURE_LENGTH, "committee: signature length"
    return signature._recover(
        digest,
        convert(slice(signature_, 64, 1), uint256),
        extract32(signature_, 0, output_type=uint256),
        extract32(signature_, 32, output_type=uint256),
    )


@internal
@view
def _verify(digest: bytes32, signatures: Bytes[MAX_SIGNATURES], seats: uint256) -> uint256:
    """
    @dev Reverts unless a quorum of distinct current members signed.
    @param digest The digest.
    @param signatures Concatenated signatures in strictly ascending signer order.
    @param seats The size of the committee.
    @return uint256 A bit for each seat that signed.
    """
    count: uint256 = len(signatures) // SIGNATURE_LENGTH
    assert count * SIGNATURE_LENGTH == len(signatures), "committee: signatures length"
    assert count >= self._quorum(seats), "committee: too few signatures"
    signers: uint256 = 0
    previous: address = empty(address)
    for index: uint256 in range(count, bound=MAX_SEATS):
        offset: uint256 = unsafe_mul(index, SIGNATURE_LENGTH)
        signer: address = signature._recover(
            digest,
            # The last byte of the word that ends with the signature is `v`.
            extract32(signatures, unsafe_add(offset, 33), output_type=uint256) & 255,
            extract32(signatures, offset, output_type=uint256),
            extract32(signatures, unsafe_add(offset, 32), output_type=uint256),
        )
        assert convert(signer, uint256) > convert(previous, uint256), "committee: signer order"
        previous = signer
        index_of_seat: uint256 = self._seat_of_signer[signer]
        assert index_of_seat > 0, "committee: not a member"
        signers |= 1 << unsafe_sub(index_of_seat, 1)
    return signers


@internal
@pure
def _quorum(seats: uint256) -> uint256:
    """
    @dev Returns how many members must sign.
    @param seats The size of the committee.
    @return uint256 More than two thirds of it.
    """
    return 2 * seats // 3 + 1
