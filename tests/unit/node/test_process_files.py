"""Files without a name that processes hold open."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workdeed.node.drivers.process_files import nameless_bytes


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """A file without a name, open twice."""
    path = tmp_path / "file"
    path.write_bytes(bytes(1_000_000))
    descriptors = [os.open(path, os.O_RDONLY) for _ in range(2)]
    path.unlink()
    yield tmp_path.stat().st_dev
    for descriptor in descriptors:
        os.close(descriptor)


def test_each_counts_once_whoever_holds_it(held: int):
    assert 1_000_000 <= nameless_bytes([os.getpid(), os.getppid()], held) < 1_500_000


def test_files_with_a_name_and_of_other_disks_do_not_count(tmp_path: Path, held: int):
    with (tmp_path / "named").open("wb") as file:
        file.write(bytes(2_000_000))
        file.flush()
        assert nameless_bytes([os.getpid()], held) < 1_500_000
    assert nameless_bytes([os.getpid()], held + 1) == 0


def test_a_look_is_bounded_and_processes_that_ended_count_as_nothing(held: int):
    assert nameless_bytes([os.getpid()], held, most=0) == 0
    assert nameless_bytes([2**22 + 1], held) == 0
