"""What a payer lets a delegate do, for how much and how long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.job_desk.desk import (
    ALL_SCOPES,
    CANCEL,
    EXTEND,
    OPEN,
    REVISE,
    SCALE,
    Opening,
    Permit,
    grant,
)
from tests.contracts.system import (
    BATCH,
    CLASSES,
    FOREVER,
    PRICE,
    UNIT,
    ZERO_ADDRESS,
    System,
    account,
    event,
    events,
)

DELEGATE = account("delegate")
LATER = FOREVER - 1
NO_PERMIT = Permit(0, 0, 27, bytes(32), bytes(32))


def acts(system: System, job_id: int, sender: str = DELEGATE) -> dict[str, Callable[[], Any]]:
    """Return everything that a grant may allow, by name."""
    desk, payer = system.desk, system.payer
    by = {"sender": sender}
    return {
        "open_job_for": partial(desk.open_job_for, payer, Opening(), **by),
        "open_jobs": partial(desk.open_jobs, payer, [Opening()], **by),
        "open_jobs_with_permit": partial(
            desk.open_jobs_with_permit, payer, [Opening()], NO_PERMIT, **by
        ),
        "extend_job": partial(desk.extend_job, job_id, 1, **by),
        "scale_job up": partial(desk.scale_job, job_id, 3, [], **by),
        "scale_job down": partial(desk.scale_job, job_id, 1, [], **by),
        "revise_job": partial(desk.revise_job, job_id, bytes(32), **by),
        "cancel_job": partial(desk.cancel_job, job_id, **by),
    }


SCOPES = {
    "open_job_for": OPEN,
    "open_jobs": OPEN,
    "open_jobs_with_permit": OPEN,
    "extend_job": EXTEND,
    "scale_job up": SCALE,
    "scale_job down": SCALE,
    "revise_job": REVISE,
    "cancel_job": CANCEL,
}
CHARGED = ("open_job_for", "open_jobs", "open_jobs_with_permit", "extend_job", "scale_job up")


@pytest.fixture
def job_id(system: System) -> int:
    """A job of two slots and ten windows that has not started."""
    return system.open_job(slots=2, min_slots=1)


def left(system: System) -> int:
    """Return what the delegate may still spend."""
    return int(system.desk.grant_of(system.payer, DELEGATE)[1])


def test_payer_grants(system: System) -> None:
    system.desk.grant(DELEGATE, OPEN | CANCEL, 500, LATER, sender=system.payer)

    assert event(system.desk, "Granted") == {
        "payer": system.payer,
        "delegate": DELEGATE,
        "scopes": OPEN | CANCEL,
        "budget": 500,
        "expires_at": LATER,
    }
    assert tuple(system.desk.grant_of(system.payer, DELEGATE)) == (OPEN | CANCEL, 500, LATER)


def test_nothing_is_granted_at_first(system: System, job_id: int) -> None:
    assert tuple(system.desk.grant_of(system.payer, DELEGATE)) == (0, 0, 0)
    for act in acts(system, job_id).values():
        with evm.reverts("desk: not granted"):
            act()


@pytest.mark.parametrize("scope", [OPEN, EXTEND, SCALE, REVISE, CANCEL])
def test_each_scope_allows_its_calls_and_no_others(system: System, job_id: int, scope: int) -> None:
    grant(system, DELEGATE, scope)

    for name, act in acts(system, job_id).items():
        with evm.env.anchor():
            if SCOPES[name] == scope:
                act()
            else:
                with evm.reverts("desk: not granted"):
                    act()


@pytest.mark.parametrize("scope", [OPEN, EXTEND, SCALE, REVISE, CANCEL])
def test_every_other_scope_together_does_not_make_up_for_one(
    system: System, job_id: int, scope: int
) -> None:
    grant(system, DELEGATE, ALL_SCOPES & ~scope)

    for name, act in acts(system, job_id).items():
        if SCOPES[name] == scope:
            with evm.reverts("desk: not granted"):
                act()


def test_grant_ends_at_its_second(system: System, job_id: int) -> None:
    expires_at = evm.env.timestamp + 1_000
    grant(system, DELEGATE, expires_at=expires_at)
    system.wait(999)
    for act in acts(system, job_id).values():
        with evm.env.anchor():
            act()
    system.wait(1)

    for act in acts(system, job_id).values():
        with evm.reverts("desk: grant expired"):
            act()


def test_grant_is_replaced_whole(system: System, job_id: int) -> None:
    """Neither scopes nor budgets add up."""
    system.desk.grant(DELEGATE, ALL_SCOPES, 10**12, LATER, sender=system.payer)
    system.desk.grant(DELEGATE, EXTEND, 2 * PRICE, LATER, sender=system.payer)

    system.desk.extend_job(job_id, 1, sender=DELEGATE)
    with evm.reverts("desk: above the budget"):
        system.desk.extend_job(job_id, 1, sender=DELEGATE)
    with evm.reverts("desk: not granted"):
        system.desk.cancel_job(job_id, sender=DELEGATE)


def test_grant_is_taken_back(system: System, job_id: int) -> None:
    grant(system, DELEGATE)
    system.desk.grant(DELEGATE, 0, 10**12, LATER, sender=system.payer)

    for act in acts(system, job_id).values():
        with evm.reverts("desk: not granted"):
            act()


def test_delegate_of_one_payer_is_nobody_to_another(system: System) -> None:
    """M8: a grant is between two accounts."""
    system.attest(system.stranger)
    system.fund(system.stranger, 10**12)
    theirs = system.open_job(payer=system.stranger)
    grant(system, DELEGATE)

    with evm.reverts("desk: not granted"):
        system.desk.cancel_job(theirs, sender=DELEGATE)
    with evm.reverts("desk: not granted"):
        system.desk.open_job_for(system.stranger, Opening(), sender=DELEGATE)


def test_delegate_hands_nothing_on(system: System, job_id: int) -> None:
    grant(system, DELEGATE)
    system.desk.grant(system.stranger, ALL_SCOPES, 10**12, LATER, sender=DELEGATE)

    for act in acts(system, job_id, sender=system.stranger).values():
        with evm.reverts("desk: not granted"):
            act()


def test_leaving_without_a_report_is_the_payers_alone(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], windows=1)
    grant(system, DELEGATE)
    system.to_window(3)

    with evm.reverts("desk: not the payer"):
        system.desk.request_close(job_id, sender=DELEGATE)


@pytest.mark.parametrize(
    ("delegate", "scopes", "budget", "expires_at", "reason"),
    [
        (ZERO_ADDRESS, OPEN, 1, 1, "desk: zero delegate"),
        (DELEGATE, ALL_SCOPES + 1, 1, 1, "desk: unknown scope"),
        (DELEGATE, 2**255, 1, 1, "desk: unknown scope"),
        (DELEGATE, OPEN, 2**160, 1, "grant: budget too large"),
        (DELEGATE, OPEN, 1, 2**40, "grant: expiry too late"),
    ],
)
def test_grant_that_makes_no_sense_is_refused(
    system: System, delegate: str, scopes: int, budget: int, expires_at: int, reason: str
) -> None:
    with evm.reverts(reason):
        system.desk.grant(delegate, scopes, budget, expires_at, sender=system.payer)


@pytest.mark.parametrize(
    ("act", "deposit"),
    [
        ("open_job_for", 10 * PRICE),
        ("open_jobs", 10 * PRICE),
        ("open_jobs_with_permit", 10 * PRICE),
        ("extend_job", 2 * PRICE),
        ("scale_job up", 10 * PRICE),
    ],
)
def test_budget_is_spent_to_the_last_base_unit(
    system: System, job_id: int, act: str, deposit: int
) -> None:
    """M8: one base unit short, and nothing happens."""
    grant(system, DELEGATE, budget=deposit - 1)
    with evm.reverts("desk: above the budget"):
        acts(system, job_id)[act]()
    grant(system, DELEGATE, budget=deposit)
    before = system.token.balanceOf(system.payer)

    acts(system, job_id)[act]()

    assert event(system.desk, "Spent") == {
        "payer": system.payer,
        "delegate": DELEGATE,
        "amount": deposit,
        "budget": 0,
    }
    assert before - system.token.balanceOf(system.payer) == deposit
    assert left(system) == 0


@pytest.mark.parametrize("act", ["scale_job down", "cancel_job"])
def test_refund_is_the_payers_and_restores_no_budget(system: System, job_id: int, act: str) -> None:
    grant(system, DELEGATE, budget=7)
    before = system.token.balanceOf(system.payer)

    acts(system, job_id)[act]()

    assert system.token.balanceOf(system.payer) > before
    assert system.token.balanceOf(DELEGATE) == 0
    assert events(system.desk, "Spent") == []
    assert left(system) == 7


def test_opening_and_cancelling_in_turn_uses_the_budget_up(system: System) -> None:
    """M8: a delegate that churns spends its budget, and the payer has everything back."""
    grant(system, DELEGATE, budget=25 * PRICE)
    before = system.token.balanceOf(system.payer)
    for _ in range(2):
        job_id = system.desk.open_job_for(system.payer, Opening(), sender=DELEGATE)
        system.desk.cancel_job(job_id, sender=DELEGATE)
    with evm.reverts("desk: above the budget"):
        system.desk.open_job_for(system.payer, Opening(), sender=DELEGATE)

    assert left(system) == 5 * PRICE
    assert system.token.balanceOf(system.payer) == before


def test_what_costs_nothing_needs_no_budget(system: System) -> None:
    batch = system.open_job(kind=BATCH, slots=4, min_slots=1)
    grant(system, DELEGATE, budget=0)

    for act, arguments in (
        (system.desk.extend_job, (batch, 5)),
        (system.desk.revise_job, (batch, bytes(32))),
        (system.desk.cancel_job, (batch,)),
    ):
        act(*arguments, sender=DELEGATE)
        assert events(system.desk, "Spent") == []


def test_a_single_base_unit_is_charged(system: System) -> None:
    system.tariff.set_class(9, (1, 1, 1, 1), sender=system.governor)
    opening = Opening(class_id=9, windows=1)
    grant(system, DELEGATE, budget=1)
    system.desk.open_job_for(system.payer, opening, sender=DELEGATE)

    with evm.reverts("desk: above the budget"):
        system.desk.open_job_for(system.payer, opening, sender=DELEGATE)


def test_batch_opening_is_charged_for_its_shards_and_not_for_its_windows(system: System) -> None:
    grant(system, DELEGATE, budget=4 * PRICE)
    opening = Opening(kind=BATCH, slots=4, windows=9)

    system.desk.open_job_for(system.payer, opening, sender=DELEGATE)

    assert left(system) == 0


def test_payer_keeps_to_no_budget(system: System, job_id: int) -> None:
    """Not even to one that it granted to itself."""
    system.desk.grant(system.payer, 0, 0, 0, sender=system.payer)

    for act in acts(system, job_id, sender=system.payer).values():
        with evm.env.anchor():
            act()
            assert events(system.desk, "Spent") == []


def test_extension_is_charged_at_the_jobs_own_price(system: System, job_id: int) -> None:
    system.tariff.set_class(1, (PRICE - 1, *CLASSES[0][1:]), sender=system.governor)
    grant(system, DELEGATE, budget=2 * PRICE + 10 * (PRICE - 1))

    system.desk.extend_job(job_id, 1, sender=DELEGATE)
    system.desk.open_job_for(system.payer, Opening(), sender=DELEGATE)

    assert left(system) == 0


def test_refused_call_spends_nothing(system: System) -> None:
    grant(system, DELEGATE, budget=10**9)
    system.token.approve(system.escrow, 0, sender=system.payer)

    with evm.reverts("token: allowance too low"):
        system.desk.open_job_for(system.payer, Opening(), sender=DELEGATE)
    with evm.reverts("escrow: price above maximum"):
        system.desk.open_job_for(system.payer, Opening(max_price=1), sender=DELEGATE)
    assert left(system) == 10**9


def test_gate_is_the_payers_and_not_the_delegates(system: System) -> None:
    """A delegate needs no attestation and no standing; the payer needs both as ever."""
    grant(system, DELEGATE)
    system.blacklist(DELEGATE)
    system.desk.open_job_for(system.payer, Opening(), sender=DELEGATE)
    system.blacklist(system.payer)

    with evm.reverts("escrow: payer's standing"):
        system.desk.open_job_for(system.payer, Opening(), sender=DELEGATE)


@pytest.mark.parametrize("factor", ["slots", "windows"])
def test_deposit_beyond_all_numbers_is_refused(system: System, factor: str) -> None:
    """No product wraps around into a budget."""
    grant(system, DELEGATE, budget=0)
    opening = Opening(**{factor: 2**255})

    with evm.reverts():
        system.desk.open_job_for(system.payer, opening, sender=DELEGATE)
    assert system.escrow.job_count() == 0


ACTS = st.sampled_from(sorted(SCOPES))


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(budget=st.integers(0, 60 * PRICE), names=st.lists(ACTS, max_size=12), data=st.data())
def test_delegate_never_spends_more_than_its_budget(
    system: System, budget: int, names: list[str], data: st.DataObject
) -> None:
    """M8, D36: whatever it does in whatever order, deposits and what is left make the budget."""
    with evm.env.anchor():
        grant(system, DELEGATE, budget=budget)
        jobs = [system.open_job(slots=2, min_slots=1)]
        pulled = 0
        for name in names:
            job_id = data.draw(st.sampled_from(jobs), "job")
            before = system.token.balanceOf(system.payer)
            with suppress(evm.Reverted):
                acts(system, job_id)[name]()
            moved = before - system.token.balanceOf(system.payer)
            pulled += max(moved, 0)
            assert name in CHARGED or moved <= 0
            jobs = list(range(1, system.escrow.job_count() + 1))
        assert left(system) == budget - pulled
        assert system.token.balanceOf(DELEGATE) == 0
        assert all(system.desk.job(job_id).payer == system.payer for job_id in jobs)
        assert system.escrow.liabilities() == sum(
            system.desk.job(job_id).funded_units * PRICE // UNIT for job_id in jobs
        )
