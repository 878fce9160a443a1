"""Which claims are due, and the transactions for them."""

from __future__ import annotations

import pytest
from books_support import CHALLENGE, ESCROW, MEMBERS, OPERATORS, Chain, leaf
from hypothesis import given
from hypothesis import strategies as st

from workdeed.chain.bindings.escrow import MAX_CLAIMS, Forfeited, JobEscrow
from workdeed.keeper.claims import (
    ClaimRule,
    claim_effects,
    credited,
    due_claims,
    due_forfeits,
    forfeit_effects,
)
from workdeed.keeper.stagger import Stagger
from workdeed.protocol.figures import UNIT
from workdeed.protocol.report import Leaf

ALONE = Stagger(MEMBERS[0], pause=5)
ALL = ClaimRule("all", 0, ALONE)


@pytest.fixture
def running(chain: Chain) -> Chain:
    """Licenses 1 (operators[0]) and 2 (operators[1]) serve job 1 in windows 2 to 11."""
    chain.license(1, owner=0)
    chain.license(2, owner=1)
    chain.open_job(1, slots=2)
    chain.place(1, [1, 2])
    chain.to_window(3)
    return chain


def test_what_is_earned_and_not_claimed_is_due(running: Chain) -> None:
    data = running.report(2, [leaf(1, 1, UNIT), leaf(1, 2, 7_000), leaf(1, 0, 17_000)])
    running.timestamp += CHALLENGE
    due = due_claims(running.view(), data.leaves, ALL)
    assert [(one.key, one.credited, one.payee) for one in due] == [
        ((1, 1), UNIT, OPERATORS[0]),
        ((1, 2), 7_000, OPERATORS[1]),
    ]
    running.claim(1, 1, UNIT)
    assert [one.key for one in due_claims(running.view(), data.leaves, ALL)] == [(1, 2)]


def test_a_leaf_beyond_the_cap_is_clamped_as_the_escrow_does(running: Chain) -> None:
    data = running.report(2, [leaf(1, 1, 9 * UNIT)])
    running.timestamp += CHALLENGE
    (due,) = due_claims(running.view(), data.leaves, ALL)
    assert due.credited == UNIT


def test_leaves_of_others_are_passed_over(running: Chain) -> None:
    foreign = Leaf(MEMBERS[0], 1, 1, UNIT)
    data = running.report(2, [foreign, leaf(9, 1, UNIT), leaf(1, 77, UNIT)])
    running.timestamp += CHALLENGE
    assert due_claims(running.view(), data.leaves, ALL) == []


def test_only_served_payees_are_claimed_for(running: Chain) -> None:
    data = running.report(2, [leaf(1, 1, UNIT), leaf(1, 2, UNIT)])
    running.timestamp += CHALLENGE
    rule = ClaimRule(frozenset({OPERATORS[1]}), 0, Stagger(None, pause=1_000))
    assert [one.key for one in due_claims(running.view(), data.leaves, rule)] == [(1, 2)]


def test_held_licenses_wait_for_their_standing(running: Chain) -> None:
    data = running.report(2, [leaf(1, 1, UNIT)])
    running.timestamp += CHALLENGE
    running.freeze(1)
    assert due_claims(running.view(), data.leaves, ALL) == []
    running.timestamp += 100
    assert len(due_claims(running.view(), data.leaves, ALL)) == 1


def test_small_amounts_wait_for_the_end_of_the_job(running: Chain) -> None:
    rule = ClaimRule("all", UNIT + 1, ALONE)
    data = running.report(2, [leaf(1, 1, UNIT)])
    running.timestamp += CHALLENGE
    assert due_claims(running.view(), data.leaves, rule) == []
    running.to_window(12)
    running.report(11, [leaf(1, 1, UNIT)])
    running.timestamp += CHALLENGE
    assert len(due_claims(running.view(), data.leaves, rule)) == 1


def test_keepers_come_one_after_the_other(running: Chain) -> None:
    chain = Chain()
    chain.found(members=3)
    chain.license(1)
    chain.open_job(1)
    chain.place(1, [1])
    chain.to_window(3)
    data = chain.report(2, [leaf(1, 1, UNIT)])
    chain.timestamp += CHALLENGE
    turns = []
    for wait in (0, 5, 5, 5):
        chain.timestamp += wait
        able = [
            member
            for member in (*MEMBERS[:3], None)
            if due_claims(chain.view(), data.leaves, ClaimRule("all", 0, Stagger(member, 5)))
        ]
        turns.append(len(able))
    assert turns == [1, 2, 3, 4]


