"""Opening through the desk: one, several, all or none."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_desk.desk import Opening, grant
from tests.contracts.job_escrow.books import Books
from tests.contracts.system import (
    BATCH,
    CLASSES,
    PRICE,
    SERVICE,
    System,
    account,
    event,
    events,
)
from workdeed.protocol.hashing import keccak

DELEGATE = account("delegate")
MOST = 16


def test_payer_opens_for_itself(system: System) -> None:
    before = Books.of(system)
    opening = Opening(keccak(b"other spec"), 2, BATCH, 5, 3, 20, 7)

    job_id = system.desk.open_job_for(system.payer, opening, sender=system.payer)

    assert event(system.desk, "JobOpened") == {
        "job_id": job_id,
        "payer": system.payer,
        "spec_hash": opening.spec_hash,
        "kind": BATCH,
        "class_id": 2,
        "policy_version": 1,
        "price": CLASSES[1][0],
        "slots": 5,
        "min_slots": 3,
        "windows": 20,
        "deposit": 35,
    }
    moved = Books.of(system).since(before)
    assert (moved.payer, moved.escrow, moved.liabilities) == (-35, 35, 35)
    job = system.desk.job(job_id)
    assert (job.class_id, job.policy_version, job.price, job.kind) == (2, 1, 7, BATCH)
    assert (job.slots, job.min_slots, job.windows) == (5, 3, 20)


def test_delegate_opens_for_the_payer(system: System) -> None:
    """The deposit comes from the payer's allowance to the escrow; the job is the payer's."""
    grant(system, DELEGATE, budget=10 * PRICE)
    system.token.mint(DELEGATE, 10**12)
    before = system.token.balanceOf(system.payer)

    job_id = system.desk.open_job_for(system.payer, Opening(), sender=DELEGATE)

    assert system.desk.job(job_id).payer == system.payer
    assert before - system.token.balanceOf(system.payer) == 10 * PRICE
    assert system.token.balanceOf(DELEGATE) == 10**12
    assert system.desk.cancel_job(job_id, sender=system.payer) == 10 * PRICE
    assert system.token.balanceOf(system.payer) == before


@pytest.mark.parametrize("role", ["governor", "guardian", "issuer", "deployer", "stranger"])
def test_nobody_else_opens_for_the_payer(system: System, role: str) -> None:
    sender = getattr(system, role)

    with evm.reverts("desk: not granted"):
        system.desk.open_job_for(system.payer, Opening(), sender=sender)
    with evm.reverts("desk: not granted"):
        system.desk.open_jobs(system.payer, [Opening()], sender=sender)


@pytest.mark.parametrize(
    ("opening", "reason"),
    [
        (Opening(max_price=PRICE - 1), "escrow: price above maximum"),
        (Opening(kind=2), "escrow: unknown kind"),
        (Opening(slots=0), "escrow: zero slots"),
        (Opening(min_slots=0), "escrow: min slots out of range"),
        (Opening(windows=0), "escrow: zero windows"),
        (Opening(windows=2**16 + 1), "escrow: too many windows"),
        (Opening(class_id=9), "rates: unknown class"),
    ],
)
@pytest.mark.parametrize("delegated", [False, True])
def test_escrows_bounds_hold(
    system: System, opening: Opening, reason: str, delegated: bool
) -> None:
    grant(system, DELEGATE)
    sender = DELEGATE if delegated else system.payer

    with evm.reverts(reason):
        system.desk.open_job_for(system.payer, opening, sender=sender)


def test_payer_is_told_the_escrows_reason_whatever_the_figures(system: System) -> None:
    """What a delegate spends is worked out here and may overflow; the payer has no budget."""
    opening = Opening(windows=2**256 - 1)

    with evm.reverts("escrow: too many windows"):
        system.desk.open_job_for(system.payer, opening, sender=system.payer)


def test_several_at_once(system: System) -> None:
    openings = [
        Opening(slots=1, windows=3),
        Opening(class_id=2, slots=2, windows=2),
        Opening(kind=BATCH, slots=5, windows=9),
    ]
    before = Books.of(system)

    ids = system.desk.open_jobs(system.payer, openings, sender=system.payer)

    assert list(ids) == [1, 2, 3]
    deposits = [entry.deposit for entry in events(system.desk, "JobOpened")]
    assert deposits == [3 * PRICE, 4 * 7, 5 * PRICE]
    assert Books.of(system).since(before).liabilities == sum(deposits)
    assert [system.desk.job(job_id).kind for job_id in ids] == [SERVICE, SERVICE, BATCH]


def test_most_at_once(system: System) -> None:
    ids = system.desk.open_jobs(system.payer, [Opening()] * MOST, sender=system.payer)

    assert list(ids) == list(range(1, MOST + 1))
    with evm.reverts():
        system.desk.open_jobs(system.payer, [Opening()] * (MOST + 1), sender=system.payer)


def test_none_is_refused(system: System) -> None:
    with evm.reverts("desk: no openings"):
        system.desk.open_jobs(system.payer, [], sender=system.payer)


@pytest.mark.parametrize("bad", [0, 7, MOST - 1])
def test_all_or_none(system: System, bad: int) -> None:
    openings = [Opening()] * MOST
    openings[bad] = Opening(slots=0)
    before = Books.of(system)

    with evm.reverts("escrow: zero slots"):
        system.desk.open_jobs(system.payer, openings, sender=system.payer)

    assert system.escrow.job_count() == 0
    assert Books.of(system) == before


def test_budget_that_ends_in_the_middle_opens_none(system: System) -> None:
    openings = [Opening(windows=2)] * 3
    grant(system, DELEGATE, budget=6 * PRICE - 1)
    with evm.reverts("desk: above the budget"):
        system.desk.open_jobs(system.payer, openings, sender=DELEGATE)
    assert system.escrow.job_count() == 0
    grant(system, DELEGATE, budget=6 * PRICE)

    system.desk.open_jobs(system.payer, openings, sender=DELEGATE)

    spent = events(system.desk, "Spent")
    assert [entry.amount for entry in spent] == [2 * PRICE] * 3
    assert [entry.budget for entry in spent] == [4 * PRICE, 2 * PRICE, 0]


def test_jobs_stand_apart(system: System, nodes: list[int]) -> None:
    first, second = system.desk.open_jobs(system.payer, [Opening()] * 2, sender=system.payer)
    before = system.desk.job(second)

    system.desk.cancel_job(first, sender=system.payer)
    system.place(second, nodes[:1])

    assert system.desk.job(second).funded_units == before.funded_units
    assert system.escrow.liabilities() == 10 * PRICE
