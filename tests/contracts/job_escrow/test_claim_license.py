"""Rewards follow the license: transfers, replacement, coming back."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.job_escrow.books import net
from tests.contracts.system import UNIT, System, private_key

FAR = 2**64


def test_transferred_license_takes_its_rewards_along(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    seller, buyer = system.operators[0], system.operators[3]
    system.to_window(4)
    system.licenses.transferFrom(seller, buyer, nodes[0], sender=seller)
    system.report({(job_id, nodes[0]): 2 * UNIT})

    system.claim(job_id, nodes[0])

    assert system.token.balanceOf(buyer) == net(2 * UNIT)
    assert system.token.balanceOf(seller) == 0


def test_what_was_claimed_before_a_transfer_stays_with_the_seller(
    system: System, nodes: list[int]
) -> None:
    job_id = system.start_job(nodes[:1])
    seller, buyer = system.operators[0], system.operators[3]
    system.to_window(3)
    system.report({(job_id, nodes[0]): UNIT})
    system.claim(job_id, nodes[0])
    system.licenses.set_payout(nodes[0], system.stranger, sender=seller)
    system.licenses.transferFrom(seller, buyer, nodes[0], sender=seller)
    system.to_window(4)
    system.report({(job_id, nodes[0]): 2 * UNIT})
    system.claim(job_id, nodes[0])

    assert system.token.balanceOf(seller) == net(UNIT)
    assert system.token.balanceOf(buyer) == net(2 * UNIT) - net(UNIT)
    assert system.token.balanceOf(system.stranger) == 0


def test_license_stays_placed_though_its_node_changes(system: System, nodes: list[int]) -> None:
    job_id = system.start_job(nodes[:1])
    system.licenses.unlink_node(nodes[0], sender=system.operators[0])
    system.link(nodes[0], private_key("another node"))
    system.to_window(4)
    system.report({(job_id, nodes[0]): 2 * UNIT})

    assert system.claim(job_id, nodes[0]) == net(2 * UNIT)


def test_replaced_license_keeps_what_it_earned_and_earns_nothing_after(
    system: System, nodes: list[int]
) -> None:
    """Windows 2 to 4 are the first one's, 5 to 11 its successor's, whatever is signed."""
    first, second, _ = nodes
    job_id = system.start_job([first])
    system.to_window(4)
    system.place(job_id, [second], [first])

    system.to_window(5)
    system.report({(job_id, first): FAR, (job_id, second): FAR})
    assert system.claim(job_id, first) == net(3 * UNIT)
    assert system.claim(job_id, second) == 0

    system.to_window(12)
    system.report({(job_id, first): FAR, (job_id, second): FAR})
    assert system.claim(job_id, first) == 0
    assert system.claim(job_id, second) == net(7 * UNIT)
    assert system.desk.job(job_id).claimed_units == 10 * UNIT


def test_license_released_in_the_window_of_its_placement_earns_nothing(
    system: System, nodes: list[int]
) -> None:
    job_id = system.open_job(slots=2, min_slots=1)
    system.place(job_id, nodes[:2])
    system.place(job_id, [], nodes[:1])
    assert tuple(system.escrow.assignment(job_id, nodes[0])) == (2, 2, 0, 0)
    system.to_window(6)
    system.report({(job_id, nodes[0]): FAR})

    assert system.claim(job_id, nodes[0]) == 0


@pytest.mark.parametrize("reported", [None, 2])
def test_license_comes_back_only_once_its_release_is_reported(
    system: System, nodes: list[int], reported: int | None
) -> None:
    """Released from window 4 on: its last window is 3."""
    first, second, _ = nodes
    job_id = system.start_job([first], slots=2)
    system.to_window(3)
    system.place(job_id, [second], [first])
    system.to_window(5)
    if reported:
        system.report(window=reported)

    with evm.reverts("escrow: release not reported"):
        system.place(job_id, [first])

    system.report(window=3, final=False)
    with evm.reverts("escrow: release not reported"):
        system.place(job_id, [first])
    system.wait(system.challenge)
    system.place(job_id, [first])

    assert tuple(system.escrow.assignment(job_id, first)) == (6, 2**32 - 1, 2, 0)


def test_license_that_comes_back_adds_its_earlier_windows(system: System, nodes: list[int]) -> None:
    """Windows 2 and 3, then 8 to 11; the windows between are another's."""
    first, second, _ = nodes
    job_id = system.start_job([first])
    system.to_window(3)
    system.place(job_id, [second], [first])
    system.to_window(7)
    system.report({(job_id, first): FAR, (job_id, second): FAR})
    system.place(job_id, [first], [second])
    assert system.claim(job_id, first) == net(2 * UNIT)
    assert system.claim(job_id, second) == net(3 * UNIT)

    system.to_window(8)
    system.report({(job_id, first): FAR, (job_id, second): FAR})
    assert system.claim(job_id, first) == 0
    assert system.claim(job_id, second) == net(4 * UNIT) - net(3 * UNIT)

    system.to_window(12)
    system.report({(job_id, first): FAR, (job_id, second): FAR})
    assert system.claim(job_id, first) == net(6 * UNIT) - net(2 * UNIT)
    assert system.claim(job_id, second) == 0
    assert system.desk.job(job_id).claimed_units == 10 * UNIT


def test_license_that_comes_back_unclaimed_loses_nothing(system: System, nodes: list[int]) -> None:
    first, second, _ = nodes
    job_id = system.start_job([first])
    system.to_window(3)
    system.place(job_id, [second], [first])
    system.to_window(7)
    system.report()
    system.place(job_id, [first], [second])
    system.to_window(12)
    system.report({(job_id, first): 6 * UNIT})

    assert system.claim(job_id, first) == net(6 * UNIT)


def test_license_comes_back_more_than_once(system: System, nodes: list[int]) -> None:
    first, second, _ = nodes
    job_id = system.start_job([first], windows=20)
    for window in (3, 6, 9, 12):
        system.to_window(window)
        if system.reports or window > 3:
            system.report()
        first, second = second, first
        system.place(job_id, [first], [second])
    system.to_window(22)
    system.report({(job_id, nodes[0]): FAR, (job_id, nodes[1]): FAR})

    # Windows 2 3 | 4 5 6 | 7 8 9 | 10 11 12 | 13 to 21, in turn.
    assert system.claim(job_id, nodes[0]) == net((2 + 3 + 9) * UNIT)
    assert system.claim(job_id, nodes[1]) == net((3 + 3) * UNIT)


def test_license_released_and_assigned_in_one_window_never_counts_it_twice(
    system: System, nodes: list[int]
) -> None:
    """Released from 3 on and back from 4 on, with window 2 reported: it never serves 3."""
    job_id = system.start_job(nodes[:1], slots=2)
    system.place(job_id, [], nodes[:1])
    system.to_window(3)
    system.report()
    system.place(job_id, nodes[:1])
    system.to_window(6)
    system.report({(job_id, nodes[0]): FAR})

    assert tuple(system.escrow.assignment(job_id, nodes[0])) == (4, 2**32 - 1, 1, 0)
    assert system.claim(job_id, nodes[0]) == net(3 * UNIT)
