"""Rewards are paid to the license's payee, in good standing."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.oracle_committee.members import remove_seat, rewards, share
from tests.contracts.system import System, event, events, private_key


@pytest.fixture(autouse=True)
def earned(system: System) -> None:
    """Each of the four members has a reward of 100."""
    share(system, 400)


def test_reward_goes_to_the_payout_address(system: System) -> None:
    payout = evm.env.generate_address()
    system.licenses.set_payout(1, payout, sender=system.oracle_owners[0])

    assert system.committee.claim_reward(1, sender=system.stranger) == 100

    assert event(system.committee, "RewardClaimed") == {
        "license_id": 1,
        "payee": payout,
        "amount": 100,
    }
    assert system.token.balanceOf(payout) == 100
    assert rewards(system) == [0, 100, 100, 100]
    assert system.committee.rewards_held() == 300


def test_owner_is_paid_unless_another_is_named(system: System) -> None:
    system.committee.claim_reward(2)

    assert system.token.balanceOf(system.oracle_owners[1]) == 100


def test_second_claim_pays_and_tells_nothing(system: System) -> None:
    system.committee.claim_reward(1)

    assert system.committee.claim_reward(1) == 0

    assert not events(system.committee, "RewardClaimed")
    assert system.token.balanceOf(system.oracle_owners[0]) == 100


def test_license_without_a_reward_is_paid_nothing(system: System) -> None:
    assert system.committee.claim_reward(77) == 0
    assert not events(system.committee, "RewardClaimed")
    assert system.committee.claim_reward(0) == 0
    assert system.committee.rewards_held() == 400


def test_reward_outlives_the_seat(system: System) -> None:
    remove_seat(system, 0)

    assert system.committee.claim_reward(1) == 100


def test_reward_goes_with_the_license_to_its_buyer(system: System) -> None:
    """L21: what was not claimed before a sale is sold with it."""
    owner, buyer = system.oracle_owners[0], system.operators[0]
    system.licenses.transferFrom(owner, buyer, 1, sender=owner)

    system.committee.claim_reward(1)

    assert system.token.balanceOf(buyer) == 100


@pytest.mark.parametrize("act", ["freeze", "suspend", "blacklist"])
@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_reward_is_held_out_of_good_standing(system: System, act: str, which: str) -> None:
    """L22."""
    system.link(1, private_key("node of license 1"))
    getattr(system, act)(system.target(1, which))

    with evm.reverts("committee: payee held"):
        system.committee.claim_reward(1)
    assert system.committee.claim_reward(2) == 100
    if act != "blacklist":
        system.wait(10**6)
        assert system.committee.claim_reward(1) == 100


def test_reinstated_payee_gets_what_was_held(system: System) -> None:
    system.blacklist(1)
    system.reinstate(1)

    assert system.committee.claim_reward(1) == 100
