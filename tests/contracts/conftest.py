"""Fixtures of the contract tests. What a test does to the chain is undone after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from tests.contracts import evm
from tests.contracts.system import System, deploy_system


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Undo what each example of a property does, as if it were a test of its own."""
    for item in items:
        handle = getattr(getattr(item, "obj", None), "hypothesis", None)
        if handle is not None and item.path.is_relative_to(Path(__file__).parent):
            handle.inner_test = _undoing(handle.inner_test)


def _undoing(test: Callable[..., None]) -> Callable[..., None]:
    @wraps(test)
    def undone(*arguments: Any, **named: Any) -> None:
        with evm.env.anchor():
            test(*arguments, **named)

    return undone


@pytest.fixture(scope="session")
def deployed() -> System:
    """The default deployment, made once."""
    return deploy_system()


@pytest.fixture(autouse=True)
def undone(deployed: System) -> Iterator[None]:
    """Undo what a test and its fixtures do; what is made once stands outside."""
    with evm.env.anchor():
        yield


@pytest.fixture
def system(deployed: System) -> System:
    """The default deployment, as good as new: what the helper itself remembers starts afresh."""
    return replace(deployed, node_keys={}, reports=[])


@pytest.fixture
def nodes(system: System) -> list[int]:
    """A linked node license of each of the first three operators."""
    return [system.issue_node(operator) for operator in system.operators[:3]]
