"""The tests, collected once, and forks of this process that judge mutants with them.

Importing and collecting take seconds and happen once. A fork compiles the contracts that a mutant
is part of and runs tests until one fails; what it did to memory and chain ends with it.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import hypothesis
import pytest
import vyper.cli.vyper_compile  # noqa: F401 - once here instead of in each fork
from _pytest.runner import runtestprotocol

from tests.contracts.evm import artifacts
from tests.mutation.project import ROOT
from tests.mutation.sources import fast_compiler

OPTIONS = (
    *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-o", "addopts="),
    *("--import-mode=importlib", "--capture=no"),
    *("-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:ape_test", "-p", "no:boa_test"),
)
PROCESS_DIED = "(the process died)"

Name = TypeVar("Name")


class BenchError(Exception):
    """The tests cannot be collected, or a fork stumbled over what is no mutant's fault."""


class Stage(NamedTuple):
    """Tests to run if a contract's code changed; no contract: if that of an earlier stage did."""

    contract: str
    tests: Sequence[str]


class Job(NamedTuple):
    """A file with a fault, and what it has to pass in so many seconds. No file: tests are timed."""

    file: str
    source: str
    stages: Sequence[Stage]
    timeout: float


@dataclass
class Verdict:
    """What became of a mutant.

    Attributes:
        status: killed, survived, timeout, invalid (it does not compile) or equivalent (its bytecode
            is the original's).
        killer: the test that failed.
        compile: seconds.
        durations: seconds by test.
        failed: tests that failed without a mutant.
        error: the traceback of a fault of this tool.

    """

    status: str = "survived"
    killer: str = ""
    compile: float = 0
    durations: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    error: str = ""


class Bench:
    """A pytest plugin that judges mutants where pytest would run its tests."""

    def __init__(self, contracts: Path, workers: int, work: Callable[[Bench], None]) -> None:
        self._contracts = contracts
        self._workers = workers
        self._work = work
        self._items: dict[str, pytest.Item] = {}
        self._originals: dict[str, bytes] = {}
        self._error: BaseException | None = None
        self._scratch = ""

    def run(self, folders: Iterable[Path]) -> None:
        """Collect the tests of some folders and do the work."""
        with TemporaryDirectory(prefix="mutation-") as self._scratch:
            pytest.main([*OPTIONS, *map(str, folders)], plugins=[self])
        if self._error:
            raise self._error

    @property
    def tests(self) -> dict[str, Path]:
        """The file of each test that was collected."""
        return {test: item.path for test, item in self._items.items()}

    def pytest_collection(self) -> None:
        """Let property tests stop at the first counterexample: a smaller one would tell no more."""
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        profile = hypothesis.settings(phases=phases, database=None)
        hypothesis.settings.register_profile("mutation", profile)
        hypothesis.settings.load_profile("mutation")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what went wrong."""
        if report.failed:
            self._error = BenchError(report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do the work in the place of pytest's loop."""
        self._items = {item.nodeid: item for item in session.items}
        gc.freeze()
        try:
            if not self._error:
                self._work(self)
        except BaseException as error:
            self._error = error
        return True

    def judge(self, jobs: Iterable[tuple[Name, Job]]) -> Iterator[tuple[Name, Verdict]]:
        """Yield verdicts as they come; a job is asked for only when there is room for its fork."""
        waiting = iter(jobs)
        busy: dict[Any, tuple[Name, _Fork]] = {}
        try:
            while True:
                while len(busy) < self._workers and (pair := next(waiting, None)):
                    fork = _Fork(self._prepare(pair[1]), pair[1].timeout)
                    busy[fork.receiver] = pair[0], fork
                if not busy:
                    return
                patience = min(fork.patience for _, fork in busy.values())
                overdue = [receiver for receiver, (_, fork) in busy.items() if fork.patience == 0]
                for receiver in wait(list(busy), patience) or overdue:
                    name, fork = busy.pop(receiver)
                    yield name, fork.end()
        finally:
            for _, fork in busy.values():
                fork.kill()

    def _prepare(self, job: Job) -> Callable[[], Verdict]:
        """Return what a fork does for a job; compile what its mutant is compared with."""
        artifacts.CONTRACTS = self._contracts
        for stage in job.stages:
            if stage.contract and stage.contract not in self._originals:
                self._originals[stage.contract] = _bytecode(stage.contract)
        artifacts.artifact.cache_clear()
        return lambda: self._try(job) if job.file else self._time(job)

    def _time(self, job: Job) -> Verdict:
        verdict = Verdict()
        for stage in job.stages:
            verdict.failed += [test for test, passed in self._run(stage, verdict) if not passed]
        return verdict

    def _try(self, job: Job) -> Verdict:
        with TemporaryDirectory(dir=self._scratch) as folder:
            contracts, cache = Path(folder, "contracts"), Path(folder, "cache")
            shutil.copytree(self._contracts, contracts)
            contracts.joinpath(job.file).write_text(job.source)
            # Artifacts of a mutant are of no use to anybody: they go where the others are but seen.
            cache.mkdir()
            for path in artifacts.CACHE.iterdir():
                cache.joinpath(path.name).symlink_to(path)
            artifacts.CONTRACTS, artifacts.CACHE = contracts, cache
            return self._pass_stages(job)

    def _pass_stages(self, job: Job) -> Verdict:
        verdict, changed = Verdict(), False
        for stage in job.stages:
            if stage.contract:
                code = _compile(stage.contract, verdict)
                if not code:
                    verdict.status = "invalid"
                    return verdict
                if code == self._originals[stage.contract]:
                    continue
                changed = True
            if changed:
                for test, passed in self._run(stage, verdict):
                    if not passed:
                        verdict.status, verdict.killer = "killed", test
                        return verdict
        verdict.status = "survived" if changed else "equivalent"
        return verdict

    def _run(self, stage: Stage, verdict: Verdict) -> Iterator[tuple[str, bool]]:
        """Run the tests of a stage that did not run yet; yield each with whether it passed."""
        tests = [test for test in stage.tests if test not in verdict.durations]
        for test, following in zip_longest(tests, tests[1:]):
            started = time.perf_counter()
            item = self._items[test]
            reports = runtestprotocol(item, log=False, nextitem=self._items.get(following))
            verdict.durations[test] = time.perf_counter() - started
            yield test, not any(report.failed for report in reports)


