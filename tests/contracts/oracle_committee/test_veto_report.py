"""Vetoes: what they restore, what they burn, how many there are."""

from __future__ import annotations

import pytest

from tests.contracts import evm
from tests.contracts.system import System, event
from workdeed.protocol.hashing import keccak

REASON = keccak(b"reason")
ROOT, BAD_ROOT = keccak(b"root"), keccak(b"bad root")


def submit(system: System, root: bytes, window: int | None = None) -> None:
    """Submit a report, of the latest window that is over unless told."""
    system.committee.submit_report(*system.report_arguments(root, window=window))


def veto(system: System) -> None:
    """Veto as the guardian."""
    system.committee.veto_report(REASON, sender=system.guardian)


def advance_and_veto(system: System) -> None:
    """Let two windows pass, submit and veto."""
    system.advance_windows(2)
    submit(system, BAD_ROOT)
    veto(system)


def test_veto_restores_the_previous_report(system: System) -> None:
    system.to_window(3)
    submit(system, ROOT)
    system.to_window(5)
    submit(system, BAD_ROOT)
    system.wait(system.challenge - 1)

    veto(system)

    assert event(system.committee, "ReportVetoed") == {
        "window": 4,
        "guardian": system.guardian,
        "floor": 5,
        "reason": REASON,
    }
    assert tuple(system.committee.final_report()) == (2, ROOT)
    assert tuple(system.committee.latest_report()) == (2, ROOT, 0, 5, 1)
    system.wait(10 * system.window)
    assert tuple(system.committee.final_report()) == (2, ROOT)


def test_veto_of_the_first_report_leaves_none(system: System) -> None:
    system.to_window(3)
    submit(system, BAD_ROOT)

    veto(system)

    assert tuple(system.committee.final_report()) == (0, bytes(32))
    assert tuple(system.committee.latest_report()) == (0, bytes(32), 0, 3, 1)


def test_veto_in_the_next_window_uses_that_window_up_too(system: System) -> None:
    system.to_window(4)
    system.wait(system.window - 1)
    submit(system, BAD_ROOT)
    system.wait(1)

    veto(system)

    assert event(system.committee, "ReportVetoed")["floor"] == 5


@pytest.mark.parametrize("window", [3, 4, 5])
def test_every_window_up_to_the_current_one_is_used_up(system: System, window: int) -> None:
    system.to_window(3)
    submit(system, ROOT)
    system.to_window(5)
    submit(system, BAD_ROOT, window=3)
    veto(system)
    system.to_window(8)

    with evm.reverts("committee: window vetoed"):
        submit(system, BAD_ROOT, window=window)
    submit(system, ROOT, window=6)
    system.wait(system.challenge)

    assert tuple(system.committee.final_report()) == (6, ROOT)


def test_what_was_signed_before_the_veto_never_counts_after_it(system: System) -> None:
    system.to_window(5)
    kept = [system.report_arguments(BAD_ROOT, window=window) for window in range(1, 5)]
    current = system.report_arguments(BAD_ROOT, window=5)
    submit(system, BAD_ROOT)
    veto(system)
    system.to_window(7)

    for arguments in (*kept, current):
        with evm.reverts("committee: window vetoed"):
            system.committee.submit_report(*arguments)


def test_first_window_after_a_veto_must_be_over(system: System) -> None:
    system.to_window(3)
    submit(system, BAD_ROOT)
    veto(system)

    system.to_window(4)
    with evm.reverts("committee: window not over"):
        submit(system, ROOT, window=4)
    system.to_window(5)
    submit(system, ROOT, window=4)

    assert system.committee.latest_report()[0] == 4


def test_veto_restores_through_several_in_a_row(system: System) -> None:
    system.to_window(2)
    submit(system, ROOT)
    system.wait(system.challenge)
    for vetoes in (1, 2, 3):
        advance_and_veto(system)
        assert tuple(system.committee.final_report()) == (1, ROOT)
        assert system.committee.latest_report()[4] == vetoes


def test_there_is_no_fourth_veto_in_a_row(system: System) -> None:
    for _ in range(3):
        advance_and_veto(system)
    system.advance_windows(2)
    submit(system, ROOT)

    with evm.reverts("committee: too many vetoes"):
        veto(system)
    system.wait(system.challenge)

    assert system.committee.final_report()[1] == ROOT


def test_vetoes_count_anew_after_a_final_report(system: System) -> None:
    for _ in range(3):
        advance_and_veto(system)
    system.advance_windows(2)
    submit(system, ROOT)
    system.advance_windows(2)

    for vetoes in (1, 2, 3):
        submit(system, BAD_ROOT)
        veto(system)
        assert system.committee.latest_report()[1] == ROOT
        assert system.committee.latest_report()[4] == vetoes
        system.advance_windows(2)

    submit(system, BAD_ROOT)
    with evm.reverts("committee: too many vetoes"):
        veto(system)


def test_final_report_is_not_vetoed(system: System) -> None:
    system.to_window(2)
    submit(system, ROOT)
    system.wait(system.challenge)

    with evm.reverts("committee: nothing pending"):
        veto(system)


def test_nothing_is_vetoed_twice(system: System) -> None:
    system.to_window(2)
    submit(system, ROOT)
    veto(system)

    with evm.reverts("committee: nothing pending"):
        veto(system)


def test_nothing_to_veto_before_the_first_report(system: System) -> None:
    with evm.reverts("committee: nothing pending"):
        veto(system)


@pytest.mark.parametrize("role", ["governor", "issuer", "deployer", "stranger"])
def test_only_the_guardian_vetoes(system: System, role: str) -> None:
    system.to_window(2)
    submit(system, ROOT)

    with evm.reverts("roles: not the guardian"):
        system.committee.veto_report(REASON, sender=getattr(system, role))


def test_money_never_rests_on_a_vetoed_report(system: System) -> None:
    node = system.issue_node()
    job_id = system.start_job([node])
    system.advance_windows()
    report = system.report({(job_id, node): 10_000}, final=False)
    veto(system)
    system.wait(system.challenge)

    with evm.reverts("escrow: wrong proof"):
        system.claim(job_id, node, report)
