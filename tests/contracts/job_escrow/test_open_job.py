"""Opening a job and locking its deposit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books
from tests.contracts.system import (
    BATCH,
    PRICE,
    SERVICE,
    SPEC_HASH,
    UNIT,
    VERIFIED,
    ZERO_ADDRESS,
    PolicyTerms,
    System,
    deploy_system,
    event,
)


def test_deposit_is_pulled_and_the_job_recorded(system: System) -> None:
    before = Books.of(system)
    system.wait(5 * system.window)

    job_id = system.escrow.open_job(SPEC_HASH, 1, SERVICE, 3, 2, 10, PRICE, sender=system.payer)

    deposit = 3 * 10 * PRICE
    assert job_id == 1
    assert event(system.escrow, "JobOpened") == {
        "job_id": 1,
        "payer": system.payer,
        "spec_hash": SPEC_HASH,
        "kind": SERVICE,
        "class_id": 1,
        "policy_version": 1,
        "price": PRICE,
        "slots": 3,
        "min_slots": 2,
        "windows": 10,
        "deposit": deposit,
    }
    assert system.desk.job(1)._asdict() == {
        "payer": system.payer,
        "spec_hash": SPEC_HASH,
        "revision": 0,
        "kind": SERVICE,
        "class_id": 1,
        "policy_version": 1,
        "price": PRICE,
        "slots": 3,
        "min_slots": 2,
        "active": 0,
        "round": 0,
        "start": 0,
        "end": 0,
        "windows": 10,
        "funded_units": 30 * UNIT,
        "claimed_units": 0,
        "cancelled": False,
        "completed": False,
        "closed": False,
        "close_requested": 0,
    }
    assert Books.of(system).since(before) == Books(
        payer=-deposit, operators=(0,) * 4, escrow=deposit, liabilities=deposit, fees=0
    )
    assert system.escrow.job_count() == 1


def test_ids_count_from_1(system: System) -> None:
    assert [system.open_job() for _ in range(3)] == [1, 2, 3]
    assert system.escrow.job_count() == 3


def test_unknown_job_reads_as_nothing(system: System) -> None:
    assert system.desk.job(1).payer == ZERO_ADDRESS
    assert not any(system.desk.job(1)[2:])


def test_highest_price_that_the_payer_accepts(system: System) -> None:
    system.open_job(max_price=PRICE)

    with evm.reverts("escrow: price above maximum"):
        system.open_job(max_price=PRICE - 1)


@pytest.mark.parametrize("kind", [2, 3, 4, 2**256 - 1])
def test_unknown_kind_is_refused(system: System, kind: int) -> None:
    with evm.reverts("escrow: unknown kind"):
        system.escrow.open_job(SPEC_HASH, 1, kind, 1, 1, 1, PRICE, sender=system.payer)


def test_job_without_slots_is_refused(system: System) -> None:
    with evm.reverts("escrow: zero slots"):
        system.open_job(slots=0, min_slots=1)


@pytest.mark.parametrize(("slots", "min_slots"), [(3, 0), (3, 4), (100, 33), (1, 2**255)])
def test_first_placement_must_be_able_to_bring_min_slots(
    system: System, slots: int, min_slots: int
) -> None:
    with evm.reverts("escrow: min slots out of range"):
        system.open_job(slots=slots, min_slots=min_slots)


def test_most_licenses_that_a_first_placement_can_bring(system: System) -> None:
    job_id = system.open_job(slots=100, min_slots=32)

    assert system.desk.job(job_id).min_slots == 32


def test_job_without_windows_is_refused(system: System) -> None:
    with evm.reverts("escrow: zero windows"):
        system.open_job(windows=0)


def test_longest_term_that_one_call_buys(system: System) -> None:
    job_id = system.open_job(windows=2**16)
    assert system.desk.job(job_id).funded_units == 2**16 * UNIT

    with evm.reverts("escrow: too many windows"):
        system.open_job(windows=2**16 + 1)


def test_most_slots(system: System) -> None:
    job_id = system.open_job(slots=2**18 - 1, min_slots=1, windows=2**16)
    assert system.desk.job(job_id).funded_units == (2**18 - 1) * 2**16 * UNIT

    with evm.reverts("terms: too many slots"):
        system.open_job(slots=2**18, min_slots=1)


def test_more_units_than_fit_are_refused(system: System) -> None:
    with evm.reverts("money: too many units"):
        system.open_job(slots=2**40, min_slots=1, windows=2**16)


@pytest.mark.parametrize("class_id", [0, 3, 255, 256, 2**256 - 1])
def test_unknown_class_is_refused(system: System, class_id: int) -> None:
    with evm.reverts("rates: unknown class"):
        system.open_job(class_id=class_id)


def test_retired_class_is_refused(system: System) -> None:
    system.tariff.retire_class(1, sender=system.governor)

    with evm.reverts("rates: class retired"):
        system.open_job()


@pytest.mark.parametrize("hold", [System.freeze, System.suspend, System.blacklist])
def test_payer_in_bad_standing_is_refused(system: System, hold: Callable[..., None]) -> None:
    hold(system, system.payer)

    with evm.reverts("escrow: payer's standing"):
        system.open_job()


def test_payer_opens_again_once_a_freeze_is_over(system: System) -> None:
    system.freeze(system.payer)
    system.wait(system.freeze_period)

    assert system.open_job() == 1


def test_unverified_payer_is_refused(system: System) -> None:
    system.fund(system.stranger, 10**12)

    with evm.reverts("escrow: payer not verified"):
        system.open_job(payer=system.stranger)


@pytest.mark.parametrize("change", ["revoked", "expired", "issuer dropped"])
def test_payer_whose_attestation_is_void_is_refused(system: System, change: str) -> None:
    if change == "revoked":
        system.trust.revoke(system.payer, sender=system.issuer)
    elif change == "expired":
        system.attest(system.payer, expires_at=evm.env.timestamp + 1)
        system.wait(1)
    else:
        system.trust.set_issuer(system.issuer, False, sender=system.governor)

    with evm.reverts("escrow: payer not verified"):
        system.open_job()


def test_level_is_the_policys() -> None:
    system = deploy_system(oracles=1, policy=PolicyTerms(payer_level=VERIFIED + 1))
    with evm.reverts("escrow: payer not verified"):
        system.open_job()

    system.attest(system.payer, VERIFIED + 1)

    assert system.open_job() == 1


def test_policy_that_asks_for_no_verification(system: System) -> None:
    system.tariff.add_policy(PolicyTerms(), sender=system.governor)
    system.fund(system.stranger, 10**12)

    assert system.open_job(payer=system.stranger) == 1


def test_payer_without_allowance_or_balance_is_refused(system: System) -> None:
    system.token.approve(system.escrow.address, PRICE - 1, sender=system.payer)
    with evm.reverts("token: allowance too low"):
        system.open_job(windows=1)

    system.attest(system.stranger)
    system.token.approve(system.escrow.address, 2**256 - 1, sender=system.stranger)
    with evm.reverts("token: balance too low"):
        system.open_job(windows=1, payer=system.stranger)


@pytest.mark.parametrize("price", [1, 2**96 - 1])
def test_every_price_is_exact(price: int) -> None:
    system = deploy_system(oracles=1, classes=[(price, 1, 1, 1)])
    before = Books.of(system)

    system.open_job(slots=3, windows=7, max_price=price)

    assert Books.of(system).since(before).escrow == 21 * price


def test_deposits_beyond_the_ledger_are_refused() -> None:
    system = deploy_system(oracles=1, classes=[(2**96 - 1, 1, 1, 1)])

    with evm.reverts("ledger: deposits too large"):
        system.open_job(slots=1, windows=2**7 + 1, max_price=2**96)
    system.open_job(slots=1, windows=2**7, max_price=2**96)
    with evm.reverts("ledger: deposits too large"):
        system.open_job(max_price=2**96)

    assert system.escrow.liabilities() == (2**96 - 1) * 2**7


def test_refused_opening_changes_nothing(system: System) -> None:
    before: tuple[Any, ...] = (Books.of(system), system.escrow.job_count())
    system.token.approve(system.escrow.address, 0, sender=system.payer)

    with evm.reverts("token: allowance too low"):
        system.open_job()

    assert (Books.of(system), system.escrow.job_count()) == before


@pytest.mark.parametrize("windows", [1, 10, 2**16])
def test_batch_job_pays_for_its_shards_once(system: System, windows: int) -> None:
    """Its windows are a deadline and cost nothing."""
    before = Books.of(system)

    job_id = system.open_job(kind=BATCH, slots=3, min_slots=2, windows=windows)

    opened = event(system.escrow, "JobOpened")
    assert (opened["kind"], opened["windows"], opened["deposit"]) == (BATCH, windows, 3 * PRICE)
    job = system.desk.job(job_id)
    assert (job.kind, job.slots, job.min_slots, job.windows) == (BATCH, 3, 2, windows)
    assert job.funded_units == 3 * UNIT
    moved = Books.of(system).since(before)
    assert (moved.payer, moved.liabilities) == (-3 * PRICE, 3 * PRICE)


def test_batch_job_of_many_shards(system: System) -> None:
    job_id = system.open_job(kind=BATCH, slots=2**17, min_slots=1, windows=2**16)

    assert system.desk.job(job_id).funded_units == 2**17 * UNIT
    assert system.escrow.liabilities() == 2**17 * PRICE


def test_most_shards_of_a_batch_job(system: System) -> None:
    system.open_job(kind=BATCH, slots=2**18 - 1, min_slots=1)

    with evm.reverts("terms: too many slots"):
        system.open_job(kind=BATCH, slots=2**18, min_slots=1)


@pytest.mark.parametrize(
    ("slots", "min_slots", "windows", "reason"),
    [
        (0, 1, 1, "escrow: zero slots"),
        (1, 0, 1, "escrow: min slots out of range"),
        (40, 33, 1, "escrow: min slots out of range"),
        (1, 1, 0, "escrow: zero windows"),
        (1, 1, 2**16 + 1, "escrow: too many windows"),
    ],
)
def test_batch_job_keeps_to_the_same_bounds(
    system: System, slots: int, min_slots: int, windows: int, reason: str
) -> None:
    with evm.reverts(reason):
        system.open_job(kind=BATCH, slots=slots, min_slots=min_slots, windows=windows)


def gate(system: System, **switches: Any) -> None:
    """Add a policy that asks payers for `switches` and for nothing else."""
    system.tariff.add_policy(PolicyTerms(**switches), sender=system.governor)


@pytest.mark.parametrize("hold", [System.freeze, System.suspend, System.blacklist])
def test_policy_that_asks_for_no_standing(system: System, hold: Callable[..., None]) -> None:
    hold(system, system.payer)
    gate(system, payer_level=VERIFIED)

    assert system.open_job() == 1


def test_policy_that_asks_for_standing_alone(system: System) -> None:
    gate(system, payer_standing=True)
    system.fund(system.stranger, 10**12)
    assert system.open_job(payer=system.stranger) == 1
    system.suspend(system.stranger)

    with evm.reverts("escrow: payer's standing"):
        system.open_job(payer=system.stranger)


def test_policy_that_asks_for_an_oracle_license(system: System) -> None:
    gate(system, payer_oracle=True)
    owner = system.oracle_owners[0]
    system.fund(owner, 10**12)
    assert system.open_job(payer=owner) == 1
    with evm.reverts("escrow: no oracle license"):
        system.open_job()

    system.licenses.transferFrom(owner, system.payer, 1, sender=owner)

    assert system.open_job() == 2
    with evm.reverts("escrow: no oracle license"):
        system.open_job(payer=owner)


def test_node_license_is_no_oracle_license(system: System) -> None:
    gate(system, payer_oracle=True)
    system.issue_node(system.payer)

    with evm.reverts("escrow: no oracle license"):
        system.open_job()


def test_gate_is_that_of_the_latest_policy(system: System) -> None:
    """G27: a policy that asks for more stops new jobs and no open one."""
    job_id = system.open_job()
    gate(system, payer_level=VERIFIED + 1)
    with evm.reverts("escrow: payer not verified"):
        system.open_job()

    system.desk.extend_job(job_id, 1, sender=system.payer)

    gate(system)
    assert system.open_job() == job_id + 1


def test_level_of_the_gate_is_any_that_a_policy_can_hold(system: System) -> None:
    gate(system, payer_level=63)
    system.attest(system.payer, 62)
    with evm.reverts("escrow: payer not verified"):
        system.open_job()
    system.attest(system.payer, 63)

    assert system.open_job() == 1
