"""Claims: what a final report proves is paid, to the last base unit and never more."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, fee, gross, net
from tests.contracts.system import (
    JOB_LEAF,
    PRICE,
    UNIT,
    ZERO_ADDRESS,
    PolicyTerms,
    Report,
    System,
    deploy_system,
    event,
    events,
)

FAR = 2**256 - 1


def claim_units(system: System, report: Report, job_id: int, license_id: int, units: int) -> int:
    """Claim a leaf that holds `units`."""
    assert report.units[job_id, license_id] == units
    return system.claim(job_id, license_id, report)


def test_operator_is_paid_the_gross_less_the_fees(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    before = Books.of(system)

    amount = system.claim(job_id, nodes[0])

    assert event(system.escrow, "Claimed") == {
        "job_id": job_id,
        "license_id": nodes[0],
        "payee": system.operators[0],
        "units": UNIT,
        "amount": 800_003,
    }
    assert amount == 800_003
    assert Books.of(system).since(before) == Books(
        payer=0,
        operators=(800_003, 0, 0, 0),
        escrow=-800_003,
        liabilities=-800_003,
        fees=200_000,
    )
    assert system.desk.job(job_id).claimed_units == UNIT
    assert system.escrow.assignment(job_id, nodes[0]).claimed_units == UNIT
    assert tuple(system.escrow.ledger_of(1)) == (200_000, 0, 10 * PRICE - 800_003)


def test_anyone_may_claim_and_the_payout_address_is_paid(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    payout = evm.env.generate_address()
    system.licenses.set_payout(nodes[0], payout, sender=system.operators[0])
    system.advance_windows()
    report = system.report({(job_id, nodes[0]): UNIT})

    system.escrow.claim(
        job_id, nodes[0], UNIT, report.proof(job_id, nodes[0]), sender=system.stranger
    )

    assert event(system.escrow, "Claimed")["payee"] == payout
    assert system.token.balanceOf(payout) == 800_003
    assert system.token.balanceOf(system.operators[0]) == 0
    assert system.token.balanceOf(system.stranger) == 0


def test_payout_address_of_the_moment_of_the_claim_counts(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    system.licenses.set_payout(nodes[0], system.payer, sender=system.operators[0])
    system.licenses.set_payout(nodes[0], ZERO_ADDRESS, sender=system.operators[0])

    system.claim(job_id, nodes[0])

    assert system.token.balanceOf(system.operators[0]) == 800_003


def test_same_figure_twice_moves_nothing(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    system.claim(job_id, nodes[0])
    before = Books.of(system)

    assert system.claim(job_id, nodes[0]) == 0
    assert events(system.escrow, "Claimed") == []
    assert Books.of(system) == before


def test_lower_figure_later_moves_nothing(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    system.claim(job_id, nodes[0])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT - 1})
    before = Books.of(system)

    assert system.claim(job_id, nodes[0]) == 0
    assert Books.of(system) == before


def test_claims_cut_in_pieces_equal_one_claim(system: System, nodes: list[int]) -> None:
    """3,333 and 6,667 and 10,000 units: no piece comes out even, the sum does."""
    job_id = system.start_job(nodes[:2])
    system.advance_windows(2)
    pieces = [3_333, 6_667, 10_000]
    amounts = []
    for units in pieces:
        report = system.report({(job_id, nodes[0]): units})
        amounts.append(claim_units(system, report, job_id, nodes[0], units))
        system.advance_windows()
    whole = system.report({(job_id, nodes[1]): 10_000})

    assert amounts == [266_640, 266_722, 266_641]
    assert sum(amounts) == claim_units(system, whole, job_id, nodes[1], 10_000) == 800_003
    assert system.escrow.ledger_of(1)[0] == 400_000


def test_skipped_windows_cost_nothing(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.to_window(12)
    system.report({(job_id, nodes[0]): 10 * UNIT})
    system.wait(10**8)

    assert system.claim(job_id, nodes[0]) == net(10 * UNIT)


def test_only_windows_that_are_reported_are_paid(system: System, nodes: list[int]) -> None:
    """Whatever the oracles sign: one window is reported, one is paid."""
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): FAR})
    assert system.claim(job_id, nodes[0]) == net(UNIT)

    system.to_window(6)
    system.report({(job_id, nodes[0]): FAR})

    assert system.claim(job_id, nodes[0]) == net(4 * UNIT) - net(UNIT)
    assert system.escrow.assignment(job_id, nodes[0]).claimed_units == 4 * UNIT


def test_job_is_paid_out_to_its_last_unit(system: System, nodes: list[int]) -> None:
    """What is left is less than what was paid before, and still due."""
    job_id = system.start_job(nodes[:1], windows=3)
    paid = []
    for windows in (1, 2, 3):
        system.advance_windows()
        system.report({(job_id, nodes[0]): windows * UNIT})
        paid.append(system.claim(job_id, nodes[0]))

    assert sum(paid) == net(3 * UNIT)
    assert system.desk.job(job_id).claimed_units == 3 * UNIT


def test_report_of_the_window_before_the_start_pays_nothing(
    system: System, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1])
    system.report({(job_id, nodes[0]): UNIT})

    assert system.claim(job_id, nodes[0]) == 0
    assert system.escrow.assignment(job_id, nodes[0]).claimed_units == 0


def test_windows_after_the_end_are_not_paid(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=3)
    system.to_window(20)
    system.report({(job_id, nodes[0]): FAR})

    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)
    assert system.desk.job(job_id).claimed_units == system.desk.job(job_id).funded_units


def test_license_that_never_served_the_job_is_not_paid(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[1]): UNIT})
    before = Books.of(system)

    assert system.claim(job_id, nodes[1]) == 0
    assert Books.of(system) == before


@pytest.mark.parametrize("job_id", [0, 2, FAR])
def test_job_that_does_not_exist_pays_nothing(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.start_job(nodes[:1])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})
    before = Books.of(system)

    assert system.claim(job_id, nodes[0]) == 0
    assert Books.of(system) == before


def test_job_that_has_not_started_pays_nothing(system: System, nodes: list[int]) -> None:
    job_id = system.open_job()
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})

    assert system.claim(job_id, nodes[0]) == 0


def test_job_leaf_never_pays(system: System, nodes: list[int]) -> None:
    """License 0 stands for the job's total. It has no owner, so nobody can be paid for it."""
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    report = system.report({(job_id, JOB_LEAF): UNIT})
    proof = report.proof(job_id, JOB_LEAF)

    assert system.escrow.claim(job_id, JOB_LEAF, UNIT, proof) == 0
    assert system.desk.job(job_id).claimed_units == 0


