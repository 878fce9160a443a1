"""Several licenses of one payee in one transfer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, net
from tests.contracts.system import (
    UNIT,
    ZERO_ADDRESS,
    Report,
    System,
    events,
)

Entry = tuple[int, int, int, list[bytes]]


@pytest.fixture
def fleet(system: System) -> list[int]:
    """Four licenses of the first operator."""
    return [system.issue_node(system.operators[0]) for _ in range(4)]


def entries(report: Report, pairs: Sequence[tuple[int, int]]) -> list[Entry]:
    """Return the entries of `claim_many` for pairs of a report."""
    return [
        (job_id, license_id, report.units[job_id, license_id], report.proof(job_id, license_id))
        for job_id, license_id in pairs
    ]


def test_payee_gets_all_of_its_licenses_at_once(system: System, fleet: list[int]) -> None:
    first, second = system.start_job(fleet[:2]), system.start_job(fleet[2:])
    system.advance_windows()
    units = {
        (first, fleet[0]): UNIT,
        (first, fleet[1]): 3_333,
        (second, fleet[2]): 6_667,
        (second, fleet[3]): 1,
    }
    report = system.report(units)
    before = Books.of(system)

    total = system.escrow.claim_many(
        system.operators[0], entries(report, list(units)), sender=system.stranger
    )

    claimed = events(system.escrow, "Claimed")
    assert [entry.units for entry in claimed] == list(units.values())
    assert [entry.amount for entry in claimed] == [net(figure) for figure in units.values()]
    assert len(events(system.escrow, "Transfer")) == 1
    expected = sum(net(figure) for figure in units.values())
    assert total == expected
    assert Books.of(system).since(before).operators == (expected, 0, 0, 0)
    assert Books.of(system).since(before).liabilities == -expected


def test_batch_equals_single_claims(system: System, fleet: list[int]) -> None:
    job_id = system.start_job(fleet)
    system.advance_windows()
    pairs = [(job_id, license_id) for license_id in fleet]
    report = system.report({pair: 1_111 * (index + 1) for index, pair in enumerate(pairs)})
    with evm.env.anchor():
        for pair in pairs:
            system.claim(*pair)
        one_by_one = Books.of(system)

    system.escrow.claim_many(system.operators[0], entries(report, pairs))

    assert Books.of(system) == one_by_one


def test_license_of_another_payee_is_skipped(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes)
    system.advance_windows()
    pairs = [(job_id, license_id) for license_id in nodes]
    report = system.report(dict.fromkeys(pairs, UNIT))

    total = system.escrow.claim_many(system.operators[1], entries(report, pairs))

    assert total == net(UNIT)
    assert system.token.balanceOf(system.operators[1]) == net(UNIT)
    assert system.escrow.assignment(job_id, nodes[0]).claimed_units == 0


def test_licenses_with_one_payout_address_go_together(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes)
    pool = evm.env.generate_address()
    for license_id, owner in zip(nodes, system.operators, strict=False):
        system.licenses.set_payout(license_id, pool, sender=owner)
    system.advance_windows()
    pairs = [(job_id, license_id) for license_id in nodes]
    report = system.report(dict.fromkeys(pairs, UNIT))

    system.escrow.claim_many(pool, entries(report, pairs))

    assert system.token.balanceOf(pool) == 3 * net(UNIT)


@pytest.mark.parametrize("hold", [System.freeze, System.suspend, System.blacklist])
def test_held_license_is_skipped(
    system: System, fleet: list[int], hold: Callable[..., None]
) -> None:
    job_id = system.start_job(fleet[:2])
    system.advance_windows()
    pairs = [(job_id, license_id) for license_id in fleet[:2]]
    report = system.report(dict.fromkeys(pairs, UNIT))
    hold(system, fleet[0])

    assert system.escrow.claim_many(system.operators[0], entries(report, pairs)) == net(UNIT)
    assert system.escrow.assignment(job_id, fleet[0]).claimed_units == 0

    system.reinstate(fleet[0])
    assert system.escrow.claim_many(system.operators[0], entries(report, pairs)) == net(UNIT)


def test_entry_that_moves_nothing_is_skipped(system: System, fleet: list[int]) -> None:
    job_id = system.start_job(fleet[:2])
    system.advance_windows()
    pairs = [(job_id, fleet[0]), (job_id, fleet[1]), (job_id, fleet[2])]
    report = system.report(dict.fromkeys(pairs, UNIT))
    system.claim(job_id, fleet[0])

    total = system.escrow.claim_many(system.operators[0], entries(report, pairs))

    assert [entry.license_id for entry in events(system.escrow, "Claimed")] == [fleet[1]]
    assert total == net(UNIT)


def test_entry_given_twice_is_paid_once(system: System, fleet: list[int]) -> None:
    job_id = system.start_job(fleet[:1])
    system.advance_windows()
    report = system.report({(job_id, fleet[0]): UNIT})
    pairs = [(job_id, fleet[0])] * 3

    assert system.escrow.claim_many(system.operators[0], entries(report, pairs)) == net(UNIT)


def test_nothing_to_pay_moves_no_token(system: System, fleet: list[int]) -> None:
    before = Books.of(system)

    for payee in (system.operators[0], ZERO_ADDRESS):
        assert system.escrow.claim_many(payee, []) == 0
        assert system.escrow.get_logs() == []
    assert Books.of(system) == before


def test_wrong_proof_reverts_everything(system: System, fleet: list[int]) -> None:
    job_id = system.start_job(fleet[:2])
    system.advance_windows()
    pairs = [(job_id, license_id) for license_id in fleet[:2]]
    report = system.report(dict.fromkeys(pairs, UNIT))
    batch = entries(report, pairs)
    batch[1] = (job_id, fleet[1], UNIT + 1, batch[1][3])

    with evm.reverts("escrow: wrong proof"):
        system.escrow.claim_many(system.operators[0], batch)
    assert system.desk.job(job_id).claimed_units == 0


def test_largest_batch(system: System) -> None:
    fleet = [system.issue_node(system.operators[0]) for _ in range(16)]
    job_id = system.start_job(fleet)
    system.advance_windows()
    pairs = [(job_id, license_id) for license_id in fleet]
    report = system.report(dict.fromkeys(pairs, UNIT))

    assert system.escrow.claim_many(system.operators[0], entries(report, pairs)) == 16 * net(UNIT)
    with evm.reverts():
        system.escrow.claim_many(system.operators[0], entries(report, [*pairs, pairs[0]]))


def test_license_that_does_not_exist_is_skipped(system: System, fleet: list[int]) -> None:
    """Neither an unknown id nor the job leaf's 0 takes a batch down."""
    job_id = system.start_job(fleet[:1])
    system.advance_windows()
    pairs = [(job_id, 0), (job_id, fleet[0]), (job_id, 1_000)]
    report = system.report(dict.fromkeys(pairs, UNIT))

    total = system.escrow.claim_many(system.operators[0], entries(report, pairs))

    assert total > 0
    assert system.desk.job(job_id).claimed_units == UNIT
    assert system.licenses.payee_of(1_000)[0] == ZERO_ADDRESS
