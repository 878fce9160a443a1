"""What blacklisted licenses lose, and who gets it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, fee, gross, net, parts
from tests.contracts.system import (
    BATCH,
    JOB_LEAF,
    POLICY,
    PRICE,
    UNIT,
    PolicyTerms,
    Report,
    System,
    deploy_system,
    event,
    events,
)

FAR = 2**256 - 1


@pytest.fixture
def job_id(system: System, nodes: list[int]) -> int:
    """A job of two licenses with one window served by each, reported and unclaimed."""
    job_id = system.start_job(nodes[:2])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT, (job_id, nodes[1]): UNIT})
    return job_id


def forfeit(system: System, job_id: int, license_id: int, report: Report | None = None) -> int:
    """Forfeit what the latest report says of a license; return what it lost."""
    report = report or system.reports[-1]
    units, proof = report.units[job_id, license_id], report.proof(job_id, license_id)
    return int(system.escrow.forfeit(job_id, license_id, units, proof, sender=system.stranger))


@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_its_pay_goes_to_payer_burn_and_treasury(
    system: System, nodes: list[int], job_id: int, which: str
) -> None:
    """M3: fees are taken as of any claim; half of the rest is the payer's, 30 % are burned."""
    system.blacklist(system.target(nodes[0], which))
    before = Books.of(system)

    lost = forfeit(system, job_id, nodes[0])

    assert event(system.escrow, "Forfeited") == {
        "job_id": job_id,
        "license_id": nodes[0],
        "payer": system.payer,
        "units": UNIT,
        "refund": 400_001,
        "burned": 240_001,
        "treasury": 160_001,
    }
    assert events(system.escrow, "Claimed") == []
    assert lost == net(UNIT) == 800_003
    assert Books.of(system).since(before) == Books(
        payer=400_001,
        operators=(0,) * 4,
        escrow=-800_003,
        liabilities=-800_003,
        fees=fee(UNIT),
    )
    assert tuple(system.vault.pots()) == (0, 240_001, 160_001)
    assert system.token.balanceOf(system.vault.address) == 400_002
    assert system.desk.job(job_id).claimed_units == UNIT
    assert system.escrow.assignment(job_id, nodes[0]).claimed_units == UNIT


def test_who_gets_it_is_said_by_whoever_collects(
    system: System, nodes: list[int], job_id: int
) -> None:
    """The vault hears of it from the escrow, in the transaction that sends the tokens."""
    system.blacklist(nodes[0])

    forfeit(system, job_id, nodes[0])

    booked = event(system.escrow, "Booked")

    assert booked["source"] == system.escrow.address
    assert (booked["oracles"], booked["burn"], booked["treasury"]) == (0, 240_001, 160_001)


def test_it_happens_once(system: System, nodes: list[int], job_id: int) -> None:
    """L22: exactly once, whoever asks how often."""
    system.blacklist(nodes[0])
    forfeit(system, job_id, nodes[0])
    before = Books.of(system)

    assert forfeit(system, job_id, nodes[0]) == 0
    assert events(system.escrow, "Forfeited") == []
    assert Books.of(system) == before


