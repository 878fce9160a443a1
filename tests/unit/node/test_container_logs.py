"""Pieces of output, cursors, and what is kept of earlier containers."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.node.drivers.container_logs import (
    EarlierOutput,
    Piece,
    after,
    cursor_seconds,
    newest,
    parse_piece,
)

SECOND = 1_000_000_000
pieces = st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=8)), max_size=12).map(
    lambda steps: [
        Piece(sum(step for step, _ in steps[: place + 1]) * SECOND, data)
        for place, (_, data) in enumerate(steps)
    ]
)


@pytest.mark.parametrize(
    ("frame", "time", "data"),
    [
        (b"1970-01-01T00:00:02Z line\n", 2 * SECOND, b"line\n"),
        (b"1970-01-01T00:00:02.000000007Z x", 2 * SECOND + 7, b"x"),
        (b"1970-01-01T00:00:02.5Z x", 2 * SECOND + SECOND // 2, b"x"),
        (b"1970-01-01T01:00:00.25+01:00 ", SECOND // 4, b""),
        (b"1970-01-01T00:00:02Z 1970-01-01T00:00:03Z x", 2 * SECOND, b"1970-01-01T00:00:03Z x"),
        (b"no time", 0, b"no time"),
    ],
)
def test_times_as_engines_write_them(frame: bytes, time: int, data: bytes):
    assert parse_piece(frame) == Piece(time, data)


@given(pieces, st.integers(0, 60))
def test_the_newest_are_the_end_of_all(found: list[Piece], most: int):
    whole = b"".join(piece.data for piece in found)
    kept = b"".join(piece.data for piece in newest(found, most))
    assert kept == (whole[-most:] if most else b"")


@given(pieces, st.integers(1, 9))
def test_reading_on_gives_everything_once(found: list[Piece], most: int):
    read, cursor = b"", ""
    while (chunk := after(found, cursor, most)).data:
        assert len(chunk.data) <= most
        read, cursor = read + chunk.data, chunk.cursor
    assert read == b"".join(piece.data for piece in found)
    assert chunk.cursor == cursor


@given(pieces, pieces, st.integers(1, 9))
def test_reading_on_sees_what_comes_later(early: list[Piece], late: list[Piece], most: int):
    began = early[-1].time if early else 0
    found = [*early, *(Piece(began + piece.time, piece.data) for piece in late)]
    first = after(early, "", 10_000)
    assert first.data + after(found, first.cursor, 10_000).data == b"".join(
        piece.data for piece in found
    )


@pytest.mark.parametrize("cursor", ["nonsense", "1", "/", "-1/3", "1/2/3"])
def test_a_cursor_that_is_none_counts_as_the_beginning(cursor: str):
    assert after([Piece(SECOND, b"all")], cursor, 10).data == b"all"
    assert cursor_seconds(cursor) == 0


def test_a_cursor_whose_place_is_gone_goes_on_with_what_is_kept():
    cursor = after([Piece(SECOND, b"gone")], "", 10).cursor
    assert after([Piece(5 * SECOND, b"kept")], cursor, 10).data == b"kept"
    assert cursor_seconds(cursor) == 0
    assert cursor_seconds(f"{9 * SECOND + 5}/1") == 8


def test_what_is_kept_is_bounded_and_survives(tmp_path: Path):
    kept = EarlierOutput(tmp_path, 10)
    kept.add("task", [Piece(1, b"a first line\n")])
    kept.add("task", [Piece(2, b"then\n"), Piece(3, b"\n")])
    again = EarlierOutput(tmp_path, 10)
    assert b"".join(piece.data for piece in again.read("task")) == b"ine\nthen\n\n"
    assert again.names() == ["task"]
    assert again.size("task") > 0
    again.add("task", [])
    again.drop("task")
    assert (again.read("task"), again.names(), again.size("task")) == ([], [], 0)


def test_a_damaged_file_is_read_up_to_the_damage(tmp_path: Path):
    kept = EarlierOutput(tmp_path, 100)
    (tmp_path / "task.log").write_bytes(b"1 2\nok?damage")
    assert kept.read("task") == [Piece(1, b"ok")]
