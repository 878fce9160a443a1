"""What the constructor fixes, and what it leaves to nobody."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.evm import Contract
from tests.contracts.protocol_token.tokens import CAP, HOLDER, SUPPLY, deploy_token
from tests.contracts.system import ZERO_ADDRESS, System, events


def test_name_cap_and_first_supply(token: Contract, system: System) -> None:
    assert (token.name(), token.symbol(), token.decimals()) == ("Workdeed", "DEEDS", 18)
    assert token.TRUST() == system.trust.address
    assert token.CAP() == CAP
    assert token.minted() == token.totalSupply() == token.balanceOf(HOLDER) == SUPPLY


def test_supply_may_be_the_whole_cap(system: System) -> None:
    token = deploy_token(system, supply=CAP)

    with evm.reverts("token: above the cap"):
        token.mint(HOLDER, 1, sender=system.governor)


def test_single_base_unit_is_minted(system: System) -> None:
    assert deploy_token(system, supply=1).balanceOf(HOLDER) == 1


def test_supply_above_the_cap_is_refused(system: System) -> None:
    with evm.reverts("token: above the cap"):
        deploy_token(system, supply=CAP + 1)


def test_no_supply_needs_no_holder(system: System) -> None:
    token = deploy_token(system, supply=0, holder=ZERO_ADDRESS)

    assert token.totalSupply() == token.minted() == 0


def test_supply_for_nobody_is_refused(system: System) -> None:
    with evm.reverts("erc20: mint to the zero address"):
        deploy_token(system, holder=ZERO_ADDRESS)


def test_deployer_keeps_nothing(token: Contract, system: System) -> None:
    """G26: neither minter nor owner, in what it may do and in what the events tell."""
    minters = [(entry.minter, entry.status) for entry in events(token, "RoleMinterChanged")]
    owners = [entry.new_owner for entry in events(token, "OwnershipTransferred")]

    assert minters == [(system.deployer, True), (system.deployer, False)]
    assert owners == [system.deployer, ZERO_ADDRESS]
    assert not token.is_minter(system.deployer)
    with evm.reverts("roles: not the governor"):
        token.mint(system.deployer, 1, sender=system.deployer)


def test_nothing_of_an_owner_is_there(token: Contract) -> None:
    """G26: no function that snekmate gives an owner or a minter, but for the view of who is one."""
    functions = {item["name"] for item in token.abi if item["type"] == "function"}

    assert functions == {
        "name",
        "symbol",
        "decimals",
        "totalSupply",
        "balanceOf",
        "allowance",
        "transfer",
        "transferFrom",
        "approve",
        "burn",
        "burn_from",
        "permit",
        "nonces",
        "DOMAIN_SEPARATOR",
        "eip712Domain",
        "is_minter",
        "TRUST",
        "CAP",
        "minted",
        "mint",
    }
