"""Local chains for integration tests: anvil on a free port of loopback, ended by its own pid."""

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Found in every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).resolve().parents[2]
LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")
START_SECONDS = 60

StartAnvil = Callable[..., str]


@pytest.fixture
def start_anvil() -> Iterator[StartAnvil]:
    """Start anvil with more arguments, and return its URL; each one ends with the test."""
    binary = _find_anvil()
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        command = [binary, "--host", "127.0.0.1", "--port", "0", "--hardfork", "cancun"]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return f"http://{_address_of(process)}"

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait()


@pytest.fixture
def anvil(start_anvil: StartAnvil) -> str:
    """The URL of a chain of one's own that mines each transaction at once."""
    return start_anvil()


def _find_anvil() -> str:
    path = os.pathsep.join([str(ROOT / "node_modules" / ".bin"), os.environ.get("PATH", "")])
    binary = shutil.which("anvil", path=path)
    if binary is None:
        missing = "anvil is missing: run npm ci"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return binary


def _address_of(process: subprocess.Popen[str]) -> str:
    """Return where anvil listens, and go on reading so that it never waits for a reader."""
    found: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if match := LISTENING.search(line):
                    found.put(match[1])

    threading.Thread(target=read, daemon=True).start()
    return found.get(timeout=START_SECONDS)
