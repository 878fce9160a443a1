"""Price classes and policy versions: `set_class`, `retire_class`, `add_policy`."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import gross
from tests.contracts.system import CLASSES, POLICY, PRICE, PolicyTerms, System, event

DEARER = (PRICE + 1, *CLASSES[0][1:])


def test_governor_sets_a_class(system: System) -> None:
    system.tariff.set_class(255, DEARER, sender=system.governor)

    assert event(system.tariff, "ClassSet") == {
        "class_id": 255,
        "price": PRICE + 1,
        "cpu_milli": 1_000,
        "memory_mb": 1_024,
        "storage_mb": 4_096,
        "retired": False,
    }
    assert tuple(system.tariff.class_of(255)) == (*DEARER, True, False)


def test_governor_retires_a_class_and_brings_it_back(system: System) -> None:
    system.tariff.retire_class(1, sender=system.governor)

    assert event(system.tariff, "ClassSet") == {
        "class_id": 1,
        "price": PRICE,
        "cpu_milli": 1_000,
        "memory_mb": 1_024,
        "storage_mb": 4_096,
        "retired": True,
    }
    assert tuple(system.tariff.class_of(1)) == (*CLASSES[0], True, True)
    with evm.reverts("rates: class retired"):
        system.open_job()

    system.tariff.set_class(1, DEARER, sender=system.governor)

    assert system.desk.job(system.open_job()).price == PRICE + 1


def test_retired_class_is_not_retired_again(system: System) -> None:
    system.tariff.retire_class(1, sender=system.governor)

    with evm.reverts("tariff: class retired"):
        system.tariff.retire_class(1, sender=system.governor)


def test_unknown_class_is_not_retired(system: System) -> None:
    with evm.reverts("tariff: unknown class"):
        system.tariff.retire_class(3, sender=system.governor)


@pytest.mark.parametrize("class_id", [0, 256, 2**256 - 1])
def test_class_out_of_range_is_refused(system: System, class_id: int) -> None:
    with evm.reverts("tariff: class out of range"):
        system.tariff.set_class(class_id, DEARER, sender=system.governor)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ((0, 1, 1, 1), "class: price out of range"),
        ((2**96, 1, 1, 1), "class: price out of range"),
        ((1, 2**32, 1, 1), "class: too large"),
        ((1, 1, 2**32, 1), "class: too large"),
        ((1, 1, 1, 2**32), "class: too large"),
    ],
)
def test_terms_that_do_not_fit_are_refused(
    system: System, terms: tuple[int, ...], reason: str
) -> None:
    with evm.reverts(reason):
        system.tariff.set_class(9, terms, sender=system.governor)


@pytest.mark.parametrize("changed", [1, 2, 3])
def test_resources_of_an_open_job_do_not_change(system: System, changed: int) -> None:
    """G27: only the price of a class may change; open jobs were promised its resources."""
    terms = list(CLASSES[0])
    terms[changed] += 1

    with evm.reverts("tariff: resources are fixed"):
        system.tariff.set_class(1, tuple(terms), sender=system.governor)

    assert tuple(system.tariff.class_of(1)) == (*CLASSES[0], True, False)


def test_class_that_was_never_set_reads_as_nothing(system: System) -> None:
    assert tuple(system.tariff.class_of(9)) == (0, 0, 0, 0, False, False)


def test_governor_adds_a_policy_for_new_jobs(system: System) -> None:
    policy = PolicyTerms(1, 2, 3, 4, 0, False, True, 5, 6)

    version = system.tariff.add_policy(policy, sender=system.governor)

    assert version == 2
    assert event(system.tariff, "PolicyAdded") == {
        "policy_version": 2,
        "oracle_bps": 1,
        "burn_bps": 2,
        "treasury_bps": 3,
        "sla_floor_bps": 4,
        "payer_level": 0,
        "payer_standing": False,
        "payer_oracle": True,
        "forfeit_payer_bps": 5,
        "forfeit_burn_bps": 6,
    }
    assert tuple(system.tariff.policy_of(2)) == policy
    assert tuple(system.tariff.policy_of(1)) == POLICY
    assert system.tariff.policy_version() == 2
    owner = system.oracle_owners[0]
    system.fund(owner, 10**12)
    assert system.desk.job(system.open_job(payer=owner)).policy_version == 2


@pytest.mark.parametrize("version", [0, 2, 2**256 - 1])
def test_unknown_policy_is_refused(system: System, version: int) -> None:
    with evm.reverts("tariff: unknown policy"):
        system.tariff.policy_of(version)
    with evm.reverts("rates: unknown policy"):
        system.escrow.ledger_of(version)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (PolicyTerms(10_001), "ledger: shares above 100%"),
        (PolicyTerms(4_000, 4_000, 2_001), "ledger: shares above 100%"),
        (PolicyTerms(sla_floor_bps=10_001), "tariff: floor above 100%"),
        (PolicyTerms(payer_level=2**6), "ledger: level too high"),
        (PolicyTerms(forfeit_payer_bps=10_001), "policy: parts above 100%"),
        (PolicyTerms(forfeit_payer_bps=1, forfeit_burn_bps=10_000), "policy: parts above 100%"),
    ],
)
def test_policy_out_of_bounds_is_refused(system: System, policy: PolicyTerms, reason: str) -> None:
    with evm.reverts(reason):
        system.tariff.add_policy(policy, sender=system.governor)


def test_there_are_at_most_32_policies(system: System) -> None:
    for version in range(2, 33):
        assert system.tariff.add_policy(POLICY, sender=system.governor) == version

    with evm.reverts("rates: too many policies"):
        system.tariff.add_policy(POLICY, sender=system.governor)
    assert system.tariff.policy_version() == 32


@pytest.mark.parametrize("role", ["guardian", "issuer", "deployer", "stranger"])
def test_only_the_governor_sets_terms(system: System, role: str) -> None:
    sender = getattr(system, role)

    with evm.reverts("roles: not the governor"):
        system.tariff.set_class(1, DEARER, sender=sender)
    with evm.reverts("roles: not the governor"):
        system.tariff.retire_class(1, sender=sender)
    with evm.reverts("roles: not the governor"):
        system.tariff.add_policy(POLICY, sender=sender)


def test_nothing_set_later_reaches_an_open_job(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    before = system.desk.job(job_id)

    system.tariff.set_class(1, DEARER, sender=system.governor)
    system.tariff.add_policy(PolicyTerms(10_000), sender=system.governor)
    system.tariff.retire_class(2, sender=system.governor)

    assert system.desk.job(job_id) == before
    system.advance_windows()
    system.report({(job_id, nodes[0]): 10_000})
    assert system.claim(job_id, nodes[0]) == gross(10_000) * 8 // 10 + 1


def test_books_of_each_version_stand_apart(system: System, nodes: list[int]) -> None:
    first = system.start_job(nodes[:1], windows=1)
    system.tariff.add_policy(PolicyTerms(0, 0, 100), sender=system.governor)
    second = system.open_job(windows=2)
    system.place(second, nodes[1:2])
    system.advance_windows(2)
    system.report({(first, nodes[0]): 10_000, (second, nodes[1]): 10_000})

    assert system.claim(first, nodes[0]) == PRICE - 200_000
    assert system.claim(second, nodes[1]) == PRICE - 10_000
    assert tuple(system.escrow.ledger_of(1)) == (200_000, 0, 200_000)
    assert tuple(system.escrow.ledger_of(2)) == (10_000, 0, PRICE + 10_000)
    assert system.escrow.liabilities() == 200_000 + PRICE + 10_000


def test_highest_floor_is_all_of_a_window(system: System) -> None:
    version = system.tariff.add_policy(PolicyTerms(sla_floor_bps=10_000), sender=system.governor)

    assert system.tariff.policy_of(version).sla_floor_bps == 10_000


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (PolicyTerms(payer_level=1), "escrow: payer not verified"),
        (PolicyTerms(payer_standing=True), "escrow: payer's standing"),
        (PolicyTerms(payer_oracle=True), "escrow: no oracle license"),
    ],
)
def test_escrow_asks_payers_for_what_the_policy_says(
    system: System, policy: PolicyTerms, reason: str
) -> None:
    """One switch at a time: the escrow gets each of them for itself."""
    system.fund(system.stranger, 10**12)
    system.blacklist(system.stranger)
    system.tariff.add_policy(policy, sender=system.governor)
    with evm.reverts(reason):
        system.open_job(payer=system.stranger)
    system.tariff.add_policy(PolicyTerms(), sender=system.governor)

    assert system.open_job(payer=system.stranger) == 1


def test_parts_that_the_escrow_takes_are_those_of_the_policy(
    system: System, nodes: list[int]
) -> None:
    """Each of the five shares arrives at the escrow as what it is."""
    policy = PolicyTerms(1_000, 200, 30, forfeit_payer_bps=6_000, forfeit_burn_bps=1_000)
    system.tariff.add_policy(policy, sender=system.governor)
    job_id = system.start_job(nodes[:2])
    system.advance_windows()
    system.report({(job_id, nodes[0]): 10_000, (job_id, nodes[1]): 10_000})
    system.claim(job_id, nodes[0])
    system.escrow.flush_fees(2)
    assert tuple(system.vault.pots()) == (100_000, 20_000, 3_000)
    system.blacklist(nodes[1])
    proof = system.reports[-1].proof(job_id, nodes[1])

    lost = system.escrow.forfeit(job_id, nodes[1], 10_000, proof)

    assert lost == PRICE - 123_000
    forfeited = event(system.escrow, "Forfeited")
    assert (forfeited["refund"], forfeited["burned"]) == (526_201, 87_701)
    assert forfeited["treasury"] == lost - 526_201 - 87_701
