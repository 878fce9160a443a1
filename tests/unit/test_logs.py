"""The logs of a process."""

import json

import pytest
import structlog

from workdeed.logs import set_up

SECRET = "very-secret"


def fail(token: str) -> None:
    raise ValueError(f"no use for {len(token)} letters")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_traceback_shows_no_values(capsys: pytest.CaptureFixture[str], as_json: bool):
    set_up(json=as_json)
    try:
        fail(SECRET)
    except ValueError:
        structlog.get_logger("x").exception("it failed")
    out, err = capsys.readouterr()
    assert out == ""
    assert "it failed" in err
    assert "no use for 11 letters" in err
    assert "in fail" in err
    assert SECRET not in err


def test_each_event_is_one_line_for_machines(capsys: pytest.CaptureFixture[str]):
    set_up(json=True, level="info")
    log = structlog.get_logger("x")
    log.debug("chatter")
    log.info("news", number=1)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["number"]) == ("news", "info", 1)


def test_what_comes_first_sees_all_fields(capsys: pytest.CaptureFixture[str]):
    set_up(first=(lambda _, __, fields: fields | {"word": "plain"},))
    structlog.get_logger("x").info("news", word="\x1b[31m")
    assert "word=plain" in capsys.readouterr().err
