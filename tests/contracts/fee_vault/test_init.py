"""What the constructor fixes."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.system import ZERO_ADDRESS, System, deployer


def test_token_registry_and_auction_are_fixed(system: System) -> None:
    assert system.vault.TOKEN() == system.token.address
    assert system.vault.TRUST() == system.trust.address
    assert system.vault.AUCTION() == system.auction
    assert tuple(system.vault.pots()) == (0, 0, 0)
    assert system.vault.owed() == 0


def test_zero_token_is_refused(system: System) -> None:
    with evm.reverts("pots: zero token"):
        deployer("FeeVault").deploy(ZERO_ADDRESS, system.trust, system.auction)


def test_zero_auction_is_refused(system: System) -> None:
    with evm.reverts("pots: zero auction"):
        deployer("FeeVault").deploy(system.token, system.trust, ZERO_ADDRESS)
