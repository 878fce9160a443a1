"""What is sent to the committee becomes rewards."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.oracle_committee.members import fund, rewards, share
from tests.contracts.system import System, event, events


def test_what_was_sent_is_booked_once(system: System) -> None:
    system.token.mint(system.committee.address, 10)

    system.committee.book_rewards(sender=system.stranger)

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


def test_slashed_bond_is_no_reward(system: System) -> None:
    """Else members would live on each other's faults."""
    system.post_bond(1, 1_000)
    system.licenses.slash(1, 1_000, bytes(32), system.payer, sender=system.governor)

    system.vault.pull_oracles()

    assert system.committee.rewards_held() == 0


def test_donation_is_nobodys_until_it_is_booked(system: System) -> None:
    share(system, 400)
    system.token.mint(system.committee.address, 7)
    assert (system.committee.unassigned(), system.committee.rewards_held()) == (0, 400)
    system.committee.claim_reward(1)

    system.committee.book_rewards()

    assert (system.committee.unassigned(), system.committee.rewards_held()) == (7, 307)
    assert rewards(system) == [0, 100, 100, 100]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["donate", "book", "claim"]), st.integers(0, 10**9)), max_size=12
    )
)
def test_booked_is_never_more_than_the_balance(
    system: System, steps: list[tuple[str, int]]
) -> None:
    """R33."""
    share(system, 10**6)
    for step, amount in steps:
        if step == "donate":
            system.token.mint(system.committee.address, amount)
        elif step == "book":
            fund(system, amount)
        else:
            system.committee.claim_reward(1 + amount % 4)
        held = system.committee.rewards_held()
        assert held == sum(rewards(system)) + system.committee.unassigned()
        assert held <= system.token.balanceOf(system.committee.address)
