"""What the constructor fixes and issues."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    BOND_TERMS,
    ORACLE,
    ZERO_ADDRESS,
    BondTerms,
    System,
    account,
    deployer,
    event,
    events,
)

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

    licenses = deployer("NodeLicense").deploy(system.trust, system.vault, 60, 2, BOND_TERMS, owners)

    issued = [
        (entry.license_id, entry.owner, entry.kind) for entry in events(licenses, "LicenseIssued")
    ]
    assert issued == [(index + 1, owner, ORACLE) for index, owner in enumerate(owners)]
    assert [licenses.ownerOf(index + 1) for index in range(3)] == owners
    assert [licenses.kind_of(index + 1) for index in range(3)] == [ORACLE] * 3
    assert licenses.totalSupply() == 3
    assert licenses.oracle_licenses_of(owners[0]) == 1
    assert licenses.RELINK_DELAY() == 60
    assert licenses.OWNER_LEVEL() == 2
    assert licenses.TRUST() == system.trust.address
    assert licenses.committee() == ZERO_ADDRESS


def test_most_first_oracles_that_the_constructor_takes(system: System) -> None:
    """As many as a committee has seats."""
    owners = [account(f"first owner {index}") for index in range(33)]
    arguments = (system.trust, system.vault, 0, 0, BOND_TERMS)

    assert deployer("NodeLicense").deploy(*arguments, owners[:32]).totalSupply() == 32
    with evm.reverts():
        deployer("NodeLicense").deploy(*arguments, owners)


def test_bond_terms_are_fixed_and_the_split_is_the_first(system: System) -> None:
    terms = BondTerms(1, 2, 3, 4_000, 5_000, 5_000)

    licenses = deployer("NodeLicense").deploy(system.trust, system.vault, 0, 0, terms, [])

    assert event(licenses, "SlashSplitSet") == {"payer_bps": 5_000, "burn_bps": 5_000}
    assert (licenses.MIN_NODE_BOND(), licenses.MIN_ORACLE_BOND()) == (1, 2)
    assert (licenses.UNBOND_DELAY(), licenses.SLASH_CAP_BPS()) == (3, 4_000)
    assert (licenses.slash_payer_bps(), licenses.slash_burn_bps()) == (5_000, 5_000)
    assert licenses.VAULT() == system.vault.address
    assert licenses.TOKEN() == system.token.address
    assert licenses.bonds_held() == 0


@pytest.mark.parametrize(
    ("relink_delay", "terms", "reason"),
    [
        (2**32, BOND_TERMS, "license: relink delay too long"),
        (0, BOND_TERMS._replace(unbond_delay=2**32), "license: unbond delay too long"),
        (0, BOND_TERMS._replace(slash_cap_bps=10_001), "license: slash cap too high"),
        (0, BOND_TERMS._replace(slash_burn_bps=6_001), "license: slash split too high"),
        (0, BOND_TERMS._replace(slash_payer_bps=2**256 - 1), "license: slash split too high"),
    ],
)
def test_terms_out_of_their_bounds_are_refused(
    system: System, relink_delay: int, terms: BondTerms, reason: str
) -> None:
    with evm.reverts(reason):
        deployer("NodeLicense").deploy(system.trust, system.vault, relink_delay, 0, terms, [])


def test_terms_at_their_bounds_are_taken(system: System) -> None:
    terms = BondTerms(0, 0, 2**32 - 1, 10_000, 10_000, 0)

    licenses = deployer("NodeLicense").deploy(system.trust, system.vault, 2**32 - 1, 0, terms, [])

    assert licenses.RELINK_DELAY() == licenses.UNBOND_DELAY() == 2**32 - 1


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
    with evm.reverts("license: zero owner"):
        deployer("NodeLicense").deploy(system.trust, system.vault, 0, 0, BOND_TERMS, [ZERO_ADDRESS])
