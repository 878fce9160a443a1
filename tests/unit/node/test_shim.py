"""Parts of the supervisor that need no task."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdeed.node.drivers import shim


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def thread() -> Iterator[int]:
    """The number of a thread that is not the first of its process."""
    over = threading.Event()
    waiting = threading.Thread(target=over.wait)
    waiting.start()
    assert waiting.native_id is not None
    yield waiting.native_id
    over.set()
    waiting.join()


def test_a_stat_is_read_whatever_the_command_is_called(tmp_path: Path):
    odd = tmp_path / "a) R (b"
    odd.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(odd), "1000"])
    stat = shim.read_stat(process.pid)
    process.kill()
    process.wait()
    assert stat is not None
    assert stat.parent == os.getpid()
    assert stat.state in "SRD"


def test_there_is_no_stat_of_what_does_not_run(child: subprocess.Popen[bytes]):
    child.kill()
    child.wait()
    assert shim.read_stat(child.pid) is None


def test_a_signal_reaches_the_process_that_started_then_and_no_other(
    child: subprocess.Popen[bytes],
):
    stat = shim.read_stat(child.pid)
    assert stat is not None
    assert not shim.send_signal(child.pid, stat.start_ticks + 1, signal.SIGKILL)
    assert child.poll() is None
    assert shim.send_signal(child.pid, stat.start_ticks, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not shim.send_signal(child.pid, stat.start_ticks, signal.SIGKILL)


def test_what_may_not_be_signalled_is_passed_over(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
):
    def refuse(_descriptor: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    stat = shim.read_stat(child.pid)
    assert stat is not None
    assert not shim.send_signal(child.pid, stat.start_ticks, signal.SIGKILL)
    group = shim.ControlGroup([])
    monkeypatch.setattr(group, "processes", lambda: {child.pid})
    group.kill()
    assert child.poll() is None


def test_a_number_that_is_a_threads_now_is_no_process(thread: int, monkeypatch: pytest.MonkeyPatch):
    stat = shim.read_stat(thread)
    assert stat is not None
    assert not shim.send_signal(thread, stat.start_ticks, signal.SIGKILL)
    assert not shim.send_signal(thread, stat.start_ticks + 1, signal.SIGKILL)
    group = shim.ControlGroup([])
    monkeypatch.setattr(group, "processes", lambda: {thread})
    group.kill()


def test_descendants_are_found_at_any_depth():
    script = "sh -c 'sleep 1000 & echo up; wait'"
    process = subprocess.Popen(["sh", "-c", f"{script}; true"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    found = shim.descendants(process.pid)
    assert len(found) == 2
    assert process.pid not in found
    for pid, stat in found.items():
        shim.send_signal(pid, stat.start_ticks, signal.SIGKILL)
    process.wait()
    process.stdout.close()


@given(chunks=st.lists(st.binary(min_size=1, max_size=400), max_size=30), cap=st.integers(2, 1_000))
def test_a_log_holds_the_end_of_what_was_written_within_its_cap(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], cap: int
):
    path = tmp_path_factory.mktemp("log") / "output.log"
    log = shim.Log(str(path), cap)
    for chunk in chunks:
        log.write(chunk)
    older = path.with_name("output.log.1")
    held = (older.read_bytes() if older.exists() else b"") + path.read_bytes()
    written = b"".join(chunks)
    assert len(held) <= cap
    assert written.endswith(held)
    assert len(held) >= min(len(written), cap // 2)


@pytest.mark.parametrize("order", [b"", b'{"argv": ["touch", "made"', b"[]x"])
def test_without_a_whole_order_nothing_runs(tmp_path: Path, order: bytes):
    command = [sys.executable, "-I", "-S", shim.__file__]
    found = subprocess.run(command, input=order, cwd=tmp_path, check=True, capture_output=True)
    assert found.stderr == b""
    assert list(tmp_path.iterdir()) == []
