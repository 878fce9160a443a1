"""Tokens as they are: decimals, no return value, fees, blocklists, false, real faucet tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import FEE_BPS, Books
from tests.contracts.job_escrow.moves import (
    ALL,
    FEES,
    FORFEITS,
    PAYMENTS,
    PULLS,
    REFUNDS,
    Scene,
    scene,
)
from tests.contracts.system import (
    JOB_LEAF,
    UNIT,
    System,
    account,
    deploy_system,
    deployer,
    events,
)


def deploy_with(name: str) -> System:
    """Deploy a system whose token is the test double `name`."""
    return deploy_system(oracles=1, token=deployer(f"testing/{name}").deploy(6))


def serve(system: System, windows: int = 2) -> tuple[int, int, int]:
    """Run a job of two licenses to its end, fully served and reported; return job and licenses."""
    first, second = (system.issue_node(operator) for operator in system.operators[:2])
    job_id = system.start_job([first, second], windows=windows)
    system.to_window(2 + windows)
    served = windows * UNIT
    system.report(
        {(job_id, first): served, (job_id, second): served, (job_id, JOB_LEAF): 2 * served}
    )
    return job_id, first, second


@pytest.mark.parametrize(
    ("decimals", "price"),
    [(6, 1), (6, 1_000_003), (8, 33_333_333), (18, 123_456_789_012_345_679), (18, 2**90 + 1)],
)
def test_books_balance_at_any_scale(decimals: int, price: int) -> None:
    system = deploy_system(decimals=decimals, oracles=1, classes=[(price, 1, 1, 1)])
    token, escrow = system.token, system.escrow.address
    deposited = token.balanceOf(system.payer)
    first, second = (system.issue_node(operator) for operator in system.operators[:2])
    job_id = system.start_job([first, second], windows=3)
    assert deposited - token.balanceOf(system.payer) == 6 * price
    system.to_window(5)
    units = {first: 28_571, second: 9_999}
    leaves = {(job_id, license_id): figure for license_id, figure in units.items()}
    system.report(leaves | {(job_id, JOB_LEAF): sum(units.values())})

    paid = {license_id: system.claim(job_id, license_id) for license_id in units}
    refund = system.close(job_id)

    fees = 0
    for license_id, figure in units.items():
        gross = price * figure // UNIT
        fee = gross * FEE_BPS // 10_000
        fees += fee
        assert paid[license_id] == gross - fee
    assert refund == 6 * price - price * sum(units.values()) // UNIT
    assert system.escrow.ledger_of(1)[0] == fees
    dust = 6 * price - refund - sum(paid.values()) - fees
    assert 0 <= dust <= 1
    assert token.balanceOf(escrow) == system.escrow.liabilities() == fees + dust


@pytest.mark.parametrize("move", ALL)
def test_token_that_returns_nothing(move: str) -> None:
    made = scene(deploy_with("NoReturnToken"))
    system = made.system
    before = system.token.balanceOf(system.escrow.address)

    made.moves()[move]()

    assert (system.token.balanceOf(system.escrow.address) > before) == (move in PULLS)
    assert system.token.balanceOf(system.escrow.address) == system.escrow.liabilities()


def test_token_that_takes_a_fee_is_refused() -> None:
    system = deploy_with("FeeToken")

    with evm.reverts("vault: fee on transfer"):
        system.open_job()
    assert system.escrow.job_count() == 0
    assert system.escrow.liabilities() == 0


@pytest.mark.parametrize("move", ALL)
def test_token_that_takes_a_fee_from_one_day_on(move: str) -> None:
    """M1: nothing comes in any more, and what goes out never costs others' deposits."""
    token = deployer("testing/FeeToken").deploy(6)
    token.set_fee_bps(0)
    made = scene(deploy_system(oracles=1, token=token))
    system = made.system
    token.set_fee_bps(100)

    if move in PULLS:
        with evm.reverts("vault: fee on transfer"):
            made.moves()[move]()
    elif move in (*FEES, *FORFEITS):
        with evm.reverts("pots: not sent"):
            made.moves()[move]()
    else:
        made.moves()[move]()

    assert token.balanceOf(system.escrow.address) == system.escrow.liabilities()


