"""Which processes a mark in their environment makes a task's own, and which it does not."""

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workdeed.node.drivers.base import TaskKey
from workdeed.node.drivers.process_marks import MARKER, left_behind, mark, marked
from workdeed.node.drivers.shim import descendants

KEY = TaskKey("0x" + "e5" * 20, 3, 7, 0)
OWNER = secrets.token_hex(16)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the test, and what they started."""
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for process in found:
        process.kill()
        process.wait()
    # Those that lost their parent are nobody's to wait for, and take a moment to be gone.
    deadline = time.monotonic() + 60
    while left := list(marked(OWNER)):
        assert time.monotonic() < deadline, f"{left} do not end"
        for pid, _ in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        time.sleep(0.01)


def of_task() -> list[int]:
    return [pid for pid, name in marked(OWNER) if name == KEY.name]


def one_of_task() -> int:
    deadline = time.monotonic() + 60
    while not (found := of_task()):
        assert time.monotonic() < deadline, "no process has the mark"
        time.sleep(0.02)
    return found[0]


def sleeping(env: dict[str, str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["sleep", "1000"], env=env)
    # It is begun before the kernel shows with what.
    deadline = time.monotonic() + 60
    while not Path(f"/proc/{process.pid}/environ").read_bytes():
        assert time.monotonic() < deadline, "it has no environment"
        time.sleep(0.001)
    return process


@pytest.mark.parametrize(
    "name",
    [
        "../workdeed-agent",
        "..",
        "",
        "probe",
        "a" * 300,
        f"../{KEY.name}",
        f"{KEY.name}/..",
        f"{KEY.name}\n",
        KEY.name.replace("-3-", "-03-"),
        KEY.name.replace("-3-", "-\N{ARABIC-INDIC DIGIT THREE}-"),
    ],
)
def test_a_mark_that_names_no_task_is_none(started: list[subprocess.Popen[bytes]], name: str):
    forged = sleeping({MARKER: f"{OWNER}/{name}"})
    genuine = sleeping(mark(OWNER, KEY))
    started += [forged, genuine]
    assert list(marked(OWNER)) == [(genuine.pid, KEY.name)]


def test_what_a_living_supervisor_holds_is_not_left_behind(
    started: list[subprocess.Popen[bytes]],
):
    script = f"env {MARKER}={OWNER}/{KEY.name} sleep 1000 & wait"
    supervisor = subprocess.Popen(["sh", "-c", script])
    started.append(supervisor)
    pid = one_of_task()
    assert not left_behind(pid, {supervisor.pid})
    assert left_behind(pid, set())


def test_a_mark_inside_a_container_counts_once_it_belongs_to_nobody(
    started: list[subprocess.Popen[bytes]],
):
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("name spaces of processes can't be made here")
    script = f"env {MARKER}={OWNER}/{KEY.name} sleep 1000 & wait"
    outside = subprocess.Popen([*unshare, "sh", "-c", script])
    started.append(outside)
    pid = one_of_task()
    first = next(iter(descendants(outside.pid)))
    try:
        assert not left_behind(pid, set())
        outside.kill()
        outside.wait()
        assert left_behind(pid, set())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, 9)
