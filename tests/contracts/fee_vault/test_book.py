"""Booking what was sent."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.system import System, event

AMOUNT = st.integers(0, 2**96)
BOOKING = st.tuples(AMOUNT, AMOUNT, AMOUNT)


def test_anyone_books_what_was_sent(system: System) -> None:
    system.token.mint(system.vault, 60)

    system.vault.book(10, 20, 30, sender=system.stranger)

    assert event(system.vault, "Booked") == {
        "source": system.stranger,
        "oracles": 10,
        "burn": 20,
        "treasury": 30,
    }
    assert tuple(system.vault.pots()) == (10, 20, 30)
    assert system.vault.owed() == 60


def test_bookings_add_up(system: System) -> None:
    system.token.mint(system.vault, 12)
    system.vault.book(1, 2, 3)

    system.vault.book(3, 2, 1)

    assert tuple(system.vault.pots()) == (4, 4, 4)


def test_nothing_may_be_booked(system: System) -> None:
    system.vault.book(0, 0, 0)

    assert system.vault.owed() == 0


@pytest.mark.parametrize("booking", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_one_base_unit_more_than_was_sent_is_refused(
    system: System, booking: tuple[int, int, int]
) -> None:
    system.token.mint(system.vault, 6)
    system.vault.book(1, 2, 3)

    with evm.reverts("pots: not sent"):
        system.vault.book(*booking)


def test_same_tokens_are_booked_once(system: System) -> None:
    system.token.mint(system.vault, 6)
    system.vault.book(1, 2, 3)

    with evm.reverts("pots: not sent"):
        system.vault.book(1, 2, 3)


def test_sum_beyond_the_word_is_refused(system: System) -> None:
    system.token.mint(system.vault, 6)

    with evm.reverts():
        system.vault.book(2**256 - 1, 1, 0)
    assert system.vault.owed() == 0


def test_donation_belongs_to_nobody_until_somebody_books_it(system: System) -> None:
    system.token.mint(system.vault, 6)
    assert tuple(system.vault.pots()) == (0, 0, 0)
    assert system.vault.pull_treasury() == 0

    system.vault.book(0, 6, 0, sender=system.stranger)

    assert system.vault.pull_burn() == 6


@settings(deadline=None)
@given(
    bookings=st.lists(BOOKING, min_size=1, max_size=5),
    donation=st.integers(0, 10),
    pulls=st.lists(st.sampled_from(["pull_burn", "pull_treasury"]), max_size=4),
)
def test_pots_are_the_bookings_less_what_was_pulled(
    deployed: System, bookings: list[tuple[int, int, int]], donation: int, pulls: list[str]
) -> None:
    """M37."""
    vault, token = deployed.vault, deployed.token
    with evm.env.anchor():
        token.mint(vault, donation)
        for booking in bookings:
            token.mint(vault, sum(booking))
            vault.book(*booking)
        pots = [sum(booking[index] for booking in bookings) for index in range(3)]
        for pull in pulls:
            index = 1 if pull == "pull_burn" else 2
            assert getattr(vault, pull)() == pots[index]
            pots[index] = 0

        assert list(vault.pots()) == pots
        assert vault.owed() == sum(pots) == token.balanceOf(vault) - donation
        with evm.reverts("pots: not sent"):
            vault.book(0, 0, donation + 1)