def state(made: Scene) -> tuple[Any, ...]:
    """Return what a refused move must leave as it is."""
    system = made.system
    jobs = [system.desk.job(job_id) for job_id in (made.ended, made.abandoned, made.running)]
    served = [
        system.escrow.assignment(job_id, license_id)
        for job_id in (made.ended, made.running)
        for license_id in (made.paid, made.unpaid, made.outlaw)
    ]
    ledger = system.escrow.ledger_of(1)
    pots = system.vault.pots()
    return jobs, served, ledger, pots, system.escrow.job_count(), Books.of(system)


@pytest.mark.parametrize("move", ALL)
def test_token_that_returns_false_loses_nobody_anything(move: str) -> None:
    made = scene(deploy_with("FalseToken"))
    made.system.token.set_failing(True)
    before = state(made)

    with evm.reverts("vault: transfer refused"):
        made.moves()[move]()
    assert state(made) == before

    made.system.token.set_failing(False)
    made.moves()[move]()
    assert state(made) != before


@pytest.mark.parametrize(
    ("blocked", "stopped"),
    [
        ("payer", (*REFUNDS, *FORFEITS)),
        ("operator", PAYMENTS),
        ("vault", (*FEES, *FORFEITS)),
        ("escrow", PULLS),
    ],
)
def test_receiver_that_the_token_refuses_stops_what_is_paid_to_it_alone(
    blocked: str, stopped: tuple[str, ...]
) -> None:
    """M7: one account on a blocklist changes nobody else's money."""
    made = scene(deploy_with("BlocklistToken"))
    system = made.system
    accounts = {
        "payer": system.payer,
        "operator": system.operators[1],
        "vault": system.vault.address,
        "escrow": system.escrow.address,
    }
    system.token.set_blocked(accounts[blocked], True)

    for name, move in made.moves().items():
        with evm.env.anchor():
            if name in stopped:
                with evm.reverts("token: receiver blocked"):
                    move()
            else:
                move()


def test_token_that_is_no_contract_is_refused() -> None:
    nowhere = SimpleNamespace(address=account("no contract"))
    system = deploy_system(oracles=1, token=nowhere)

    with evm.reverts():
        system.open_job()
    assert system.escrow.job_count() == 0


def test_payee_that_the_token_refuses_stops_nobody_else() -> None:
    system = deploy_with("BlocklistToken")
    job_id, first, second = serve(system)
    system.token.set_blocked(system.operators[0], True)

    with evm.reverts("token: receiver blocked"):
        system.claim(job_id, first)
    assert system.claim(job_id, second) > 0
    assert system.close(job_id) == 0
    assert system.escrow.assignment(job_id, first).claimed_units == 0


def test_refused_payee_gets_out_by_another_payout_address() -> None:
    system = deploy_with("BlocklistToken")
    job_id, first, _ = serve(system)
    system.token.set_blocked(system.operators[0], True)
    system.licenses.set_payout(first, system.stranger, sender=system.operators[0])

    amount = system.claim(job_id, first)

    assert system.token.balanceOf(system.stranger) == amount > 0


def test_payer_that_the_token_refuses_holds_no_operator() -> None:
    system = deploy_with("BlocklistToken")
    job_id, first, second = serve(system)
    system.advance_windows()
    system.report({(job_id, first): UNIT, (job_id, second): UNIT, (job_id, JOB_LEAF): 2 * UNIT})
    system.token.set_blocked(system.payer, True)

    with evm.reverts("token: receiver blocked"):
        system.close(job_id)
    assert system.claim(job_id, first) == system.claim(job_id, second) > 0

    system.token.set_blocked(system.payer, False)
    assert system.close(job_id) > 0


def test_faucet_token_pays_for_a_job() -> None:
    system = deploy_system(oracles=1, token=deployer("TestUSD").deploy())
    system.token.faucet(10**12, sender=system.payer)
    system.token.approve(system.escrow.address, 10**12, sender=system.payer)
    job_id, first, _ = serve(system)

    amount = system.claim(job_id, first)

    assert [entry.value for entry in events(system.escrow, "Transfer")] == [amount]
    assert system.token.balanceOf(system.operators[0]) == amount
