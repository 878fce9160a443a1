"""Tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

import pytest

from workdeed.cli import output


def test_plain_lines_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_table("Jobs", ("job", "state"), [(1, "running"), (2, "closed")])
    output.emit_fields("Quote", {"price": "1.5"})
    output.emit_json({"a": 1})
    output.note("to a person")
    captured = capsys.readouterr()
    assert captured.out == 'job\tstate\n1\trunning\n2\tclosed\nprice: 1.5\n{\n  "a": 1\n}\n'
    assert captured.err == "to a person\n"


FOREIGN = "\x1b]0;title\x07[red]x\ny\tz\u202e"
SHOWN = r"\x1b]0;title\x07[red]x\x0ay\x09z\u202e"


def test_what_others_say_does_nothing_to_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    output.emit_table("Jobs", ("job", "state"), [(1, FOREIGN)])
    output.emit_fields("Quote", {"price": FOREIGN})
    output.note(FOREIGN)
    captured = capsys.readouterr()
    assert captured.out == f"job\tstate\n1\t{SHOWN}\nprice: {SHOWN}\n"
    assert captured.err == f"{SHOWN}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.emit_table(FOREIGN, ("job", "state"), [(1, FOREIGN)])
    output.emit_fields("Quote", {"price": FOREIGN})
    text = capsys.readouterr().out
    assert "\x07" not in text
    assert "\u202e" not in text
    assert text.count(SHOWN) == 3


def test_a_frame_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.emit_table("Jobs", ("job", "state"), [(1, "running")])
    output.emit_fields("Quote", {"price": "1.5"})
    text = capsys.readouterr().out
    assert "Jobs" in text
    assert "running" in text
    assert "\t" not in text
