"""Durable files and the lock of a state directory."""

import contextlib
import os
import pickle
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from workdeed.node import files
from workdeed.node.errors import StateError
from workdeed.node.files import (
    DEEPEST,
    UNCOUNTABLE,
    StateLock,
    private_directory,
    read_json,
    remove_tree,
    told_in_mb,
    tree_bytes,
    write_atomic,
    write_json,
)

T = TypeVar("T")

NOBODY = 65_534


def with_no_rights(what: Callable[[], T], folder: Path) -> T:
    """Return `what()` as the owner of all in `folder`, for whom folders may be closed, not as root.

    In a process of its own: all threads of one have the same user.
    """
    if os.geteuid() == 0:
        for parent, folders, names in os.walk(folder):
            for name in (".", *folders, *names):
                os.chown(Path(parent, name), NOBODY, NOBODY, follow_symlinks=False)
    return as_nobody(what)


def as_nobody(what: Callable[[], T]) -> T:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setresuid(NOBODY, NOBODY, NOBODY)
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


def test_a_state_directory_is_free_though_a_child_has_not_executed_its_program_yet(tmp_path: Path):
    lock = StateLock(tmp_path)
    inherited = os.dup(lock._descriptor)
    lock.release()
    StateLock(tmp_path).release()
    os.close(inherited)


