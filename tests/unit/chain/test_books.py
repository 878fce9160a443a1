"""The books: what each event means, and that the way events arrive does not matter."""

from dataclasses import replace

import pytest
from chain_support import FIRST_TIMESTAMP, SUITE, address, logged
from event_support import histories, window_of
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings import (
    committee,
    desk,
    escrow,
    licenses,
    ownership,
    registry,
    tariff,
)
from workdeed.chain.bindings.codec import Event, LoggedEvent
from workdeed.chain.books import _REDUCERS, Books, BooksError, GrantState, ReportState, Revision
from workdeed.protocol.figures import UNIT, Pair
from workdeed.protocol.hashing import keccak

ESCROW = SUITE.escrow.address
PAYER, OWNER, NODE, ISSUER, GUARDIAN = (address(n) for n in range(1, 6))
SPEC, NEW_SPEC = keccak(b"spec"), keccak(b"new spec")
PRICE = 30_000
NOW = FIRST_TIMESTAMP

OPENED = escrow.JobOpened(1, PAYER, SPEC, escrow.SERVICE, 1, 1, PRICE, 3, 2, 10, 10 * 3 * PRICE)
ISSUED = (
    licenses.Transfer(licenses.ZERO_ADDRESS, OWNER, 5),
    licenses.LicenseIssued(5, OWNER, licenses.NODE),
    licenses.BondedSet(5, True),
)
LINKED = licenses.NodeLinked(5, NODE, OWNER)


def placed(
    window: int, assign: tuple[int, ...], release: tuple[int, ...] = (), *, round_: int = 0
) -> escrow.Placed:
    return escrow.Placed(1, round_, window, 0, 21, release, assign)


def books(*events: Event) -> Books:
    """Return the books after these events, one a block from block 1 on."""
    found = Books(ESCROW)
    for block, event in enumerate(events, start=1):
        found.apply(logged(event, block))
    return found


def report(window: int, final_at: int) -> committee.ReportSubmitted:
    return committee.ReportSubmitted(
        window, address(9), 0, keccak(b"root %d" % window), bytes(32), 0b111, final_at
    )


def test_an_opened_job_waits_for_its_first_placement() -> None:
    job = books(OPENED).jobs[1]
    assert (job.payer, job.spec_hash, job.revision) == (PAYER, SPEC, 0)
    assert (job.funded_units, job.deposited, job.locked) == (30 * UNIT, 30 * PRICE, 30 * PRICE)
    assert (job.start, job.end, job.round, job.active) == (0, 0, 0, 0)
    assert job.opened_at == FIRST_TIMESTAMP + 2
    assert not job.is_over(10**9)


def test_a_placement_counts_from_the_next_window() -> None:
    state = books(OPENED, placed(10, (5, 6)))
    job = state.jobs[1]
    assert (job.start, job.end, job.round, job.active) == (11, 21, 1, 2)
    assert state.placed(1) == (5, 6)
    assert state.pairs_in_force(10) == ()
    assert state.pairs_in_force(11) == (Pair(ESCROW, 1, 5), Pair(ESCROW, 1, 6))
    assert state.pairs_in_force(20) == state.pairs_in_force(11)
    assert state.pairs_in_force(21) == ()
    assert job.is_over(21)
    assert not job.is_over(20)


def test_a_replaced_license_keeps_its_windows_and_its_successor_gets_none_of_them() -> None:
    state = books(OPENED, placed(10, (5, 6)), placed(13, (7,), (5,), round_=1))
    assert state.placed(1) == (6, 7)
    assert [pair.license_id for pair in state.pairs_in_force(13)] == [5, 6]
    assert [pair.license_id for pair in state.pairs_in_force(14)] == [6, 7]
    assert [state.cap(1, license_id, 15) for license_id in (5, 6, 7)] == [
        3 * UNIT,
        5 * UNIT,
        2 * UNIT,
    ]
    assert state.cap(1, 8, 15) == 0
    assert state.cap(2, 5, 15) == 0


