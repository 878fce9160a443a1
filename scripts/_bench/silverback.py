"""Runs a Silverback bot on the chain of the benchmark, in a virtual environment of its own.

Silverback pins what this project pins otherwise, so it does not share the environment; `make bench`
makes one. Where it is missing or does not start, the figures say why in place of numbers.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import STDOUT, Popen, TimeoutExpired
from tempfile import TemporaryDirectory

from scripts._bench.chain import Chain
from scripts._bench.process import ROOT, BenchError, Figures
from workdeed.chain.bindings.codec import load_abi
from workdeed.chain.bindings.escrow import JobEscrow

PROGRAM = ROOT / ".venv-bench" / "bin" / "silverback"
BOT = Path(__file__).with_name("silverback_bot.py")
LOG = ROOT / "build" / "bench-silverback.log"
NETWORK = "ethereum:local:foundry"
GRACE_SECONDS = 10.0

Lines = Callable[[], list[str]]


def measured(chain: Chain, measure: Callable[[Lines], Figures]) -> Figures:
    """Return what `measure` finds of a bot that runs, or `{"absent": why}`."""
    if not PROGRAM.exists():
        return {"absent": f"{PROGRAM.relative_to(ROOT)} is missing; `make bench` installs it"}
    try:
        with running(chain) as lines:
            return measure(lines)
    except BenchError as error:
        return {"absent": f"{error}; see {LOG.relative_to(ROOT)}"}


@contextmanager
def running(chain: Chain) -> Iterator[Lines]:
    """Start the bot; yields what returns the lines that it wrote so far."""
    with TemporaryDirectory(prefix="workdeed-bench-") as name:
        folder = Path(name)
        seen = folder / "seen.txt"
        seen.touch()
        environment = _prepare(chain, folder, seen)
        command = [str(PROGRAM), "run", "bot", "--network", NETWORK]
        LOG.parent.mkdir(exist_ok=True)
        with LOG.open("wb") as log:
            process = Popen(command, cwd=folder, env=environment, stdout=log, stderr=STDOUT)
        try:
            yield lambda: _lines(process, seen)
        finally:
            _end(process)


def _prepare(chain: Chain, folder: Path, seen: Path) -> dict[str, str]:
    """Lay out a project for the bot; return its environment."""
    (folder / "ape-config.yaml").write_text(f"foundry:\n  host: {chain.url}\n")
    (folder / "bot.py").write_bytes(BOT.read_bytes())
    setup = folder / "setup.json"
    escrow = chain.deployment.address(JobEscrow.NAME)
    setup.write_text(
        json.dumps({"seen": str(seen), "escrow": escrow, "abi": load_abi(JobEscrow.NAME)})
    )
    return os.environ | {"WORKDEED_BENCH_SETUP": str(setup), "APE_DATA_FOLDER": str(folder / "ape")}


def _lines(process: Popen[bytes], seen: Path) -> list[str]:
    if process.poll() is not None:
        raise BenchError(f"silverback: it ended with {process.returncode}")
    return seen.read_text().splitlines()


def _end(process: Popen[bytes]) -> None:
    """End the bot as Ctrl-C does, then at once."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except TimeoutExpired:
        process.kill()
        process.wait()
