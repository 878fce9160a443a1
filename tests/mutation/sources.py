"""Vyper from the inside: trees with types and exact spans, imports, and a faster compiler."""

from __future__ import annotations

import gc
import sysconfig
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vyper.ast.pre_parser import PreParser
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.phases import CompilerData
from vyper.ir import optimizer

LIBRARIES = Path(sysconfig.get_paths()["purelib"])
"""Where snekmate is imported from."""


def _compiler(path: Path) -> CompilerData:
    bundle = FilesystemInputBundle([LIBRARIES])
    return CompilerData(bundle.load_file(path), input_bundle=bundle)


def annotated(path: Path) -> Any:
    """Return a file's syntax tree with types and exact spans."""
    with _exact_spans():
        return _compiler(path).annotated_vyper_module


def reached(path: Path) -> set[Path]:
    """Return every file that a contract is compiled from, libraries included."""
    inputs = _compiler(path).resolved_imports.compiler_inputs
    return {path, *(Path(item.resolved_path) for item in inputs)}


@contextmanager
def fast_compiler() -> Iterator[None]:
    """Let Vyper compile in a third of the time, to the same bytecode.

    Its optimizer is asked about every subtree anew at each level of the tree, and a compiler makes
    hardly any garbage to look for.
    """
    optimize = optimizer._optimize
    kept: dict[tuple[int, Any], tuple[Any, Any]] = {}

    def optimize_once(node: Any, parent: Any) -> Any:
        key = id(node), parent and parent.value
        if key not in kept:
            # With the node itself, lest another one gets its id.
            kept[key] = node, optimize(node, parent)
        return kept[key][1]

    optimizer._optimize = optimize_once
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        optimizer._optimize = optimize


class _Columns(dict[tuple[int, int], int]):
    """By how much columns move when Vyper makes Python of its own keywords, for ends of tokens too.

    Vyper looks its own record up by a token's start alone. An end that is no start then stays where
    it is: spans behind `staticcall`, `extcall` or `log` end some characters too soon or too late.
    """

    def __init__(self, starts: dict[tuple[int, int], int]) -> None:
        super().__init__(starts)
        self._ordered = sorted(starts)

    def get(self, position: tuple[int, int], default: int = 0) -> int:  # type: ignore[override]
        """Return by how much the latest token moved that starts at a position or before it."""
        index = bisect_left(self._ordered, position)
        for start in (position, *self._ordered[max(index - 1, 0) : index]):
            if start in self and start[0] == position[0]:
                return self[start]
        return default


@contextmanager
def _exact_spans() -> Iterator[None]:
    """Let Vyper's parser compute the ends of nodes as exactly as it computes their starts."""
    parse = PreParser.parse

    def parse_and_correct(self: PreParser, code: str) -> None:
        parse(self, code)
        self.adjustments = _Columns(self.adjustments)

    PreParser.parse = parse_and_correct
    try:
        yield
    finally:
        PreParser.parse = parse
