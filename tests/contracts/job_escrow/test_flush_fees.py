"""Handing fees to the vault: the same pots, however often and in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, fee, net, pots
from tests.contracts.system import (
    POLICY,
    PRICE,
    UNIT,
    PolicyTerms,
    System,
    deploy_system,
    event,
    events,
)


@pytest.fixture
def job_id(system: System, nodes: list[int]) -> int:
    """A job of one license that was paid for one window of ten."""
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    system.claim(job_id, nodes[0])
    return job_id


def test_fees_go_to_the_vault_split_by_the_policy(system: System, job_id: int) -> None:
    """5, 10 and 5 % of the gross: a quarter, a half, a quarter of the fees."""
    before = Books.of(system)

    amount = system.escrow.flush_fees(1, sender=system.stranger)

    assert event(system.escrow, "FeesFlushed") == {
        "policy_version": 1,
        "oracles": 50_000,
        "burned": 100_000,
        "treasury": 50_000,
    }
    assert amount == fee(UNIT) == 200_000
    assert tuple(system.vault.pots()) == (50_000, 100_000, 50_000)
    assert system.token.balanceOf(system.vault.address) == 200_000
    assert tuple(system.escrow.ledger_of(1)) == (200_000, 200_000, 9 * PRICE)
    moved = Books.of(system).since(before)
    assert moved == Books(
        payer=0, operators=(0,) * 4, escrow=-200_000, liabilities=-200_000, fees=0
    )


def test_vault_hears_of_it_from_the_escrow(system: System, job_id: int) -> None:
    system.escrow.flush_fees(1)

    booked = event(system.escrow, "Booked")
    assert booked["source"] == system.escrow.address
    assert (booked["oracles"], booked["burn"], booked["treasury"]) == (50_000, 100_000, 50_000)


def test_each_pot_is_pulled_on_its_own(system: System, job_id: int) -> None:
    system.escrow.flush_fees(1)

    assert system.vault.pull_burn() == system.token.balanceOf(system.auction) == 100_000
    assert system.vault.pull_treasury() == system.token.balanceOf(system.treasury) == 50_000
    assert system.vault.pull_oracles() == 50_000
    assert system.token.balanceOf(system.committee.address) == 50_000


def test_nothing_to_flush_moves_nothing(system: System, job_id: int) -> None:
    system.escrow.flush_fees(1)
    before = Books.of(system), system.vault.pots()

    assert system.escrow.flush_fees(1) == 0
    assert events(system.escrow, "Transfer") == []
    assert events(system.escrow, "Booked") == []
    assert (Books.of(system), system.vault.pots()) == before


@pytest.mark.parametrize("version", [0, 2, 32, 33, 2**256 - 1])
def test_unknown_version_is_refused(system: System, job_id: int, version: int) -> None:
    with evm.reverts("rates: unknown policy"):
        system.escrow.flush_fees(version)
    with evm.reverts("rates: unknown policy"):
        system.escrow.ledger_of(version)


def test_versions_that_were_not_added_have_no_books(system: System) -> None:
    """Every number up to 32 once read as a version without fees."""
    assert system.tariff.policy_version() == 1
    with evm.reverts("rates: unknown policy"):
        system.escrow.flush_fees(2)
    system.tariff.add_policy(POLICY, sender=system.governor)

    assert system.escrow.flush_fees(2) == 0
    assert tuple(system.escrow.ledger_of(2)) == (0, 0, 0)


def test_versions_are_flushed_apart(system: System, nodes: list[int], job_id: int) -> None:
    """M12: what one version took is split by its own shares, whatever came later."""
    later = PolicyTerms(0, 0, 1_000)
    system.tariff.add_policy(later, sender=system.governor)
    second = system.start_job(nodes[1:2])
    system.advance_windows()
    system.report({(second, nodes[1]): UNIT})
    system.claim(second, nodes[1])

    assert system.escrow.flush_fees(2) == 100_000
    assert tuple(system.vault.pots()) == (0, 0, 100_000)
    assert system.escrow.flush_fees(1) == 200_000
    assert tuple(system.vault.pots()) == (50_000, 100_000, 150_000)


def test_policy_that_takes_no_fees_has_nothing_to_flush() -> None:
    system = deploy_system(oracles=1, policy=PolicyTerms())
    node = system.issue_node()
    job_id = system.start_job([node])
    system.advance_windows()
    system.report({(job_id, node): UNIT})
    assert system.claim(job_id, node) == PRICE

    assert system.escrow.flush_fees(1) == 0
    assert tuple(system.vault.pots()) == (0, 0, 0)


def test_flush_touches_no_deposit(system: System, nodes: list[int], job_id: int) -> None:
    """M1: what stays locked is paid out in full afterwards."""
    system.escrow.flush_fees(1)
    system.to_window(12)
    system.report({(job_id, nodes[0]): 10 * UNIT})

    assert system.claim(job_id, nodes[0]) == net(10 * UNIT) - net(UNIT)
    system.escrow.flush_fees(1)
    assert system.escrow.liabilities() == 0
    assert system.token.balanceOf(system.escrow.address) == 0


def test_fees_beyond_what_the_ledger_counts_hold_up_no_flush() -> None:
    """M6: the count stops at its bound; what it holds is handed on."""
    system = deploy_system(oracles=1, classes=[(2**96 - 1, 1, 1, 1)], policy=PolicyTerms(6_000))
    node = system.issue_node()
    job_id = system.start_job([node], windows=127)
    system.to_window(129)
    system.report({(job_id, node): 127 * UNIT})
    system.claim(job_id, node)

    assert system.escrow.flush_fees(1) == 2**102 - 1
    assert tuple(system.vault.pots()) == (2**102 - 1, 0, 0)
    assert system.escrow.flush_fees(1) == 0
    assert system.escrow.liabilities() == system.token.balanceOf(system.escrow.address)


SHARES = st.tuples(*[st.integers(0, 3_333)] * 3).map(lambda row: PolicyTerms(*row))


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    policy=SHARES,
    price=st.one_of(st.integers(1, 30), st.integers(1, 10**7), st.integers(1, 2**80)),
    figures=st.lists(st.integers(0, 6 * UNIT), min_size=1, max_size=6).map(sorted),
    flushes=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_any_number_of_flushes_fills_the_same_pots(
    system: System, policy: PolicyTerms, price: int, figures: list[int], flushes: list[bool]
) -> None:
    """M3, M5, M34: the all-time total is cut, so no base unit depends on when somebody flushes."""
    with evm.env.anchor():
        system.tariff.set_class(1, (price, 1_000, 1_024, 4_096), sender=system.governor)
        system.tariff.add_policy(policy, sender=system.governor)
        node = system.issue_node()
        job_id = system.start_job([node], windows=6)
        system.to_window(8)
        handed = 0
        for figure, flush in zip(figures, flushes, strict=False):
            system.report({(job_id, node): figure})
            system.claim(job_id, node)
            handed += system.escrow.flush_fees(2) if flush else 0
            system.advance_windows()
        handed += system.escrow.flush_fees(2)

        fees = price * figures[-1] // UNIT * sum(policy[:3]) // 10_000
        assert handed == fees
        assert tuple(system.vault.pots()) == pots(fees, policy)
        assert tuple(system.escrow.ledger_of(2))[:2] == (fees, fees)
        assert system.token.balanceOf(system.escrow.address) == system.escrow.liabilities()
