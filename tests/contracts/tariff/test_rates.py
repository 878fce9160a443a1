"""What the escrow lets its tariff do: a tariff that is an ordinary account can send anything."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import SERVICE, SPEC_HASH, System, account, deployer

TARIFF = account("tariff that is no contract")
NO_FEES, NO_PARTS = 1, 0
"""The words of a policy that takes nothing: a ledger in use is never zero."""


@pytest.fixture
def escrow(system: System) -> evm.Contract:
    """An escrow that sells one class under one policy, by a tariff that is an ordinary account."""
    escrow = deployer("JobEscrow").deploy(
        system.trust, system.licenses, system.committee, TARIFF, system.desk
    )
    escrow.set_class(1, 10, True, sender=TARIFF)
    assert escrow.add_policy(NO_FEES, NO_PARTS, sender=TARIFF) == 1
    system.token.approve(escrow, 2**256 - 1, sender=system.payer)
    return escrow


def open_job(system: System, escrow: evm.Contract) -> int:
    """Open a job of one slot and one window."""
    return escrow.open_job(SPEC_HASH, 1, SERVICE, 1, 1, 1, 2**96, sender=system.payer)


@pytest.mark.parametrize(
    ("ledger", "policy"),
    [
        pytest.param(0, 0, id="no ledger at all"),
        pytest.param(NO_FEES | 1 << 51, NO_PARTS, id="a base unit of fees"),
        pytest.param(NO_FEES | 1 << 153, NO_PARTS, id="a base unit of debts"),
        pytest.param(NO_FEES | 1 << 255, NO_PARTS, id="the highest bit of the debts"),
        pytest.param(NO_FEES, 1 << 28, id="a base unit handed on"),
        pytest.param(NO_FEES, 1 << 255, id="a bit that no field has"),
    ],
)
def test_books_of_a_new_version_are_empty(escrow: evm.Contract, ledger: int, policy: int) -> None:
    """M1: no tariff makes the escrow owe what nobody paid in, or hand on what nobody earned."""
    with evm.reverts("rates: books not empty"):
        escrow.add_policy(ledger, policy, sender=TARIFF)


def test_there_are_at_most_32_versions(escrow: evm.Contract) -> None:
    """G28: `liabilities` adds up all of them, at a bounded cost."""
    for version in range(2, 33):
        assert escrow.add_policy(NO_FEES, NO_PARTS, sender=TARIFF) == version

    with evm.reverts("rates: too many policies"):
        escrow.add_policy(NO_FEES, NO_PARTS, sender=TARIFF)
    assert tuple(escrow.ledger_of(32)) == (0, 0, 0)


def test_liabilities_are_those_of_all_versions(system: System, escrow: evm.Contract) -> None:
    for version in range(1, 33):
        open_job(system, escrow)
        assert escrow.liabilities() == 10 * version
        if version < 32:
            escrow.add_policy(NO_FEES, NO_PARTS, sender=TARIFF)

    assert [escrow.ledger_of(version)[2] for version in range(1, 33)] == [10] * 32


@pytest.mark.parametrize("price", [0, 2**96, 2**256 - 1])
def test_price_that_does_not_fit_is_refused(escrow: evm.Contract, price: int) -> None:
    with evm.reverts("price: out of range"):
        escrow.set_class(1, price, True, sender=TARIFF)


def test_class_that_is_not_on_sale(system: System, escrow: evm.Contract) -> None:
    escrow.set_class(1, 10, False, sender=TARIFF)
    with evm.reverts("rates: class retired"):
        open_job(system, escrow)
    escrow.set_class(1, 11, True, sender=TARIFF)

    open_job(system, escrow)

    assert escrow.liabilities() == 11
