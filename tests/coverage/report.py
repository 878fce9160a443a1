"""What ran, by statement and by branch of the sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.coverage.codes import Branch, Code, Place, Statement, codes_of, statements_of
from tests.coverage.recorder import Recorder


@dataclass
class Coverage:
    """What ran of some sources.

    A branch has two ways. A statement that no instruction of any contract stands for, such as a
    variable that starts at zero, counts as reached where its function was entered.

    Attributes:
        statements: whether each was reached.
        ways: how many of its two ways each branch took.
        checks: conditional jumps that the compiler added, and how many of them took both ways.

    """

    statements: dict[Statement, bool] = field(default_factory=dict)
    ways: dict[Branch, int] = field(default_factory=dict)
    checks: tuple[int, int] = (0, 0)

    def content(self, root: Path) -> dict[str, Any]:
        """Return figures, and what is missing, as JSON takes it."""
        lines = [
            f"{_shown(one.place, root)} {one.function}"
            for one, reached in sorted(self.statements.items())
            if not reached
        ]
        branches = [
            f"{_shown(one.place, root)} {one.place.kind} {one.number}: {ways} of 2 ways"
            for one, ways in sorted(self.ways.items())
            if ways < 2
        ]
        return {
            "statements": len(self.statements),
            "reached": sum(self.statements.values()),
            "ways": 2 * len(self.ways),
            "taken": sum(self.ways.values()),
            "checks": self.checks[0],
            "checks failed and passed": self.checks[1],
            "missing": {"statements": lines, "branches": branches},
        }


def covered(contracts: Iterable[Path], sources: Iterable[Path], seen: Recorder) -> Coverage:
    """Lay what ran of some contracts over their sources.

    Args:
        contracts: the deployables.
        sources: their files and those of the modules they are built from.
        seen: what the tests ran.

    """
    coverage = Coverage()
    ran: dict[Place, bool] = {}
    taken: dict[Branch, set[bool]] = defaultdict(set)
    both = every = 0
    for contract in contracts:
        for name, code in codes_of(contract).items():
            key = str(contract), name
            for at, place in code.places.items():
                ran[place] = ran.get(place, False) or at in seen.ran[key]
            ways = _ways(code, seen.steps[key])
            for at, branch in code.branches.items():
                taken[branch] |= ways[at]
            every += len(code.checks)
            both += sum(len(ways[at]) == 2 for at in code.checks)
    coverage.checks = every, both
    for source in sources:
        coverage.statements |= _reached(statements_of(source), ran)
    inside = {str(source) for source in sources}
    coverage.ways = {one: len(ways) for one, ways in taken.items() if one.place.path in inside}
    return coverage


def _ways(code: Code, steps: set[tuple[int, int]]) -> dict[int, set[bool]]:
    """Return for each conditional jump whether it was taken, and whether it was not."""
    ways: dict[int, set[bool]] = {at: set() for at in (*code.branches, *code.checks)}
    for at, following in steps:
        if at in ways:
            ways[at].add(following != at + 1)
    return ways


def _reached(statements: list[Statement], ran: dict[Place, bool]) -> dict[Statement, bool]:
    by_path: dict[str, list[tuple[Place, bool]]] = defaultdict(list)
    for place, reached in ran.items():
        by_path[place.path].append((place, reached))
    found: dict[Statement, bool | None] = {}
    for one in statements:
        inside = [
            reached for place, reached in by_path[one.place.path] if _within(place, one.place)
        ]
        found[one] = any(inside) if inside else None
    entered = {
        (place.path, place.line)
        for place, reached in ran.items()
        if reached and place.kind == "FunctionDef"
    }
    entered |= {_head(one) for one, reached in found.items() if reached}
    return {
        one: _head(one) in entered if reached is None else reached for one, reached in found.items()
    }


def _head(statement: Statement) -> tuple[str, int]:
    return statement.place.path, statement.function_line


def _within(inner: Place, outer: Place) -> bool:
    start = (inner.line, inner.column) >= (outer.line, outer.column)
    return start and (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)


def _shown(place: Place, root: Path) -> str:
    return f"{Path(place.path).relative_to(root)}:{place.line}"
