"""The summary of a run, and explanations that must match its survivors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutation.campaign import Result
from tests.mutation.mutants import Key, Mutant, mutants_of
from tests.mutation.project import Project
from tests.mutation.report import closing, load_explanations, progress, summarize, unmatched

STATUSES = ("survived", "survived", "killed", "timeout", "invalid", "equivalent")


def result(mutant: Mutant, status: str) -> Result:
    return Result(mutant.id, mutant.key, mutant.line, "", status, "", 0.5, 0.25)


@pytest.fixture
def mutants(project: Project) -> list[Mutant]:
    """As many as there are kinds of verdicts, and one."""
    return list(mutants_of(project.contracts, "Counter.vy"))[: len(STATUSES)]


@pytest.fixture
def results(mutants: list[Mutant]) -> list[Result]:
    """One verdict of each kind, and a second survivor."""
    return [result(mutant, status) for mutant, status in zip(mutants, STATUSES, strict=True)]


def entry(key: Key, **changes: object) -> str:
    fields = {**key._asdict(), "reason": "No state reaches it.", **changes}
    lines = (f"{name} = {json.dumps(value)}" for name, value in fields.items() if value is not None)
    return "\n".join(["[[survivor]]", *lines, ""])


def test_score_counts_killed_against_survived(
    project: Project, mutants: list[Mutant], results: list[Result]
) -> None:
    summary = summarize(project, mutants, results, {mutants[1].key: "Equal."})

    expected = {
        "total": 6,
        "invalid": 1,
        "equivalent": 1,
        "killed": 2,
        "killed_by_timeout": 1,
        "survived": 2,
        "explained": 1,
        "score": 0.5,
        "compile_seconds": 3.0,
        "test_seconds": 1.5,
    }
    assert {name: summary[name] for name in expected} == expected
    assert summary["files"] == {"Counter.vy": expected}


def test_survivor_is_told_with_place_diff_and_reason(
    project: Project, mutants: list[Mutant], results: list[Result]
) -> None:
    summary = summarize(project, mutants, results, {mutants[1].key: "Equal."})

    first, second = summary["survivors"]
    assert (
        first.items() >= {**mutants[0].key._asdict(), "line": mutants[0].line, "reason": ""}.items()
    )
    assert second["reason"] == "Equal."
    removed = [line for line in first["diff"].splitlines() if line.startswith("-")]
    assert [" ".join(line[1:].split()) for line in removed[1:]] == [mutants[0].key.before]


def test_closing_shows_what_nobody_explained(
    project: Project, mutants: list[Mutant], results: list[Result]
) -> None:
    summary = summarize(project, mutants, results, {mutants[1].key: "Equal."})

    text = closing(summary)

    assert summary["survivors"][0]["diff"] in text
    assert summary["survivors"][1]["diff"] not in text
    assert "2 survived (1 explained); score 0.5" in text


def test_explanation_is_found_by_its_key(tmp_path: Path, mutants: list[Mutant]) -> None:
    path = tmp_path / "explained.toml"
    path.write_text(entry(mutants[0].key, occurrence=None) + entry(mutants[1].key))

    explanations = load_explanations(path)

    assert list(explanations) == [mutants[0].key, mutants[1].key]
    assert set(explanations.values()) == {"No state reaches it."}


@pytest.mark.parametrize(
    "changes", [{"reason": None}, {"reason": ""}, {"operator": None}, {"line": 3}]
)
def test_incomplete_explanation_is_refused(
    tmp_path: Path, mutants: list[Mutant], changes: dict[str, object]
) -> None:
    path = tmp_path / "explained.toml"
    path.write_text(entry(mutants[0].key, **changes))

    with pytest.raises(ValueError, match="incomplete or repeated"):
        load_explanations(path)


def test_repeated_explanation_is_refused(tmp_path: Path, mutants: list[Mutant]) -> None:
    path = tmp_path / "explained.toml"
    path.write_text(entry(mutants[0].key) * 2)

    with pytest.raises(ValueError, match="incomplete or repeated"):
        load_explanations(path)


def test_explanation_must_match_a_survivor(mutants: list[Mutant], results: list[Result]) -> None:
    survivor, killed = mutants[0].key, mutants[2].key
    gone = survivor._replace(before="what once was there")

    wrong = unmatched({survivor: "", killed: "", gone: ""}, mutants, results)

    assert wrong == sorted([killed, gone])


def test_explanation_of_what_did_not_run_stands(mutants: list[Mutant]) -> None:
    assert unmatched({mutants[0].key: ""}, mutants, []) == []


def test_each_verdict_is_a_line_where_no_terminal_is(
    capsys: pytest.CaptureFixture[str], results: list[Result]
) -> None:
    with progress(len(results)) as show:
        for one in results:
            show(replace(one, key=one.key._replace(after="[red]")))

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == list(STATUSES)
    assert all("[red]" in line for line in lines)
