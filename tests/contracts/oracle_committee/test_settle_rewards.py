"""Rewards are shared by the final reports that each seat signed since the last time."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.oracle_committee.members import (
    KEY,
    REPORTS_PER_SETTLEMENT,
    add_seat,
    fund,
    issue_oracle,
    lanes,
    remove_seat,
    rewards,
    share,
    sign_final,
    sign_next,
    veto,
)
from tests.contracts.system import System, event, events, private_key

EVERYBODY = range(4)


def settle(system: System) -> bool:
    """Settle as a stranger; return whether anything was shared."""
    system.committee.settle_rewards(sender=system.stranger)
    return len(events(system.committee, "RewardsSettled")) == 1


def test_rewards_are_shared_by_what_each_seat_signed(system: System) -> None:
    """The worked example of docs/contracts/oracle-committee.md: 8, 10, 10 and 5 of 33."""
    sign_next(system, [0, 1, 2, 3], 3)
    sign_next(system, [0, 1, 2], 5)
    sign_final(system, [1, 2, 3], 2)
    fund(system, 1_000)

    system.committee.settle_rewards(sender=system.stranger)

    assert event(system.committee, "RewardsSettled") == {
        "amount": 999,
        "participation": int.from_bytes(bytes([8, 10, 10, 5]), "little"),
    }
    assert rewards(system) == [242, 303, 303, 151]
    assert (system.committee.unassigned(), system.committee.rewards_held()) == (1, 1_000)
    assert lanes(system) == [0] * 5


def test_what_did_not_come_out_even_is_shared_next_time(system: System) -> None:
    share(system, 403)
    assert (rewards(system), system.committee.unassigned()) == ([100] * 4, 3)

    share(system, 401)

    assert (rewards(system), system.committee.unassigned()) == ([201] * 4, 0)


def test_eight_reports_a_seat_are_enough_and_less_are_not(system: System) -> None:
    fund(system, 3_400)
    sign_final(system, EVERYBODY, REPORTS_PER_SETTLEMENT - 1)
    assert not settle(system)
    sign_final(system, [0, 1, 2])
    assert not settle(system)
    assert system.committee.unassigned() == 3_400
    sign_final(system, [1, 2, 3])

    assert settle(system)

    assert rewards(system) == [800, 900, 900, 800]


def test_pending_report_is_not_shared_for(system: System) -> None:
    fund(system, 3_200)
    sign_next(system, EVERYBODY, REPORTS_PER_SETTLEMENT)
    assert not settle(system)
    system.wait(system.challenge - 1)
    assert not settle(system)

    system.wait(1)

    assert settle(system)
    assert rewards(system) == [800] * 4


def test_vetoed_report_is_not_shared_for(system: System) -> None:
    fund(system, 3_200)
    sign_next(system, EVERYBODY, REPORTS_PER_SETTLEMENT)
    veto(system)
    system.wait(system.challenge)

    assert not settle(system)


def test_report_is_shared_for_once(system: System) -> None:
    share(system, 400)
    fund(system, 400)

    assert not settle(system)
    sign_final(system, EVERYBODY, REPORTS_PER_SETTLEMENT - 1)
    assert not settle(system)


def test_counters_wait_for_rewards(system: System) -> None:
    sign_final(system, EVERYBODY, 20)
    assert not settle(system)
    assert lanes(system) == [20, 20, 20, 20, 0]
    fund(system, 800)

    assert settle(system)

    assert rewards(system) == [200] * 4


def test_dust_wipes_no_counters(system: System) -> None:
    """Less than a base unit for each signature would be shared as nothing."""
    sign_final(system, EVERYBODY, 20)
    fund(system, 79)
    assert not settle(system)
    assert lanes(system) == [20, 20, 20, 20, 0]
    fund(system, 1)

    assert settle(system)

    assert rewards(system) == [20] * 4


def test_member_that_signs_rarely_cannot_choose_a_span_of_its_own_reports(system: System) -> None:
    """R33: it used to wipe the others' counters with a donation of dust, sign one report with two
    of them and have all that had gathered shared by that.
    """
    sign_final(system, [0, 1, 2], 20)
    fund(system, 60)
    assert settle(system)
    sign_final(system, [1, 2, 3])
    fund(system, 10**6)
    assert not settle(system)

    sign_final(system, [0, 1, 2], 10)

    assert settle(system)
    assert rewards(system) == [20 + 10**6 * 10 // 33] + [20 + 10**6 // 3] * 2 + [10**6 // 33]


def test_who_leaves_cannot_choose_the_span_either(system: System) -> None:
    """R33: a transfer ends a seat at a time of its owner's choice."""
    share(system, 400)
    sign_final(system, [1, 2, 3])
    fund(system, 10**6)
    owner = system.oracle_owners[3]

    system.licenses.transferFrom(owner, system.operators[0], 4, sender=owner)

    assert rewards(system) == [100] * 4
    assert lanes(system) == [0, 1, 1, 0, 0]
    assert system.committee.unassigned() == 10**6


