"""A run: which tests a mutant meets and in which order, and verdicts kept on disk as they come."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutation.bench import Bench, Job, Stage, Verdict
from tests.mutation.mutants import Key, Mutant
from tests.mutation.project import Project

PATIENCE, SLOWER = 120, 4
"""A mutant may take so many seconds and so many times what its tests take without it."""

LONGEST = 3_600
"""What the tests of a folder may take without a mutant, in seconds."""


class SuiteError(Exception):
    """Tests fail without a mutant: they cannot judge one."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant, as a line of the results file.

    Attributes:
        suite: hash of the tests and contracts that the mutant met.
        compile: seconds.
        test: seconds.

    """

    id: str
    key: Key
    line: int
    suite: str
    status: str
    killer: str
    compile: float
    test: float


Show = Callable[[Result], None]


class Results:
    """Verdicts by mutant; each is a line of a file that is only ever appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Result] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            with suppress(ValueError):  # The last line may have been cut off.
                fields = json.loads(line)
                self._kept[fields["id"]] = Result(**fields | {"key": Key(*fields["key"])})

    def add(self, result: Result) -> None:
        """Keep a verdict, here and on disk."""
        self._kept[result.id] = result
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")

    def known(self, mutant: Mutant, suite: str) -> Result | None:
        """Return the verdict on a mutant if it still stands: other tests may kill what survived."""
        result = self._kept.get(mutant.id)
        if result and result.status in ("survived", "timeout") and result.suite != suite:
            return None
        return result

    def killers(self, key: Key) -> Counter[str]:
        """Return how often each test killed in a mutant's file; in its function counts more."""
        kills: Counter[str] = Counter()
        for result in self._kept.values():
            if result.key.file == key.file:
                kills[result.killer] += 100 if result.key.function == key.function else 1
        return kills


class Campaign:
    """Mutants, and the tests of a project that judge them."""

    def __init__(self, project: Project, mutants: Sequence[Mutant], results: Results) -> None:
        self._project = project
        self._suite = project.suite_digest()
        self._mutants = mutants
        self._results = results
        self._durations: dict[str, float] = {}
        self._tests: dict[str, Path] = {}

    def run(self, workers: int, show: Show) -> list[Result]:
        """Judge each mutant that has no verdict yet; return the verdicts on all, in their order.

        Raises:
            SuiteError: if tests fail without a mutant.
            BenchError: if tests cannot be collected.

        """
        unknown = [one for one in self._mutants if not self._results.known(one, self._suite)]
        contracts = {name for one in unknown for name in self._project.contracts_with(one.key.file)}
        folders = self._project.folders(contracts)

        def work(bench: Bench) -> None:
            self._tests = bench.tests
            self._time_tests(bench, folders)
            for mutant, verdict in bench.judge((one, self._job(one)) for one in unknown):
                result = self._result(mutant, verdict)
                self._results.add(result)
                show(result)

        if unknown:
            tests = [self._project.tests / folder for folder in folders]
            Bench(self._project.contracts, workers, work).run(tests)
        verdicts = (self._results.known(one, self._suite) for one in self._mutants)
        return [result for result in verdicts if result]

    def _time_tests(self, bench: Bench, folders: Iterable[str]) -> None:
        """Run all tests without a mutant, to know what each takes."""
        stages = {folder: [Stage("", self._tests_in([folder]))] for folder in folders}
        jobs = ((folder, Job("", "", stage, LONGEST)) for folder, stage in stages.items())
        verdicts = [verdict for _, verdict in bench.judge(jobs)]
        if failed := [test for verdict in verdicts for test in verdict.failed]:
            raise SuiteError("\n".join(failed))
        for verdict in verdicts:
            self._durations |= verdict.durations

    def _job(self, mutant: Mutant) -> Job:
        contracts = self._project.contracts_with(mutant.key.file)
        plan = {name: self._project.suites[name] for name in contracts}
        plan[""] = self._project.late_for(contracts)
        stages = [
            Stage(contract, self._likely_first(mutant.key, self._tests_in(folders)))
            for contract, folders in plan.items()
        ]
        tests = {test for stage in stages for test in stage.tests}
        timeout = PATIENCE + SLOWER * sum(self._durations[test] for test in tests)
        return Job(mutant.key.file, mutant.source, stages, timeout)

    def _tests_in(self, folders: Iterable[str]) -> list[str]:
        roots = [self._project.tests / folder for folder in folders]
        return [
            test
            for test, path in self._tests.items()
            if any(path.is_relative_to(root) for root in roots)
        ]

    def _likely_first(self, key: Key, tests: Iterable[str]) -> list[str]:
        """Order tests by what they killed, then by their names and by the time that they take."""
        kills, name = self._results.killers(key), key.function.strip("_")
        return sorted(
            tests, key=lambda test: (-kills[test], name not in test, self._durations[test])
        )

    def _result(self, mutant: Mutant, verdict: Verdict) -> Result:
        return Result(
            id=mutant.id,
            key=mutant.key,
            line=mutant.line,
            suite=self._suite,
            status=verdict.status,
            killer=verdict.killer,
            compile=round(verdict.compile, 2),
            test=round(sum(verdict.durations.values()), 2),
        )
