"""Sending each pot on: anyone may, and each on its own."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import BOND_TERMS, System, deploy_system, deployer, event, events

BOOKED = (10, 20, 30)
POTS = {"pull_oracles": 0, "pull_burn": 1, "pull_treasury": 2}
pots = pytest.mark.parametrize(("pull", "pot"), POTS.items())


def fill(system: System) -> System:
    """Send and book tokens for each pot."""
    system.token.mint(system.vault, sum(BOOKED))
    system.vault.book(*BOOKED)
    return system


def deploy_with(name: str) -> System:
    """Deploy a system with filled pots whose token is the test double `name`."""
    return fill(deploy_system(oracles=1, token=deployer(f"testing/{name}").deploy(6)))


def receiver(system: System, pull: str) -> str:
    """Return where a pot goes."""
    return {
        "pull_oracles": system.committee.address,
        "pull_burn": system.auction,
        "pull_treasury": system.treasury,
    }[pull]


@pots
def test_anyone_sends_a_pot_on(system: System, pull: str, pot: int) -> None:
    fill(system)
    before = system.token.balanceOf(receiver(system, pull))

    assert getattr(system.vault, pull)(sender=system.stranger) == BOOKED[pot]

    assert event(system.vault, "Pulled") == {
        "pot": pot,
        "receiver": receiver(system, pull),
        "amount": BOOKED[pot],
    }
    assert system.token.balanceOf(receiver(system, pull)) - before == BOOKED[pot]
    left = [0 if index == pot else amount for index, amount in enumerate(BOOKED)]
    assert list(system.vault.pots()) == left
    assert system.vault.owed() == sum(left) == system.token.balanceOf(system.vault)


def test_committee_books_its_pot_in_the_same_call(system: System) -> None:
    fill(system)

    system.vault.pull_oracles()

    assert event(system.vault, "RewardsBooked") == {"amount": BOOKED[0]}
    assert system.committee.rewards_held() == BOOKED[0]


def test_empty_pot_lets_the_committee_book_what_others_sent(system: System) -> None:
    system.token.mint(system.committee, 7)

    assert system.vault.pull_oracles() == 0

    assert system.committee.rewards_held() == 7


@pots
def test_empty_pot_sends_nothing_and_tells_nothing(system: System, pull: str, pot: int) -> None:
    fill(system)
    getattr(system.vault, pull)()

    assert getattr(system.vault, pull)() == 0

    assert events(system.vault, "Pulled") == []
    assert system.vault.owed() == sum(BOOKED) - BOOKED[pot]


def test_donation_is_not_pulled(system: System) -> None:
    fill(system)
    system.token.mint(system.vault, 7)

    for pull in POTS:
        getattr(system.vault, pull)()

    assert system.vault.owed() == 0
    assert system.token.balanceOf(system.vault) == 7


@pots
def test_receiver_that_fails_holds_up_its_own_pot_only(pull: str, pot: int) -> None:
    """M7, of the pots."""
    system = deploy_with("BlocklistToken")
    system.token.set_blocked(receiver(system, pull), True)

    with evm.reverts("token: receiver blocked"):
        getattr(system.vault, pull)()
    for other in POTS.keys() - {pull}:
        getattr(system.vault, other)()

    assert system.vault.owed() == BOOKED[pot] == system.token.balanceOf(system.vault)
    system.token.set_blocked(receiver(system, pull), False)
    assert getattr(system.vault, pull)() == BOOKED[pot]


@pots
def test_token_that_returns_nothing(pull: str, pot: int) -> None:
    system = deploy_with("NoReturnToken")

    assert getattr(system.vault, pull)() == BOOKED[pot]
    assert system.token.balanceOf(system.vault) == sum(BOOKED) - BOOKED[pot]


@pots
def test_token_that_returns_false_moves_no_books(pull: str, pot: int) -> None:
    system = deploy_with("FalseToken")
    system.token.set_failing(True)

    with evm.reverts("vault: transfer refused"):
        getattr(system.vault, pull)()
    assert tuple(system.vault.pots()) == BOOKED


def test_oracles_wait_for_the_license_contract(system: System) -> None:
    trust = deployer("TrustRegistry").deploy(
        system.governor, system.guardian, system.treasury, [], 1, sender=system.deployer
    )
    system.vault = deployer("FeeVault").deploy(system.token, trust, system.auction)
    fill(system)

    with evm.reverts("pots: no licenses"):
        system.vault.pull_oracles()

    licenses = deployer("NodeLicense").deploy(trust, system.vault, 0, 0, BOND_TERMS, [])
    trust.bind_licenses(licenses, sender=system.deployer)
    with evm.reverts("pots: no committee"):
        system.vault.pull_oracles()
    assert system.vault.pull_treasury() == BOOKED[2]


@pots
@pytest.mark.parametrize("inner", [*POTS, "book"])
def test_no_call_gets_in_during_a_transfer(pull: str, pot: int, inner: str) -> None:
    system = deploy_with("HookToken")
    call = getattr(system.vault, inner)
    data = call.prepare_calldata(*((0, 0, 0) if inner == "book" else ()))
    system.token.set_hook(system.vault.address, data)

    assert getattr(system.vault, pull)() == BOOKED[pot]

    assert system.token.calls() == 1
    assert not system.token.succeeded()
    assert system.token.response() == b""
    system.token.set_hook(system.stranger, b"")
    assert call(*((0, 0, 0) if inner == "book" else ())) is not False
