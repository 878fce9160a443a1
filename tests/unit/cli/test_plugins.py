"""Commands to native plugins: what is given as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import run


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("{", "it is no JSON"),
        ("[1]", "it is no JSON object; write {...}"),
        ("@missing.json", "write {...} or @FILE"),
        pytest.param("[" * 100_000, "it is no JSON", id="too deep"),
    ],
)
def test_what_is_no_object_is_refused(given: str, sentence: str, usual_recursion: None) -> None:
    for words in (("command", "1", "greet", given), ("configure", "1", given)):
        result = run(*words)
        assert result.exit_code == 1
        assert sentence in result.stderr


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("[]")
    result = run("configure", "1", f"@{path}")
    assert "config: it is no JSON object" in result.stderr


def test_a_configuration_must_be_given() -> None:
    result = run("configure", "1")
    assert result.exit_code == 2
    assert "CONFIG" in result.stderr