def test_claims_of_a_payee_share_a_transaction(chain: Chain) -> None:
    count = MAX_CLAIMS + 3
    for license_id in range(1, count + 1):
        chain.license(license_id, owner=0)
    chain.license(500, owner=1)
    chain.open_job(1, slots=count + 1)
    chain.place(1, [*range(1, count + 1), 500])
    chain.to_window(3)
    data = chain.report(2, [leaf(1, one, UNIT) for one in (*range(1, count + 1), 500)])
    chain.timestamp += CHALLENGE
    view = chain.view()
    effects = claim_effects(JobEscrow(ESCROW), data, due_claims(view, data.leaves, ALL))
    names = sorted(one.call.name for one in effects)
    assert names == ["JobEscrow.claim", "JobEscrow.claim_many", "JobEscrow.claim_many"]
    assert len({one.key for one in effects}) == 3
    assert not any(one.done(view.books) for one in effects)
    for license_id in (*range(1, count + 1), 500):
        chain.claim(1, license_id, UNIT)
    assert all(one.done(chain.books) for one in effects)


def test_bug_a_key_stays_while_the_proof_follows_the_final_report(running: Chain) -> None:
    """It used to be made of the proof: what waited failed, and left a key for each report."""
    found = []
    for window in (2, 3):
        running.to_window(window + 1)
        data = running.report(window, [leaf(1, 1, (window - 1) * UNIT), leaf(1, 2, 7_000)])
        running.timestamp += CHALLENGE
        view = running.view()
        found.append(claim_effects(JobEscrow(ESCROW), data, due_claims(view, data.leaves, ALL)))
    (first, _), (second, _) = found
    assert {one.key for one in found[0]} == {one.key for one in found[1]}
    assert first.call != second.call
    assert first.renews
    running.claim(1, 1, UNIT)
    assert first.done(running.books)
    assert not second.done(running.books)


def test_no_two_transactions_share_a_key(chain: Chain) -> None:
    """Whatever is due is in one of them, also once the first ones are paid."""
    licenses = range(1, 2 * MAX_CLAIMS + 4)
    for license_id in licenses:
        chain.license(license_id, owner=0)
    chain.open_job(1, slots=len(licenses))
    chain.place(1, list(licenses))
    chain.to_window(3)
    data = chain.report(2, [leaf(1, one, UNIT) for one in licenses])
    chain.timestamp += CHALLENGE
    keys = []
    for paid in range(MAX_CLAIMS + 1):
        if paid:
            chain.claim(1, paid, UNIT)
        due = due_claims(chain.view(), data.leaves, ALL)
        effects = claim_effects(JobEscrow(ESCROW), data, due)
        assert [one.key[1] for one in due] == list(licenses)[paid:]
        assert len({one.key for one in effects}) == len(effects) == -(-len(due) // MAX_CLAIMS)
        keys.append([one.key for one in effects])
    # What comes after a transaction keeps its key once that one is mined.
    assert keys[-1] == keys[0][1:]


def test_what_a_blacklisted_license_earned_is_forfeited_once(running: Chain) -> None:
    """L22: what is held is forfeited exactly once, and only of who is blacklisted."""
    data = running.report(2, [leaf(1, 1, UNIT), leaf(1, 2, UNIT), leaf(1, 0, 2 * UNIT)])
    running.timestamp += CHALLENGE
    assert due_forfeits(running.view(), data.leaves, ALL) == []
    running.freeze(2)
    running.blacklist(1)
    assert due_claims(running.view(), data.leaves, ALL) == []
    due = due_forfeits(running.view(), data.leaves, ALL)
    assert [(one.key, one.credited) for one in due] == [((1, 1), UNIT)]
    (effect,) = forfeit_effects(JobEscrow(ESCROW), data, due)
    assert effect.call == JobEscrow(ESCROW).forfeit(1, 1, UNIT, data.proof(leaf(1, 1, UNIT)))
    assert not effect.done(running.books)
    running.log(Forfeited(1, 1, OPERATORS[0], UNIT, 4_000, 2_400, 1_600))
    assert effect.done(running.books)
    assert due_forfeits(running.view(), data.leaves, ALL) == []


def test_forfeits_are_for_keepers_that_serve_all_and_come_one_after_the_other(
    running: Chain,
) -> None:
    data = running.report(2, [leaf(1, 1, UNIT)])
    running.blacklist(1)
    running.timestamp += CHALLENGE
    own = ClaimRule(frozenset({OPERATORS[0]}), 0, ALONE)
    assert due_forfeits(running.view(), data.leaves, own) == []
    late = ClaimRule("all", 0, Stagger(None, pause=5))
    assert due_forfeits(running.view(), data.leaves, late) == []
    running.timestamp += 5
    assert len(due_forfeits(running.view(), data.leaves, late)) == 1


@given(
    units=st.integers(0, 20 * UNIT),
    claimed=st.integers(0, 5 * UNIT),
    reported=st.integers(0, 15),
)
def test_credited_never_exceeds_cap_leaf_or_funds(units: int, claimed: int, reported: int) -> None:
    chain = Chain()
    chain.found()
    chain.license(1)
    chain.open_job(1)
    chain.place(1, [1])
    chain.claim(1, 1, claimed)
    job = chain.books.jobs[1]
    found = credited(chain.books, job, leaf(1, 1, units), reported)
    assert found <= units
    assert found <= max(0, min(reported, 11) - 1) * UNIT
    assert found <= job.funded_units
