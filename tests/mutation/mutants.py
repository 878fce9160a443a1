"""Mutants: which there are, how they are told apart, and which of them a run takes."""

from __future__ import annotations

import hashlib
import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vyper import ast as vy_ast

from tests.mutation.operators import Source
from tests.mutation.sources import annotated


class Key(NamedTuple):
    """What names a mutant for as long as its lines stay as they are, wherever they move."""

    file: str
    function: str
    operator: str
    before: str
    after: str
    occurrence: int


@dataclass(frozen=True)
class Mutant:
    """A file with one fault.

    Attributes:
        id: changes with any byte of the file.
        line: where the fault begins.
        source: the whole file with the fault.

    """

    id: str
    key: Key
    line: int
    source: str


def mutants_of(contracts: Path, file: str) -> Iterator[Mutant]:
    """Yield every mutant of a file, which is named as it lies below the folder of the contracts."""
    source = Source(annotated(contracts / file))
    data, ids, keys = source.data, set(), Counter[Key]()
    for edit in source.edits():
        mutated = data[: edit.start] + edit.text.encode() + data[edit.end :]
        digest = hashlib.sha256(file.encode() + b"\0" + mutated).hexdigest()[:20]
        if digest in ids:
            # Another operator came to the same.
            continue
        ids.add(digest)
        line = data.count(b"\n", 0, edit.start) + 1
        first = data.rfind(b"\n", 0, edit.start) + 1
        last = data.find(b"\n", edit.end)
        key = Key(
            file,
            _function_at(source.module, line),
            edit.operator,
            _one_line(data[first:last]),
            _one_line(mutated[first : last + len(mutated) - len(data)]),
            1,
        )
        keys[key] += 1
        yield Mutant(digest, key._replace(occurrence=keys[key]), line, mutated.decode())


def sampled(mutants: Iterable[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return that many mutants, of each file its share; a larger sample contains a smaller one."""
    files: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        files.setdefault(mutant.key.file, []).append(mutant)
    ranked = []
    for file, group in files.items():
        random.Random(f"{seed} {file}").shuffle(group)
        ranked += [((index + 0.5) / len(group), mutant) for index, mutant in enumerate(group)]
    ranked.sort(key=lambda pair: (pair[0], pair[1].key))
    return [mutant for _, mutant in ranked[:size]]


def changed_lines(contracts: Path, revision: str) -> dict[str, set[int]]:
    """Return the lines of each file that differ from a revision of the repository."""
    command = ["git", "diff", "--unified=0", "--no-color", "--relative", revision, "--", "."]
    diff = subprocess.run(command, cwd=contracts, check=True, capture_output=True, text=True).stdout
    changed: dict[str, set[int]] = {}
    file = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            file = line[4:].removeprefix("b/")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            start, count = int(hunk[1]), int(hunk[2] or 1)
            changed.setdefault(file, set()).update(range(start, start + count))
    return changed


def _function_at(module: Any, line: int) -> str:
    """Return the function that a line belongs to; nothing for what stands outside of all."""
    for function in module.get_children(vy_ast.FunctionDef):
        if function.lineno <= line <= function.end_lineno:
            return str(function.name)
    return ""


def _one_line(text: bytes) -> str:
    return " ".join(text.decode().split())
