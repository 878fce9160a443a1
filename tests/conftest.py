"""What every test shares: Hypothesis profiles, and what a skip means in CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.podman import image_registry, podman
from tests.postgres import database, databases, postgres, postgres_server

__all__ = [
    "database",
    "databases",
    "image_registry",
    "podman",
    "postgres",
    "postgres_server",
]

SLOW_DRAWS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
"""A step of the chain machines deploys and signs: slow by nature, not by a fault of the draws."""

settings.register_profile(
    "quick",
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=SLOW_DRAWS,
)
settings.register_profile(
    "ci",
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=SLOW_DRAWS,
)
settings.register_profile("nightly", settings.get_profile("ci"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in CI which tests were skipped: there, a skip is a failure."""
    if os.environ.get("CI") == "true" and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("a skip is a failure in CI", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run in CI when a test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") == "true" and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def usual_logs() -> Iterator[None]:
    """Leave the process's logs as they were: a test's own stderr is closed after it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def usual_recursion() -> Iterator[None]:
    """Compilers that other tests import raise the limit far beyond that of a program."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield
    sys.setrecursionlimit(before)
