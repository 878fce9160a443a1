"""What operators type about licenses is checked before anything is asked of a chain."""

from __future__ import annotations

import pytest
from cli_support import run

from workdeed.cli.licenses import _tell_drain
from workdeed.sdk.draining import DrainState


def test_draining_waits_or_does_not() -> None:
    result = run("license", "drain", "7", "--windows", "3", "--no-wait")
    assert result.exit_code == 1
    assert "--windows, --no-wait: give one of them" in result.stderr


@pytest.mark.parametrize("windows", ["-1", "soon"])
def test_windows_are_a_number(windows: str) -> None:
    result = run("license", "drain", "7", "--windows", windows)
    assert result.exit_code == 2
    assert "--windows" in result.stderr


@pytest.mark.parametrize(
    ("jobs", "text"),
    [((3, 5), "window 12: serves jobs 3, 5"), ((), "window 12: serves nothing; settling")],
)
def test_the_course_is_told(
    jobs: tuple[int, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _tell_drain(DrainState(12, jobs))
    assert text in capsys.readouterr().err
