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
