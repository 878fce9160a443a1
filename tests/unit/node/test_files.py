"""Durable files and the lock of a state directory."""

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from workdeed.node.errors import StateError
from workdeed.node.files import (
    StateLock,
    private_directory,
    read_json,
    remove_tree,
    tree_bytes,
    write_atomic,
    write_json,
)

T = TypeVar("T")


def with_no_rights(what: Callable[[], T], folder: Path) -> T:
    """Return `what()` as the owner of all in `folder`, for whom folders may be closed, not as root.

    In a process of its own: all threads of one have the same user.
    """
    nobody = 65_534
    if os.geteuid() == 0:
        for parent, folders, names in os.walk(folder):
            for name in (".", *folders, *names):
                os.chown(Path(parent, name), nobody, nobody, follow_symlinks=False)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setresuid(nobody, nobody, nobody)
            os.write(writer, pickle.dumps(what()))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(answer)  # noqa: S301 - what this test itself wrote


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user gets to: those of pytest are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


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


def test_folders_that_a_task_closed_are_counted_all_the_same(shared: Path):
    inner = shared / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(bytes(1_000))
    (shared / "link").symlink_to(shared)
    (shared / "file").write_bytes(bytes(100))
    link = len(str(shared))
    for mode in (0o000, 0o400, 0o100):
        for folder in (inner, inner.parent):
            folder.chmod(mode)
        assert with_no_rights(lambda: tree_bytes(shared), shared) == 1_100 + link


@pytest.mark.parametrize("closed", ["tree", "tree/inner"])
def test_a_tree_that_a_task_closed_is_removed(shared: Path, closed: str):
    (shared / "tree/inner").mkdir(parents=True)
    (shared / "tree/inner/file").touch()
    (shared / closed).chmod(0)
    with_no_rights(lambda: remove_tree(shared / "tree"), shared)
    assert list(shared.iterdir()) == []


def test_a_link_in_the_place_of_a_folder_changes_nothing_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir(mode=0o511)
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    # What a task does between the look at a folder and the change of its mode.
    monkeypatch.setattr(Path, "is_symlink", lambda path: False)
    with pytest.raises(OSError, match="link"):
        remove_tree(tree)
    assert outside.stat().st_mode & 0o777 == 0o511


def test_what_vanishes_while_it_is_counted_counts_as_nothing(tmp_path: Path):
    assert tree_bytes(tmp_path / "missing") == 0