def test_a_license_that_comes_back_is_in_force_in_each_of_its_terms_only() -> None:
    state = books(
        OPENED,
        placed(10, (5,)),
        placed(12, (6,), (5,), round_=1),
        placed(15, (5,), round_=2),
    )
    item = state.assignments[1, 5]
    assert (item.first, item.until, item.earlier) == (16, escrow.OPEN_END, 2)
    assert item.past == ((11, 13),)
    serving = [w for w in range(9, 23) if Pair(ESCROW, 1, 5) in state.pairs_in_force(w)]
    assert serving == [11, 12, 16, 17, 18, 19, 20]
    assert state.cap(1, 5, 17) == 4 * UNIT
    assert state.cap(1, 5, 99) == 7 * UNIT


def test_a_license_released_in_the_window_of_its_placement_served_nothing() -> None:
    state = books(OPENED, placed(10, (5, 6)), placed(10, (7,), (5,), round_=1))
    assert state.cap(1, 5, 99) == 0
    assert Pair(ESCROW, 1, 5) not in state.pairs_in_force(11)


def test_claims_add_up_to_the_last_base_unit() -> None:
    """Amounts as the escrow rounds them: price 7, fees 20 %, claims of 1/3 of a window."""
    opened = escrow.JobOpened(1, PAYER, SPEC, 0, 1, 1, 7, 1, 1, 10, 70)
    claims = [(3_333, 2), (6_666, 2), (10_000, 2)]
    state = books(
        opened,
        escrow.Placed(1, 0, 10, 0, 21, (), (5,)),
        *(escrow.Claimed(1, 5, OWNER, units, amount) for units, amount in claims),
    )
    job = state.jobs[1]
    assert (job.claimed_units, state.assignments[1, 5].claimed_units) == (10_000, 10_000)
    assert (job.paid, job.fees, job.locked) == (6, 1, 63)


def test_a_revision_is_measured_from_the_next_window() -> None:
    job = books(OPENED, desk.JobRevised(1, 1, 12, NEW_SPEC)).jobs[1]
    assert (job.revision, job.spec_hash) == (1, NEW_SPEC)
    assert job.measured(12) == Revision(0, 0, SPEC)
    assert job.measured(13) == Revision(1, 12, NEW_SPEC)


def test_extending_and_cancelling_move_end_and_money() -> None:
    extended = desk.JobExtended(1, 5, 26, 45 * UNIT, 15 * PRICE)
    cancelled = desk.JobCancelled(1, 13, 6 * UNIT, 39 * PRICE)
    job = books(OPENED, placed(10, (5,)), extended, cancelled).jobs[1]
    assert (job.end, job.funded_units, job.cancelled, job.closed) == (13, 6 * UNIT, True, False)
    assert (job.deposited, job.refunded, job.locked) == (45 * PRICE, 39 * PRICE, 6 * PRICE)


def test_a_job_cancelled_before_its_start_is_closed() -> None:
    job = books(OPENED, desk.JobCancelled(1, 0, 0, 30 * PRICE)).jobs[1]
    assert (job.cancelled, job.closed, job.locked) == (True, True, 0)


def test_closing_refunds_what_was_not_served() -> None:
    state = books(
        OPENED,
        placed(10, (5,)),
        desk.CloseRequested(1, 22, False),
        escrow.JobClosed(1, 20 * UNIT, 10 * PRICE),
    )
    job = state.jobs[1]
    assert (job.close_requested, job.covered, job.closed, job.attested) == (22, False, True, True)
    assert job.locked == 20 * PRICE


def test_a_close_without_a_report_says_so() -> None:
    job = books(OPENED, placed(10, (5,)), desk.JobClosedUnattested(1, 0, 30 * PRICE)).jobs[1]
    assert (job.closed, job.attested, job.locked) == (True, False, 0)


def test_scaling_counts_from_the_next_window() -> None:
    """M2: funded units are those of the slots in each window; up pays, down refunds."""
    up = desk.JobScaled(1, 12, 5, 30 * UNIT + 2 * 8 * UNIT, 16 * PRICE, 0, ())
    state = books(OPENED, placed(10, (5, 6, 7)), up)
    job = state.jobs[1]
    assert (job.slots, job.active, job.deposited) == (5, 3, 46 * PRICE)
    assert job.funded_units == (2 * 3 + 8 * 5) * UNIT  # windows 11 and 12 have three slots
    down = desk.JobScaled(1, 14, 1, 46 * UNIT - 4 * 6 * UNIT, 0, 24 * PRICE, (5, 6))
    state.apply(logged(down, 30))
    job = state.jobs[1]
    assert (job.slots, job.active, job.refunded, job.locked) == (1, 1, 24 * PRICE, 22 * PRICE)
    assert [pair.license_id for pair in state.pairs_in_force(14)] == [5, 6, 7]
    assert [pair.license_id for pair in state.pairs_in_force(15)] == [7]
    assert state.placed(1) == (7,)
    assert state.cap(1, 5, 99) == 4 * UNIT