def test_no_job_is_paid_from_anothers_deposit(system: System, nodes: list[int]) -> None:
    poor = system.start_job(nodes[:1], windows=1)
    rich = system.start_job(nodes[1:2], windows=100)
    system.to_window(50)
    system.report({(poor, nodes[0]): FAR, (rich, nodes[1]): FAR})

    assert system.claim(poor, nodes[0]) == net(UNIT)
    assert system.desk.job(rich).claimed_units == 0
    assert system.escrow.liabilities() == 100 * PRICE + fee(UNIT)


def test_oracles_that_sign_nonsense_cannot_pay_more_than_the_job_has(
    system: System, nodes: list[int]
) -> None:
    """Two licenses, one after the other, in a job of one slot; each is signed the whole job."""
    job_id = system.start_job(nodes[:1], windows=4)
    system.to_window(3)
    system.place(job_id, nodes[1:2], nodes[:1])
    system.to_window(10)
    system.report({(job_id, license_id): FAR for license_id in nodes})

    paid = [system.claim(job_id, license_id) for license_id in nodes]

    assert paid == [net(2 * UNIT), net(2 * UNIT), 0]


def test_leaf_of_another_escrow_proves_nothing(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    other = deploy_system(oracles=1)
    system.advance_windows()
    tree = other.tree({(job_id, nodes[0]): UNIT})
    system.committee.submit_report(*system.report_arguments(tree.root))
    system.wait(system.challenge)

    with evm.reverts("escrow: wrong proof"):
        system.escrow.claim(job_id, nodes[0], UNIT, [])


@pytest.mark.parametrize("tampered", ["job", "license", "units", "proof", "longer", "empty"])
def test_wrong_proof_is_refused(system: System, nodes: list[int], tampered: str) -> None:
    job_id = system.start_job(nodes[:2])
    system.advance_windows()
    report = system.report({(job_id, nodes[0]): UNIT, (job_id, nodes[1]): UNIT - 1})
    proof = report.proof(job_id, nodes[0])
    arguments = {
        "job": (job_id + 1, nodes[0], UNIT, proof),
        "license": (job_id, nodes[1], UNIT, proof),
        "units": (job_id, nodes[0], UNIT + 1, proof),
        "proof": (job_id, nodes[0], UNIT, [bytes(32)]),
        "longer": (job_id, nodes[0], UNIT, [*proof, bytes(32)]),
        "empty": (job_id, nodes[0], UNIT, []),
    }

    with evm.reverts("escrow: wrong proof"):
        system.escrow.claim(*arguments[tampered])


def test_nothing_is_proven_before_the_first_report(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])

    with evm.reverts("escrow: wrong proof"):
        system.escrow.claim(job_id, nodes[0], UNIT, [])


