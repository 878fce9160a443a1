"""Every reason that a contract gives is short, has a test of its own, and has one form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from vyper.ast import nodes as vy_ast
from vyper.ast import parse_to_ast

from tests.contracts.evm.artifacts import CONTRACTS

TESTS = Path(__file__).resolve().parent
SOURCES = sorted([*CONTRACTS.glob("*.vy"), *CONTRACTS.glob("modules/*.vy")])
MAX_BYTES = 32
FORM = re.compile(r"[a-z]+: [a-z0-9][a-z0-9' %]*")

UNREACHABLE: dict[str, str] = {}
"""Reasons that no call can produce, and why the guard stands nevertheless."""


def guards(source: Path) -> Iterator[tuple[int, str | None]]:
    """Yield line and reason of every `assert` and `raise` of a contract."""
    tree = parse_to_ast(source.read_text())
    for node in tree.get_descendants(vy_ast.Assert):
        yield node.lineno, node.msg.value if isinstance(node.msg, vy_ast.Str) else None
    for node in tree.get_descendants(vy_ast.Raise):
        yield node.lineno, node.exc.value if isinstance(node.exc, vy_ast.Str) else None


@cache
def all_tests() -> str:
    """Return the text of every contract test but this one."""
    files = (path for path in sorted(TESTS.rglob("test_*.py")) if path != Path(__file__).resolve())
    return "\n".join(path.read_text() for path in files)


REASONS = sorted({reason for source in SOURCES for _, reason in guards(source) if reason})


def test_the_contracts_give_reasons() -> None:
    assert len(REASONS) > 100


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_no_guard_is_silent(source: Path) -> None:
    assert [line for line, reason in guards(source) if reason is None] == []


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason not in UNREACHABLE])
def test_reason_is_named_by_a_test(reason: str) -> None:
    assert f'"{reason}"' in all_tests(), f"no test produces {reason!r}"


@pytest.mark.parametrize("reason", REASONS)
def test_reason_is_short_and_names_its_area(reason: str) -> None:
    assert len(reason.encode()) <= MAX_BYTES
    assert FORM.fullmatch(reason)