def test_leaver_takes_what_is_due_before_its_seat_goes(system: System) -> None:
    sign_final(system, EVERYBODY, REPORTS_PER_SETTLEMENT)
    fund(system, 400)

    remove_seat(system, 0)

    assert len(events(system.committee, "RewardsSettled")) == 1
    assert rewards(system) == [100] * 4
    assert system.committee.claim_reward(1) == 100


def test_report_pending_when_a_seat_goes_is_shared_by_the_others(system: System) -> None:
    sign_next(system, EVERYBODY, REPORTS_PER_SETTLEMENT)
    fund(system, 310)
    remove_seat(system, 0)
    assert lanes(system) == [0, 7, 7, 7, 0]
    system.wait(system.challenge)
    system.committee.settle_rewards()
    assert lanes(system) == [0, 0, 0, 0, 0]

    assert rewards(system) == [0, 103, 103, 103]


def test_reward_stays_with_the_license_when_its_seat_is_another_key_s(system: System) -> None:
    """Claims follow the license: neither the seat nor the key that signed matter."""
    share(system, 400)
    remove_seat(system, 0)
    other = private_key("another node of license 1")
    system.link(1, other)
    assert add_seat(system, 1, other) == 0

    assert rewards(system)[0] == 100


def test_new_member_shares_by_what_it_signed_since(system: System) -> None:
    sign_final(system, EVERYBODY, 6)
    license_id = issue_oracle(system)
    assert add_seat(system, license_id) == 4
    system.oracle_keys.append(KEY)
    try:
        sign_final(system, range(5), 4)
    finally:
        system.oracle_keys.pop()
    fund(system, 440)

    assert settle(system)

    assert rewards(system) == [100] * 4
    assert system.committee.reward_of(license_id) == 40


def test_full_counters_share_alike(system: System) -> None:
    """Beyond 255 reports without a settlement nobody gains on who is full already."""
    sign_final(system, [0, 1, 2], 255)
    sign_final(system, EVERYBODY, 10)
    fund(system, 775)

    assert settle(system)

    assert rewards(system) == [255, 255, 255, 10]


def test_average_counts_the_seats_of_now(system: System) -> None:
    sign_final(system, [1, 2, 3], REPORTS_PER_SETTLEMENT)
    fund(system, 240)
    assert not settle(system)

    remove_seat(system, 0)

    assert settle(system)
    assert rewards(system) == [0, 80, 80, 80]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spans=st.lists(
        st.tuples(st.lists(st.integers(0, 3), min_size=8, max_size=16), st.integers(0, 10**9)),
        min_size=1,
        max_size=3,
    )
)
def test_shares_add_up_and_never_favour_who_signed_less(
    system: System, spans: list[tuple[list[int], int]]
) -> None:
    """R33: each report misses one member, or none of them; what is shared is all but dust."""
    committee = system.committee
    signed = [0] * 4
    earned = [0] * 4
    pot = 0
    for missing, amount in spans:
        for seat in missing:
            seats = [one for one in EVERYBODY if one != seat]
            sign_next(system, seats)
            signed = [count + (one != seat) for one, count in enumerate(signed)]
        system.wait(system.challenge)
        fund(system, amount)
        pot += amount
        settled = settle(system)
        assert settled == (sum(signed) >= 4 * REPORTS_PER_SETTLEMENT and pot >= sum(signed))
        if settled:
            shares = [pot * count // sum(signed) for count in signed]
            earned = [sum(pair) for pair in zip(earned, shares, strict=True)]
            assert pot - sum(shares) < 4
            pot -= sum(shares)
            signed = [0] * 4
        assert (rewards(system), lanes(system)[:4]) == (earned, signed)
        assert committee.unassigned() == pot
        assert committee.rewards_held() == sum(earned) + pot