def test_a_job_scaled_down_before_its_start_asks_for_no_more_licenses_than_slots() -> None:
    job = books(OPENED, desk.JobScaled(1, 9, 1, 10 * UNIT, 0, 20 * PRICE, ())).jobs[1]
    assert (job.slots, job.min_slots, job.locked) == (1, 1, 10 * PRICE)


def test_what_is_forfeited_counts_as_claimed_and_is_no_refund_of_unserved_windows() -> None:
    """M2, M3: fees are taken of the gross, the rest goes by policy."""
    forfeited = escrow.Forfeited(1, 5, PAYER, 2 * UNIT, 24_000, 14_400, 9_600)
    state = books(OPENED, placed(10, (5,)), forfeited)
    job = state.jobs[1]
    assert (job.claimed_units, state.assignments[1, 5].claimed_units) == (2 * UNIT, 2 * UNIT)
    assert (job.paid, job.refunded, job.forfeited, job.fees) == (0, 0, 48_000, 12_000)
    assert job.locked == 28 * PRICE


def test_flushed_fees_add_up_by_policy() -> None:
    policy = tariff.PolicyAdded(1, 500, 1_000, 500, 5_000, 0, False, False, 5_000, 3_000)
    flushes = (escrow.FeesFlushed(1, 5, 10, 5), escrow.FeesFlushed(1, 1, 2, 1))
    assert books(policy, *flushes).policies[1].flushed == 24


def test_a_batch_job_funds_shards_and_one_reported_window_opens_all_of_them() -> None:
    opened = escrow.JobOpened(1, PAYER, SPEC, escrow.BATCH, 1, 1, PRICE, 300, 1, 10, 300 * PRICE)
    state = books(opened, placed(10, (5,)))
    assert state.jobs[1].funded_units == 300 * UNIT
    assert (state.cap(1, 5, 10), state.cap(1, 5, 11)) == (0, 300 * UNIT)
    state.apply(logged(desk.ResultAttested(1, keccak(b"result"), 13), 30))
    job = state.jobs[1]
    assert (job.completed, job.end, job.closed) == (True, 13, False)
    assert state.pairs_in_force(13) == ()


def test_a_pause_is_known_until_it_ends() -> None:
    assert books(escrow.Paused(GUARDIAN, NOW + 60)).paused_until == NOW + 60


def test_a_license_is_followed_from_issue_to_transfer() -> None:
    profile = licenses.ProfileSet(5, keccak(b"profile"), "http://127.0.0.1:7000")
    state = books(*ISSUED, LINKED, profile, licenses.PayoutSet(5, PAYER))
    item = state.licenses[5]
    assert (item.owner, item.node, item.payee) == (OWNER, NODE, PAYER)
    assert (item.endpoint, item.profile_hash) == ("http://127.0.0.1:7000", keccak(b"profile"))
    assert state.license_of_node(NODE) == item
    moved = (
        licenses.Transfer(OWNER, PAYER, 5),
        licenses.NodeUnlinked(5, NODE),
        licenses.PayoutSet(5, licenses.ZERO_ADDRESS),
        licenses.ProfileSet(5, bytes(32), ""),
    )
    for block, event in enumerate(moved, start=20):
        state.apply(logged(event, block))
    item = state.licenses[5]
    assert (item.owner, item.node, item.payee, item.endpoint) == (PAYER, None, PAYER, "")
    assert state.license_of_node(NODE) is None


@pytest.mark.parametrize(
    "subject",
    [
        registry.license_subject(5),
        registry.account_subject(OWNER),
        registry.account_subject(NODE),
    ],
)
def test_the_standing_of_license_owner_and_node_counts_until_it_ends(subject: int) -> None:
    frozen = registry.StandingSet(subject, GUARDIAN, registry.FROZEN, NOW + 60, 1, bytes(32))
    state = books(*ISSUED, LINKED, frozen)
    assert state.worst_standing(5, NOW + 59) == registry.FROZEN
    assert not state.eligible(5, NOW + 59)
    assert state.worst_standing(5, NOW + 60) == registry.GOOD
    assert state.eligible(5, NOW + 60)


