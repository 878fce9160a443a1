"""What a run of the tests says of each invariant: its tests, and how often it was checked.

A pytest plugin, `-p scripts.audit_plugin --audit FILE`. A test carries the ids that stand in its
own docstring, or in its class's. Machines record how often they compared one with the chain.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

ID = re.compile(r"\b([MPORLGKD]\d{1,2})\b")
RANGE = re.compile(r"\b([MPORLGKD])(\d{1,2})-[MPORLGKD](\d{1,2})\b")


def ids_in(text: str) -> set[str]:
    """Return the ids of invariants in a text; `M1-M3` stands for three."""
    ids = set(ID.findall(text))
    for letter, first, last in RANGE.findall(text):
        ids |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
    return ids


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the file to write."""
    parser.addoption("--audit", type=Path, help="write what was checked as JSON")


class Audit:
    """Collects what passed.

    Attributes:
        tests: node ids of passed tests, by invariant.
        checked: how often each invariant was checked.
        rules: how often each call of a machine was made, and took effect.
        refused: how often what must never work was tried.
        measured: figures that tests record of themselves.

    """

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = defaultdict(set)
        self.checked: dict[str, int] = defaultdict(int)
        self.rules: dict[str, list[int]] = {}
        self.refused: dict[str, int] = {}
        self.measured: dict[str, float] = {}
        self.passed = 0
        self.failed: list[str] = []
        self._ids: dict[str, set[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read the ids of every test."""
        for item in items:
            owner = getattr(item, "cls", None)
            documents = [getattr(item, "function", None), owner]
            text = " ".join(getattr(one, "__doc__", None) or "" for one in documents)
            self._ids[item.nodeid] = ids_in(text)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test that passed."""
        if report.failed:
            self.failed.append(report.nodeid)
        if report.when != "call" or not report.passed:
            return
        self.passed += 1
        name = report.nodeid.split("[")[0]
        for invariant in self._ids.get(report.nodeid, set()):
            self.tests[invariant].add(name)
            self.checked[invariant] += 1
        for key, value in report.user_properties:
            self._take(str(key), value)

    def _take(self, key: str, value: Any) -> None:
        kind, _, name = key.partition(" ")
        if kind == "checked" and ID.fullmatch(name):
            self.checked[name] += int(value)
        elif kind == "rule":
            self.rules[name] = list(value)
        elif kind == "refused":
            self.refused[name] = int(value)
        elif not name:
            self.measured[kind] = value

    def content(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {
            "passed": self.passed,
            "failed": sorted(set(self.failed)),
            "invariants": {
                name: {"tests": sorted(self.tests[name]), "checked": self.checked[name]}
                for name in sorted(self.checked)
            },
            "rules": self.rules,
            "refused": self.refused,
            "measured": self.measured,
        }


def pytest_configure(config: pytest.Config) -> None:
    """Watch the run if a file is named."""
    if config.getoption("--audit"):
        config.pluginmanager.register(Audit(), "audit")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the file; under xdist only the process that sees every report does."""
    path = session.config.getoption("--audit")
    audit = session.config.pluginmanager.get_plugin("audit")
    if path and audit and not hasattr(session.config, "workerinput"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(audit.content(), indent=2) + "\n")
