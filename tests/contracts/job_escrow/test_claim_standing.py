"""Payments are held, with the reason, while license, owner or node is not in good standing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import Books, net
from tests.contracts.system import UNIT, System, account

REASONS = [
    (System.freeze, "escrow: payee frozen"),
    (System.suspend, "escrow: payee suspended"),
    (System.blacklist, "escrow: payee blacklisted"),
]


@pytest.fixture
def job_id(system: System, nodes: list[int]) -> int:
    """A job of two licenses with one window served by each."""
    job_id = system.start_job(nodes[:2])
    system.advance_windows()
    system.report({(job_id, nodes[0]): UNIT, (job_id, nodes[1]): UNIT})
    return job_id


@pytest.mark.parametrize(("hold", "reason"), REASONS)
@pytest.mark.parametrize("which", ["license", "owner", "node"])
def test_payee_in_bad_standing_waits(
    system: System,
    nodes: list[int],
    job_id: int,
    hold: Callable[..., None],
    reason: str,
    which: str,
) -> None:
    hold(system, system.target(nodes[0], which))
    before = Books.of(system)

    with evm.reverts(reason):
        system.claim(job_id, nodes[0])
    assert Books.of(system) == before

    system.reinstate(system.target(nodes[0], which))
    assert system.claim(job_id, nodes[0]) == net(UNIT)


@pytest.mark.parametrize(("hold", "reason"), REASONS)
def test_others_are_paid_meanwhile(
    system: System, nodes: list[int], job_id: int, hold: Callable[..., None], reason: str
) -> None:
    hold(system, nodes[0])

    assert system.claim(job_id, nodes[1]) == net(UNIT)
    with evm.reverts(reason):
        system.claim(job_id, nodes[0])


def test_worst_standing_is_the_reason(system: System, nodes: list[int], job_id: int) -> None:
    system.freeze(nodes[0])
    system.suspend(system.operators[0])
    with evm.reverts("escrow: payee suspended"):
        system.claim(job_id, nodes[0])
    system.blacklist(system.node_of(nodes[0]))

    with evm.reverts("escrow: payee blacklisted"):
        system.claim(job_id, nodes[0])


def test_freeze_releases_by_itself(system: System, nodes: list[int], job_id: int) -> None:
    system.freeze(nodes[0])
    system.wait(system.freeze_period - 1)
    with evm.reverts("escrow: payee frozen"):
        system.claim(job_id, nodes[0])
    system.wait(1)

    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_operator_is_not_held_longer_by_freezing_in_turn(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.freeze(nodes[0])
    system.wait(system.freeze_period)

    for which in ("license", "owner", "node"):
        with evm.reverts("trust: freeze cooldown"):
            system.freeze(system.target(nodes[0], which))
    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_suspension_releases_at_its_end(system: System, nodes: list[int], job_id: int) -> None:
    system.suspend(nodes[0], seconds=1_000)
    system.wait(999)
    with evm.reverts("escrow: payee suspended"):
        system.claim(job_id, nodes[0])
    system.wait(1)

    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_hold_is_not_escaped_by_another_payout_address(
    system: System, nodes: list[int], job_id: int
) -> None:
    system.suspend(nodes[0])
    system.licenses.set_payout(nodes[0], account("fresh"), sender=system.operators[0])

    with evm.reverts("escrow: payee suspended"):
        system.claim(job_id, nodes[0])


def test_node_that_is_no_longer_linked_holds_nothing(
    system: System, nodes: list[int], job_id: int
) -> None:
    node = system.node_of(nodes[0])
    system.licenses.unlink_node(nodes[0], sender=system.operators[0])
    system.suspend(node)

    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_what_is_held_is_not_lost_to_a_close(system: System, nodes: list[int], job_id: int) -> None:
    system.suspend(nodes[0], seconds=10**8)
    system.to_window(12)
    units = {(job_id, nodes[0]): UNIT, (job_id, nodes[1]): UNIT, (job_id, 0): 2 * UNIT}
    system.report(units)
    system.close(job_id)
    system.reinstate(nodes[0])

    assert system.claim(job_id, nodes[0]) == net(UNIT)


def test_unverified_owner_is_still_paid(system: System, nodes: list[int], job_id: int) -> None:
    """Verification is asked for when a license is placed; what was earned since is due."""
    system.trust.revoke(system.operators[0], sender=system.issuer)

    assert system.claim(job_id, nodes[0]) == net(UNIT)
