"""Command line: `python -m tests.coverage`, from the root of the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests.coverage.recorder import merged
from tests.coverage.report import covered

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "contracts"
DOUBLE = CONTRACTS / "testing" / "WordsMock.vy"
"""Lets tests call the modules' functions with what no contract gives them, such as too large a
number for its place in a word; the contracts keep from that, the modules guard against it."""

OUTPUT = ROOT / "build" / "audit" / "coverage.json"

MACHINES = (
    "tests/contracts/stateful",
    "tests/contracts/stateful_committee",
    "tests/contracts/stateful_licenses",
    "tests/contracts/burn_auction/test_machine.py",
)
"""What takes many calls is left out: titanoboa is slow, and unit tests have to reach everything."""


@click.command()
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1))
@click.argument("tests", nargs=-1)
def main(workers: int, tests: tuple[str, ...]) -> None:
    """Run the contract tests in titanoboa and say which statements and branches they miss.

    TESTS are pytest's arguments; without any, all but the machines run. The figures are written to
    build/audit/coverage.json. Fails if a test fails or something is missing.
    """
    chosen = list(tests) or ["tests/contracts", *(f"--ignore={one}" for one in MACHINES)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), *chosen]
        command += ["-p", "tests.coverage.recorder", "--vyper-coverage", folder]
        environment = os.environ | {"WORKDEED_EVM": "titanoboa"}
        failed = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        seen = merged(Path(folder).glob("*.json"))
    contracts = sorted(CONTRACTS.glob("*.vy"))
    sources = [*contracts, *sorted(CONTRACTS.glob("modules/*.vy"))]
    content = covered([*contracts, DOUBLE], sources, seen).content(ROOT)
    alone = covered(contracts, sources, seen).content(ROOT)
    content["by the double"] = content["taken"] - alone["taken"]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(content, indent=2) + "\n")
    for kind, missing in content["missing"].items():
        for one in missing:
            click.echo(f"missing, {kind}: {one}")
    click.echo(
        f"{content['reached']} of {content['statements']} statements, "
        f"{content['taken']} of {content['ways']} ways of branches, {content['by the double']} of "
        f"them in the modules' test double alone; {content['checks failed and passed']} of "
        f"{content['checks']} checks that the compiler added failed and passed"
    )
    sys.exit(1 if failed or any(content["missing"].values()) else 0)


if __name__ == "__main__":
    main()
