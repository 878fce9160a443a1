"""Tokens as they are: decimals, no return value, fees, blocklists, false, real faucet tokens."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import FEE_BPS
from tests.contracts.system import JOB_LEAF, UNIT, System, deploy_system, deployer, events


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


def test_token_that_returns_nothing() -> None:
    system = deploy_with("NoReturnToken")
    job_id, first, second = serve(system)
    deposit = system.token.balanceOf(system.escrow.address)

    paid = system.claim(job_id, first) + system.claim(job_id, second)

    assert system.token.balanceOf(system.operators[0]) > 0
    assert system.token.balanceOf(system.escrow.address) == deposit - paid
    fresh = system.open_job()
    assert system.desk.cancel_job(fresh, sender=system.payer) > 0


def test_token_that_takes_a_fee_is_refused() -> None:
    system = deploy_with("FeeToken")

    with evm.reverts("vault: fee on transfer"):
        system.open_job()
    assert system.escrow.job_count() == 0
    assert system.escrow.liabilities() == 0


def test_extension_with_a_token_that_takes_a_fee_is_refused() -> None:
    """Fees may be switched on after the job was opened."""
    system = deploy_with("FeeToken")
    system.token.set_fee_bps(0)
    job_id = system.open_job()
    system.token.set_fee_bps(100)

    with evm.reverts("vault: fee on transfer"):
        system.desk.extend_job(job_id, 1, sender=system.payer)


def test_token_that_returns_false_on_the_way_in() -> None:
    system = deploy_with("FalseToken")
    system.token.set_failing(True)

    with evm.reverts("vault: transfer refused"):
        system.open_job()


def test_token_that_returns_false_on_the_way_out_loses_nobody_anything() -> None:
    system = deploy_with("FalseToken")
    job_id, first, second = serve(system)
    fresh = system.open_job()
    system.token.set_failing(True)
    before = system.desk.job(job_id), system.escrow.liabilities()

    with evm.reverts("vault: transfer refused"):
        system.claim(job_id, first)
    with evm.reverts("vault: transfer refused"):
        system.desk.cancel_job(fresh, sender=system.payer)
    assert (system.desk.job(job_id), system.escrow.liabilities()) == before

    system.token.set_failing(False)
    assert system.claim(job_id, first) == system.claim(job_id, second)


def test_token_that_is_no_contract_is_refused() -> None:
    system = deploy_system(oracles=1)
    escrow = deployer("JobEscrow").deploy(
        system.stranger,
        system.trust,
        system.licenses,
        system.committee,
        1,
        [(1, 1, 1, 1)],
        (0, 0, 0, 0, 0),
    )

    with evm.reverts():
        escrow.open_job(bytes(32), 1, 0, 1, 1, 1, 1, sender=system.payer)


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
