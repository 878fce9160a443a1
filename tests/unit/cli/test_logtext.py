"""What workloads print does nothing to a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.cli.logtext import LogText, visible


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_control_character_reaches_the_terminal(pieces: list[bytes]) -> None:
    text = LogText("a | ")
    shown = "".join(text.feed(piece) for piece in pieces) + text.end()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert all(line.startswith("a | ") for line in shown.splitlines())


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126))), st.data())
def test_plain_lines_come_out_as_they_went_in(lines: list[str], data: st.DataObject) -> None:
    whole = "".join(f"{line}\n" for line in lines).encode()
    cut = data.draw(st.integers(0, len(whole)))
    text = LogText()
    assert text.feed(whole[:cut]) + text.feed(whole[cut:]) + text.end() == whole.decode()


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
        ("50 %\r100 %", r"50 %\x0d100 %"),
        ("\x9b31m", r"\x9b31m"),
        ("safe\u202etxt.exe", r"safe\u202etxt.exe"),
        ("a\u2028b", r"a\u2028b"),
        ("tab\tgrüße 😀", "tab\tgrüße 😀"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_escapes_are_shown_by_their_number(output: str, shown: str) -> None:
    assert visible(output) == shown


def test_a_character_and_a_line_may_come_in_pieces() -> None:
    text = LogText("7 | ")
    assert text.feed("grü".encode()[:-1]) == ""
    assert text.feed("grü".encode()[-1:] + b"\r") == ""
    assert text.feed(b"\nnext") == "7 | grü\n"
    assert text.end() == "7 | next\n"
    assert text.end() == ""


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    text = LogText()
    shown = "".join(text.feed(b"x" * 10_000) for _ in range(20))
    assert len(shown) > 100_000