def test_reinstating_ends_a_standing() -> None:
    subject = registry.account_subject(OWNER)
    state = books(
        registry.StandingSet(subject, PAYER, registry.BLACKLISTED, 2**64 - 1, 1, bytes(32)),
        registry.StandingSet(subject, PAYER, registry.GOOD, 0, 2, bytes(32)),
    )
    assert state.account_standing(OWNER, NOW) == registry.GOOD


def test_eligibility_needs_a_node_a_kind_and_where_asked_an_attestation() -> None:
    oracle = licenses.LicenseIssued(6, OWNER, licenses.ORACLE)
    state = books(
        *ISSUED, oracle, licenses.BondedSet(6, True), licenses.NodeLinked(6, PAYER, OWNER)
    )
    assert not state.eligible(5, NOW)  # no node
    assert not state.eligible(6, NOW)  # no node license
    assert not state.eligible(7, NOW)  # no license
    state.apply(logged(LINKED, 30))
    assert state.eligible(5, NOW)
    state.apply(logged(licenses.EligibilitySet(2), 31))
    assert not state.eligible(5, NOW)
    state.apply(logged(registry.IssuerSet(ISSUER, True), 32))
    state.apply(logged(registry.Attested(OWNER, ISSUER, 2, NOW + 60, bytes(32)), 33))
    assert state.eligible(5, NOW + 59)
    assert not state.eligible(5, NOW + 60)


def test_a_license_below_the_minimum_bond_is_not_eligible() -> None:
    state = books(*ISSUED[:2], LINKED)
    assert not state.eligible(5, NOW)
    state.apply(logged(licenses.BondedSet(5, True), 30))
    assert state.eligible(5, NOW)
    state.apply(logged(licenses.BondedSet(5, False), 31))
    assert not state.eligible(5, NOW)


def test_attestations_end_with_their_time_their_revocation_and_their_issuer() -> None:
    attested = (
        registry.IssuerSet(ISSUER, True),
        registry.Attested(OWNER, ISSUER, 2, NOW + 60, bytes(32)),
    )
    assert books(*attested).attested_level(OWNER, NOW + 59) == 2
    assert books(*attested).attested_level(OWNER, NOW + 60) == 0
    dropped = books(*attested, registry.IssuerSet(ISSUER, False))
    assert dropped.attested_level(OWNER, NOW) == 0
    revoked = books(*attested, registry.AttestationRevoked(OWNER, ISSUER))
    assert revoked.attested_level(OWNER, NOW) == 0
    assert books().attested_level(OWNER, NOW) == 0


def test_members_are_the_seats_in_their_order() -> None:
    state = books(
        committee.SeatAdded(0, 11, address(21), 1),
        committee.SeatAdded(1, 12, address(22), 2),
        committee.SeatAdded(2, 13, address(23), 3),
        committee.SeatRemoved(0, 11, address(21), 4),
        committee.SeatAdded(0, 14, address(24), 5),
    )
    assert [(seat.seat, seat.signer) for seat in state.members] == [
        (0, address(24)),
        (1, address(22)),
        (2, address(23)),
    ]
    assert state.committee_epoch == 5


def windows(*found: ReportState | None) -> list[int | None]:
    return [None if item is None else item.window for item in found]


def test_a_report_is_final_when_its_challenge_time_is_over() -> None:
    state = books(report(3, NOW + 100), report(5, NOW + 200))
    assert windows(state.final_report(NOW + 99), state.pending_report(NOW + 99)) == [None, 5]
    assert windows(state.final_report(NOW + 199), state.pending_report(NOW + 199)) == [3, 5]
    assert windows(state.final_report(NOW + 200), state.pending_report(NOW + 200)) == [5, None]
    assert windows(state.latest_report) == [5]


