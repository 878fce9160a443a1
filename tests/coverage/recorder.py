"""Keeps which instructions the tests ran: `-p tests.coverage.recorder --vyper-coverage FOLDER`.

Each process of a run writes a file of its own into the folder. Needs `WORKDEED_EVM=titanoboa`.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from boa.environment import Env

CREATION, RUNTIME = "creation", "runtime"


class Recorder:
    """What ran, by the path of a contract's source and by which of its codes.

    Attributes:
        ran: positions of instructions.
        steps: pairs of positions that ran one after the other.

    """

    def __init__(self) -> None:
        self.ran: dict[tuple[str, str], set[int]] = defaultdict(set)
        self.steps: dict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)

    def computation(self, env: Any, computation: Any) -> None:
        """Keep a call and all calls that it made."""
        message = computation.msg
        address = message.storage_address if message.is_create else message.code_address
        contract = env._lookup_contract_fast(address) if address else None
        if contract is not None and hasattr(contract, "compiler_data"):
            self._keep(
                contract, CREATION if message.is_create else RUNTIME, computation.code._trace
            )
        for child in computation.children:
            self.computation(env, child)

    def deployment(self, contract: Any, computation: Any) -> None:
        """Keep a constructor; titanoboa knows its contract only afterwards."""
        self._keep(contract, CREATION, computation.code._trace)

    def _keep(self, contract: Any, code: str, trace: list[int]) -> None:
        key = str(contract.compiler_data.file_input.resolved_path), code
        self.ran[key].update(trace)
        self.steps[key].update(pairwise(trace))

    def write(self, path: Path) -> None:
        """Write everything as JSON, which `merged` reads."""
        content = [
            {"path": source, "code": code, "ran": sorted(ran), "steps": sorted(steps)}
            for (source, code), steps in self.steps.items()
            for ran in [self.ran[source, code]]
        ]
        path.write_text(json.dumps(content))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the folder to write to."""
    parser.addoption("--vyper-coverage", type=Path, help="a folder for what the tests ran")


def pytest_configure(config: pytest.Config) -> None:
    """Watch titanoboa's environments if a folder is named."""
    if not config.getoption("--vyper-coverage"):
        return
    config.stash[_KEY] = watch(Recorder())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what this process saw."""
    recorder = session.config.stash.get(_KEY, None)
    if recorder is None:
        return
    folder: Path = session.config.getoption("--vyper-coverage")
    folder.mkdir(parents=True, exist_ok=True)
    recorder.write(folder / f"{os.getpid()}.json")


def watch(recorder: Recorder) -> Recorder:
    """Let every environment of titanoboa in this process tell a recorder what it runs."""

    def trace(env: Any, computation: Any, contract: Any = None) -> None:
        if contract is not None and computation.msg.is_create:
            recorder.deployment(contract, computation)
        else:
            recorder.computation(env, computation)

    Env._coverage_enabled = True
    Env._trace_computation = trace
    return recorder


def merged(files: Iterable[Path]) -> Recorder:
    """Return what all processes of a run saw."""
    recorder = Recorder()
    for file in files:
        for entry in json.loads(file.read_text()):
            key = entry["path"], entry["code"]
            recorder.ran[key].update(entry["ran"])
            recorder.steps[key].update(map(tuple, entry["steps"]))
    return recorder


_KEY = pytest.StashKey[Recorder]()
