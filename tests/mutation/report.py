"""What is seen of a run: progress while it lasts, then survivors, explanations and the score."""

from __future__ import annotations

import difflib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.mutation.campaign import Result, Show
from tests.mutation.mutants import Key, Mutant
from tests.mutation.project import Project

Explanations = Mapping[Key, str]
"""Why a survivor may live."""


@contextmanager
def progress(total: int) -> Iterator[Show]:
    """Show verdicts as they come: a bar and survivors on a terminal, a line for each elsewhere."""
    console = Console(highlight=False, soft_wrap=True)
    count: Counter[str] = Counter()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("timing the tests", total=total)

        def show(result: Result) -> None:
            count[result.status] += 1
            counts = ", ".join(f"{number} {status}" for status, number in count.most_common())
            bar.update(task, advance=1, description=counts)
            if not console.is_terminal or result.status == "survived":
                key = result.key
                place = f"{count.total()}/{total} {result.status} {key.file}:{result.line}"
                change = f"{key.operator}: {key.before} -> {key.after}"
                console.print(place, change, f"{result.compile} + {result.test} s", markup=False)

        yield show


def load_explanations(path: Path) -> Explanations:
    """Read the explanations.

    Raises:
        ValueError: if an entry lacks a field, has one too many or repeats another.

    """
    explanations: dict[Key, str] = {}
    for entry in tomllib.loads(path.read_text()).get("survivor", []):
        fields = {"occurrence": 1} | entry
        reason = fields.pop("reason", "")
        if set(fields) != set(Key._fields) or not reason or Key(**fields) in explanations:
            raise ValueError(f"{path.name}: incomplete or repeated: {entry}")
        explanations[Key(**fields)] = reason
    return explanations


def unmatched(
    explanations: Explanations, mutants: Iterable[Mutant], results: Iterable[Result]
) -> list[Key]:
    """Return the explanations of what is none of all mutants, or did not survive when it ran."""
    possible = {mutant.key for mutant in mutants}
    possible -= {result.key for result in results if result.status != "survived"}
    return sorted(set(explanations) - possible)


def summarize(
    project: Project,
    mutants: Sequence[Mutant],
    results: Sequence[Result],
    explanations: Explanations,
) -> dict[str, Any]:
    """Return the summary of a run, as `mutation.json` holds it; each mutant has its result."""
    files: dict[str, list[Result]] = {}
    survivors = []
    for mutant, result in zip(mutants, results, strict=True):
        files.setdefault(mutant.key.file, []).append(result)
        if result.status == "survived":
            reason = explanations.get(mutant.key, "")
            place = mutant.key._asdict() | {"line": mutant.line, "reason": reason}
            survivors.append(place | {"diff": _diff(project, mutant)})
    return {
        **_figures(results, explanations),
        "files": {file: _figures(files[file], explanations) for file in sorted(files)},
        "survivors": survivors,
    }


def closing(summary: Mapping[str, Any]) -> str:
    """Return the summary in a few lines, after the survivors that nobody explained."""
    lines = [one["diff"] + "\n" for one in summary["survivors"] if not one["reason"]]
    for file, figures in summary["files"].items():
        lines.append("{score:>7} {total:5} ".format_map(figures) + file)
    lines.append(
        "{total} mutants: {invalid} invalid, {equivalent} equivalent, {killed} killed"
        " ({killed_by_timeout} by time), {survived} survived ({explained} explained);"
        " score {score}".format_map(summary)
    )
    return "\n".join(lines)


def _figures(results: Sequence[Result], explanations: Explanations) -> dict[str, Any]:
    count = Counter(result.status for result in results)
    survived = [result.key for result in results if result.status == "survived"]
    killed = count["killed"] + count["timeout"]
    return {
        "total": len(results),
        "invalid": count["invalid"],
        "equivalent": count["equivalent"],
        "killed": killed,
        "killed_by_timeout": count["timeout"],
        "survived": len(survived),
        "explained": sum(key in explanations for key in survived),
        "score": round(killed / (killed + len(survived)), 4) if killed or survived else 1.0,
        "compile_seconds": round(sum(result.compile for result in results), 1),
        "test_seconds": round(sum(result.test for result in results), 1),
    }


def _diff(project: Project, mutant: Mutant) -> str:
    file, original = mutant.key.file, (project.contracts / mutant.key.file).read_text()
    texts = original.splitlines(), mutant.source.splitlines()
    return "\n".join(difflib.unified_diff(*texts, file, file, n=2, lineterm=""))
