"""Claims of batch jobs: shards are paid once, to whoever served any window of the job."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, fee, gross, net
from tests.contracts.system import BATCH, JOB_LEAF, PRICE, UNIT, System

FAR = 2**256 - 1
SHARDS = 10


@pytest.fixture
def job_id(system: System, nodes: list[int]) -> int:
    """A batch job of ten shards and two licenses in its first window, 2, of five."""
    return system.start_job(nodes[:2], slots=SHARDS, windows=5, kind=BATCH)


def test_one_reported_window_opens_every_shard(
    system: System, nodes: list[int], job_id: int
) -> None:
    """A service license would be paid for one window at most."""
    system.advance_windows()
    system.report({(job_id, nodes[0]): 7 * UNIT})

    assert system.claim(job_id, nodes[0]) == net(7 * UNIT)
    assert system.escrow.assignment(job_id, nodes[0]).claimed_units == 7 * UNIT


def test_nothing_is_paid_before_a_window_is_reported(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.report({(job_id, nodes[0]): 7 * UNIT}, window=1)
    assert system.claim(job_id, nodes[0]) == 0
    system.advance_windows()
    system.report({(job_id, nodes[0]): 7 * UNIT}, final=False)
    assert system.claim(job_id, nodes[0]) == 0, "the leaf is proven by an earlier window's report"
    system.wait(system.challenge)

    assert system.claim(job_id, nodes[0]) == net(7 * UNIT)


def test_oracles_that_sign_nonsense_cannot_pay_more_than_the_job_has(
    system: System, nodes: list[int], job_id: int
) -> None:
    """M4: the sum of both is what was funded, whoever comes first."""
    system.advance_windows()
    system.report({(job_id, nodes[0]): 4 * UNIT, (job_id, nodes[1]): FAR})

    assert system.claim(job_id, nodes[0]) == net(4 * UNIT)
    assert system.claim(job_id, nodes[1]) == net(6 * UNIT)
    assert system.desk.job(job_id).claimed_units == SHARDS * UNIT
    assert system.escrow.liabilities() == fee(4 * UNIT) + fee(6 * UNIT)


def test_first_that_is_signed_everything_leaves_nothing(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.advance_windows()
    system.report({(job_id, license_id): FAR for license_id in nodes[:2]})

    assert system.claim(job_id, nodes[0]) == net(SHARDS * UNIT)
    assert system.claim(job_id, nodes[1]) == 0


def test_license_that_has_not_served_a_window_yet_earns_nothing(
    system: System, nodes: list[int], job_id: int
) -> None:
    """P15: placed in 2, it serves from 3 on; what is reported of 2 is not its own."""
    system.place(job_id, nodes[2:])
    system.to_window(3)
    system.report({(job_id, nodes[2]): FAR})
    assert system.claim(job_id, nodes[2]) == 0
    system.to_window(4)
    system.report({(job_id, nodes[2]): UNIT})

    assert system.claim(job_id, nodes[2]) == net(UNIT)


@pytest.mark.parametrize("ending", ["released", "cancelled", "completed"])
def test_license_that_never_served_a_window_never_earns(
    system: System, nodes: list[int], job_id: int, ending: str
) -> None:
    """P15: it was placed for the next window, and its term or the job ended before that."""
    system.place(job_id, nodes[2:])
    if ending == "released":
        system.place(job_id, release=nodes[2:])
    elif ending == "cancelled":
        system.desk.cancel_job(job_id, sender=system.payer)
    else:
        system.attest_result(job_id)
    system.to_window(8)
    system.report({(job_id, nodes[2]): FAR})

    assert system.claim(job_id, nodes[2]) == 0
    assert system.escrow.assignment(job_id, nodes[2]).claimed_units == 0


def test_license_that_was_never_placed_earns_nothing(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.to_window(8)
    system.report({(job_id, nodes[2]): FAR, (job_id, JOB_LEAF): FAR})
    proof = system.reports[-1].proof(job_id, JOB_LEAF)

    assert system.claim(job_id, nodes[2]) == 0
    assert system.escrow.claim(job_id, JOB_LEAF, FAR, proof) == 0


def test_replaced_license_keeps_the_shards_that_it_finished(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.advance_windows()
    system.place(job_id, nodes[2:], nodes[:1])
    system.to_window(6)
    system.report({(job_id, nodes[0]): 3 * UNIT, (job_id, nodes[2]): 5 * UNIT})

    assert system.claim(job_id, nodes[2]) == net(5 * UNIT)
    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)


def test_claims_cut_in_pieces_equal_one_claim(
    system: System, nodes: list[int], job_id: int
) -> None:
    """M5: the figures are cumulative, as those of a service job."""
    paid = []
    for figure in (3_333, 10_000, 66_667):
        system.advance_windows()
        system.report({(job_id, nodes[0]): figure})
        paid.append(system.claim(job_id, nodes[0]))
        assert system.claim(job_id, nodes[0]) == 0

    assert sum(paid) == net(66_667)


def test_shards_that_were_added_are_paid_too(system: System, nodes: list[int], job_id: int) -> None:
    system.desk.scale_job(job_id, SHARDS + 5, [], sender=system.payer)
    system.advance_windows()
    system.report({(job_id, nodes[0]): FAR})

    assert system.claim(job_id, nodes[0]) == net((SHARDS + 5) * UNIT)


def test_unserved_shards_come_back_with_the_close(
    system: System, nodes: list[int], job_id: int
) -> None:
    """At the deadline as after a result: what the job leaf says stays, the rest is refunded."""
    system.to_window(7)
    system.report({(job_id, nodes[0]): 35_000, (job_id, JOB_LEAF): 35_000})
    before = Books.of(system)

    assert system.close(job_id) == SHARDS * PRICE - gross(35_000)
    assert system.claim(job_id, nodes[0]) == net(35_000)
    assert Books.of(system).since(before).payer == SHARDS * PRICE - gross(35_000)
    assert system.escrow.liabilities() == fee(35_000)


def test_not_closed_before_its_deadline_is_reported(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.to_window(6)
    system.report({(job_id, JOB_LEAF): 0})

    with evm.reverts("escrow: end not reported"):
        system.close(job_id)
