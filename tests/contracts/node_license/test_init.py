"""What the constructor fixes and issues."""

from __future__ import annotations

import boa
import pytest

from tests.contracts.system import ORACLE, ZERO_ADDRESS, System, account, deployer, events

NEVER_EXPORTED = (
    "burn",
    "safe_mint",
    "set_minter",
    "is_minter",
    "set_token_uri",
    "owner",
    "transfer_ownership",
    "renounce_ownership",
)


def test_first_oracles_get_licenses_from_1(system: System) -> None:
    owners = [account(f"first owner {index}") for index in range(3)]

    licenses = deployer("NodeLicense").deploy(system.trust, 60, 2, owners)

    issued = [
        (entry.license_id, entry.owner, entry.kind) for entry in events(licenses, "LicenseIssued")
    ]
    assert issued == [(index + 1, owner, ORACLE) for index, owner in enumerate(owners)]
    assert [licenses.ownerOf(index + 1) for index in range(3)] == owners
    assert [licenses.kind_of(index + 1) for index in range(3)] == [ORACLE] * 3
    assert licenses.totalSupply() == 3
    assert licenses.RELINK_DELAY() == 60
    assert licenses.OWNER_LEVEL() == 2
    assert licenses.TRUST() == system.trust.address
    assert licenses.committee() == ZERO_ADDRESS


def test_it_is_an_erc721_with_metadata(system: System) -> None:
    assert system.licenses.name() == "Workdeed Node License"
    assert system.licenses.symbol() == "DEED"
    for interface in ("01ffc9a7", "80ac58cd", "5b5e139f", "780e9d63"):
        assert system.licenses.supportsInterface(bytes.fromhex(interface))


def test_domain_is_what_signers_use(system: System) -> None:
    _, name, version, chain_id, contract, _, _ = system.licenses.eip712Domain()

    assert (name, version) == ("NodeLicense", "1")
    assert (chain_id, contract) == (system.chain_id, system.licenses.address)
    assert system.licenses.DOMAIN_SEPARATOR() == system.license_domain.separator


@pytest.mark.parametrize("function", NEVER_EXPORTED)
def test_functions_that_would_bypass_the_rules_are_not_exported(
    system: System, function: str
) -> None:
    assert not hasattr(system.licenses, function)


def test_zero_owner_is_refused(system: System) -> None:
    with boa.reverts("license: zero owner"):
        deployer("NodeLicense").deploy(system.trust, 0, 0, [ZERO_ADDRESS])
