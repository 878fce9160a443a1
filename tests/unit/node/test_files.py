"""Durable files and the lock of a state directory."""

import os
from pathlib import Path

import pytest

from workdeed.node.errors import StateError
from workdeed.node.files import StateLock, private_directory, read_json, write_atomic, write_json


def test_files_are_for_their_owner_alone(tmp_path: Path):
    path = private_directory(tmp_path / "a" / "b") / "file"
    write_atomic(path, b"content")
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_crash_while_writing_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def crash(descriptor: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"


def test_json_is_read_back_and_its_absence_is_none(tmp_path: Path):
    write_json(tmp_path / "file", {"a": [1]})
    assert read_json(tmp_path / "file") == {"a": [1]}
    assert read_json(tmp_path / "missing") is None
    (tmp_path / "file").write_text("{")
    with pytest.raises(StateError, match="file is damaged"):
        read_json(tmp_path / "file")


def test_a_state_directory_has_one_agent(tmp_path: Path):
    lock = StateLock(tmp_path)
    with pytest.raises(StateError, match="another agent"):
        StateLock(tmp_path)
    lock.release()
    StateLock(tmp_path).release()
