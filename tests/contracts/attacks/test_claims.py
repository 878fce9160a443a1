"""Attempts to be paid more, twice, or what is another's."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import net
from tests.contracts.system import (
    BATCH,
    JOB_LEAF,
    PRICE,
    UNIT,
    System,
    deploy_system,
    private_key,
)
from workdeed.protocol.signing import address_of

EVERYTHING = 2**256 - 1


def test_donation_moves_no_entitlement(system: System, nodes: list[int]) -> None:
    """M1: tokens sent to the escrow are neither paid out nor able to stop a payment."""
    job_id = system.start_job(nodes[:1], windows=2)
    system.token.mint(system.escrow.address, 10**12)
    system.advance_windows(2)
    system.report({(job_id, nodes[0]): EVERYTHING, (job_id, JOB_LEAF): EVERYTHING})

    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)
    assert system.close(job_id) == 0
    system.escrow.flush_fees(1)

    assert system.escrow.liabilities() == 0
    assert system.token.balanceOf(system.escrow.address) == 10**12


def test_full_quorum_that_signs_everything_pays_no_window_that_was_not_served(
    system: System, nodes: list[int]
) -> None:
    """M4."""
    job_id = system.start_job(nodes[:2], windows=10)
    victim = system.start_job(nodes[2:], windows=10)
    locked = system.escrow.liabilities()
    system.advance_windows()
    system.report({(job_id, one): EVERYTHING for one in nodes})

    paid = [system.claim(job_id, one) for one in nodes]

    # Two windows of the first two licenses have passed, none of the third in this job.
    assert paid == [net(2 * UNIT), net(2 * UNIT), 0]
    assert system.desk.job(victim).claimed_units == 0
    assert system.escrow.liabilities() == locked - 2 * net(2 * UNIT)


def test_over_reported_last_window(system: System, nodes: list[int]) -> None:
    """M4, M6: a leaf above the deposit pays what is due and does not lock it."""
    job_id = system.start_job(nodes[:1], windows=1)
    system.advance_windows(5)
    system.report({(job_id, nodes[0]): 7 * UNIT})

    assert system.claim(job_id, nodes[0]) == net(UNIT)
    assert system.claim(job_id, nodes[0]) == 0


def test_job_leaf_of_zero_then_claims_from_the_deposits_of_others(
    system: System, nodes: list[int]
) -> None:
    """M1, M10: after a close at nothing there is nothing left, whatever is claimed."""
    job_id = system.start_job(nodes[:1], windows=1)
    victim = system.start_job(nodes[1:], windows=50)
    system.advance_windows(2)
    system.report({(job_id, JOB_LEAF): 0, (job_id, nodes[0]): UNIT})
    refund = system.close(job_id)
    assert refund == PRICE

    assert system.claim(job_id, nodes[0]) == 0
    assert system.desk.job(victim).claimed_units == 0
    assert system.token.balanceOf(system.escrow.address) == system.escrow.liabilities()


def test_license_zero(system: System, nodes: list[int]) -> None:
    """M4: the job's own leaf is no claim."""
    job_id = system.start_job(nodes[:1], windows=1)
    system.advance_windows(1)
    system.report({(job_id, JOB_LEAF): UNIT, (job_id, nodes[0]): 0})

    assert system.claim(job_id, JOB_LEAF) == 0


def test_fees_split_into_dust_claims(system: System, nodes: list[int]) -> None:
    """M5: claiming unit by unit leaves the same fees as claiming at once."""
    whole, cut = system.start_job(nodes[:1]), system.start_job(nodes[1:2])
    system.advance_windows()
    for units in range(1, 40):
        system.advance_windows()
        system.report({(cut, nodes[1]): units})
        system.claim(cut, nodes[1])
    taken = system.escrow.ledger_of(1)[0]
    system.advance_windows()
    system.report({(whole, nodes[0]): 39})
    system.claim(whole, nodes[0])

    assert system.escrow.ledger_of(1)[0] == 2 * taken
    balance = system.token.balanceOf
    assert balance(system.operators[0]) == balance(system.operators[1]) == net(39)


def test_batch_front_run_by_one_claim(system: System, nodes: list[int]) -> None:
    """M7: whoever claims one entry first costs the others of the batch nothing."""
    payee = system.operators[0]
    others = [system.issue_node(payee) for _ in range(2)]
    mine = [nodes[0], *others]
    job_id = system.start_job(mine)
    system.advance_windows()
    report = system.report({(job_id, one): UNIT for one in mine})
    entries = [(job_id, one, UNIT, report.proof(job_id, one)) for one in mine]
    system.claim(job_id, mine[1])

    assert system.escrow.claim_many(payee, entries) == 2 * net(UNIT)
    assert system.token.balanceOf(payee) == 3 * net(UNIT)