def make_deep(folder: Path, levels: int) -> None:
    """Make a folder in a folder and so on, with a file in the last; its path may be too long."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d" * 100, dir_fd=descriptor)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_folders_that_a_task_closed_are_counted_all_the_same(shared: Path):
    inner = shared / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(bytes(10_000))
    (shared / "link").symlink_to(shared)
    (shared / "file").write_bytes(bytes(100))
    expected = 4 * 4_096 + 3 * 4_096
    for mode in (0o000, 0o400, 0o100):
        for folder in (inner, inner.parent):
            folder.chmod(mode)
        assert with_no_rights(lambda: tree_bytes(shared), shared) == expected


def test_a_tree_deeper_than_any_path_reaches_is_removed(shared: Path):
    tree = shared / "tree"

    def make_and_remove() -> int:
        (tree / "beside").mkdir(parents=True)
        make_deep(tree, 1_500)
        make_deep(tree / "beside", 100)
        before = open_descriptors()
        remove_tree(tree)
        return open_descriptors() - before

    assert with_no_rights(make_and_remove, shared) == 0
    assert list(shared.iterdir()) == []


def test_a_tree_too_deep_to_be_counted_counts_as_too_much(tmp_path: Path):
    make_deep(tmp_path, DEEPEST - 1)
    before = open_descriptors()
    assert tree_bytes(tmp_path) == DEEPEST * 4_096
    for levels in (DEEPEST, 1_500):
        tree = tmp_path / str(levels)
        tree.mkdir()
        make_deep(tree, levels)
        assert tree_bytes(tree) == UNCOUNTABLE
        assert "over 128 levels deep" in told_in_mb(tree_bytes(tree))
        remove_tree(tree)
    assert open_descriptors() == before


def test_a_folder_that_a_task_closes_over_and_over_counts_as_too_much(shared: Path):
    (shared / "closed").mkdir()
    (shared / "closed" / "file").write_bytes(bytes(10_000))

    def count() -> int:
        measure = files._measure

        def closed_first(descriptor: int) -> tuple[int, list[str]]:
            found = measure(descriptor)
            if not found[1]:  # that of the inner folder
                raise PermissionError("closed")
            return found

        files._measure = closed_first
        return tree_bytes(shared)

    assert with_no_rights(count, shared) == UNCOUNTABLE


def test_a_folder_that_another_user_closed_counts_as_an_entry_alone(shared: Path):
    if os.geteuid() != 0:
        pytest.skip("needs root, who makes files of others")
    (shared / "closed").mkdir()
    (shared / "closed" / "file").write_bytes(bytes(10_000))

    def count() -> int:
        return tree_bytes(shared)

    other = 65_533
    with_no_rights(lambda: None, shared)
    os.chown(shared / "closed", other, other)
    (shared / "closed").chmod(0o700)
    (shared / "more").write_bytes(bytes(100))
    assert as_nobody(count) == 2 * 4_096


@pytest.mark.parametrize("closed", ["tree", "tree/inner", "tree/inner/deep"])
def test_a_tree_that_a_task_closed_is_removed(shared: Path, closed: str):
    (shared / "tree/inner/deep").mkdir(parents=True)
    (shared / "tree/inner/deep/file").touch()
    (shared / closed).chmod(0)
    with_no_rights(lambda: remove_tree(shared / "tree"), shared)
    assert list(shared.iterdir()) == []


def test_closed_folders_that_lie_deep_are_removed(shared: Path):
    folder = shared / "tree"
    for _ in range(40):
        folder /= "d"
    folder.mkdir(parents=True)
    while folder != shared:
        folder.chmod(0)
        folder = folder.parent
    with_no_rights(lambda: remove_tree(shared / "tree"), shared)
    assert list(shared.iterdir()) == []


def test_what_belongs_to_another_stays_and_all_else_goes(shared: Path):
    if os.geteuid() != 0:
        pytest.skip("needs root, who makes files of others")
    for name in ("tree/a", "tree/other", "tree/z"):
        (shared / name).mkdir(parents=True)
        (shared / name / "file").touch()
    with_no_rights(lambda: None, shared)
    os.chown(shared / "tree/other", 65_533, 65_533)

    def remove() -> str:
        try:
            remove_tree(shared / "tree")
        except PermissionError:
            return "told"
        return "not told"

    assert as_nobody(remove) == "told"
    assert [one.name for one in (shared / "tree").iterdir()] == ["other"]


@pytest.mark.parametrize("depth", [1, 40])
def test_links_lead_no_removal_and_no_count_out_of_a_tree(tmp_path: Path, depth: int):
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir(mode=0o511)
    (outside / "file").write_bytes(bytes(100_000))
    folder = tree.joinpath(*["d"] * depth)
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    assert tree_bytes(tree) == (depth + 1) * 4_096
    remove_tree(tree)
    assert outside.stat().st_mode & 0o777 == 0o511
    assert (outside / "file").exists()


@pytest.mark.parametrize("what", [remove_tree, tree_bytes])
def test_a_link_in_the_place_of_a_folder_changes_nothing_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: Callable[[Path], object]
):
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    (outside / "b").mkdir(parents=True)
    (outside / "b" / "file").touch()
    (outside / "b").chmod(0)
    (tree / "a" / "b").mkdir(parents=True)
    place = files._open_folder

    def swapping(name: str, within: int | None, rights: int) -> int:
        if name == "b":  # what a task does between the look at a folder and its being opened
            (tree / "a").rename(tmp_path / "moved")
            (tree / "a").symlink_to(outside)
        return place(name, within, rights)

    monkeypatch.setattr(files, "_open_folder", swapping)
    with contextlib.suppress(OSError):
        what(tree)
    assert (outside / "b").stat().st_mode & 0o777 == 0
    assert (outside / "b" / "file").exists()
    (tree / "a").unlink()
    assert list(tree.iterdir()) == []


def test_what_vanishes_while_it_is_counted_counts_as_nothing(tmp_path: Path):
    assert tree_bytes(tmp_path / "missing") == 0


def test_blocks_beyond_the_length_of_a_file_and_lengths_beyond_its_blocks_count(tmp_path: Path):
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 5_000_000)
    assert tree_bytes(tmp_path) == 5_000_000
    allocated = tmp_path / "allocated"
    allocated.touch()
    subprocess.run(["fallocate", "-n", "-l", "3000000", str(allocated)], check=True)
    assert allocated.stat().st_size == 0
    assert tree_bytes(tmp_path) >= 8_000_000


def test_empty_files_folders_and_links_count_a_page_each(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert tree_bytes(tmp_path) == 4 * 4_096
