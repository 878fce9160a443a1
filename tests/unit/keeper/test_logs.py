"""Logs: one line an event, and no repetitions."""

from __future__ import annotations

import json

import pytest
import structlog

from workdeed.keeper.logs import OnceLog, get_log, setup_logs
from workdeed.keeper.settings import LogSettings


def test_json_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log = setup_logs(LogSettings(format="json", level="info"))
    log.debug("hidden")
    log.info("shown", job=1)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["job"], found["level"]) == ("shown", 1, "info")


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logs(LogSettings(format="console", level="warning")).warning("look", job=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "look" in captured.err
    assert "job=1" in captured.err


def test_a_trouble_is_told_when_it_begins_changes_and_ends() -> None:
    with structlog.testing.capture_logs() as lines:
        once = OnceLog(get_log())
        once.fine("x")
        for reason in ("a", "a", "b"):
            once.trouble("x", reason)
        once.fine("x")
        once.trouble("y", "a")
        once.forget("y")
        once.fine("y")
    assert [(line["event"], line.get("reason")) for line in lines] == [
        ("trouble", "a"),
        ("trouble_goes_on", "a"),
        ("trouble", "b"),
        ("trouble_over", None),
        ("trouble", "a"),
    ]
