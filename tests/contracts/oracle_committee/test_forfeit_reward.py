"""Rewards of who is blacklisted go to the treasury's pot."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.oracle_committee.members import rewards, share
from tests.contracts.system import System, event, events, private_key


@pytest.fixture(autouse=True)
def earned(system: System) -> None:
    """Each of the four members has a reward of 100."""
    share(system, 400)


@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_blacklisted_license_forfeits_to_the_treasury(system: System, which: str) -> None:
    """L22."""
    system.link(1, private_key("node of license 1"))
    system.blacklist(system.target(1, which))

    assert system.committee.forfeit_reward(1, sender=system.stranger) == 100

    assert event(system.committee, "RewardForfeited") == {"license_id": 1, "amount": 100}
    assert event(system.committee, "Booked") == {
        "source": system.committee.address,
        "oracles": 0,
        "burn": 0,
        "treasury": 100,
    }
    assert tuple(system.vault.pots()) == (0, 0, 100)
    assert rewards(system) == [0, 100, 100, 100]
    assert system.committee.rewards_held() == 300


def test_it_is_forfeited_once(system: System) -> None:
    system.blacklist(1)
    system.committee.forfeit_reward(1)

    assert system.committee.forfeit_reward(1) == 0
    assert not events(system.committee, "RewardForfeited")
    system.reinstate(1)
    assert system.committee.claim_reward(1) == 0

    assert tuple(system.vault.pots()) == (0, 0, 100)


def test_what_is_earned_after_a_reinstatement_is_paid(system: System) -> None:
    system.blacklist(1)
    system.committee.forfeit_reward(1)
    system.reinstate(1)

    share(system, 400)

    assert system.committee.claim_reward(1) == 100


def test_what_is_earned_after_a_blacklisting_is_forfeited_too(system: System) -> None:
    """Standing ends no seat."""
    system.blacklist(1)
    system.committee.forfeit_reward(1)
    share(system, 400)

    assert system.committee.forfeit_reward(1) == 100


@pytest.mark.parametrize("act", ["freeze", "suspend"])
def test_who_is_only_held_forfeits_nothing(system: System, act: str) -> None:
    getattr(system, act)(1)

    with evm.reverts("committee: not blacklisted"):
        system.committee.forfeit_reward(1)


def test_license_in_good_standing_forfeits_nothing(system: System) -> None:
    with evm.reverts("committee: not blacklisted"):
        system.committee.forfeit_reward(1)


def test_other_rewards_are_not_touched(system: System) -> None:
    system.blacklist(1)
    system.committee.forfeit_reward(1)

    assert sum(system.committee.claim_reward(license_id) for license_id in (2, 3, 4)) == 300
    assert system.token.balanceOf(system.committee.address) == 0
