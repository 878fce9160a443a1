"""Making tokens, up to the cap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.protocol_token.tokens import CAP, HOLDER, SUPPLY, deploy_token
from tests.contracts.system import ZERO_ADDRESS, System, event


def test_governor_mints(token: Contract, system: System) -> None:
    token.mint(system.stranger, 5, sender=system.governor)

    assert event(token, "Transfer") == {
        "sender": ZERO_ADDRESS,
        "receiver": system.stranger,
        "value": 5,
    }
    assert token.balanceOf(system.stranger) == 5
    assert token.totalSupply() == token.minted() == SUPPLY + 5


@pytest.mark.parametrize("role", ["guardian", "issuer", "treasury", "deployer", "stranger"])
def test_only_the_governor(token: Contract, system: System, role: str) -> None:
    with evm.reverts("roles: not the governor"):
        token.mint(system.stranger, 1, sender=getattr(system, role))


def test_new_governor_mints(token: Contract, system: System) -> None:
    """The registry names the governor: a hand-over is one act."""
    system.trust.transfer_ownership(system.stranger, sender=system.governor)
    system.trust.accept_ownership(sender=system.stranger)

    token.mint(HOLDER, 1, sender=system.stranger)

    with evm.reverts("roles: not the governor"):
        token.mint(HOLDER, 1, sender=system.governor)


def test_cap_is_reached_and_not_passed(token: Contract, system: System) -> None:
    with evm.reverts("token: above the cap"):
        token.mint(HOLDER, CAP - SUPPLY + 1, sender=system.governor)

    token.mint(HOLDER, CAP - SUPPLY, sender=system.governor)

    assert token.totalSupply() == CAP


def test_burned_tokens_never_come_back(token: Contract, system: System) -> None:
    """Else the governor could undo what the auction burns."""
    token.mint(HOLDER, CAP - SUPPLY, sender=system.governor)
    token.burn(10**26, sender=HOLDER)

    with evm.reverts("token: above the cap"):
        token.mint(HOLDER, 1, sender=system.governor)
    assert token.minted() == CAP


def test_sum_beyond_the_word_is_refused(token: Contract, system: System) -> None:
    with evm.reverts():
        token.mint(HOLDER, 2**256 - 1, sender=system.governor)


def test_nobody_is_no_receiver(token: Contract, system: System) -> None:
    with evm.reverts("erc20: mint to the zero address"):
        token.mint(ZERO_ADDRESS, 1, sender=system.governor)
    assert token.minted() == SUPPLY


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=8),
    supply=st.integers(0, 100),
)
def test_supply_is_what_was_minted_less_what_was_burned(
    deployed: System, steps: list[tuple[bool, int]], supply: int
) -> None:
    token = deploy_token(deployed, cap=100, supply=supply)
    minted, burned = supply, 0
    for mints, amount in steps:
        if mints and minted + amount > 100:
            with evm.reverts("token: above the cap"):
                token.mint(HOLDER, amount, sender=deployed.governor)
        elif mints:
            token.mint(HOLDER, amount, sender=deployed.governor)
            minted += amount
        elif amount > minted - burned:
            with evm.reverts("erc20: burn amount exceeds balance"):
                token.burn(amount, sender=HOLDER)
        else:
            token.burn(amount, sender=HOLDER)
            burned += amount

    assert token.minted() == minted <= token.CAP()
    assert token.totalSupply() == token.balanceOf(HOLDER) == minted - burned
