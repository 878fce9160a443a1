"""Property tests of the books: any split and any order of claims, any figures, any closing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.job_escrow.books import FEE_BPS, Books, fee, gross, net
from tests.contracts.system import CLASSES, JOB_LEAF, UNIT, System, deploy_system

WINDOWS = 6
PRICES = st.one_of(st.integers(1, 30), st.integers(1, 10**7), st.integers(1, 2**80))
FIGURES = st.lists(st.integers(0, WINDOWS * UNIT), min_size=3, max_size=3)
"""Cumulative units of each of three licenses."""

relaxed = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def run(system: System, price: int) -> tuple[int, list[int]]:
    """Run a job of three licenses at `price` to its end; return the job and the licenses."""
    system.tariff.set_class(1, (price, *CLASSES[0][1:]), sender=system.governor)
    nodes = [system.issue_node(operator) for operator in system.operators[:3]]
    job_id = system.start_job(nodes, windows=WINDOWS)
    system.to_window(2 + WINDOWS)
    return job_id, nodes


@relaxed
@given(price=PRICES, figures=FIGURES, data=st.data())
def test_any_split_and_order_of_claims_ends_in_the_same_balances(
    system: System, price: int, figures: list[int], data: st.DataObject
) -> None:
    before = Books.of(system)
    job_id, nodes = run(system, price)
    cuts = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), max_size=3), "cuts")
    for place, tenths in sorted(cuts, key=lambda cut: cut[1]):
        system.report({(job_id, nodes[place]): figures[place] * tenths // 10})
        system.claim(job_id, nodes[place])
        system.advance_windows()
    leaves = {(job_id, node): figure for node, figure in zip(nodes, figures, strict=True)}
    system.report(leaves | {(job_id, JOB_LEAF): sum(figures)})
    for node in data.draw(st.permutations([*nodes, JOB_LEAF]), "order"):
        if node == JOB_LEAF:
            system.close(job_id)
        else:
            system.claim(job_id, node)

    paid = tuple(net(figure, price) for figure in figures)
    kept = gross(sum(figures), price)
    assert Books.of(system).since(before) == Books(
        payer=-kept,
        operators=(*paid, 0),
        escrow=kept - sum(paid),
        liabilities=kept - sum(paid),
        fees=sum(fee(figure, price) for figure in figures),
    )


@relaxed
@given(
    price=PRICES,
    figures=st.lists(st.integers(0, 2**70), min_size=3, max_size=3),
    total=st.integers(0, 4 * WINDOWS * UNIT),
    data=st.data(),
)
def test_books_balance_whatever_the_oracles_sign(
    system: System, price: int, figures: list[int], total: int, data: st.DataObject
) -> None:
    before = Books.of(system)
    job_id, nodes = run(system, price)
    deposit = 3 * WINDOWS * price
    leaves = {(job_id, node): figure for node, figure in zip(nodes, figures, strict=True)}
    system.report(leaves | {(job_id, JOB_LEAF): total})

    paid = refund = 0
    for node in data.draw(st.permutations([*nodes, JOB_LEAF]), "order"):
        if node == JOB_LEAF:
            refund += system.close(job_id)
        else:
            paid += system.claim(job_id, node)

    moved = Books.of(system).since(before)
    assert moved.payer == refund - deposit
    assert sum(moved.operators) == paid
    assert moved.escrow == moved.liabilities == deposit - refund - paid
    assert moved.fees <= moved.liabilities
    job = system.desk.job(job_id)
    assert job.claimed_units <= job.funded_units
    for node in nodes:
        assert system.escrow.assignment(job_id, node).claimed_units <= WINDOWS * UNIT
    if job.claimed_units == job.funded_units:
        assert moved.liabilities - moved.fees <= len(nodes)


@relaxed
@given(price=PRICES, figures=st.lists(st.integers(0, WINDOWS * UNIT), min_size=1, max_size=4))
def test_gross_of_every_claim_is_what_operator_and_fees_got(
    system: System, price: int, figures: list[int]
) -> None:
    job_id, nodes = run(system, price)
    for before, figure in pairwise([0, *sorted(figures)]):
        fees = system.escrow.ledger_of(1)[0]
        system.report({(job_id, nodes[0]): figure})
        paid = system.claim(job_id, nodes[0])
        taken = system.escrow.ledger_of(1)[0] - fees

        assert paid + taken == price * figure // UNIT - price * before // UNIT
        assert abs(taken - (paid + taken) * FEE_BPS // 10_000) <= 1
        system.advance_windows()


def test_donation_changes_no_entitlement(system: System) -> None:
    job_id, nodes = run(system, 1_000_003)
    owed = system.escrow.liabilities()
    with evm.env.anchor():
        system.report({(job_id, nodes[0]): UNIT, (job_id, JOB_LEAF): UNIT})
        expected = system.claim(job_id, nodes[0]), system.close(job_id)

    system.token.mint(system.escrow.address, 123_456)

    assert system.escrow.liabilities() == owed
    system.report({(job_id, nodes[0]): UNIT, (job_id, JOB_LEAF): UNIT})
    assert (system.claim(job_id, nodes[0]), system.close(job_id)) == expected
    balance = system.token.balanceOf(system.escrow.address)
    assert balance == system.escrow.liabilities() + 123_456
    assert system.open_job()


def test_payers_stand_apart() -> None:
    system = deploy_system(oracles=1)
    second = system.stranger
    system.attest(second)
    system.fund(second, 10**12)
    mine, theirs = system.open_job(), system.open_job(payer=second)
    before = system.token.balanceOf(second)

    with evm.reverts("desk: not granted"):
        system.desk.cancel_job(theirs, sender=system.payer)
    system.desk.cancel_job(mine, sender=system.payer)

    assert system.token.balanceOf(second) == before
    assert system.desk.job(theirs).funded_units == 10 * UNIT
