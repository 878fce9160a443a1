"""What the constructor fixes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.system import (
    BOND_TERMS,
    CLASSES,
    POLICY,
    SERVICE,
    System,
    deployer,
)


def deploy(system: System, **changes: Any) -> evm.Contract:
    """Deploy an escrow beside `system`'s, with `changes` to its arguments."""
    arguments = {
        "trust": system.trust,
        "licenses": system.licenses,
        "committee": system.committee,
        "tariff": system.tariff,
        "desk": system.desk,
    } | changes
    return deployer("JobEscrow").deploy(*arguments.values())


def test_calendar_comes_from_the_committee(system: System) -> None:
    system.advance_windows(3)

    escrow = deploy(system)

    assert escrow.GENESIS() == system.committee.GENESIS()
    assert escrow.WINDOW() == system.committee.WINDOW()
    assert escrow.current_window() == system.committee.current_window() == 4


def test_what_it_rests_on_is_public(system: System) -> None:
    escrow = deploy(system)

    assert escrow.TRUST() == system.trust.address
    assert escrow.LICENSES() == system.licenses.address
    assert escrow.COMMITTEE() == system.committee.address
    assert escrow.TARIFF() == system.tariff.address
    assert escrow.DESK() == system.desk.address
    assert escrow.job_count() == 0
    assert escrow.liabilities() == 0


def test_vault_is_that_of_the_licenses_and_the_token_that_of_the_vault(system: System) -> None:
    escrow = deploy(system)

    assert escrow.VAULT() == system.licenses.VAULT() == system.vault.address
    assert escrow.TOKEN() == system.vault.TOKEN() == system.token.address


def test_pause_lasts_as_long_as_a_freeze(system: System) -> None:
    escrow = deploy(system)

    assert escrow.PAUSE_PERIOD() == system.trust.FREEZE_PERIOD() == system.freeze_period
    assert escrow.PAUSE_COOLDOWN() == system.trust.FREEZE_COOLDOWN()
    assert tuple(escrow.pause_of()) == (0, 0)


def test_nothing_is_on_sale_until_the_tariff_says_so(system: System) -> None:
    tariff = deployer("Tariff").deploy(system.trust, list(CLASSES), POLICY, sender=system.deployer)
    escrow = deploy(system, tariff=tariff)
    with evm.reverts("rates: unknown class"):
        escrow.open_job(bytes(32), 1, SERVICE, 1, 1, 1, 2**96, sender=system.payer)
    with evm.reverts("rates: unknown policy"):
        escrow.ledger_of(1)

    tariff.bind_escrow(escrow, sender=system.deployer)

    assert [escrow.price_of(class_id) for class_id in (1, 2)] == [row[0] for row in CLASSES]
    assert tuple(escrow.ledger_of(1)) == (0, 0, 0)


def test_domain_is_what_signers_use(system: System) -> None:
    _, name, version, chain_id, contract, _, _ = system.escrow.eip712Domain()

    assert (name, version) == ("JobEscrow", "1")
    assert (chain_id, contract) == (system.chain_id, system.escrow.address)


def test_committee_over_other_licenses_is_refused(system: System) -> None:
    other = deployer("NodeLicense").deploy(system.trust, system.vault, 0, 0, BOND_TERMS, [])

    with evm.reverts("escrow: committee of others"):
        deploy(system, licenses=other)


@pytest.mark.parametrize("role", ["payer", "governor", "deployer", "stranger"])
def test_tariffs_calls_are_the_tariffs_alone(system: System, role: str) -> None:
    """G27: what jobs are opened under is set by the governor, through the tariff."""
    sender = getattr(system, role)

    with evm.reverts("rates: not the tariff"):
        system.escrow.set_class(1, 1, True, sender=sender)
    with evm.reverts("rates: not the tariff"):
        system.escrow.add_policy(1, 0, sender=sender)


@pytest.mark.parametrize("role", ["payer", "governor", "deployer", "stranger"])
def test_desks_calls_are_the_desks_alone(system: System, role: str) -> None:
    """M9: nobody rewrites a job past the desk, its payer included."""
    sender = getattr(system, role)
    job_id = system.open_job()
    money, terms = system.escrow.words_of(job_id)

    with evm.reverts("escrow: not the desk"):
        system.escrow.amend(job_id, money, terms, [], sender=sender)
    with evm.reverts("escrow: not the desk"):
        system.escrow.revise(job_id, bytes(32), sender=sender)
    with evm.reverts("escrow: not the desk"):
        system.escrow.open_job_for(
            system.payer, bytes(32), 1, SERVICE, 1, 1, 1, 2**96, sender=sender
        )
