"""The network to try commands on, and README's commands on it as they are typed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scripts import devnet
from scripts._demo.ports import free_port

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 120.0
READY = "ready; in another terminal"

SAYS = {
    "workdeed trust attest": "level 1",
    "workdeed license issue": "license ",
    "workdeed license link": " node 0x",
    "workdeed license profile": "profile 0x",
    "workdeed license show": "obstacle: \n",
    "workdeed faucet": "balance 1000",
    "workdeed quote": "deposit: 20",
    "workdeed deploy": "job 1",
    "workdeed status": "running\t2\t2",
    "curl": '"greeting": "Good morning"',
    "workdeed update": "revision 1",
    "workdeed rollout": "steady",
    "workdeed logs": "hello-service listens on",
    "workdeed cancel": "job 1",
    "workdeed license earnings": "\n1\t",
    "workdeed claim": "license 5: nothing new",
}
"""What each command of README prints, once things are so far."""


def commands_of(section: str) -> list[str]:
    """Return what README's reader types in a section, comments left out."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    body = re.split(r"^## ", text, flags=re.M)
    (found,) = [one for one in body if one.startswith(section)]
    lines = [
        line
        for block in re.findall(r"```console\n(.*?)```", found, re.S)
        for line in block.splitlines()
    ]
    return [re.sub(r"\s+# .*", "", line.removeprefix("$ ")) for line in lines]


@dataclass
class Reader:
    """Types commands into a shell that has sourced the environment of a network.

    Attributes:
        folder: the network's.
        port: stands for the gateway's usual one, which may be taken here.
        running: what goes on in the background, each in a session of its own.

    """

    folder: Path
    port: int
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def type(self, command: str) -> None:
        """Type a command, again while things are not so far, and check what it prints."""
        (said,) = [text for name, text in SAYS.items() if command.startswith(name)] or [""]
        words = self._here(command)
        if words.endswith("&"):
            self.running.append(self._start(words.removesuffix("&")))
            return
        last = time.monotonic() + PATIENCE_SECONDS
        while True:
            done = self._start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            output, errors = (text.decode() for text in done.communicate())
            if done.returncode == 0 and said in output:
                return
            if time.monotonic() > last:
                pytest.fail(f"{command}\nexit code {done.returncode}\n{output}\n{errors}")
            time.sleep(0.5)

    def end(self) -> None:
        """Interrupt what goes on in the background."""
        for one in reversed(self.running):
            interrupt(one)

    def _here(self, command: str) -> str:
        command = command.replace("build/devnet", str(self.folder)).replace(
            ":8080", f":{self.port}"
        )
        return command.replace(
            "workdeed gateway 1", f"workdeed gateway 1 --listen 127.0.0.1:{self.port}"
        )

    def _start(self, words: str, **streams: int) -> subprocess.Popen[bytes]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        script = f"source {self.folder}/env; {words}"
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=ROOT,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **streams,
        )


def interrupt(process: subprocess.Popen[bytes]) -> int:
    """Do what Ctrl-C does to a command and what it started; return its exit code."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("it does not end by Ctrl-C")


def start(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "scripts.devnet", "--folder", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    last = time.monotonic() + PATIENCE_SECONDS
    while text not in (told := log.read_text()):
        assert process.poll() is None, told
        assert time.monotonic() < last, told
        time.sleep(0.2)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Path]:
    folder, log = tmp_path / "devnet", tmp_path / "log"
    process = start(folder, log)
    try:
        wait_for(READY, log, process)
        yield folder
    finally:
        code = interrupt(process)
    told = log.read_text()
    assert code == 130, told
    assert told.rstrip().endswith("every process has ended")


@pytest.fixture
def reader(network: Path) -> Iterator[Reader]:
    made = Reader(network, free_port())
    yield made
    made.end()


@pytest.mark.anvil
def test_the_commands_of_the_readme_work_as_typed(reader: Reader) -> None:
    operator = commands_of("For the operator")
    *first, earnings, claim = operator
    for command in first:
        reader.type(command)
    for command in first[1:]:
        reader.type(re.sub(r"\b5\b|(?<=NODE_)5|(?<=node-)5", "6", command))
    for command in commands_of("For the CSP"):
        reader.type(command)
    reader.type(earnings)
    reader.type(claim)


def test_a_folder_with_other_files_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "precious").touch()
    assert devnet.main(["--folder", str(tmp_path / "work")]) == 1
    assert "other files lie there; name an empty folder" in capsys.readouterr().out
    assert (tmp_path / "work" / "precious").exists()


def test_a_second_network_leaves_the_first_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "devnet.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert devnet.main(["--folder", str(tmp_path / "devnet")]) == 1
    assert "a network runs there already" in capsys.readouterr().out
