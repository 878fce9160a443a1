"""Runs commands in this process."""

from __future__ import annotations

import inspect

from click.testing import CliRunner, Result

from workdeed.cli.root import root


def runner() -> CliRunner:
    """Return a runner that keeps stderr apart, which click does by itself from 8.2 on."""
    if "mix_stderr" in inspect.signature(CliRunner.__init__).parameters:
        return CliRunner(mix_stderr=False)
    return CliRunner()


def run(*arguments: str, typed: str | None = None) -> Result:
    """Run a command with what a person types."""
    return runner().invoke(root, list(arguments), input=typed)
