"""The auditors' run: `python -m scripts.audit [--mutants N]`.

Runs every contract test at the deep profile, measures coverage of the Vyper sources, puts faults
into them, proves their arithmetic, measures gas and sizes, and lays it all out on one page:
`build/audit/report.html` for people and `build/audit/report.json` for scripts. It fails if a test
fails, an invariant of docs/invariants.md about contracts was never checked, a line or a branch was
never reached, a proof fails, a contract is too large or gas grew.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "audit"
INVARIANTS = ROOT / "docs" / "invariants.md"
SIZE_LIMIT = 24_576
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+?) \|", re.MULTILINE)
OFF_CHAIN = ("K", "O20")
"""What keeper and oracles keep has tests of its own; the contract tests do not touch it."""

Section = dict[str, Any]


@dataclass
class Report:
    """What the run found.

    Attributes:
        content: by section, as `build/audit/report.json` holds it.
        complaints: a sentence for everything that is not as it must be.

    """

    content: Section = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


def run(name: str, command: list[str], **environment: str) -> int:
    """Run a step, tell how long it took, and return its exit code; its output goes to a log."""
    log = BUILD / f"{name}.log"
    began = time.monotonic()
    with log.open("w") as output:
        code = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    seconds = time.monotonic() - began
    state = "done" if code == 0 else f"failed, see {log.relative_to(ROOT)}"
    print(f"{name}: {state} ({seconds:.0f} s)", flush=True)
    return code


def read(name: str) -> Any:
    """Return what a step wrote into the folder of the audit; nothing if it did not."""
    path = BUILD / name
    return json.loads(path.read_text()) if path.exists() else {}


def properties(report: Report, profile: str) -> None:
    """Run every contract test at a deep profile."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/contracts"]
    command += ["-p", "scripts.audit_plugin", "--audit", str(BUILD / "tests.json")]
    code = run("tests", command, HYPOTHESIS_PROFILE=profile)
    found = read("tests.json")
    if code:
        report.complaints.append(f"{len(found.get('failed', [])) or 'some'} tests failed")
    rules = dict(ROW.findall(INVARIANTS.read_text()))
    rows = []
    for name, rule in rules.items():
        seen = found.get("invariants", {}).get(name, {"tests": [], "checked": 0})
        rows.append({"id": name, "rule": rule, **seen})
        if not seen["checked"] and not name.startswith(OFF_CHAIN):
            report.complaints.append(f"{name} was never checked")
    measured = found.get("measured", {})
    speed = measured["calls"] / measured["seconds"] if measured.get("seconds") else 0
    report.content |= {
        "profile": profile,
        "tests": {"passed": found.get("passed", 0), "failed": found.get("failed", [])},
        "invariants": rows,
        "rules": found.get("rules", {}),
        "refused": found.get("refused", {}),
        "calls_per_second": round(speed),
    }


def coverage(report: Report) -> None:
    """Measure which statements and branches of the Vyper sources the unit tests reach."""
    (BUILD / "coverage.json").unlink(missing_ok=True)
    code = run("coverage", [sys.executable, "-m", "tests.coverage"])
    found = read("coverage.json")
    report.content["coverage"] = {
        "line": percent(found.get("reached", 0), found.get("statements", 0)),
        "branch": percent(found.get("taken", 0), found.get("ways", 0)),
        **found,
    }
    if code:
        report.complaints.append("the tests miss statements or branches, or fail, in titanoboa")


def percent(part: int, whole: int) -> float:
    """Return a share in percent; nothing of nothing is nothing."""
    return round(100 * part / whole, 2) if whole else 0.0


def mutation(report: Report, mutants: int) -> None:
    """Put faults into a sample of places, and see which of them no test notices."""
    if not mutants:
        report.content["mutation"] = {"total": 0, "killed": 0, "survivors": []}
        return
    command = [sys.executable, "-m", "tests.mutation", "--sample", str(mutants)]
    code = run("mutation", command)
    report.content["mutation"] = read("mutation.json")
    if code:
        report.complaints.append("mutants survive without an explanation")


