# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Words mock
@custom:contract-name WordsMock
@license GNU Affero General Public License v3.0 only
@notice Test double: the functions of the packing modules and of the other pure modules, as calls.
        `<word>_<function>` is `_<function>` of the module `<word>_word`.
@custom:kill Not needed: it holds nothing.
"""

from ..modules import attestation_word
from ..modules import bond_word
from ..modules import class_word
from ..modules import grant_word
from ..modules import head_word
from ..modules import lanes
from ..modules import ledger_word
from ..modules import lifecycle_word
from ..modules import link_word
from ..modules import member_word
from ..modules import merkle
from ..modules import money_word
from ..modules import policy_word
from ..modules import price_word
from ..modules import report_word
from ..modules import service_word
from ..modules import shares
from ..modules import signature
from ..modules import standing_word
from ..modules import terms_word


@external
@pure
def attestation_pack(word: attestation_word.Attestation) -> uint256:
    """
    @notice Packs an attestation.
    @param word The fields.
    @return uint256 The word.
    """
    return attestation_word._pack(word)


@external
@pure
def attestation_unpack(packed: uint256) -> attestation_word.Attestation:
    """
    @notice Unpacks an attestation.
    @param packed The word.
    @return Attestation The fields.
    """
    return attestation_word._unpack(packed)


@external
@pure
def bond_pack(word: bond_word.Bond) -> uint256:
    """
    @notice Packs a bond.
    @param word The fields.
    @return uint256 The word.
    """
    return bond_word._pack(word)


@external
@pure
def bond_unpack(packed: uint256) -> bond_word.Bond:
    """
    @notice Unpacks a bond.
    @param packed The word.
    @return Bond The fields.
    """
    return bond_word._unpack(packed)


@external
@pure
def class_pack(word: class_word.Offer) -> uint256:
    """
    @notice Packs a class.
    @param word The fields.
    @return uint256 The word.
    """
    return class_word._pack(word)


@external
@pure
def class_unpack(packed: uint256) -> class_word.Offer:
    """
    @notice Unpacks a class.
    @param packed The word.
    @return Offer The fields.
    """
    return class_word._unpack(packed)


@external
@pure
def grant_pack(word: grant_word.Grant) -> uint256:
    """
    @notice Packs a grant.
    @param word The fields.
    @return uint256 The word.
    """
    return grant_word._pack(word)


@external
@pure
def grant_unpack(packed: uint256) -> grant_word.Grant:
    """
    @notice Unpacks a grant.
    @param packed The word.
    @return Grant The fields.
    """
    return grant_word._unpack(packed)


@external
@pure
def head_jobs(packed: uint256) -> uint256:
    """
    @notice Reads the number of jobs.
    @param packed The word.
    @return uint256 The jobs.
    """
    return head_word._jobs(packed)


@external
@pure
def head_policies(packed: uint256) -> uint256:
    """
    @notice Reads the number of policy versions.
    @param packed The word.
    @return uint256 The versions.
    """
    return head_word._policies(packed)


@external
@pure
def head_with_job(packed: uint256) -> uint256:
    """
    @notice Counts a job. 2**64 of them can't be opened in any time.
    @param packed The word.
    @return uint256 The new word.
    """
    return head_word._with_job(packed)


@external
@pure
def head_with_policy(packed: uint256) -> uint256:
    """
    @notice Counts a policy version.
    @param packed The word.
    @return uint256 The new word.
    """
    return head_word._with_policy(packed)


@external
@pure
def head_paused_until(packed: uint256) -> uint256:
    """
    @notice Reads when a pause ends.
    @param packed The word.
    @return uint256 The Unix time in seconds.
    """
    return head_word._paused_until(packed)


@external
@pure
def head_pause_again_at(packed: uint256) -> uint256:
    """
    @notice Reads from when the guardian may pause again.
    @param packed The word.
    @return uint256 The Unix time in seconds.
    """
    return head_word._pause_again_at(packed)


@external
@pure
def head_with_pause(packed: uint256, until: uint256, again_at: uint256) -> uint256:
    """
    @notice Sets the pause.
    @param packed The word.
    @param until The Unix time in seconds at which it ends.
    @param again_at The Unix time in seconds from which there may be another.
    @return uint256 The new word.
    """
    return head_word._with_pause(packed, until, again_at)


@external
@pure
def lanes_add(counts: uint256, bitmap: uint256) -> uint256:
    """
    @notice Adds 1 to the lane of each bit that is set.
    @param counts The lanes.
    @param bitmap A bit for each of the 32 lanes.
    @return uint256 The new lanes.
    """
    return lanes._add(counts, bitmap)


@external
@pure
def lanes_sum(counts: uint256) -> uint256:
    """
    @notice Adds up all lanes.
    @param counts The lanes.
    @return uint256 The sum, at most 32 * 255.
    """
    return lanes._sum(counts)


@external
@pure
def lanes_spread(bitmap: uint256) -> uint256:
    """
    @notice Moves bit `i` of a bitmap to bit `8 * i`, in halves.
    @param bitmap A bit for each of the 32 lanes.
    @return uint256 A 1 in the lane of each bit that is set.
    """
    return lanes._spread(bitmap)


@external
@pure
def ledger_pack(word: ledger_word.Ledger) -> uint256:
    """
    @notice Packs a ledger. The lowest bit is always set: an existing word is never zero.
    @param word The fields.
    @return uint256 The word.
    """
    return ledger_word._pack(word)


@external
@pure
def ledger_unpack(packed: uint256) -> ledger_word.Ledger:
    """
    @notice Unpacks a ledger.
    @param packed The word.
    @return Ledger The fields.
    """
    return ledger_word._unpack(packed)


@external
@pure
def ledger_fee_bps(packed: uint256) -> uint256:
    """
    @notice Reads the sum of the fee shares, in the shape that costs a claim least.
    @param packed The word.
    @return uint256 Basis points of a claim's gross.
    """
    return ledger_word._fee_bps(packed)


@external
@pure
def ledger_with_claim(packed: uint256, amount: uint256, fee: uint256) -> uint256:
    """
    @notice Books a claim in place: the fee stays owed, the operator's amount does not.
    @param packed The word.
    @param amount What the operator gets, in base units of the token.
    @param fee The fee, in base units of the token.
    @return uint256 The new word.
    """
    return ledger_word._with_claim(packed, amount, fee)


@external
@pure
def ledger_with_liabilities(packed: uint256, added: uint256, removed: uint256) -> uint256:
    """
    @notice Books a deposit or a refund in place.
    @param packed The word.
    @param added Base units of the token that came in.
    @param removed Base units of the token that go out.
    @return uint256 The new word.
    """
    return ledger_word._with_liabilities(packed, added, removed)


@external
@pure
def ledger_gate(packed: uint256) -> (uint256, bool, bool):
    """
    @notice Reads what a payer must show to open a job, in the shape that costs it least.
    @param packed The word.
    @return uint256 The attested level; 0 asks for none.
    @return bool Whether good standing is asked for.
    @return bool Whether an oracle license is asked for.
    """
    return ledger_word._gate(packed)


@external
@pure
def ledger_is_fresh(packed: uint256) -> bool:
    """
    @notice Says whether a word is the ledger of a new version: in use, and no books yet.
    @param packed The word.
    @return bool Whether it is.
    """
    return ledger_word._is_fresh(packed)


@external
@pure
def ledger_fees(packed: uint256) -> uint256:
    """
    @notice Reads the fees.
    @param packed The word.
    @return uint256 Base units of the token, taken since the version was added.
    """
    return ledger_word._fees(packed)


@external
@pure
def ledger_liabilities(packed: uint256) -> uint256:
    """
    @notice Reads what is owed.
    @param packed The word.
    @return uint256 Base units of the token.
    """
    return ledger_word._liabilities(packed)


@external
@pure
def lifecycle_pack(word: lifecycle_word.Lifecycle) -> uint256:
    """
    @notice Packs a job's life cycle.
    @param word The fields.
    @return uint256 The word.
    """
    return lifecycle_word._pack(word)


@external
@pure
def lifecycle_unpack(packed: uint256) -> lifecycle_word.Lifecycle:
    """
    @notice Unpacks a job's life cycle.
    @param packed The word.
    @return Lifecycle The fields.
    """
    return lifecycle_word._unpack(packed)


@external
@pure
def link_pack(word: link_word.Link) -> uint256:
    """
    @notice Packs a link.
    @param word The fields.
    @return uint256 The word.
    """
    return link_word._pack(word)


@external
@pure
def link_unpack(packed: uint256) -> link_word.Link:
    """
    @notice Unpacks a link.
    @param packed The word.
    @return Link The fields.
    """
    return link_word._unpack(packed)


@external
@pure
def member_pack(word: member_word.Member) -> uint256:
    """
    @notice Packs a member.
    @param word The fields.
    @return uint256 The word.
    """
    return member_word._pack(word)


@external
@pure
def member_unpack(packed: uint256) -> member_word.Member:
    """
    @notice Unpacks a member.
    @param packed The word.
    @return Member The fields.
    """
    return member_word._unpack(packed)


@external
@pure
def merkle_leaf(escrow: address, job_id: uint256, license_id: uint256, units: uint256) -> bytes32:
    """
    @notice Returns the leaf of cumulative units.
    @param escrow The escrow that the leaf pays in.
    @param job_id The job.
    @param license_id The license, or 0 for the job's total.
    @param units The cumulative units.
    @return bytes32 The leaf.
    """
    return merkle._leaf(escrow, job_id, license_id, units)


@external
@pure
def merkle_is_member(proof: DynArray[bytes32, 32], root: bytes32, leaf: bytes32) -> bool:
    """
    @notice Walks from the leaf to the root. `abi_encode` of two words costs less than `concat`.
    @param proof The siblings, from the leaf upwards.
    @param root The root of the tree; zero stands for a tree without leaves.
    @param leaf The leaf.
    @return bool Whether the leaf belongs to the tree.
    """
    return merkle._is_member(proof, root, leaf)


@external
@pure
def money_pack(word: money_word.Money) -> uint256:
    """
    @notice Packs a job's money.
    @param word The fields.
    @return uint256 The word.
    """
    return money_word._pack(word)


@external
@pure
def money_unpack(packed: uint256) -> money_word.Money:
    """
    @notice Unpacks a job's money.
    @param packed The word.
    @return Money The fields.
    """
    return money_word._unpack(packed)


@external
@pure
def money_left(packed: uint256) -> uint256:
    """
    @notice Reads what the job can still be charged for.
    @param packed The word.
    @return uint256 The units that are funded and unclaimed.
    """
    return money_word._left(packed)


@external
@pure
def money_end(packed: uint256) -> uint256:
    """
    @notice Reads the end.
    @param packed The word.
    @return uint256 The first window after the job; 0 until it starts.
    """
    return money_word._end(packed)


@external
@pure
def money_with_end(packed: uint256, end: uint256) -> uint256:
    """
    @notice Sets the end of a job that had none.
    @param packed The word.
    @param end The first window after the job.
    @return uint256 The new word.
    """
    return money_word._with_end(packed, end)


@external
@pure
def money_price(packed: uint256) -> uint256:
    """
    @notice Reads the price.
    @param packed The word.
    @return uint256 Base units of the token.
    """
    return money_word._price(packed)


@external
@pure
def money_funded(packed: uint256) -> uint256:
    """
    @notice Reads the funded units.
    @param packed The word.
    @return uint256 The units.
    """
    return money_word._funded(packed)


@external
@pure
def money_claimed(packed: uint256) -> uint256:
    """
    @notice Reads the claimed units.
    @param packed The word.
    @return uint256 The units.
    """
    return money_word._claimed(packed)


@external
@pure
def money_policy(packed: uint256) -> uint256:
    """
    @notice Reads the policy version.
    @param packed The word.
    @return uint256 The version.
    """
    return money_word._policy(packed)


@external
@pure
def money_with_close(packed: uint256, kept: uint256) -> uint256:
    """
    @notice Closes a job in place.
    @param packed The word.
    @param kept The units that stay funded, at most those that were.
    @return uint256 The new word.
    """
    return money_word._with_close(packed, kept)


@external
@pure
def policy_pack(word: policy_word.Policy) -> uint256:
    """
    @notice Packs a policy.
    @param word The fields.
    @return uint256 The word.
    """
    return policy_word._pack(word)


@external
@pure
def policy_unpack(packed: uint256) -> policy_word.Policy:
    """
    @notice Unpacks a policy.
    @param packed The word.
    @return Policy The fields.
    """
    return policy_word._unpack(packed)


@external
@pure
def policy_is_fresh(packed: uint256) -> bool:
    """
    @notice Says whether nothing was handed on under a version yet.
    @param packed The word.
    @return bool Whether it is so.
    """
    return policy_word._is_fresh(packed)


@external
@pure
def policy_flushed(packed: uint256) -> uint256:
    """
    @notice Reads the fees that were handed on.
    @param packed The word.
    @return uint256 Base units of the token.
    """
    return policy_word._flushed(packed)


@external
@pure
def price_pack(price: uint256, on_sale: bool) -> uint256:
    """
    @notice Packs a class.
    @param price Base units of the token for one slot and window at full availability.
    @param on_sale Whether new money may be spent on it.
    @return uint256 The word.
    """
    return price_word._pack(price, on_sale)


@external
@pure
def price_price(packed: uint256) -> uint256:
    """
    @notice Reads the price.
    @param packed The word.
    @return uint256 Base units of the token.
    """
    return price_word._price(packed)


@external
@pure
def price_on_sale(packed: uint256) -> bool:
    """
    @notice Says whether new money may be spent on the class.
    @param packed The word.
    @return bool Whether it may.
    """
    return price_word._on_sale(packed)


@external
@pure
def report_pack(word: report_word.Reports) -> uint256:
    """
    @notice Packs the state.
    @param word The fields.
    @return uint256 The word.
    """
    return report_word._pack(word)


@external
@pure
def report_unpack(packed: uint256) -> report_word.Reports:
    """
    @notice Unpacks the state.
    @param packed The word.
    @return Reports The fields.
    """
    return report_word._unpack(packed)


@external
@view
def report_final(packed: uint256, challenge: uint256) -> (uint256, uint256):
    """
    @notice Finds the report that money may rest on, in the shape that costs a claim least.
    @param packed The word.
    @param challenge How long a report can be vetoed, in seconds.
    @return uint256 Its window.
    @return uint256 The slot of its root.
    """
    return report_word._final(packed, challenge)


@external
@pure
def report_seats(packed: uint256) -> uint256:
    """
    @notice Reads the size of the committee.
    @param packed The word.
    @return uint256 The number of seats that are taken.
    """
    return report_word._seats(packed)


@external
@pure
def report_epoch(packed: uint256) -> uint256:
    """
    @notice Reads the epoch.
    @param packed The word.
    @return uint256 The epoch.
    """
    return report_word._epoch(packed)


@external
@pure
def report_window(packed: uint256) -> uint256:
    """
    @notice Reads the window of the latest report.
    @param packed The word.
    @return uint256 The window; 0 before the first one.
    """
    return report_word._window(packed)


@external
@pure
def service_pack(word: service_word.Service) -> uint256:
    """
    @notice Packs a license's service.
    @param word The fields.
    @return uint256 The word.
    """
    return service_word._pack(word)


@external
@pure
def service_unpack(packed: uint256) -> service_word.Service:
    """
    @notice Unpacks a license's service.
    @param packed The word.
    @return Service The fields.
    """
    return service_word._unpack(packed)


@external
@pure
def service_begun(window: uint256) -> uint256:
    """
    @notice Packs the service of a license that never served the job, in the shape that costs a placement least.
    @param window The first window that it serves.
    @return uint256 The word.
    """
    return service_word._begun(window)


@external
@pure
def service_released(packed: uint256, window: uint256) -> uint256:
    """
    @notice Ends the current term of a license that is in place.
    @param packed The word.
    @param window The first window that it no longer serves.
    @return uint256 The new word.
    """
    return service_word._released(packed, window)


@external
@pure
def service_is_placed(packed: uint256) -> bool:
    """
    @notice Says whether a license is in place.
    @param packed The word; 0 if it never served the job.
    @return bool Whether its term is open.
    """
    return service_word._is_placed(packed)


@external
@pure
def service_windows(packed: uint256, end: uint256, reported: uint256) -> uint256:
    """
    @notice Counts the windows that the license served and that a final report covers.
    @param packed The word.
    @param end The first window after the job.
    @param reported The window of the final report.
    @return uint256 The windows.
    """
    return service_word._windows(packed, end, reported)


@external
@pure
def shares_gross(price: uint256, units: uint256) -> uint256:
    """
    @notice Returns what units cost, rounded down.
    @param price Base units of the token for `UNIT`.
    @param units The units.
    @return uint256 Base units of the token.
    """
    return shares._gross(price, units)


@external
@pure
def shares_part(amount: uint256, bps: uint256) -> uint256:
    """
    @notice Returns a part of an amount, rounded down.
    @param amount Base units of the token, below 2**242.
    @param bps The part in basis points, at most `FULL_BPS`.
    @return uint256 Base units of the token.
    """
    return shares._part(amount, bps)


@external
@pure
def shares_split(total: uint256, first: uint256, second: uint256, whole: uint256) -> (uint256, uint256):
    """
    @notice Splits a cumulative amount in three, the last of which is the rest. The rest is cut off first and what remains
         is cut in two, so that none of the three ever falls while the total grows.
    @param total The cumulative amount, in base units of the token, below 2**242.
    @param first The weight of the first part.
    @param second The weight of the second part.
    @param whole The weight of all three, not zero.
    @return uint256 The first part, in base units of the token.
    @return uint256 The second part.
    """
    return shares._split(total, first, second, whole)


@external
@pure
def signature_recover(digest: bytes32, v: uint256, r: uint256, s: uint256) -> address:
    """
    @notice Returns the account that signed `digest`.
    @param digest The 32-byte EIP-712 digest.
    @param v The parity, 27 or 28.
    @param r The first half of the signature.
    @param s The second half of the signature.
    @return address The signer, never the zero address.
    """
    return signature._recover(digest, v, r, s)


@external
@pure
def standing_pack(word: standing_word.Standing) -> uint256:
    """
    @notice Packs a standing.
    @param word The fields.
    @return uint256 The word.
    """
    return standing_word._pack(word)


@external
@pure
def standing_unpack(packed: uint256) -> standing_word.Standing:
    """
    @notice Unpacks a standing.
    @param packed The word.
    @return Standing The fields.
    """
    return standing_word._unpack(packed)


@external
@view
def standing_current(packed: uint256) -> uint256:
    """
    @notice Reads the standing in force, in the shape that costs a claim least.
    @param packed The word.
    @return uint256 The standing; 0, good, once it has expired.
    """
    return standing_word._current(packed)


@external
@pure
def terms_pack(word: terms_word.Terms) -> uint256:
    """
    @notice Packs a job's terms.
    @param word The fields.
    @return uint256 The word.
    """
    return terms_word._pack(word)


@external
@pure
def terms_unpack(packed: uint256) -> terms_word.Terms:
    """
    @notice Unpacks a job's terms.
    @param packed The word.
    @return Terms The fields.
    """
    return terms_word._unpack(packed)


@external
@pure
def terms_placement(packed: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @notice Reads what a placement needs, in the shape that costs it least.
    @param packed The word.
    @return uint256 The slots.
    @return uint256 The licenses in place, or those that the first placement must bring.
    @return uint256 The first window, or the windows of a job that has not started.
    @return uint256 Placements so far.
    """
    return terms_word._placement(packed)


@external
@pure
def terms_with_placement(packed: uint256, seated: uint256, start: uint256) -> uint256:
    """
    @notice Counts a placement in place.
    @param packed The word.
    @param seated The licenses in place from now on, at most the slots.
    @param start The first window of the job.
    @return uint256 The new word.
    """
    return terms_word._with_placement(packed, seated, start)


@external
@pure
def terms_payer(packed: uint256) -> address:
    """
    @notice Reads the payer.
    @param packed The word.
    @return address Who opened the job and gets every refund.
    """
    return terms_word._payer(packed)