def test_reinstated_license_gets_what_it_earns_from_then_on(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.blacklist(nodes[0])
    forfeit(system, job_id, nodes[0])
    system.reinstate(nodes[0])
    assert system.claim(job_id, nodes[0]) == 0
    system.advance_windows()
    system.report({(job_id, nodes[0]): 2 * UNIT})

    with evm.reverts("escrow: not blacklisted"):
        forfeit(system, job_id, nodes[0])
    assert system.claim(job_id, nodes[0]) == net(2 * UNIT) - net(UNIT)


def test_what_was_paid_before_stays_paid(system: System, nodes: list[int], job_id: int) -> None:
    """The parts are those of the whole less those of what was claimed."""
    system.claim(job_id, nodes[0])
    paid = system.token.balanceOf(system.operators[0])
    system.advance_windows()
    system.report({(job_id, nodes[0]): 17_777})
    system.blacklist(nodes[0])

    lost = forfeit(system, job_id, nodes[0])

    assert lost == net(17_777) - net(UNIT)
    taken = event(system.escrow, "Forfeited")
    whole, before = parts(net(17_777)), parts(net(UNIT))
    assert (taken["refund"], taken["burned"], taken["treasury"]) == tuple(
        now - then for now, then in zip(whole, before, strict=True)
    )
    assert system.token.balanceOf(system.operators[0]) == paid


@pytest.mark.parametrize("hold", [System.freeze, System.suspend])
@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_license_that_is_held_loses_nothing(
    system: System, nodes: list[int], job_id: int, hold: Callable[..., None], which: str
) -> None:
    hold(system, system.target(nodes[0], which))

    with evm.reverts("escrow: not blacklisted"):
        forfeit(system, job_id, nodes[0])


def test_license_in_good_standing_loses_nothing(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.blacklist(nodes[0])

    with evm.reverts("escrow: not blacklisted"):
        forfeit(system, job_id, nodes[1])
    assert system.claim(job_id, nodes[1]) == net(UNIT)


def test_transfer_does_not_save_it(system: System, nodes: list[int], job_id: int) -> None:
    """L22: neither a new owner nor another node or payout address gets around it."""
    system.blacklist(nodes[0])
    owner = system.operators[0]
    system.licenses.set_payout(nodes[0], system.stranger, sender=owner)
    with evm.reverts("license: not in good standing"):
        system.licenses.transferFrom(owner, system.operators[3], nodes[0], sender=owner)
    with evm.reverts("license: not in good standing"):
        system.licenses.unlink_node(nodes[0], sender=owner)

    assert forfeit(system, job_id, nodes[0]) == net(UNIT)
    assert system.token.balanceOf(system.stranger) == 0


def test_license_that_does_not_exist_forfeits_nothing(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.advance_windows()
    system.report({(job_id, 1_000): 2 * UNIT})
    with evm.reverts("escrow: not blacklisted"):
        forfeit(system, job_id, 1_000)
    system.blacklist(1_000)
    before = Books.of(system)

    assert forfeit(system, job_id, 1_000) == 0
    assert events(system.escrow, "Forfeited") == []
    assert Books.of(system) == before


def test_job_leaf_is_never_forfeited(system: System, nodes: list[int], job_id: int) -> None:
    """M4: license 0 stands for the job's total, and nobody can blacklist it."""
    system.advance_windows()
    system.report({(job_id, JOB_LEAF): 2 * UNIT})
    with evm.reverts("trust: zero subject"):
        system.blacklist(JOB_LEAF)

    with evm.reverts("escrow: not blacklisted"):
        forfeit(system, job_id, JOB_LEAF)


def test_wrong_proof_is_refused(system: System, nodes: list[int], job_id: int) -> None:
    system.blacklist(nodes[0])
    proof = system.reports[-1].proof(job_id, nodes[0])

    for arguments in (
        (job_id, nodes[0], UNIT + 1, proof),
        (job_id, nodes[0], UNIT, []),
        (job_id + 1, nodes[0], UNIT, proof),
    ):
        with evm.reverts("escrow: wrong proof"):
            system.escrow.forfeit(*arguments)


def test_not_before_the_challenge_time_is_over(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.advance_windows()
    report = system.report({(job_id, nodes[0]): 2 * UNIT}, final=False)
    system.blacklist(nodes[0])

    with evm.reverts("escrow: wrong proof"):
        forfeit(system, job_id, nodes[0], report)
    assert forfeit(system, job_id, nodes[0], system.reports[-2]) == net(UNIT)


def test_never_more_than_its_windows_nor_than_the_job_has(
    system: System, nodes: list[int], job_id: int
) -> None:
    """M4: whatever the oracles sign, a job loses no more by forfeits than by claims."""
    system.blacklist(nodes[0])
    system.advance_windows()
    system.report({(job_id, nodes[0]): FAR})
    assert forfeit(system, job_id, nodes[0]) == net(2 * UNIT)

    system.to_window(12)
    system.report({(job_id, nodes[0]): FAR, (job_id, JOB_LEAF): 3 * UNIT})
    system.close(job_id)

    assert forfeit(system, job_id, nodes[0]) == net(3 * UNIT) - net(2 * UNIT)
    assert system.escrow.liabilities() == fee(3 * UNIT)


def test_shards_of_a_batch_job_are_forfeited_too(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1], slots=5, kind=BATCH)
    system.advance_windows()
    system.report({(job_id, nodes[0]): 4 * UNIT})
    system.blacklist(nodes[0])

    assert forfeit(system, job_id, nodes[0]) == net(4 * UNIT)


def test_after_an_unattested_close_nothing_is_left_to_lose(
    system: System, nodes: list[int], job_id: int
) -> None:
    """L22: it was refunded instead."""
    system.blacklist(nodes[0])
    system.to_window(12)
    system.desk.request_close(job_id, sender=system.payer)
    system.to_window(12 + system.close_grace + 1)
    assert system.desk.close_unattested(job_id) == 20 * PRICE

    assert forfeit(system, job_id, nodes[0]) == 0
    assert system.escrow.liabilities() == 0


@pytest.mark.parametrize(
    "policy",
    [
        PolicyTerms(forfeit_payer_bps=10_000),
        PolicyTerms(forfeit_burn_bps=10_000),
        PolicyTerms(),
        PolicyTerms(10_000, forfeit_payer_bps=10_000),
        PolicyTerms(3_333, 3_333, 3_333, forfeit_payer_bps=3_333, forfeit_burn_bps=3_333),
        PolicyTerms(1, 1, 1, forfeit_payer_bps=1, forfeit_burn_bps=9_999),
    ],
)
def test_parts_are_those_of_the_policy_of_the_opening(policy: PolicyTerms) -> None:
    """M12: a policy that comes later changes nothing for an open job."""
    system = deploy_system(oracles=1, policy=policy)
    node = system.issue_node()
    job_id = system.start_job([node])
    system.tariff.add_policy(POLICY, sender=system.governor)
    system.advance_windows()
    system.report({(job_id, node): 9_999})
    system.blacklist(node)
    before = system.token.balanceOf(system.payer)

    lost = forfeit(system, job_id, node)

    fees = gross(9_999) * sum(policy[:3]) // 10_000
    assert lost == gross(9_999) - fees
    refund, burned, treasury = parts(lost, policy)
    assert system.token.balanceOf(system.payer) - before == refund
    assert tuple(system.vault.pots()) == (0, burned, treasury)


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    price=st.one_of(st.integers(1, 30), st.integers(1, 10**7), st.integers(1, 2**80)),
    figures=st.lists(st.integers(0, 6 * UNIT), min_size=1, max_size=5).map(sorted),
    claims=st.integers(0, 5),
)
def test_cutting_it_in_pieces_changes_nothing(
    system: System, price: int, figures: list[int], claims: int
) -> None:
    """M3, M5: claims first, forfeits then; each ends with the same parts as one of all of it."""
    with evm.env.anchor():
        system.tariff.set_class(1, (price, 1_000, 1_024, 4_096), sender=system.governor)
        node = system.issue_node()
        before = Books.of(system)
        job_id = system.start_job([node], windows=6)
        system.to_window(8)
        for figure in figures[:claims]:
            system.report({(job_id, node): figure})
            system.claim(job_id, node)
            system.advance_windows()
        system.blacklist(node)
        for figure in figures[claims:]:
            system.report({(job_id, node): figure})
            forfeit(system, job_id, node)
            system.advance_windows()

        kept = net(max(figures[:claims], default=0), price)
        whole = parts(net(figures[-1], price))
        refund, burned, treasury = (
            now - then for now, then in zip(whole, parts(kept), strict=True)
        )
        moved = Books.of(system).since(before)
        assert moved.operators[0] == kept
        assert moved.payer == refund - 6 * price
        assert tuple(system.vault.pots()) == (0, burned, treasury)
        assert moved.fees == fee(figures[-1], price)
        assert moved.liabilities == 6 * price - gross(figures[-1], price) + moved.fees
        assert moved.escrow == moved.liabilities
