"""Who signed final reports: one 8-bit counter a seat."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contracts.system import System, account, private_key
from workdeed.protocol.hashing import keccak

ROOT = keccak(b"root")


def lanes(system: System) -> list[int]:
    """Return the counter of each of the first five seats."""
    return list(int(system.committee.participation()).to_bytes(32, "little")[:5])


def sign_next(system: System, seats: Sequence[int]) -> None:
    """Let a window pass and the members on `seats` sign its report."""
    system.advance_windows()
    keys = [system.oracle_keys[seat] for seat in seats]
    system.committee.submit_report(*system.report_arguments(ROOT, keys=keys))


def veto(system: System) -> None:
    """Veto the pending report."""
    system.committee.veto_report(bytes(32), sender=system.guardian)


def seat_another(system: System) -> int:
    """Seat a fifth oracle on the first free seat and return the seat."""
    license_id = system.issue(system.operators[0], kind=2)
    system.link(license_id, private_key("fifth oracle"))
    signer = account("fifth oracle")
    return int(system.committee.add_seat(license_id, signer, sender=system.governor))


def test_report_counts_once_the_next_one_follows_it(system: System) -> None:
    sign_next(system, [0, 1, 2])
    assert lanes(system) == [0, 0, 0, 0, 0]
    sign_next(system, [1, 2, 3])
    assert lanes(system) == [1, 1, 1, 0, 0]
    sign_next(system, [0, 1, 2, 3])
    assert lanes(system) == [1, 2, 2, 1, 0]


def test_vetoed_report_never_counts(system: System) -> None:
    sign_next(system, [0, 1, 2])
    veto(system)
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
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)

    system.committee.remove_seat(0, sender=system.governor)

    assert lanes(system) == [0, 1, 1, 0, 0]
    sign_next(system, [1, 2, 3])
    assert lanes(system) == [0, 1, 1, 0, 0]


def test_new_seat_does_not_inherit_the_counter_of_the_freed_one(system: System) -> None:
    sign_next(system, [0, 1, 2])
    sign_next(system, [0, 1, 2])
    system.committee.remove_seat(0, sender=system.governor)

    assert seat_another(system) == 0
    assert lanes(system)[0] == 0


def test_leaver_of_a_pending_report_does_not_count_for_who_takes_its_seat(system: System) -> None:
    sign_next(system, [0, 1, 2])
    system.committee.remove_seat(0, sender=system.governor)
    assert seat_another(system) == 0
    system.advance_windows()
    system.committee.submit_report(
        *system.report_arguments(ROOT, keys=[private_key("fifth oracle"), *system.oracle_keys[1:3]])
    )

    assert lanes(system) == [0, 1, 1, 0, 0]


def test_pending_report_that_is_vetoed_after_a_change_never_counts(system: System) -> None:
    sign_next(system, [0, 1, 2])
    seat_another(system)
    veto(system)
    system.advance_windows()
    system.oracle_keys.append(private_key("fifth oracle"))
    try:
        sign_next(system, [0, 1, 2, 4])
        sign_next(system, [0, 1, 2, 3])
    finally:
        system.oracle_keys.pop()

    assert lanes(system) == [1, 1, 1, 0, 1]


def test_vetoed_report_does_not_count_when_a_seat_changes_after_the_veto(system: System) -> None:
    sign_next(system, [0, 1, 2])
    veto(system)

    system.committee.remove_seat(3, sender=system.governor)

    assert lanes(system) == [0, 0, 0, 0, 0]


def test_transfer_of_an_oracles_license_settles_too(system: System) -> None:
    sign_next(system, [0, 1, 2])
    system.wait(system.challenge)
    owner = system.oracle_owners[3]

    system.licenses.transferFrom(owner, system.operators[0], 4, sender=owner)

    assert lanes(system) == [1, 1, 1, 0, 0]


def test_counter_stays_at_255(system: System) -> None:
    for _ in range(256):
        sign_next(system, [0, 1, 2])
    assert lanes(system) == [255, 255, 255, 0, 0]

    sign_next(system, [1, 2, 3])
    sign_next(system, [1, 2, 3])

    assert lanes(system) == [255, 255, 255, 1, 0]