class _Fork:
    """A copy of this process that finds one verdict."""

    def __init__(self, find: Callable[[], Verdict], timeout: float) -> None:
        self.receiver, sender = Pipe(duplex=False)
        self._deadline = time.monotonic() + timeout
        self._process = os.fork()
        if self._process == 0:
            _answer(find, sender)
        sender.close()

    @property
    def patience(self) -> float:
        """Seconds that are left to it."""
        return max(self._deadline - time.monotonic(), 0)

    def end(self) -> Verdict:
        """End it and return what it found."""
        try:
            verdict = self.receiver.recv() if self.receiver.poll() else Verdict("timeout")
        except EOFError:
            verdict = Verdict("killed", killer=PROCESS_DIED)
        self.kill()
        if verdict.error:
            raise BenchError(verdict.error)
        return verdict

    def kill(self) -> None:
        """End it."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def _answer(find: Callable[[], Verdict], sender: Connection) -> None:
    """Send the verdict and end this fork, whatever happens: pytest must not go on in it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        verdict = find()
    except BaseException:
        verdict = Verdict(error=traceback.format_exc())
    sender.send(verdict)
    os._exit(0)


def _compile(contract: str, verdict: Verdict) -> bytes:
    """Return a mutant's bytecode; nothing if it does not compile."""
    started = time.perf_counter()
    try:
        with fast_compiler():
            return _bytecode(contract)
    except Exception:
        # Some faults get past Vyper's own checks and come out as any exception.
        return b""
    finally:
        verdict.compile += time.perf_counter() - started


def _bytecode(contract: str) -> bytes:
    """Return what deploys a contract, less Vyper's metadata at its end: a hash of all sources."""
    code = artifacts.artifact(contract).bytecode
    return code[: -int.from_bytes(code[-2:], "big")]
