"""The oracles' part of fees: booked, shared by what each seat signed, claimed or forfeited."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.oracle_committee.test_participation import lanes, sign_next
from tests.contracts.system import System, event, events, private_key


def fund(system: System, amount: int) -> None:
    """Send the committee tokens and book them as rewards."""
    system.token.mint(system.committee.address, amount)
    system.committee.book_rewards()


def rewards(system: System) -> list[int]:
    """Return the rewards of the first four licenses."""
    return [system.committee.reward_of(license_id) for license_id in range(1, 5)]


def test_what_was_sent_is_booked_once(system: System) -> None:
    system.token.mint(system.committee.address, 10)

    system.committee.book_rewards()

    assert event(system.committee, "RewardsBooked") == {"amount": 10}
    assert system.committee.unassigned() == system.committee.rewards_held() == 10
    system.committee.book_rewards()
    assert not events(system.committee, "RewardsBooked")
    assert system.committee.rewards_held() == 10


def test_vault_pays_its_pot_into_the_rewards(system: System) -> None:
    system.token.mint(system.vault.address, 9)
    system.vault.book(9, 0, 0)

    system.vault.pull_oracles()

    assert system.committee.unassigned() == 9


def test_rewards_are_shared_by_final_reports_that_each_seat_signed(system: System) -> None:
    """Two reports: seats 1 and 2 signed both, seats 0 and 3 one each; 100 // 6 and twice that."""
    sign_next(system, [0, 1, 2])
    sign_next(system, [1, 2, 3])
    system.wait(system.challenge)
    fund(system, 100)

    system.committee.settle_rewards()

    assert event(system.committee, "RewardsSettled")["amount"] == 98
    assert rewards(system) == [16, 33, 33, 16]
    assert system.committee.unassigned() == 2
    assert system.committee.rewards_held() == 100
    assert lanes(system) == [0] * 5


def test_pending_report_is_not_shared_for(system: System) -> None:
    sign_next(system, [0, 1, 2])
    fund(system, 90)

    system.committee.settle_rewards()
    assert rewards(system) == [0] * 4
    system.wait(system.challenge)
    system.committee.settle_rewards()

    assert rewards(system) == [30, 30, 30, 0]


def test_counters_wait_for_rewards_and_rewards_for_counters(system: System) -> None:
    fund(system, 90)
    system.committee.settle_rewards()
    assert system.committee.unassigned() == 90

    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    system.committee.settle_rewards()
    sign_next(system, [1, 2, 3])
    system.wait(system.challenge)
    system.committee.settle_rewards()

    assert lanes(system) == [0, 1, 1, 1, 0]
    assert rewards(system) == [30, 30, 30, 0]


def test_report_counts_once_however_often_it_is_settled(system: System) -> None:
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    for _ in range(3):
        fund(system, 30)
        system.committee.settle_rewards()

    assert rewards(system) == [10, 10, 10, 0]
    assert system.committee.unassigned() == 60


def test_leaver_takes_what_it_earned_before_its_seat_goes(system: System) -> None:
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    fund(system, 90)

    system.committee.remove_seat(0, sender=system.governor)

    assert rewards(system) == [30, 30, 30, 0]
    assert system.committee.claim_reward(1) == 30


def test_reward_goes_to_the_payout_address(system: System) -> None:
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    fund(system, 90)
    system.committee.settle_rewards()
    payout = evm.env.generate_address()
    system.licenses.set_payout(1, payout, sender=system.oracle_owners[0])

    assert system.committee.claim_reward(1, sender=system.stranger) == 30

    assert event(system.committee, "RewardClaimed") == {
        "license_id": 1,
        "payee": payout,
        "amount": 30,
    }
    assert system.token.balanceOf(payout) == 30
    assert system.committee.rewards_held() == 60
    assert system.committee.claim_reward(1) == 0


@pytest.mark.parametrize("act", ["freeze", "suspend", "blacklist"])
@pytest.mark.parametrize("which", ["license", "owner"])
def test_reward_is_held_out_of_good_standing(system: System, act: str, which: str) -> None:
    """L22."""
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    fund(system, 90)
    system.committee.settle_rewards()
    target = 1 if which == "license" else system.oracle_owners[0]
    getattr(system, act)(target)

    with evm.reverts("committee: payee held"):
        system.committee.claim_reward(1)
    assert system.committee.claim_reward(2) == 30


def test_blacklisted_license_forfeits_to_the_treasury(system: System) -> None:
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    fund(system, 90)
    system.committee.settle_rewards()
    with evm.reverts("committee: not blacklisted"):
        system.committee.forfeit_reward(1)
    system.blacklist(1)

    assert system.committee.forfeit_reward(1, sender=system.stranger) == 30

    assert event(system.committee, "RewardForfeited") == {"license_id": 1, "amount": 30}
    assert tuple(system.vault.pots()) == (0, 0, 30)
    assert system.committee.forfeit_reward(1) == 0
    system.reinstate(1)
    assert system.committee.claim_reward(1) == 0


def test_nobody_takes_the_rewards_of_a_license_that_does_not_exist(system: System) -> None:
    fund(system, 90)

    assert system.committee.claim_reward(77) == 0
    assert system.committee.rewards_held() == 90


# The chain is undone after each example.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amounts=st.lists(st.integers(0, 10**30), min_size=1, max_size=6),
    signers=st.lists(
        st.lists(st.integers(0, 3), min_size=3, max_size=4, unique=True), min_size=1, max_size=6
    ),
)
def test_rewards_are_conserved(
    system: System, amounts: list[int], signers: list[list[int]]
) -> None:
    """M3: what came in is what was shared, what waits, and nothing else."""
    for index, seats in enumerate(signers):
        sign_next(system, seats)
        fund(system, amounts[index % len(amounts)])
        system.committee.settle_rewards()
    held = system.committee.rewards_held()
    assert held == system.token.balanceOf(system.committee.address)
    assert sum(rewards(system)) + system.committee.unassigned() == held

    paid = sum(system.committee.claim_reward(license_id) for license_id in range(1, 5))

    assert system.committee.rewards_held() == system.committee.unassigned() == held - paid


def test_member_that_settles_after_its_own_report_gains_no_more_than_that_report_is_worth(
    system: System,
) -> None:
    """Who signs rarely may settle right after; the others then share the next rewards alone."""
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    fund(system, 30)
    system.committee.settle_rewards()
    for _ in range(2):
        sign_next(system, [1, 2, 3])
    system.wait(system.challenge)
    fund(system, 60)
    system.committee.settle_rewards()

    assert rewards(system) == [10, 30, 30, 20]


def test_key_of_a_seat_does_not_matter_to_rewards(system: System) -> None:
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    system.link(1, private_key("new node of license 1"))
    fund(system, 90)
    system.committee.settle_rewards()

    assert rewards(system)[0] == 30
