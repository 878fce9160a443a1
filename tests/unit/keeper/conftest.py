"""Fixtures of the keeper's unit tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import structlog

# Found in every import mode of pytest.
sys.path.insert(0, str(Path(__file__).parent))

from books_support import Chain

from workdeed.keeper.logs import OnceLog, get_log
from workdeed.keeper.metrics import Metrics


@pytest.fixture
def chain() -> Chain:
    """A chain with a class, a policy and a committee of one."""
    made = Chain()
    made.found()
    return made


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def log_lines() -> list[dict[str, object]]:
    """What is logged during the test."""
    with structlog.testing.capture_logs() as lines:
        yield lines  # type: ignore[misc] # a generator fixture


@pytest.fixture
def once(log_lines: list[dict[str, object]]) -> OnceLog:
    return OnceLog(get_log())