def test_a_vetoed_report_counts_for_nothing_and_uses_up_windows() -> None:
    vetoed = committee.ReportVetoed(5, GUARDIAN, 7, bytes(32))
    state = books(report(3, NOW + 100), report(5, NOW + 200), vetoed)
    assert windows(state.final_report(NOW + 999), state.latest_report) == [3, 3]
    assert state.pending_report(NOW + 150) is None
    assert state.veto_floor == 7
    assert state.reports[5].vetoed
    state.apply(logged(report(8, NOW + 300), 40))
    assert windows(state.final_report(NOW + 300)) == [8]


def test_classes_and_policies_are_kept_by_id() -> None:
    state = books(
        tariff.ClassSet(1, 100, 1_000, 1_024, 4_096, False),
        tariff.ClassSet(1, 120, 1_000, 1_024, 4_096, True),
        tariff.PolicyAdded(1, 500, 1_000, 500, 5_000, 0, False, False, 5_000, 3_000),
        tariff.PolicyAdded(2, 500, 1_000, 500, 6_000, 1, True, True, 5_000, 3_000),
        registry.GuardianSet(GUARDIAN),
    )
    assert (state.classes[1].price, state.classes[1].retired) == (120, True)
    assert (state.policy_version, state.policies[1].sla_floor_bps) == (2, 5_000)
    assert state.guardian == GUARDIAN
    assert Books(ESCROW).policy_version == 0


@pytest.mark.parametrize(
    "event",
    [
        placed(10, (5,)),
        escrow.Claimed(1, 5, OWNER, 1, 1),
        desk.JobRevised(1, 1, 1, SPEC),
        licenses.Transfer(OWNER, PAYER, 5),
        LINKED,
        escrow.Forfeited(1, 5, PAYER, 1, 1, 0, 0),
        escrow.FeesFlushed(1, 1, 1, 1),
        desk.JobScaled(1, 1, 2, 1, 1, 0, ()),
        desk.ResultAttested(1, SPEC, 3),
        desk.JobClosedUnattested(1, 0, 0),
        licenses.BondedSet(5, True),
        committee.SeatRemoved(0, 1, OWNER, 2),
        committee.ReportVetoed(3, GUARDIAN, 3, bytes(32)),
        registry.AttestationRevoked(OWNER, ISSUER),
    ],
)
def test_an_event_without_what_precedes_it_is_a_gap(event: Event) -> None:
    with pytest.raises(BooksError, match="gap"):
        books(event)


def test_every_event_of_the_contracts_is_known_and_no_other() -> None:
    for contract in SUITE.followed:
        for event in type(contract).EVENTS:
            assert event in _REDUCERS
    unknown = replace(logged(OPENED, 1), event=Event())
    with pytest.raises(BooksError, match="not known"):
        Books(ESCROW).apply(unknown)


def test_a_grant_lets_a_delegate_do_what_it_says_until_its_end() -> None:
    granted = desk.Granted(PAYER, OWNER, desk.REVISE | desk.OPEN, 100, NOW + 5)
    state = books(OPENED, granted, desk.Spent(PAYER, OWNER, 10, 90))
    assert state.grants == {(PAYER, OWNER): GrantState(desk.REVISE | desk.OPEN, NOW + 5)}
    assert state.may_act(OWNER, 1, desk.REVISE, NOW + 4)
    assert not state.may_act(OWNER, 1, desk.REVISE, NOW + 5)
    assert not state.may_act(OWNER, 1, desk.CANCEL, NOW)
    assert not state.may_act(NODE, 1, desk.REVISE, NOW)
    assert not state.may_act(OWNER, 2, desk.REVISE, NOW)
    assert not state.may_act(PAYER, 2, desk.REVISE, NOW)
    assert state.may_act(PAYER, 1, desk.CANCEL, NOW + 5)
    replaced = books(OPENED, granted, desk.Granted(PAYER, OWNER, desk.CANCEL, 0, NOW + 9))
    assert not replaced.may_act(OWNER, 1, desk.REVISE, NOW)
    assert replaced.may_act(OWNER, 1, desk.CANCEL, NOW + 8)
    assert books(granted, desk.Granted(PAYER, OWNER, 0, 0, 0)) == Books(ESCROW)


