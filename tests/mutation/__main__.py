"""Command line: `python -m tests.mutation --help`."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import click

from tests.mutation import report
from tests.mutation.campaign import Campaign, Results, SuiteError
from tests.mutation.mutants import changed_lines, mutants_of, sampled
from tests.mutation.project import ROOT, Project, workdeed

OUTPUT = ROOT / "build" / "audit"
EXPLAINED = Path(__file__).with_name("explained.toml")


@click.command()
@click.option("--files", multiple=True, metavar="GLOB", help="Below contracts/; may be repeated.")
@click.option("--since", metavar="REV", help="Only lines that changed since a revision of git.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="N mutants, by file.")
@click.option("--seed", default=0, show_default=True, help="Which sample.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--quick", is_flag=True, help="Without the tests of all contracts together.")
@click.option("--fresh", is_flag=True, help="Forget the verdicts of earlier runs.")
@click.option("--count", is_flag=True, help="Count the mutants of each file and stop.")
def main(
    files: Sequence[str],
    since: str | None,
    sample: int | None,
    seed: int,
    workers: int,
    quick: bool,
    fresh: bool,
    count: bool,
) -> None:
    """Put faults into the contracts, one at a time, and see which of them no test notices.

    Verdicts are kept in build/audit/mutation.jsonl: a run that was stopped goes on from there.
    """
    explanations = report.load_explanations(EXPLAINED)
    project = workdeed()
    with _snapshot(replace(project, late=()) if quick else project) as project:
        mutants = [
            mutant for file in project.files for mutant in mutants_of(project.contracts, file)
        ]
        changed = changed_lines(ROOT / "contracts", since) if since else None
        chosen = [
            mutant
            for mutant in mutants
            if any(fnmatch(mutant.key.file, glob) for glob in files or "*")
            and (changed is None or mutant.line in changed.get(mutant.key.file, ()))
        ]
        chosen = sampled(chosen, sample or len(chosen), seed)
        if count:
            for file, number in sorted(Counter(one.key.file for one in chosen).items()):
                click.echo(f"{number:6} {file}")
            click.echo(f"{len(chosen):6} in all")
            return
        kept = OUTPUT / "mutation.jsonl"
        if fresh:
            kept.unlink(missing_ok=True)
        try:
            with report.progress(len(chosen)) as show:
                results = Campaign(project, chosen, Results(kept)).run(workers, show)
        except SuiteError as error:
            raise click.ClickException(f"tests fail without a mutant:\n{error}") from None
        summary = report.summarize(project, chosen, results, explanations)
    (OUTPUT / "mutation.json").write_text(json.dumps(summary, indent=2) + "\n")
    click.echo(report.closing(summary))
    if wrong := report.unmatched(explanations, mutants, results):
        names = "\n".join(map(str, wrong))
        raise click.ClickException(f"{EXPLAINED.name} explains what is no survivor:\n{names}")


@contextmanager
def _snapshot(project: Project) -> Iterator[Project]:
    """Work on a copy of the contracts: somebody may be writing to them."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder, "contracts").resolve()
        shutil.copytree(project.contracts, copy)
        yield replace(project, contracts=copy)


if __name__ == "__main__":
    main()
