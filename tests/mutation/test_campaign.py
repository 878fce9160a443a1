"""Runs over a small project, each in a fork of its own: a run is a run of pytest that forks."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.evm import artifacts
from tests.mutation import campaign
from tests.mutation.bench import BenchError
from tests.mutation.campaign import Campaign, Result, Results, SuiteError
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.project import Project

Outcome = tuple[list[Result], list[str]]
"""The results of all mutants, and the ids of those that were judged anew."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where artifacts are kept, for this test alone."""
    monkeypatch.setattr(artifacts, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def all_mutants(project: Project) -> list[Mutant]:
    return [mutant for file in project.files for mutant in mutants_of(project.contracts, file)]


def judge(project: Project, mutants: list[Mutant], kept: Path) -> Outcome:
    """Run a campaign."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_judge, (project, mutants, kept))


def _judge(project: Project, mutants: list[Mutant], kept: Path) -> Outcome:
    judged: list[str] = []
    runner = Campaign(project, mutants, Results(kept))
    return runner.run(1, lambda result: judged.append(result.id)), judged


def some_mutants(project: Project, *changes: tuple[str, str]) -> list[Mutant]:
    """Return the mutants that turn a line into another."""
    by_change = {(one.key.before, one.key.after): one for one in all_mutants(project)}
    return [by_change[change] for change in changes]


CONDITION = 'assert amount < LIMIT, "counter: 10 or more"'
BOUNDARY = CONDITION, CONDITION.replace("<", "<=")
"""Survives: no test comes near the limit."""

NEGATION = CONDITION, CONDITION.replace("<", ">=")
IN_MODULE = "return 2 * amount", "return 2 // amount"
UNUSED = "UNUSED: constant(uint256) = 0", "UNUSED: constant(uint256) = 1"


def test_each_kind_of_verdict_is_found(project: Project, tmp_path: Path) -> None:
    mutants = some_mutants(project, BOUNDARY, NEGATION, (CONDITION, "pass"), IN_MODULE, UNUSED)
    broken = replace(mutants[0], id="broken", source="total: uint257\n")

    results, judged = judge(project, [*mutants, broken], tmp_path / "results.jsonl")

    assert [result.status for result in results] == [
        "survived",
        "killed",
        "killed",
        "killed",
        "equivalent",
        "invalid",
    ]
    killers = [result.killer.rpartition("::")[2] for result in results]
    assert killers == ["", "test_adds", "test_limit", "test_adds", "", ""]
    assert judged == [result.id for result in results]


def test_run_goes_on_where_it_was_stopped(project: Project, tmp_path: Path) -> None:
    mutants, kept = some_mutants(project, BOUNDARY, NEGATION, IN_MODULE), tmp_path / "kept.jsonl"
    judge(project, mutants[:2], kept)
    with kept.open("a") as file:
        file.write('{"id": "cut o')

    results, judged = judge(project, mutants, kept)

    assert [result.status for result in results] == ["survived", "killed", "killed"]
    assert judged == [mutants[2].id]


def test_only_survivors_meet_new_tests(project: Project, tmp_path: Path) -> None:
    mutants, kept = some_mutants(project, BOUNDARY, NEGATION), tmp_path / "kept.jsonl"
    judge(project, mutants, kept)
    with (project.tests / "counter" / "test_counter.py").open("a") as file:
        file.write("\n\ndef test_exact_limit(counter):\n")
        file.write('    with evm.reverts("counter: 10 or more"):\n        counter.add(10)\n')

    results, judged = judge(project, mutants, kept)

    assert [result.status for result in results] == ["killed", "killed"]
    assert judged == [mutants[0].id]


def test_mutant_that_never_ends_is_killed_by_time(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "PATIENCE", 1)
    test = project.tests / "counter" / "test_counter.py"
    endless = "    while counter.total() != 6:\n        pass\n"
    test.write_text(test.read_text().replace("    assert counter.total() == 6\n", endless))

    results, _ = judge(project, some_mutants(project, IN_MODULE), tmp_path / "kept.jsonl")

    assert [result.status for result in results] == ["timeout"]


def test_mutants_leave_nothing_behind(project: Project, tmp_path: Path, cache: Path) -> None:
    before = {path: path.read_bytes() for path in project.contracts.rglob("*.*")}

    judge(project, some_mutants(project, BOUNDARY, IN_MODULE), tmp_path / "kept.jsonl")

    assert {path: path.read_bytes() for path in project.contracts.rglob("*.*")} == before
    assert len(list(cache.iterdir())) == 1


def test_suite_that_fails_without_a_mutant_is_refused(project: Project, tmp_path: Path) -> None:
    with (project.tests / "counter" / "test_counter.py").open("a") as file:
        file.write("\n\ndef test_wrong(counter):\n    assert counter.total() == 1\n")

    with pytest.raises(SuiteError, match="test_wrong"):
        judge(project, all_mutants(project)[:1], tmp_path / "results.jsonl")


def test_suite_that_cannot_be_collected_is_refused(project: Project, tmp_path: Path) -> None:
    (project.tests / "counter" / "test_counter.py").write_text("import nothing_like_it\n")

    with pytest.raises(BenchError, match="nothing_like_it"):
        judge(project, all_mutants(project)[:1], tmp_path / "results.jsonl")


def test_module_is_tried_on_each_contract_that_imports_it(project: Project) -> None:
    assert project.contracts_with("modules/step.vy") == ["Counter"]
    assert project.files == ["Counter.vy", "modules/step.vy"]