def proofs(report: Report) -> None:
    """Prove the arithmetic for all values."""
    code = run("proofs", [sys.executable, "-m", "scripts.prove"])
    report.content["proofs"] = read("proofs.json")
    if code:
        report.complaints.append("a proof failed")


def gas(report: Report) -> None:
    """Measure gas and sizes against the committed snapshot."""
    code = run("gas", [sys.executable, "scripts/gas.py"])
    path = ROOT / "build" / "gas.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    report.content["gas"] = found
    if code:
        report.complaints.append("gas or a size grew")


def layout(report: Report) -> None:
    """Lay out the storage of every contract."""
    from vyper.cli.vyper_compile import compile_files

    contracts = ROOT / "contracts"
    layouts = {}
    for source in sorted(contracts.glob("*.vy")):
        output = compile_files([str(source)], ["layout"], paths=[str(contracts)])
        (found,) = output.values()
        layouts[source.stem] = found["layout"]
    report.content["layout"] = layouts
    print("layout: done", flush=True)


def show(report: Report, console: Console) -> None:
    """Print the tables."""
    content = report.content
    invariants = Table("id", "rule", "tests", "checked", title="invariants")
    for row in content["invariants"]:
        checked = f"{row['checked']:,}" if row["checked"] else "off chain"
        invariants.add_row(row["id"], row["rule"], str(len(row["tests"])), checked)
    console.print(invariants)
    rules = Table("call of the machine", "made", "took effect", title="rules")
    for name, (tried, effective) in sorted(content["rules"].items()):
        rules.add_row(name, f"{tried:,}", f"{effective:,}")
    for name, count in sorted(content["refused"].items()):
        rules.add_row(name, f"{count:,}", "refused")
    console.print(rules)
    sizes = Table("contract", "bytes", "of the limit", title="sizes")
    for name, size in content["gas"].get("sizes", {}).items():
        sizes.add_row(name, f"{size:,}", f"{percent(size, SIZE_LIMIT):.0f} %")
    console.print(sizes)
    proved = Table("proof", "statement", "result", title="proofs")
    for proof in content["proofs"]:
        proved.add_row(proof["id"], proof["statement"], proof["result"])
    console.print(proved)
    mutated, covered = content["mutation"], content["coverage"]
    console.print(f"tests: {content['tests']['passed']:,} passed, profile {content['profile']}")
    console.print(f"calls per second of the machine: {content['calls_per_second']:,}")
    console.print(
        f"coverage: {covered['line']} % of {covered.get('statements', 0):,} statements, "
        f"{covered['branch']} % of {covered.get('ways', 0):,} ways of branches"
    )
    console.print(f"mutants: {mutated.get('killed', 0)} killed of {mutated.get('total', 0)}")
    for complaint in report.complaints:
        console.print(f"not as it must be: {complaint}", style="red")


@click.command()
@click.option("--profile", default="ci", show_default=True, help="Hypothesis profile.")
@click.option("--mutants", default=200, show_default=True, help="Size of the sample; 0 for none.")
def main(profile: str, mutants: int) -> None:
    """Run everything that an auditor asks for, and write the report."""
    BUILD.mkdir(parents=True, exist_ok=True)
    report = Report()
    steps: list[Callable[[], None]] = [
        lambda: layout(report),
        lambda: properties(report, profile),
        lambda: proofs(report),
        lambda: gas(report),
        lambda: coverage(report),
        lambda: mutation(report, mutants),
    ]
    for step in steps:
        step()
    report.content["complaints"] = report.complaints
    (BUILD / "report.json").write_text(json.dumps(report.content, indent=2) + "\n")
    console = Console(record=True, width=140)
    show(report, console)
    console.save_html(str(BUILD / "report.html"))
    print(f"the report is in {BUILD.relative_to(ROOT)}/report.html and report.json")
    sys.exit(1 if report.complaints else 0)


if __name__ == "__main__":
    main()
