"""Who signed final reports: one 8-bit counter a seat."""

from __future__ import annotations

from tests.contracts.oracle_committee.members import (
    KEY,
    ROOT,
    add_seat,
    issue_oracle,
    lanes,
    remove_seat,
    sign_final,
    sign_next,
    veto,
)
from tests.contracts.system import System


def seat_another(system: System) -> int:
    """Seat a fifth oracle on the first free seat and return the seat."""
    return add_seat(system, issue_oracle(system))


def test_report_counts_once_the_next_one_follows_it(system: System) -> None:
    sign_next(system, [0, 1, 2])
    assert lanes(system) == [0, 0, 0, 0, 0]
    sign_next(system, [1, 2, 3])
    assert lanes(system) == [1, 1, 1, 0, 0]
    sign_next(system, [0, 1, 2, 3])
    assert lanes(system) == [1, 2, 2, 1, 0]


def test_report_counts_once_it_is_final_and_somebody_settles(system: System) -> None:
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge - 1)
    system.committee.settle_rewards()
    assert lanes(system) == [0, 0, 0, 0, 0]
    system.wait(1)
    system.committee.settle_rewards()
    system.committee.settle_rewards()

    assert lanes(system) == [1, 1, 1, 0, 0]
    sign_next(system, [1, 2, 3])
    assert lanes(system) == [1, 1, 1, 0, 0]


def test_vetoed_report_never_counts(system: System) -> None:
    sign_next(system, [0, 1, 2])
    veto(system)
    system.committee.settle_rewards()
    system.advance_windows()
    sign_next(system, [1, 2, 3])
    sign_next(system, [0, 1, 3])

    assert lanes(system) == [0, 1, 1, 1, 0]


def test_report_before_a_vetoed_one_counts_once(system: System) -> None:
    sign_next(system, [0, 1, 2])
    sign_next(system, [1, 2, 3])
    veto(system)
    assert lanes(system) == [1, 1, 1, 0, 0]
    system.advance_windows()
    sign_next(system, [0, 2, 3])

    assert lanes(system) == [1, 1, 1, 0, 0]


def test_final_report_counts_before_a_seat_goes_and_its_counter_with_it(system: System) -> None:
    sign_final(system, [0, 1, 2])

    remove_seat(system, 0)

    assert lanes(system) == [0, 1, 1, 0, 0]
    sign_next(system, [1, 2, 3])
    assert lanes(system) == [0, 1, 1, 0, 0]


def test_new_seat_does_not_inherit_the_counter_of_the_freed_one(system: System) -> None:
    sign_next(system, [0, 1, 2], 2)
    remove_seat(system, 0)

    assert seat_another(system) == 0
    assert lanes(system)[0] == 0


def test_leaver_of_a_pending_report_does_not_count_for_who_takes_its_seat(system: System) -> None:
    sign_next(system, [0, 1, 2])
    remove_seat(system, 0)
    assert seat_another(system) == 0
    system.advance_windows()
    system.committee.submit_report(
        *system.report_arguments(ROOT, keys=[KEY, *system.oracle_keys[1:3]])
    )

    assert lanes(system) == [0, 1, 1, 0, 0]


def test_seat_added_while_a_report_is_pending_has_no_part_in_it(system: System) -> None:
    remove_seat(system, 0)
    sign_next(system, [1, 2, 3])

    assert seat_another(system) == 0
    system.wait(system.challenge)
    system.committee.settle_rewards()

    assert lanes(system) == [0, 1, 1, 1, 0]


def test_pending_report_that_is_vetoed_after_a_change_never_counts(system: System) -> None:
    sign_next(system, [0, 1, 2])
    seat_another(system)
    veto(system)
    system.advance_windows()
    system.oracle_keys.append(KEY)
    try:
        sign_next(system, [0, 1, 2, 4])
        sign_next(system, [0, 1, 2, 3])
    finally:
        system.oracle_keys.pop()

    assert lanes(system) == [1, 1, 1, 0, 1]


def test_vetoed_report_does_not_count_when_a_seat_changes_after_the_veto(system: System) -> None:
    sign_next(system, [0, 1, 2])
    veto(system)

    remove_seat(system, 3)

    assert lanes(system) == [0, 0, 0, 0, 0]


def test_transfer_of_an_oracles_license_counts_the_final_report_too(system: System) -> None:
    sign_final(system, [0, 1, 2])
    owner = system.oracle_owners[3]

    system.licenses.transferFrom(owner, system.operators[0], 4, sender=owner)

    assert lanes(system) == [1, 1, 1, 0, 0]


def test_counter_stays_at_255(system: System) -> None:
    sign_next(system, [0, 1, 2], 256)
    assert lanes(system) == [255, 255, 255, 0, 0]

    sign_next(system, [1, 2, 3], 2)

    assert lanes(system) == [255, 255, 255, 1, 0]