def test_events_that_change_nothing_change_nothing() -> None:
    quiet = (
        ownership.OwnershipTransferred(OWNER, PAYER),
        ownership.OwnershipTransferStarted(OWNER, PAYER),
        ownership.RoleMinterChanged(OWNER, True),
        licenses.Approval(OWNER, PAYER, 5),
        licenses.ApprovalForAll(OWNER, PAYER, True),
        licenses.CommitteeBound(PAYER),
        licenses.BondPosted(5, PAYER, 10),
        licenses.UnbondRequested(5, OWNER, 10),
        licenses.UnbondCancelled(5, 10),
        licenses.BondWithdrawn(5, OWNER, 10),
        licenses.Slashed(5, SPEC, PAYER, GUARDIAN, 0, 4, 3, 3),
        licenses.SlashSplitSet(4_000, 3_000),
        tariff.EscrowBound(ESCROW),
        desk.EscrowBound(ESCROW),
        desk.Spent(PAYER, OWNER, 10, 90),
        committee.EquivocationSlashed(GUARDIAN, 5, 3, 0, 1, SPEC, 10),
        committee.RewardsBooked(10),
        committee.RewardsSettled(10, 3),
        committee.RewardClaimed(5, OWNER, 5),
        committee.RewardForfeited(5, 5),
        registry.TreasurySet(PAYER),
        registry.LicensesBound(PAYER),
        registry.Appealed(5, OWNER, bytes(32)),
    )
    assert books(*quiet) == Books(ESCROW)


def test_what_a_book_hands_out_cannot_be_changed() -> None:
    state = books(OPENED)
    with pytest.raises(TypeError):
        state.jobs[2] = state.jobs[1]  # type: ignore[index] # that is the point
    with pytest.raises(AttributeError):
        state.jobs[1].slots = 9  # type: ignore[misc] # that is the point


def test_a_copy_changes_on_its_own() -> None:
    original = books(OPENED, *ISSUED)
    before = books(OPENED, *ISSUED)
    changed = original.copy()
    changed.apply(logged(LINKED, 30))
    changed.apply(logged(placed(10, (5,)), 31))
    assert original == before
    assert changed != original


@given(events=histories(), data=st.data())
def test_cutting_the_events_changes_nothing(events: list[LoggedEvent], data: st.DataObject) -> None:
    at_once = Books(ESCROW)
    stepwise = Books(ESCROW)
    for event in events:
        at_once.apply(event)
        stepwise.apply(event)
        if data.draw(st.booleans()):
            stepwise = stepwise.copy()
    assert stepwise == at_once


def slots_by_window(events: list[LoggedEvent], job_id: int, last: int) -> dict[int, int]:
    """Return how many slots a job has in each window: a scaling counts from the next one on."""
    found = dict.fromkeys(range(1, last + 1), 0)
    for logged_ in events:
        event = logged_.event
        first = None
        if isinstance(event, escrow.JobOpened) and event.job_id == job_id:
            first, slots = 1, event.slots
        elif isinstance(event, desk.JobScaled) and event.job_id == job_id:
            first, slots = event.window + 1, event.slots
        if first is not None:
            found |= dict.fromkeys(range(first, last + 1), slots)
    return found


@given(events=histories())
def test_books_of_possible_histories_hold_together(events: list[LoggedEvent]) -> None:
    """M2 and the slots: nothing is lost, nothing is counted twice, no job has too many licenses."""
    state = Books(ESCROW)
    for event in events:
        state.apply(event)
    last = window_of(events[-1].block) if events else 1
    for job_id, job in state.jobs.items():
        moved = job.refunded + job.paid + job.fees + job.forfeited
        assert job.deposited == moved + job.locked
        assert job.locked >= 0
        assert job.claimed_units == sum(a.claimed_units for a in state.assignments_of(job_id))
        assert job.active == len(state.placed(job_id)) <= job.slots
        slots = slots_by_window(events, job_id, last + 1)
        for window in range(1, last + 2):
            pairs = [pair for pair in state.pairs_in_force(window) if pair.job_id == job_id]
            assert len(pairs) <= slots[window]
            assert not pairs or job.start <= window < job.end
    for (job_id, license_id), item in state.assignments.items():
        serving = sum(
            Pair(ESCROW, job_id, license_id) in state.pairs_in_force(window)
            for window in range(1, last + 20)
        )
        assert state.cap(job_id, license_id, last + 19) == serving * UNIT
        assert item in state.jobs_of(license_id)
        assert item in state.assignments_of(job_id)
