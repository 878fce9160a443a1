"""How mutants are named, sampled and limited to what changed."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.mutants import Key, Mutant, changed_lines, mutants_of, sampled
from tests.mutation.project import Project


def named(file: str, number: int) -> Mutant:
    return Mutant(f"{file} {number}", Key(file, "", "", "", str(number), 1), number, "")


MUTANTS = [named(file, number) for file, size in (("a", 60), ("b", 30)) for number in range(size)]


def test_key_names_function_operator_and_lines(project: Project) -> None:
    keys = {mutant.key for mutant in mutants_of(project.contracts, "Counter.vy")}

    condition = 'assert amount < LIMIT, "counter: 10 or more"'
    assert Key("Counter.vy", "add", "delete-assert", condition, "pass", 1) in keys
    limit = "LIMIT: constant(uint256) = 1"
    assert Key("Counter.vy", "", "constant", f"{limit}0", f"{limit}1", 1) in keys


def test_key_outlives_what_changes_elsewhere(project: Project) -> None:
    path = project.contracts / "Counter.vy"
    before = list(mutants_of(project.contracts, "Counter.vy"))
    path.write_text(path.read_text().replace("LIMIT:", "# A comment.\nLIMIT:"))
    after = list(mutants_of(project.contracts, "Counter.vy"))

    assert [mutant.key for mutant in after] == [mutant.key for mutant in before]
    assert not {mutant.id for mutant in after} & {mutant.id for mutant in before}


def test_equal_changes_of_equal_lines_are_counted(tmp_path: Path) -> None:
    text = "x: uint256\n\n@external\ndef twice():\n    self.x += 1\n    self.x += 1\n"
    (tmp_path / "Twice.vy").write_text(text)

    deleted = [
        (mutant.line, mutant.key.occurrence)
        for mutant in mutants_of(tmp_path, "Twice.vy")
        if mutant.key.operator == "delete-statement"
    ]

    assert deleted == [(5, 1), (6, 2)]


def test_each_mutant_differs_from_the_original_and_from_the_others(project: Project) -> None:
    original = (project.contracts / "Counter.vy").read_text()

    sources = [mutant.source for mutant in mutants_of(project.contracts, "Counter.vy")]

    assert len({original, *sources}) == len(sources) + 1


def test_sample_takes_of_each_file_its_share() -> None:
    files = Counter(mutant.key.file for mutant in sampled(MUTANTS, 30, seed=1))

    assert files == {"a": 20, "b": 10}


def test_sample_is_fixed_by_its_seed_and_contains_smaller_ones() -> None:
    small, large = sampled(MUTANTS, 10, seed=1), sampled(MUTANTS, 20, seed=1)

    assert large[:10] == small
    assert sampled(MUTANTS, 10, seed=1) == small
    assert sampled(MUTANTS, 10, seed=2) != small


def test_changed_lines_are_those_of_the_working_tree(tmp_path: Path) -> None:
    contracts = tmp_path / "contracts"
    (contracts / "modules").mkdir(parents=True)
    for file in ("A.vy", "modules/b.vy"):
        (contracts / file).write_text("one\ntwo\nthree\n")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "First")
    (contracts / "modules" / "b.vy").write_text("one\n2\nthree\n4\n5\n")

    assert changed_lines(contracts, "HEAD") == {"modules/b.vy": {2, 4, 5}}


def test_unknown_revision_is_refused(project: Project) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        changed_lines(project.contracts, "no-such-revision")


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)
