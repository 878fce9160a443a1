"""The table of commands, and that help is cheap."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from workdeed.cli.root import COMMANDS, root

HEAVY = ("aiohttp", "fastapi", "pydantic", "rich", "sqlalchemy", "web3", "eth_account")


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from workdeed.cli import main\n"
        "sys.argv = ['workdeed', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name: str) -> None:
    result = CliRunner().invoke(root, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Usage: workdeed")


def test_subcommands_are_all_documented() -> None:
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        subcommands = command.commands.values() if isinstance(command, click.Group) else [command]
        for one in subcommands:
            assert one.help, f"{name} {one.name}"


def test_version() -> None:
    assert CliRunner().invoke(root, ["--version"]).output.strip()[0].isdigit()
