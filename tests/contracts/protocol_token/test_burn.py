"""Destroying tokens: one's own, or by an allowance."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.protocol_token.tokens import HOLDER, SUPPLY
from tests.contracts.system import ZERO_ADDRESS, System, event


def test_holder_burns_its_own(token: Contract) -> None:
    token.burn(7, sender=HOLDER)

    assert event(token, "Transfer") == {"sender": HOLDER, "receiver": ZERO_ADDRESS, "value": 7}
    assert token.totalSupply() == token.balanceOf(HOLDER) == SUPPLY - 7
    assert token.minted() == SUPPLY


def test_holder_burns_no_more_than_it_has(token: Contract, system: System) -> None:
    with evm.reverts("erc20: burn amount exceeds balance"):
        token.burn(1, sender=system.stranger)


def test_spender_burns_what_it_is_allowed(token: Contract, system: System) -> None:
    token.approve(system.stranger, 7, sender=HOLDER)

    token.burn_from(HOLDER, 5, sender=system.stranger)

    assert token.totalSupply() == token.balanceOf(HOLDER) == SUPPLY - 5
    assert token.allowance(HOLDER, system.stranger) == 2
    with evm.reverts("erc20: insufficient allowance"):
        token.burn_from(HOLDER, 3, sender=system.stranger)


def test_governor_burns_nobodys_tokens(token: Contract, system: System) -> None:
    """M12, of the protocol token."""
    with evm.reverts("erc20: insufficient allowance"):
        token.burn_from(HOLDER, 1, sender=system.governor)
