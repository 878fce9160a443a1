"""Where the values of secrets come from, and that none is ever typed on a command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import run

from workdeed.chain.keys import KeySourceError
from workdeed.cli import secrets as module
from workdeed.cli.errors import Failure
from workdeed.cli.secrets import read_values, variable

SPEC = """
name = "hello"
class_id = 1
runner = "war"
run = ["true"]
env = { TOKEN = { secret = "token" } }
resources = { cpu_milli = 1, memory_mb = 1, storage_mb = 1 }

[source.git]
url = "https://example.org/x"
commit = "0000000000000000000000000000000000000000"
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return str(path)


@pytest.mark.parametrize("command", [("deploy", "--windows", "5"), ("update", "1")])
def test_a_value_on_the_command_line_is_refused_and_not_repeated(
    spec: str, command: tuple[str, ...]
) -> None:
    name, *others = command
    result = run(name, *others, spec, "--secret", "token=s3cret-word")
    assert result.exit_code == 1
    assert "write token=@FILE, or set WORKDEED_SECRET_TOKEN" in result.stderr
    assert "s3cret" not in result.output + result.stderr


def test_spares_without_secrets_to_seal_are_refused(spec: str) -> None:
    result = run("update", "1", spec, "--spares", "3")
    assert result.exit_code == 1
    assert "--spares: nothing is sealed anew without --secret" in result.stderr


@pytest.mark.parametrize("given", ["=@file", "token=@", ""])
def test_half_an_option_is_refused(spec: str, given: str) -> None:
    result = run("deploy", spec, "--windows", "5", "--secret", given)
    assert result.exit_code == 1
    assert "write NAME" in result.stderr


def test_a_file_is_read_without_its_last_line_end(tmp_path: Path) -> None:
    path = tmp_path / "word"
    for content, value in (("word\n", "word"), ("word\r\n", "word"), ("a\nb\n\n", "a\nb\n")):
        path.write_bytes(content.encode())
        assert read_values((("token", path),)) == {"token": value}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"--secret token: cannot read .*none"):
        read_values((("token", tmp_path / "none"),))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(Failure, match="is not text"):
        read_values((("token", tmp_path / "binary"),))


def test_a_name_comes_once(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("x")
    with pytest.raises(Failure, match="there twice"):
        read_values((("token", tmp_path / "word"), ("token", None)))


def test_the_environment_has_values_or_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert variable("api-token") == "WORKDEED_SECRET_API_TOKEN"
    monkeypatch.setenv("WORKDEED_SECRET_API_TOKEN", "word")
    assert read_values((("api-token", None),)) == {"api-token": "word"}
    (tmp_path / "word").write_text("other\n")
    monkeypatch.setenv("WORKDEED_SECRET_API_TOKEN_FILE", str(tmp_path / "word"))
    with pytest.raises(KeySourceError, match="both set"):
        read_values((("api-token", None),))
    monkeypatch.delenv("WORKDEED_SECRET_API_TOKEN")
    assert read_values((("api-token", None),)) == {"api-token": "other"}


def test_without_a_terminal_nobody_is_asked(spec: str) -> None:
    result = run("deploy", spec, "--windows", "5", "--secret", "token", typed="s3cret\n")
    assert result.exit_code == 1
    assert "set WORKDEED_SECRET_TOKEN" in result.stderr


def test_on_a_terminal_a_value_is_asked_for_without_an_echo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def prompt(text: str, *, hide_input: bool, err: bool) -> str:
        asked.append((text, hide_input, err))
        return "word"

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(module.click, "prompt", prompt)
    monkeypatch.setattr(module.click, "get_text_stream", lambda name: Terminal())
    assert read_values((("token", None),)) == {"token": "word"}
    assert asked == [("Secret token", True, True)]
