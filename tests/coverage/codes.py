"""What the instructions of a compiled contract are in its sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from boa.interpret import load_partial
from vyper import ast as vy
from vyper.compiler.settings import anchor_settings
from vyper.ir import compile_ir

from tests.coverage.recorder import CREATION, RUNTIME

JUMPI, PUSH1, PUSH32 = 0x57, 0x60, 0x7F

CONDITIONS = (vy.If, vy.IfExp, vy.BoolOp, vy.Assert)
"""What branches because its author wrote so; other jumps are the compiler's own checks."""


class Place(NamedTuple):
    """Where a piece of source stands; lines count from 1, columns from 0."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    kind: str


class Branch(NamedTuple):
    """One of the jumps that a condition is compiled to."""

    place: Place
    number: int


@dataclass(frozen=True)
class Code:
    """The instructions of a contract's constructor or of the contract.

    Attributes:
        places: what an instruction stands for, by position.
        branches: what a conditional jump stands for, by position.
        checks: positions of conditional jumps that the compiler added.

    """

    places: dict[int, Place]
    branches: dict[int, Branch]
    checks: frozenset[int]


@cache
def codes_of(path: Path) -> dict[str, Code]:
    """Compile a contract; return its two codes."""
    data = load_partial(str(path)).compiler_data
    found = {}
    for name, assembly in ((CREATION, data.assembly), (RUNTIME, data.assembly_runtime)):
        with anchor_settings(data.settings):
            code, source_map = compile_ir.assembly_to_evm(assembly)
        # The creation code carries the runtime code behind itself, which its map leaves out.
        end = len(code) - (len(data.bytecode_runtime) if name == CREATION else 0)
        found[name] = _code(code[:end], source_map["pc_raw_ast_map"])
    return found


def _code(code: bytes, nodes: dict[int, Any]) -> Code:
    places = {at: place_of(node) for at, node in nodes.items() if node is not None}
    branches, checks, numbers = {}, set(), Counter[Place]()
    for at, instruction in _instructions(code):
        if instruction != JUMPI:
            continue
        node = nodes.get(at)
        if isinstance(node, CONDITIONS):
            place = place_of(node)
            branches[at] = Branch(place, numbers[place])
            numbers[place] += 1
        else:
            checks.add(at)
    return Code(places, branches, frozenset(checks))


def _instructions(code: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(code):
        yield at, code[at]
        at += 1 + (code[at] - PUSH1 + 1 if PUSH1 <= code[at] <= PUSH32 else 0)


def place_of(node: Any) -> Place:
    """Return where a node of a syntax tree stands."""
    return Place(
        str(node.module_node.resolved_path),
        node.lineno,
        node.col_offset,
        node.end_lineno,
        node.end_col_offset,
        type(node).__name__,
    )


class Statement(NamedTuple):
    """A statement, without those below it, and the function that it is of and where that starts."""

    function: str
    function_line: int
    place: Place


def statements_of(path: Path) -> list[Statement]:
    """Return every statement of a source that may do something."""
    found = []
    for function in vy.parse_to_ast(path.read_text()).get_children(vy.FunctionDef):
        for node in function.get_descendants(_STATEMENTS):
            end = node.test if isinstance(node, vy.If) else node
            end = node.iter if isinstance(node, vy.For) else end
            kind = type(node).__name__
            place = Place(
                str(path), node.lineno, node.col_offset, end.end_lineno, end.end_col_offset, kind
            )
            found.append(Statement(function.name, function.lineno, place))
    return found


_STATEMENTS = (
    vy.Assign,
    vy.AugAssign,
    vy.AnnAssign,
    vy.Expr,
    vy.Return,
    vy.Assert,
    vy.Raise,
    vy.Log,
    vy.If,
    vy.For,
    vy.Break,
    vy.Continue,
)