def test_leaf_used_in_two_escrows(system: System, nodes: list[int]) -> None:
    """M4: a leaf names its escrow."""
    other = deploy_system(oracles=1)
    job_id = system.start_job(nodes[:1])
    system.advance_windows()
    report = system.report({(job_id, nodes[0]): UNIT})
    here, proof = (job_id, nodes[0]), report.proof(job_id, nodes[0])
    assert system.claim(*here) == net(UNIT)
    foreign = system.tree({here: UNIT}).root
    arguments = other.report_arguments(foreign, window=other.now() - 1)
    other.committee.submit_report(*arguments)
    other.wait(other.challenge)

    with evm.reverts("escrow: wrong proof"):
        other.escrow.claim(*here, UNIT, proof)


@pytest.mark.parametrize("how", ["sold", "payout"])
def test_license_sold_mid_job(system: System, nodes: list[int], how: str) -> None:
    """L21: rewards follow the license; a payout address of the seller does not stay with it."""
    license_id, seller, buyer = nodes[0], system.operators[0], system.operators[3]
    job_id = system.start_job([license_id])
    if how == "payout":
        system.licenses.set_payout(license_id, seller, sender=seller)
    system.advance_windows()
    system.report({(job_id, license_id): UNIT})
    system.licenses.transferFrom(seller, buyer, license_id, sender=seller)

    assert system.claim(job_id, license_id) == net(UNIT)
    assert system.token.balanceOf(buyer) == net(UNIT)
    assert system.token.balanceOf(seller) == 0


def test_relink_to_steal_rewards(system: System, nodes: list[int]) -> None:
    """L21: taking over a node key takes over nothing that a license earned."""
    license_id, thief = nodes[0], system.operators[3]
    key = system.node_keys[license_id]
    job_id = system.start_job([license_id])
    system.advance_windows()
    system.report({(job_id, license_id): UNIT})
    system.licenses.unlink_node(license_id, sender=system.operators[0])
    stolen = system.issue(thief)
    system.link(stolen, key)

    with evm.reverts("escrow: wrong proof"):
        system.escrow.claim(job_id, stolen, UNIT, system.reports[-1].proof(job_id, license_id))
    assert system.claim(job_id, license_id) == net(UNIT)
    assert system.token.balanceOf(thief) == 0


def test_dust_spam(system: System, nodes: list[int]) -> None:
    """G28, M2: many tiny claims on one job cost others nothing and leave at most a unit each."""
    cheap = system.open_job(slots=3, windows=3, class_id=2)
    system.place(cheap, nodes)
    system.advance_windows(4)
    system.report({(cheap, one): 1 + index for index, one in enumerate(nodes)} | {(cheap, 0): 6})
    for one in nodes:
        for _ in range(5):
            system.claim(cheap, one)
    system.close(cheap)
    job = system.desk.job(cheap)

    assert job.claimed_units == job.funded_units == 6
    system.escrow.flush_fees(1)
    assert system.escrow.liabilities() <= len(nodes)


class TestServedShardsOfABatchArePaid:
    """M10: whatever the payer does under them."""

    def test_batch_scaled_down_under_served_shards(self, system: System, nodes: list[int]) -> None:
        job_id = system.start_job(nodes[:1], slots=3, kind=BATCH)

        with evm.reverts("desk: batch scaled down"):
            system.desk.scale_job(job_id, 1, [], sender=system.payer)

    def test_batch_cancelled_under_served_shards(self, system: System, nodes: list[int]) -> None:
        job_id = system.start_job(nodes[:1], slots=3, kind=BATCH)
        assert system.desk.cancel_job(job_id, sender=system.payer) == 0
        system.advance_windows()
        system.report({(job_id, nodes[0]): 2 * UNIT, (job_id, JOB_LEAF): 2 * UNIT})

        assert system.claim(job_id, nodes[0]) == net(2 * UNIT)
        assert system.close(job_id) == PRICE

    def test_result_attested_before_the_shards_are_paid(
        self, system: System, nodes: list[int]
    ) -> None:
        job_id = system.start_job(nodes[:1], slots=3, kind=BATCH)
        system.attest_result(job_id)
        with evm.reverts("desk: completed"):
            system.desk.cancel_job(job_id, sender=system.payer)
        system.advance_windows()
        system.report({(job_id, nodes[0]): 3 * UNIT})

        assert system.claim(job_id, nodes[0]) == net(3 * UNIT)


def test_reassigned_license_is_paid_no_window_without_it(system: System, nodes: list[int]) -> None:
    """P15: released, reported and back: the windows in between are not its own."""
    job_id = system.start_job(nodes[:2], windows=20)
    system.place(job_id, release=nodes[:1])
    system.advance_windows(3)
    system.report({})
    system.place(job_id, assign=nodes[:1])
    system.advance_windows(2)
    system.report({(job_id, nodes[0]): EVERYTHING})

    # One window before the release, one after the return.
    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)


def test_node_of_another_operator_is_linked_without_its_consent(system: System) -> None:
    """L21: a node is linked only where its key agrees."""
    license_id = system.issue(system.operators[3])
    victim = private_key("node of somebody else")
    consent = system.link_signature(license_id, victim, owner=system.operators[0])

    with evm.reverts("license: wrong node signature"):
        system.licenses.link_node(
            license_id, address_of(victim), 2**40, consent, sender=system.operators[3]
        )
