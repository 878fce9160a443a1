"""Runs a measurement in a process of its own, so that its memory and CPU time are its alone."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 10**6

Figures = dict[str, Any]
"""What a measurement found, as it goes into `build/bench.json`."""


class BenchError(Exception):
    """A measurement failed or measured something else than it should; one sentence says what."""


def measure(name: str, **options: Any) -> Figures:
    """Run the module `scripts._bench.<name>` and return the figures that it answers.

    Raises:
        BenchError: if it fails; its own error is on stderr.

    """
    command = [sys.executable, "-m", f"scripts._bench.{name}", json.dumps(options)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{name}: it ended with {done.returncode}; its error is above")
    return figures_of(done.stdout)


def figures_of(output: str) -> Figures:
    """Return the figures in the last line of what a measurement printed."""
    lines = output.strip().splitlines()
    if not lines:
        raise BenchError("output: the measurement printed nothing")
    found: Figures = json.loads(lines[-1])
    return found


def answer(work: Callable[..., Mapping[str, Any]]) -> None:
    """Be the process that `measure` starts: call `work` with the options and print what it found.

    Adds the highest resident memory (MB of 10^6 bytes) and the CPU time (s) of this process.
    """
    options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    try:
        found = dict(work(**options))
    except BenchError as error:
        sys.exit(str(error))
    own = {"rss_mb": round(peak_memory() / MEGABYTE, 1), "cpu_seconds": time.process_time()}
    print(json.dumps(found | own))


def peak_memory() -> int:
    """Return the highest resident memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not `ru_maxrss`: on Linux it keeps what the parent held before this program began.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
