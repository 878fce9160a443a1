"""The faucet and what the token is."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.system import ZERO_ADDRESS, System, account, deployer, event

LIMIT = 10**12


@pytest.fixture
def token(system: System) -> Contract:
    """A fresh token."""
    return deployer("TestUSD").deploy(sender=system.deployer)


def test_starts_without_supply(token: Contract) -> None:
    assert (token.name(), token.symbol(), token.decimals()) == ("Test Dollar", "TUSD", 6)
    assert token.totalSupply() == 0


def test_anyone_gets_up_to_the_limit(token: Contract) -> None:
    holder = account("holder")

    token.faucet(LIMIT, sender=holder)

    assert event(token, "Transfer") == {
        "sender": ZERO_ADDRESS,
        "receiver": holder,
        "value": LIMIT,
    }
    assert token.balanceOf(holder) == token.totalSupply() == token.FAUCET_LIMIT() == LIMIT


def test_more_at_once_is_refused(token: Contract) -> None:
    with evm.reverts("faucet: above the limit"):
        token.faucet(LIMIT + 1)


@pytest.mark.parametrize(
    "function", ["mint", "set_minter", "burn", "burn_from", "transfer_ownership", "owner"]
)
def test_nobody_has_special_rights(token: Contract, function: str) -> None:
    assert not hasattr(token, function)
