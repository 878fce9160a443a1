"""What is known of the latest report, pending or final."""

from __future__ import annotations

from tests.contracts import evm
from tests.contracts.oracle_committee.members import ROOT, veto
from tests.contracts.system import System
from workdeed.protocol.hashing import keccak

OTHER_ROOT = keccak(b"another root")


def submit(system: System, root: bytes = ROOT) -> int:
    """Submit the report of the latest window that is over; return when it was accepted."""
    system.committee.submit_report(*system.report_arguments(root))
    return int(evm.env.timestamp)


def latest(system: System) -> tuple[int, bytes, int, int, int]:
    """Return window, root, time of acceptance, floor and vetoes."""
    window, root, accepted_at, floor, vetoes = system.committee.latest_report()
    return window, root, accepted_at, floor, vetoes


def veto_next(system: System) -> None:
    """Let two windows pass, submit a report and veto it."""
    system.advance_windows(2)
    submit(system, OTHER_ROOT)
    veto(system)


def test_there_is_none_at_first(system: System) -> None:
    assert latest(system) == (0, bytes(32), 0, 0, 0)
    assert system.committee.latest_window() == 0


def test_it_counts_from_its_acceptance(system: System) -> None:
    system.to_window(4)

    accepted_at = submit(system)

    assert latest(system) == (3, ROOT, accepted_at, 0, 0)
    assert system.committee.latest_window() == 3
    assert system.committee.final_report()[0] == 0


def test_veto_takes_it_back(system: System) -> None:
    system.to_window(2)
    submit(system)
    system.to_window(4)
    submit(system, OTHER_ROOT)
    assert system.committee.latest_window() == 3

    veto(system)

    assert latest(system) == (1, ROOT, 0, 4, 1)
    assert system.committee.latest_window() == 1


def test_vetoes_are_reported_until_a_later_report_is_final(system: System) -> None:
    """A guardian that looks before it acts sees how many vetoes it has left."""
    veto_next(system)
    veto_next(system)
    assert latest(system)[4] == 2
    system.advance_windows(2)
    submit(system)
    system.wait(system.challenge - 1)
    assert latest(system)[4] == 2

    system.wait(1)

    assert latest(system)[4] == 0


def test_vetoes_that_a_final_report_forgave_come_back_with_none(system: System) -> None:
    veto_next(system)
    system.advance_windows(2)
    submit(system)
    system.wait(system.challenge)

    veto_next(system)

    assert latest(system)[4] == 1


def test_restored_report_reports_the_vetoes_since(system: System) -> None:
    """It stood long before, so time alone forgives none."""
    system.to_window(2)
    submit(system)
    veto_next(system)
    system.wait(100 * system.window)

    assert latest(system)[2:] == (0, 4, 1)