def test_nothing_is_paid_before_the_challenge_time_is_over(
    system: System, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    report = system.report({(job_id, nodes[0]): UNIT}, final=False)
    system.wait(system.challenge - 1)

    with evm.reverts("escrow: wrong proof"):
        system.claim(job_id, nodes[0], report)
    system.wait(1)

    assert system.claim(job_id, nodes[0], report) == net(UNIT)


def test_previous_leaves_count_while_a_report_is_pending(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    first = system.report({(job_id, nodes[0]): UNIT})
    system.advance_windows()
    system.report({(job_id, nodes[0]): 2 * UNIT}, final=False)

    assert system.claim(job_id, nodes[0], first) == net(UNIT)
    with evm.reverts("escrow: wrong proof"):
        system.claim(job_id, nodes[0])


def test_leaves_of_a_superseded_report_prove_nothing(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    old = system.report({(job_id, nodes[0]): UNIT})
    system.advance_windows()
    system.report({(job_id, nodes[0]): 2 * UNIT})

    with evm.reverts("escrow: wrong proof"):
        system.claim(job_id, nodes[0], old)
    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)


def test_deep_proof(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    others = {(job_id + 1 + index, 1): index + 1 for index in range(1_000)}
    report = system.report({(job_id, nodes[0]): UNIT} | others)
    assert len(report.proof(job_id, nodes[0])) >= 9

    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_claims_go_on_after_a_cancel(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.to_window(4)
    system.desk.cancel_job(job_id, sender=system.payer)
    system.to_window(8)
    system.report({(job_id, nodes[0]): FAR})

    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)


def test_claims_go_on_though_class_and_payer_are_gone(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.tariff.retire_class(1, sender=system.governor)
    system.blacklist(system.payer)
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})

    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_smallest_price_pays_whole_base_units_only(nodes: list[int], system: System) -> None:
    """At 7 base units a window, 1,428 units are worth 0.9996: nothing yet."""
    job_id = system.open_job(class_id=2)
    system.place(job_id, nodes[:1])
    system.advance_windows(2)
    system.report({(job_id, nodes[0]): 1_428})
    assert system.claim(job_id, nodes[0]) == 0
    assert system.escrow.assignment(job_id, nodes[0]).claimed_units == 1_428
    system.advance_windows()
    system.report({(job_id, nodes[0]): 1_429})
    assert system.claim(job_id, nodes[0]) == 1
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT})

    assert system.claim(job_id, nodes[0]) == net(UNIT, 7) - 1 == 5
    assert system.escrow.ledger_of(1)[0] == fee(UNIT, 7) == 1


@pytest.mark.parametrize("fees", [(0, 0, 0), (10_000, 0, 0), (3_334, 3_333, 3_333), (1, 1, 1)])
def test_shares_are_those_of_the_policy(fees: tuple[int, int, int]) -> None:
    system = deploy_system(oracles=1, policy=PolicyTerms(*fees))
    node = system.issue_node()
    job_id = system.start_job([node])
    system.advance_windows()
    system.report({(job_id, node): 9_999})
    shares = gross(9_999) * sum(fees) // 10_000

    assert system.claim(job_id, node) == gross(9_999) - shares
    assert system.escrow.ledger_of(1)[0] == shares


def test_no_accepted_deposit_locks_a_claim() -> None:
    """M6: fees beyond what the ledger can count are paid all the same."""
    system = deploy_system(oracles=1, classes=[(2**96 - 1, 1, 1, 1)], policy=PolicyTerms(6_000))
    node = system.issue_node()
    job_id = system.start_job([node], windows=127)
    system.to_window(129)
    system.report({(job_id, node): 127 * UNIT})

    assert system.claim(job_id, node) > 0
