"""Moving tokens, as ERC-20 says."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.protocol_token.tokens import HOLDER, SUPPLY
from tests.contracts.system import System, event


def test_holder_transfers(token: Contract, system: System) -> None:
    assert token.transfer(system.stranger, 7, sender=HOLDER)

    assert event(token, "Transfer") == {"sender": HOLDER, "receiver": system.stranger, "value": 7}
    assert token.balanceOf(system.stranger) == 7
    assert token.balanceOf(HOLDER) == SUPPLY - 7


def test_spender_transfers_what_it_is_allowed(token: Contract, system: System) -> None:
    token.approve(system.stranger, 7, sender=HOLDER)

    assert token.transferFrom(HOLDER, system.payer, 7, sender=system.stranger)

    assert token.balanceOf(system.payer) == 7
    with evm.reverts("erc20: insufficient allowance"):
        token.transferFrom(HOLDER, system.payer, 1, sender=system.stranger)


def test_nobody_transfers_more_than_it_has(token: Contract, system: System) -> None:
    with evm.reverts("erc20: transfer amount exceeds balance"):
        token.transfer(HOLDER, 1, sender=system.stranger)
