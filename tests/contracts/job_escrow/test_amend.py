"""What the escrow lets its desk do: a desk that is an ordinary account can send anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.job_escrow.books import gross
from tests.contracts.system import (
    CLASSES,
    POLICY,
    PRICE,
    SERVICE,
    SPEC_HASH,
    UNIT,
    ZERO_ADDRESS,
    System,
    account,
    deployer,
    event,
)

DESK = account("desk that is no contract")

FUNDED, CLAIMED, END, POLICY_VERSION, KIND = (96, 56), (152, 56), (208, 32), (240, 8), (248, 2)
CANCELLED, CLOSED, COMPLETED = (250, 1), (251, 1), (252, 1)
PAYER, SLOTS, SEATED, START, ROUND, CLASS = (
    (0, 160),
    (160, 18),
    (178, 18),
    (196, 32),
    (228, 20),
    (248, 8),
)
"""Where fields stand in the words of a job, and their widths."""

Field = tuple[int, int]


def read(word: int, field: Field) -> int:
    """Return a field of a word."""
    return word >> field[0] & (1 << field[1]) - 1


def write(word: int, field: Field, value: int) -> int:
    """Return a word with another value in a field."""
    shift, bits = field
    return word & ~(((1 << bits) - 1) << shift) | value << shift


@pytest.fixture
def system(deployed: System) -> System:
    """A system whose desk is an ordinary account; its escrow sells under a tariff of its own."""
    base = replace(deployed, node_keys={}, reports=[])
    tariff = deployer("Tariff").deploy(base.trust, list(CLASSES), POLICY, sender=base.deployer)
    escrow = deployer("JobEscrow").deploy(base.trust, base.licenses, base.committee, tariff, DESK)
    tariff.bind_escrow(escrow, sender=base.deployer)
    base.token.approve(escrow, 2**256 - 1, sender=base.payer)
    return replace(base, tariff=tariff, escrow=escrow)


@pytest.fixture
def job_id(system: System) -> int:
    """A job of three slots and ten windows, not started."""
    return system.open_job(slots=3)


def place(system: System, job_id: int, licenses: list[int]) -> None:
    """Place licenses in the first round of a job."""
    system.escrow.place(*system.placement(job_id, licenses, round=0, revision=0))


def served(system: System, nodes: list[int]) -> int:
    """Run a job of three licenses, one of which was paid for a window; return the job."""
    job_id = system.open_job(slots=3)
    place(system, job_id, nodes)
    system.advance_windows(2)
    system.report({(job_id, nodes[0]): 7_777})
    system.claim(job_id, nodes[0])
    return job_id


def amend(
    system: System, job_id: int, money: int, terms: int, release: list[int] | None = None
) -> tuple[int, int]:
    """Rewrite a job as the desk; return deposit and refund."""
    return tuple(system.escrow.amend(job_id, money, terms, release or [], sender=DESK))


def test_price_claimed_units_policy_and_kind_stay(system: System, nodes: list[int]) -> None:
    """M9: no bit of what the payer agreed to, or of what was paid, can change."""
    job_id = served(system, nodes)
    money, terms = system.escrow.words_of(job_id)

    for bit in (*range(96), *range(152, 208), *range(240, 250)):
        with evm.reverts("escrow: fixed money"):
            amend(system, job_id, money ^ 1 << bit, terms)


def test_payer_round_and_class_stay(system: System, job_id: int) -> None:
    """M8: no refund ever goes to another payer."""
    money, terms = system.escrow.words_of(job_id)

    for bit in (*range(160), *range(228, 256)):
        with evm.reverts("escrow: fixed terms"):
            amend(system, job_id, money, terms ^ 1 << bit)


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        (0, END, 77),
        (0, CANCELLED, 1),
        (0, CLOSED, 1),
        (0, COMPLETED, 1),
        (1, SLOTS, 9),
        (1, SEATED, 2),
        (1, START, 5),
    ],
)
def test_everything_else_is_the_desks(
    system: System, job_id: int, word: int, field: Field, value: int
) -> None:
    words = list(system.escrow.words_of(job_id))
    words[word] = write(words[word], field, value)
    before = system.token.balanceOf(system.payer)

    assert amend(system, job_id, *words) == (0, 0)

    assert tuple(system.escrow.words_of(job_id)) == tuple(words)
    assert system.token.balanceOf(system.payer) == before


def test_units_that_were_claimed_stay_funded(system: System, nodes: list[int]) -> None:
    job_id = served(system, nodes)
    money, terms = system.escrow.words_of(job_id)
    assert read(money, CLAIMED) == 7_777

    with evm.reverts("escrow: below claimed"):
        amend(system, job_id, write(money, FUNDED, 7_776), terms)
    refund = amend(system, job_id, write(money, FUNDED, 7_777), terms)[1]

    assert refund == 30 * PRICE - gross(7_777)
    assert system.escrow.liabilities() == system.escrow.ledger_of(1)[0]


def test_more_units_are_paid_for_by_the_payer(system: System, job_id: int) -> None:
    money, terms = system.escrow.words_of(job_id)
    before = system.token.balanceOf(system.payer)

    moved = amend(system, job_id, write(money, FUNDED, 30 * UNIT + 3_333), terms)

    deposit = gross(30 * UNIT + 3_333) - 30 * PRICE
    assert moved == (deposit, 0)
    assert before - system.token.balanceOf(system.payer) == deposit
    assert system.escrow.liabilities() == 30 * PRICE + deposit


def test_fewer_units_are_refunded_to_the_payer(system: System, job_id: int) -> None:
    money, terms = system.escrow.words_of(job_id)
    before = system.token.balanceOf(system.payer)

    moved = amend(system, job_id, write(money, FUNDED, 1), terms)

    refund = 30 * PRICE - gross(1)
    assert moved == (0, refund)
    assert system.token.balanceOf(system.payer) - before == refund
    assert system.escrow.liabilities() == gross(1)


def test_deposit_beyond_the_payers_allowance_is_refused(system: System, job_id: int) -> None:
    money, terms = system.escrow.words_of(job_id)
    system.token.approve(system.escrow, PRICE - 1, sender=system.payer)

    with evm.reverts("token: allowance too low"):
        amend(system, job_id, write(money, FUNDED, 31 * UNIT), terms)


def test_deposit_beyond_the_ledger_is_refused(system: System) -> None:
    system.tariff.set_class(9, (2**96 - 1, 1, 1, 1), sender=system.governor)
    job_id = system.open_job(class_id=9, windows=2**7)
    money, terms = system.escrow.words_of(job_id)

    with evm.reverts("ledger: deposits too large"):
        amend(system, job_id, write(money, FUNDED, (2**7 + 1) * UNIT), terms)


def test_named_licenses_stop_with_the_current_window(system: System, nodes: list[int]) -> None:
    job_id = system.open_job(slots=3)
    place(system, job_id, nodes)
    system.to_window(4)
    money, terms = system.escrow.words_of(job_id)
    with evm.reverts("escrow: not placed"):
        amend(system, job_id, money, terms, [nodes[0], nodes[0]])
    with evm.reverts("escrow: not placed"):
        amend(system, job_id, money, terms, [1])

    amend(system, job_id, money, terms, nodes[:2])

    assert [system.escrow.assignment(job_id, node).until for node in nodes] == [5, 5, 2**32 - 1]


def test_no_job_comes_into_being_this_way(system: System) -> None:
    """An unknown job has no price, no payer and no money, whatever the desk writes."""
    other = system.open_job()
    for field in (CLAIMED, POLICY_VERSION, KIND, (0, 96)):
        with evm.reverts("escrow: fixed money"):
            amend(system, 7, write(0, field, 1), 0)
    with evm.reverts("escrow: fixed terms"):
        amend(system, 7, 0, int(system.payer, 16))

    assert amend(system, 7, write(0, FUNDED, 2**56 - 1), 0) == (0, 0)
    assert system.escrow.liabilities() == 10 * PRICE
    assert system.escrow.job_count() == other


def test_desk_opens_for_a_payer_that_the_gate_admits(system: System) -> None:
    opening = (SPEC_HASH, 1, SERVICE, 2, 1, 3, PRICE)

    job_id = system.escrow.open_job_for(system.payer, *opening, sender=DESK)

    opened = event(system.escrow, "JobOpened")
    assert (opened["payer"], opened["deposit"]) == (system.payer, 6 * PRICE)
    assert read(system.escrow.words_of(job_id)[1], PAYER) == int(system.payer, 16)
    with evm.reverts("escrow: payer not verified"):
        system.escrow.open_job_for(system.stranger, *opening, sender=DESK)
    with evm.reverts("escrow: payer not verified"):
        system.escrow.open_job_for(ZERO_ADDRESS, *opening, sender=DESK)


def test_desk_counts_revisions(system: System, job_id: int) -> None:
    hashes = [bytes([index] * 32) for index in (1, 2)]
    assert [system.escrow.revise(job_id, spec, sender=DESK) for spec in hashes] == [1, 2]
    assert system.escrow.revision_of(job_id) == 2
    assert system.escrow.spec_hash_of(job_id) == hashes[1]


def outcome(call: Callable[[], tuple[int, int]]) -> tuple[int, int] | None:
    """Return what a call returns, or nothing if it is refused."""
    try:
        return call()
    except evm.Reverted:
        return None


WORDS = st.integers(0, 2**256 - 1)


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_the_desk_says_money_moves_between_a_job_and_its_payer_only(
    system: System, nodes: list[int], data: st.DataObject
) -> None:
    """M1, M2, M8, M35: any words at all: refused, or what the funded units cost is what moves."""
    with evm.env.anchor():
        other = system.open_job(windows=50)
        untouched = tuple(system.escrow.words_of(other))
        job_id = served(system, nodes)
        money, terms = system.escrow.words_of(job_id)
        fixed = data.draw(st.booleans(), "keeps what is fixed")
        new_money, new_terms = data.draw(WORDS, "money"), data.draw(WORDS, "terms")
        funded = data.draw(st.one_of(st.integers(0, 60 * UNIT), st.integers(0, 2**56 - 1)))
        new_money = write(new_money, FUNDED, funded)
        if fixed:
            for field in ((0, 96), CLAIMED, POLICY_VERSION, KIND):
                new_money = write(new_money, field, read(money, field))
            for field in (PAYER, ROUND, CLASS):
                new_terms = write(new_terms, field, read(terms, field))
        holders = (system.payer, system.escrow.address, system.operators[0], DESK)
        balances = [system.token.balanceOf(holder) for holder in holders]
        owed, fees = system.escrow.liabilities(), system.escrow.ledger_of(1)[0]

        moved = outcome(lambda: amend(system, job_id, new_money, new_terms))

        change = gross(read(new_money, FUNDED)) - gross(read(money, FUNDED)) if moved else 0
        assert not moved or moved == (max(change, 0), max(-change, 0))
        assert [system.token.balanceOf(holder) for holder in holders] == [
            balances[0] - change,
            balances[1] + change,
            *balances[2:],
        ]
        assert system.escrow.liabilities() == owed + change
        assert system.escrow.ledger_of(1)[0] == fees
        assert tuple(system.escrow.words_of(other)) == untouched
        assert bool(moved) == (fixed and funded >= read(money, CLAIMED))
