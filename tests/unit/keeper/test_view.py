"""What follows from the books at one moment."""

from __future__ import annotations

from books_support import CHALLENGE, Chain


def test_windows_are_unreported_only_while_a_job_ran_in_them(chain: Chain) -> None:
    """A job that begins after an idle month must not look like a month without reports."""
    chain.license(1)
    chain.open_job(1, windows=10)
    chain.to_window(700)
    assert chain.view().unreported == 0
    chain.place(1, [1], windows=4)  # runs in 701..704
    assert chain.view().unreported == 0
    chain.to_window(701)
    assert chain.view().unreported == 0
    chain.to_window(703)
    assert chain.view().unreported == 2
    chain.report(701)
    assert chain.view().unreported == 2  # it is not final yet
    chain.timestamp += CHALLENGE
    assert chain.view().unreported == 1
    chain.to_window(720)
    assert chain.view().unreported == 3
    chain.report(704)
    chain.timestamp += CHALLENGE
    assert chain.view().unreported == 0


def test_closed_jobs_wait_for_no_report(chain: Chain) -> None:
    chain.license(1)
    chain.open_job(1)
    chain.place(1, [1])
    chain.to_window(5)
    assert chain.view().unreported == 3
    chain.close(1, 0)
    assert chain.view().unreported == 0
